//! The spool under crash points and damage: what was acknowledged is recovered, nothing is invented.
//! Over 400 lines: the faulty disk and its crash points serve all of them.

mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use crate::access_log::draft::{Bodies, BodyKind, Finished};
use crate::access_log::spool::disk::Disk;
use crate::access_log::spool::format::{
    HEAD_BYTES, Head, MAGIC, Position, RecordKind, SegmentName,
};
use crate::access_log::spool::lane::Lane;
use crate::access_log::spool::payload::{
    BeginPayload, EndPayload, GapPayload, PartAt, RecordBuffer,
};
use crate::access_log::spool::read::Loaded;
use crate::access_log::spool::recovery::RecoveryTarget;
use crate::access_log::spool::segment::SegmentPin;
use crate::access_log::spool::{Spool, SpoolError, SpoolOptions};
use crate::access_log::testing::{
    FaultyDisk, answer, body, bytes_of, closed, id, opened, segments,
};

fn options(dir: &Path, max_bytes: u64) -> SpoolOptions {
    SpoolOptions {
        max_bytes,
        ..SpoolOptions::new(dir)
    }
}

fn open(dir: &Path, max_bytes: u64) -> Spool {
    Spool::open(options(dir, max_bytes)).unwrap().0
}

fn open_faulty(dir: &Path, max_bytes: u64) -> (Spool, FaultyDisk) {
    let disk = FaultyDisk::default();
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    (Spool::open_on(options(dir, max_bytes), on).unwrap().0, disk)
}

type Kept = Option<(SegmentPin, Position)>;

fn begin(spool: &Spool, lane: &Lane, number: u32, request: &[u8]) -> Kept {
    let mut record = RecordBuffer::default();
    record.begin(&opened(number), Some(&body(request))).unwrap();
    spool.append(lane, RecordKind::Begin, id(number), &mut record)
}

fn part(spool: &Spool, lane: &Lane, number: u32, bytes: &[u8]) -> Kept {
    let mut record = RecordBuffer::default();
    record.part(BodyKind::Response, &body(bytes).pieces);
    spool.append(lane, RecordKind::Part, id(number), &mut record)
}

fn end(
    spool: &Spool,
    lane: &Lane,
    number: u32,
    (begin, parts): (Position, &[Position]),
    text: &[u8],
    status: u16,
) -> Kept {
    let mut record = RecordBuffer::default();
    let spilled = 4 * parts.len() as u64;
    let parts: Vec<PartAt> = parts
        .iter()
        .map(|at| PartAt {
            kind: BodyKind::Response,
            at: *at,
        })
        .collect();
    let mut bodies = answer(text);
    bodies.response.iter_mut().for_each(|body| {
        body.spilled_bytes = spilled;
        body.size += spilled;
    });
    record
        .end(&closed(status), &bodies, begin, 0, &parts)
        .unwrap();
    spool.append(lane, RecordKind::End, id(number), &mut record)
}

/// What a recovery gives: id, request, answer, status (`None`: crashed).
type Seen = BTreeMap<Uuid, (Option<Vec<u8>>, Option<Vec<u8>>, Option<u16>)>;

#[derive(Default)]
struct Collect {
    seen: Seen,
    pins: Vec<SegmentPin>,
    expected: i64,
}

impl RecoveryTarget for Collect {
    fn expect(&mut self, count: u64) {
        self.expected += count as i64;
    }

    fn take(&mut self, loaded: Loaded) -> bool {
        let Finished {
            opened,
            closed,
            bodies: Bodies {
                request, response, ..
            },
        } = loaded.finished;
        let status = closed.map(|closed| closed.status_code);
        let seen = (
            bytes_of(request.as_ref()),
            bytes_of(response.as_ref()),
            status,
        );
        assert!(
            self.seen.insert(opened.request_id, seen).is_none(),
            "an exchange came twice"
        );
        self.pins.extend(loaded.pins);
        self.expected -= 1;
        true
    }

    fn miss(&mut self) {
        self.expected -= 1;
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// Reopens, recovers, commits everything. Returns what was seen and the damaged places.
fn recover(dir: &Path) -> (Seen, u64) {
    let (spool, lanes) = Spool::open(options(dir, 1 << 30)).unwrap();
    let mut target = Collect::default();
    assert!(spool.recover(lanes, &mut target));
    assert_eq!(target.expected, 0);
    let corrupt = spool.corrupt_total();
    target.pins.into_iter().for_each(SegmentPin::release);
    spool.remove_unneeded();
    assert_eq!(
        segments(dir),
        Vec::<PathBuf>::new(),
        "files stay although all is committed"
    );
    (target.seen, corrupt)
}

fn quarantined(dir: &Path) -> usize {
    fs::read_dir(dir.join("quarantine")).map_or(0, Iterator::count)
}

/// Writes whole exchanges, each with a part, into one lane; returns where each one's end record ends.
fn write_exchanges(spool: &Spool, count: u32) -> Vec<(PathBuf, u64)> {
    let lane = spool.lane();
    let write = |number| {
        let (pin, at) = begin(spool, &lane, number, b"question").unwrap();
        pin.leave();
        let (pin, part_at) = part(spool, &lane, number, b"half").unwrap();
        pin.leave();
        let (pin, end_at) = end(spool, &lane, number, (at, &[part_at]), b"whole", 200).unwrap();
        pin.leave();
        let segment = spool.segment(spool.boot(), end_at.segment).unwrap();
        (segment.path.clone(), segment.len())
    };
    (0..count).map(write).collect()
}

#[test]
fn a_payload_comes_back_as_it_went() {
    let mut record = RecordBuffer::default();
    let mut request = body(b"0123456789");
    request.sha256 = Some([7; 32]);
    request.truncated = true;
    assert_eq!(record.begin(&opened(1), Some(&request)).unwrap(), 10);
    let payload = bytes::Bytes::copy_from_slice(&record.bytes[HEAD_BYTES..]);
    let begin = BeginPayload::decode(payload).unwrap();
    let stored = begin.request.unwrap();
    assert_eq!(
        (&stored.inline[..], stored.sha256, stored.truncated),
        (&b"0123456789"[..], Some([7; 32]), true)
    );

    let mut odd = closed(418);
    odd.times.duration_ms = f64::NAN;
    let bodies = Bodies {
        request: Some(body(b"0123456789ab")),
        ..answer(b"yes")
    };
    record
        .end(
            &odd,
            &bodies,
            Position {
                segment: 3,
                offset: 4,
            },
            10,
            &[],
        )
        .unwrap();
    let end =
        EndPayload::decode(bytes::Bytes::copy_from_slice(&record.bytes[HEAD_BYTES..])).unwrap();
    assert_eq!(
        (end.closed.status_code, end.closed.times.duration_ms),
        (418, 0.0)
    );
    let inline = |index: usize| end.bodies[index].as_ref().map(|body| body.inline.to_vec());
    assert_eq!(
        (inline(0), inline(1), inline(2)),
        (Some(b"ab".to_vec()), None, Some(b"yes".to_vec()))
    );
}

#[test]
fn whole_exchanges_and_cut_ones_are_recovered() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    write_exchanges(&spool, 3);
    let lane = spool.lane();
    begin(&spool, &lane, 7, b"open").unwrap().0.leave();
    part(&spool, &lane, 7, b"so far").unwrap().0.leave();
    let (pin, at) = begin(&spool, &lane, 8, b"twice").unwrap();
    pin.leave();
    end(&spool, &lane, 8, (at, &[]), b"first", 200)
        .unwrap()
        .0
        .leave();
    end(&spool, &lane, 8, (at, &[]), b"last", 499)
        .unwrap()
        .0
        .leave();
    drop(spool);
    let (seen, corrupt) = recover(dir.path());
    let text = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!((seen.len(), corrupt), (5, 0));
    assert_eq!(seen[&id(1)], (None, text("halfwhole"), Some(200)));
    assert_eq!(seen[&id(7)], (text("open"), text("so far"), None));
    assert_eq!(seen[&id(8)], (None, text("last"), Some(499)));
}

#[test]
fn bodies_of_every_size_survive() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 30);
    let lane = spool.lane();
    let sizes = [0, 1, 700, 262_144, 262_145, 3_000_000];
    for (number, size) in (0..).zip(sizes) {
        let (pin, at) = begin(&spool, &lane, number, &vec![b'q'; size]).unwrap();
        pin.leave();
        end(&spool, &lane, number, (at, &[]), &vec![b'a'; size], 200)
            .unwrap()
            .0
            .leave();
    }
    drop(spool);
    let (seen, _) = recover(dir.path());
    for (number, size) in (0..).zip(sizes) {
        assert_eq!(seen[&id(number)].1, Some(vec![b'a'; size]), "{size}");
    }
}

#[test]
fn f95_a_second_instance_is_refused_until_the_first_is_gone() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path(), 1 << 20);
    let second = Spool::open(options(dir.path(), 1 << 20));
    assert!(matches!(second, Err(SpoolError::Locked { .. })));
    drop(first);
    open(dir.path(), 1 << 20);
}

#[test]
fn only_the_owner_reads_it() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("deep/spool");
    let spool = open(&dir, 1 << 20);
    write_exchanges(&spool, 1);
    spool.count_unkept();
    spool.upkeep();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn files_go_when_all_in_them_is_committed_and_not_before() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    let lane = spool.lane();
    let (first, at) = begin(&spool, &lane, 1, b"x").unwrap();
    let (second, _) = end(&spool, &lane, 1, (at, &[]), b"y", 200).unwrap();
    spool.seal_all();
    let left = |spool: &Spool| {
        spool.remove_unneeded();
        segments(dir.path()).len()
    };
    assert_eq!(left(&spool), 1);
    first.release();
    assert_eq!(left(&spool), 1);
    second.release();
    assert_eq!((left(&spool), spool.bytes()), (0, 0));
    begin(&spool, &lane, 2, b"x").unwrap().0.release();
    spool.roll_idle(std::time::Duration::ZERO);
    assert_eq!(left(&spool), 0);
}

#[test]
fn f58_a_file_that_failed_to_sync_is_written_anew() {
    let dir = TempDir::new().unwrap();
    let (spool, disk) = open_faulty(dir.path(), 1 << 20);
    write_exchanges(&spool, 2);
    spool.sync();
    let lane = spool.lanes().remove(0);
    let (pin, before) = begin(&spool, &lane, 7, b"asked").unwrap();
    pin.leave();
    disk.faults.failing_syncs.store(1, Ordering::SeqCst);
    spool.sync();
    assert_eq!(disk.faults.syncs.load(Ordering::SeqCst), 3);
    let (pin, after) = end(&spool, &lane, 7, (before, &[]), b"whole", 200).unwrap();
    pin.leave();
    assert_ne!(before.segment, after.segment);
    let loaded = spool.load_waiting(after).unwrap();
    assert_eq!(loaded.finished.opened.request_id, id(7));
    (0..3).for_each(|_| spool.sync());
    assert_eq!(disk.faults.syncs.load(Ordering::SeqCst), 4);
    drop((loaded, spool));
    only_segments_and_what_belongs_to_them(dir.path());
    let (seen, corrupt) = recover(dir.path());
    assert_eq!((seen.len(), corrupt), (3, 0));
    assert_eq!(seen[&id(7)], (None, Some(b"whole".to_vec()), Some(200)));
}

#[test]
fn f58_a_disk_that_syncs_nothing_is_asked_once_for_each_file() {
    let dir = TempDir::new().unwrap();
    let (spool, disk) = open_faulty(dir.path(), 1 << 20);
    let lane = spool.lane();
    let (_, before) = begin(&spool, &lane, 1, b"x").unwrap();
    disk.faults
        .failing_syncs
        .store(usize::MAX, Ordering::SeqCst);
    (0..3).for_each(|_| spool.sync());
    assert_eq!(disk.faults.syncs.load(Ordering::SeqCst), 2);
    let (_, after) = end(&spool, &lane, 1, (before, &[]), b"y", 200).unwrap();
    assert_ne!(before.segment, after.segment);
    assert!(spool.load_waiting(after).is_ok(), "it is still shown");
    only_segments_and_what_belongs_to_them(dir.path());
}

/// No copy is left half-way.
#[track_caller]
fn only_segments_and_what_belongs_to_them(dir: &Path) {
    let others = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut others: Vec<PathBuf> = others
        .filter(|path| path.extension().is_none_or(|end| end != "seg"))
        .collect();
    others.sort();
    assert_eq!(others, [dir.join("lock"), dir.join("reserve")]);
}

#[test]
fn f59_short_and_interrupted_writes_are_finished() {
    let dir = TempDir::new().unwrap();
    let (spool, disk) = open_faulty(dir.path(), 1 << 20);
    disk.faults.longest_write.store(11, Ordering::SeqCst);
    disk.faults.interrupt.store(true, Ordering::SeqCst);
    write_exchanges(&spool, 2);
    drop(spool);
    let (seen, corrupt) = recover(dir.path());
    assert_eq!((seen.len(), corrupt), (2, 0));
}

/// A disk that fills up in the middle of a record: the file ends with the last whole one.
#[track_caller]
fn check_full_disk(free_bytes: i64, set_len_fails: bool) {
    let dir = TempDir::new().unwrap();
    let (spool, disk) = open_faulty(dir.path(), 1 << 20);
    write_exchanges(&spool, 2);
    disk.faults.free_bytes.store(free_bytes, Ordering::SeqCst);
    disk.faults
        .fail_set_len
        .store(set_len_fails, Ordering::SeqCst);
    let lanes = spool.lanes();
    assert!(begin(&spool, &lanes[0], 5, b"lost").is_none());
    assert!(spool.is_failing());
    disk.faults.free_bytes.store(i64::MAX, Ordering::SeqCst);
    disk.faults.fail_set_len.store(false, Ordering::SeqCst);
    assert!(
        begin(&spool, &lanes[0], 5, b"lost").is_none(),
        "not before the disk was probed"
    );
    spool.upkeep();
    begin(&spool, &lanes[0], 6, b"kept").unwrap().0.leave();
    drop(spool);
    let (seen, corrupt) = recover(dir.path());
    assert_eq!(
        seen.keys().copied().collect::<Vec<_>>(),
        [id(0), id(1), id(6)]
    );
    assert_eq!(corrupt, u64::from(set_len_fails && free_bytes > 0));
}

#[test]
fn f59_a_disk_that_fills_up_in_the_middle_of_a_record() {
    for free_bytes in [0, 1, 35, 36, 37, 300] {
        check_full_disk(free_bytes, false);
    }
}

#[test]
fn f59_a_file_that_cannot_be_mended_is_sealed() {
    for free_bytes in [0, 1, 35, 36, 37, 300] {
        check_full_disk(free_bytes, true);
    }
}

#[test]
fn f57_what_is_under_way_still_fits_when_new_ones_do_not() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 64 << 10);
    let lane = spool.lane();
    let (pin, at) = begin(&spool, &lane, 0, b"x").unwrap();
    let refused = (1..200).find(|number| begin(&spool, &lane, *number, &[b'x'; 700]).is_none());
    assert!(refused.is_some() && spool.is_failing() && spool.accepts());
    assert!(end(&spool, &lane, 0, (at, &[]), b"y", 200).is_some());
    assert!(spool.bytes() <= 64 << 10);
    pin.leave();
}

#[test]
fn f57_a_gap_is_written_down_and_reported_once() {
    let dir = TempDir::new().unwrap();
    let (spool, disk) = open_faulty(dir.path(), 1 << 20);
    assert!(dir.path().join("reserve").exists());
    (0..3).for_each(|_| spool.count_unkept());
    disk.faults.free_bytes.store(200, Ordering::SeqCst);
    spool.upkeep();
    assert!(
        !dir.path().join("reserve").exists(),
        "the reserve makes room"
    );
    let gap = || {
        fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|end| end == "gap"))
    };
    let bytes = fs::read(gap().unwrap()).unwrap();
    let salt = super::upkeep::gap_salt(spool.boot());
    let head = Head::from_bytes(&bytes, salt, 0).unwrap();
    assert_eq!(head.kind, RecordKind::Gap);
    let payload = bytes::Bytes::copy_from_slice(&bytes[HEAD_BYTES..]);
    assert_eq!(GapPayload::decode(payload), Ok(GapPayload { dropped: 3 }));
    drop(spool);
    open(dir.path(), 1 << 20);
    assert_eq!(gap(), None);
}
