//! The request path's side: tickets, the full queue, the full spool, and the books after every step.
//! Over 400 lines with its small file system; the model that they are held against has a file of its own.

mod model;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tempfile::TempDir;

use crate::access_log::draft::{Bodies, BodyKind, Captured};
use crate::access_log::ledger::DropReason;
use crate::access_log::recorder::AccessLogOptions;
use crate::access_log::spool::{OnSpoolFull, SpoolOptions};
use crate::access_log::sync::locked;
use crate::access_log::testing::{
    Bench, answer, body, closed, id, in_dir, opened, segment_files, small,
};
use crate::access_log::writer::Turn;

const MIB: u64 = 1 << 20;

fn spooled(dir: &Path, queue_records: usize) -> AccessLogOptions {
    AccessLogOptions {
        spool: in_dir(dir, 2 * MIB),
        ..small(queue_records, 4)
    }
}

fn crc(bytes: &[u8]) -> Option<String> {
    Some(format!("{:08x}", crc32c::crc32c(bytes)))
}

#[test]
fn f86_a_full_queue_goes_on_in_the_spool_in_order() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 3));
    let early = bench.recorder.open(opened(0), Some(&body(b"early")));
    let lane = bench.spool().lanes().remove(0);
    bench.spool().seal_all(); // its begin record is in an older file than its end
    (1..10).for_each(|number| bench.exchange(number));
    assert!(lane.is_lagging());
    let bodies = Bodies {
        request: Some(body(b"early")),
        ..answer(b"late")
    };
    early.finish(closed(201), bodies);
    bench.check(0, 3, 7, 0, 0);
    assert_eq!(segment_files(dir.path()), 2);
    bench.turn_all();
    bench.check(0, 0, 0, 10, 0);
    assert!(!lane.is_lagging());
    let order: Vec<_> = (1..10).chain([0]).map(id).collect();
    assert_eq!(*locked(&bench.store.order), order);
    let row = bench.store.row(0).unwrap();
    assert_eq!(
        (row.request_text, row.response_text, row.status_code),
        (crc(b"early"), crc(b"late"), 201)
    );
    bench.exchange(11);
    assert!(!lane.is_lagging(), "the lane is back on the queue");
}

#[test]
fn an_exchange_costs_two_writes() {
    let dir = TempDir::new().unwrap();
    let bench = Bench::new(&spooled(dir.path(), 100));
    let before = bench.disk.faults.writes.load(Ordering::SeqCst);
    (0..10).for_each(|number| bench.exchange(number));
    assert_eq!(bench.disk.faults.writes.load(Ordering::SeqCst) - before, 20);
}

#[test]
fn f60_a_waiting_record_that_is_damaged_is_counted_and_its_file_kept() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 1));
    (0..2).for_each(|number| bench.exchange(number));
    bench.check(0, 1, 1, 0, 0);
    let paths = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let path = paths
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "seg"));
    let mut bytes = std::fs::read(path.as_ref().unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path.unwrap(), bytes).unwrap();
    bench.turn_all();
    bench.check(0, 0, 0, 1, 1);
    assert!(!bench.shared.unfinished.contains(id(1)));
    assert_eq!(
        bench
            .shared
            .ledger
            .snapshot()
            .dropped(DropReason::SpoolCorrupt),
        1
    );
    bench.spool().seal_all();
    bench.spool().upkeep();
    assert_eq!(segment_files(&dir.path().join("quarantine")), 1);
}

#[test]
fn memory_drops_and_counts_what_the_queue_cannot_take() {
    let bench = Bench::new(&small(2, 4));
    (0..5).for_each(|number| bench.exchange(number));
    bench.check(0, 2, 0, 0, 3);
    assert_eq!(
        bench
            .shared
            .ledger
            .snapshot()
            .dropped(DropReason::QueueFull),
        3
    );
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let mut bench = Bench::new(&AccessLogOptions {
        queue_bytes: 9000,
        ..small(1000, 4)
    });
    (0..5).for_each(|number| bench.exchange(number));
    bench.check(0, 4, 0, 0, 1);
    bench.turn_all();
    let ticket = bench.recorder.open(opened(9), None);
    ticket.finish(closed(200), answer(&[b'x'; 100_000]));
    bench.check(0, 1, 0, 4, 1);
}

#[test]
fn spilled_parts_come_back_over_the_queue_and_from_the_spool() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 1));
    for number in [0, 1] {
        let mut ticket = bench.recorder.open(opened(number), Some(&body(b"q")));
        assert!(ticket.part(
            BodyKind::Response,
            &[Bytes::from("one "), Bytes::from("two ")]
        ));
        assert!(ticket.part(BodyKind::Response, &[Bytes::from("three ")]));
        assert!(
            !ticket.part(BodyKind::Request, &[Bytes::from("q")]),
            "stands in the begin record"
        );
        let response = Captured {
            spilled_bytes: 14,
            ..body(b"four")
        };
        ticket.finish(
            closed(200),
            Bodies {
                response: Some(response),
                request: Some(body(b"q")),
                ..Bodies::default()
            },
        );
    }
    bench.check(0, 1, 1, 0, 0);
    bench.turn_all();
    for number in [0, 1] {
        let row = bench.store.row(number).unwrap();
        assert_eq!(
            (row.request_text, row.response_text),
            (crc(b"q"), crc(b"one two three four"))
        );
    }
}

#[test]
fn a_request_that_stands_in_its_begin_record_comes_back_over_the_queue_and_from_the_spool() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 1));
    for number in [0, 1] {
        let ticket = bench.recorder.open(opened(number), Some(&body(b"asked")));
        assert_eq!(ticket.begun_bytes(), 5);
        let request = Captured {
            pieces: Vec::new(),
            begun_bytes: 5,
            ..body(b"asked")
        };
        let bodies = Bodies {
            request: Some(request),
            ..answer(b"a")
        };
        ticket.finish(closed(200), bodies);
    }
    bench.check(0, 1, 1, 0, 0);
    bench.turn_all();
    for number in [0, 1] {
        let row = bench.store.row(number).unwrap();
        assert_eq!(row.request_text, crc(b"asked"), "{number}");
    }
}

#[test]
fn the_last_end_holds_and_an_equal_one_costs_nothing() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 1));
    bench.exchange(0);
    let mut ticket = bench.recorder.open(opened(1), None);
    assert!(ticket.end(&closed(200), &answer(b"a")));
    let bytes = bench.spool().bytes();
    assert!(ticket.end(&closed(200), &answer(b"a")));
    assert_eq!(bench.spool().bytes(), bytes);
    assert!(ticket.end(&closed(499), &answer(b"a")));
    ticket.finish(closed(499), answer(b"ab"));
    bench.turn_all();
    let row = bench.store.row(1).unwrap();
    assert_eq!((row.status_code, row.response_text), (499, crc(b"ab")));
}

#[test]
fn a_ticket_that_is_dropped_still_makes_a_row() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 9));
    let mut ticket = bench.recorder.open(opened(0), Some(&body(b"q")));
    assert!(ticket.part(BodyKind::Response, &[Bytes::from("so far")]));
    drop(ticket);
    let mut ended = bench.recorder.open(opened(1), None);
    ended.end(&closed(200), &answer(b"a"));
    drop(ended);
    bench.turn_all();
    bench.check(0, 0, 0, 2, 0);
    let row = bench.store.row(0).unwrap();
    assert_eq!(
        (row.request_text, row.response_text),
        (crc(b"q"), crc(b"so far"))
    );
    let outcome = |number| bench.store.row(number).unwrap().outcome;
    assert_eq!(
        (outcome(0), outcome(1)),
        ("internal_error".to_owned(), "ok".to_owned())
    );
}

#[test]
fn unfinished_exchanges_are_known_until_they_can_be_queried() {
    let mut bench = Bench::new(&small(9, 4));
    let known = |bench: &Bench| bench.shared.unfinished.contains(id(3));
    let ticket = bench.recorder.open(opened(3), None);
    assert!(known(&bench) && !bench.shared.unfinished.contains(id(4)));
    ticket.finish(closed(200), Bodies::default());
    assert!(known(&bench));
    bench.turn_all();
    assert!(!known(&bench));
}

#[test]
fn exchanges_that_wait_in_the_spool_are_known_until_they_are_stored_or_dropped() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 1));
    let known = |bench: &Bench| {
        let known = |number: &u32| bench.shared.unfinished.contains(id(*number));
        (0..4).filter(known).collect::<Vec<_>>()
    };
    bench.store.away.store(true, Ordering::SeqCst);
    (0..4).for_each(|number| bench.exchange(number));
    bench.check(0, 1, 3, 0, 0);
    assert_eq!(known(&bench), [0, 1, 2, 3]);
    assert_eq!(bench.turn(), Turn::Away);
    assert_eq!(known(&bench), [0, 1, 2, 3], "read back, not stored yet");
    bench.store.away.store(false, Ordering::SeqCst);
    locked(&bench.store.refused).insert(id(2));
    bench.turn_all();
    bench.check(0, 0, 0, 3, 1);
    assert!(known(&bench).is_empty());
}

#[test]
fn f57_a_full_disk_degrades_counts_exactly_and_ends() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 5));
    bench.exchange(0);
    let under_way = bench.recorder.open(opened(1), None);
    bench.disk.faults.free_bytes.store(0, Ordering::SeqCst);
    (2..12).for_each(|number| bench.exchange(number));
    under_way.finish(closed(200), Bodies::default());
    assert!(bench.recorder.accepts() && bench.shared.stats().spool_failing);
    bench.check(0, 5, 0, 0, 7);
    assert_eq!(
        bench
            .shared
            .ledger
            .snapshot()
            .dropped(DropReason::SpoolFull),
        7
    );
    bench
        .disk
        .faults
        .free_bytes
        .store(i64::MAX, Ordering::SeqCst);
    bench.spool().upkeep();
    assert!(!bench.shared.stats().spool_failing);
    (20..30).for_each(|number| bench.exchange(number));
    bench.turn_all();
    bench.check(0, 0, 0, 15, 7);
    assert_eq!(bench.store.rows(), 15);
}

#[test]
fn f57_refuse_says_so_until_there_is_room() {
    let dir = TempDir::new().unwrap();
    let spool = SpoolOptions {
        on_full: OnSpoolFull::Refuse,
        max_bytes: 64 << 10,
        ..SpoolOptions::new(dir.path())
    };
    let mut bench = Bench::new(&AccessLogOptions {
        spool: Some(spool),
        ..small(2, 4)
    });
    let taken = (0..1000).take_while(|number| {
        bench.exchange(*number);
        bench.recorder.accepts()
    });
    let taken = taken.count() as u32 + 1;
    assert!(taken < 100);
    bench.turn_all();
    let lost = bench.shared.ledger.snapshot().dropped_total();
    assert!(lost <= 1, "the one that met the bound");
    bench.spool().seal_all();
    bench.spool().upkeep();
    bench.spool().upkeep();
    assert!(bench.recorder.accepts());
}

/// A file system of its own, so that it can be full.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(size: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path());
        assert!(
            mount.status().unwrap().success(),
            "this test mounts a tmpfs and needs root"
        );
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(std::thread::panicking() || status.unwrap().success());
    }
}

#[test]
fn f57_a_real_full_disk() {
    let disk = SmallDisk::new("1m");
    let dir = disk.0.path().join("spool");
    let spool = SpoolOptions {
        max_bytes: 2 * MIB,
        ..SpoolOptions::new(&dir)
    };
    let mut bench = Bench::new(&AccessLogOptions {
        spool: Some(spool.clone()),
        ..small(5, 4)
    });
    (0..2000).for_each(|number| bench.exchange(number));
    let full = bench.shared.ledger.snapshot();
    assert!(
        full.is_conserved() && full.dropped_total() > 0 && full.spooled > 100,
        "{full:?}"
    );
    assert_eq!(full.dropped(DropReason::SpoolFull), full.dropped_total());
    bench.spool().upkeep();
    assert_eq!(
        std::fs::read_dir(&dir)
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|end| end == "gap")
            })
            .count(),
        1
    );
    bench.turn_all();
    bench.spool().seal_all();
    bench.spool().upkeep();
    bench.spool().upkeep();
    assert!(!bench.shared.stats().spool_failing, "there is room again");
    bench.exchange(5000);
    bench.turn_all();
    let end = bench.shared.ledger.snapshot();
    assert_eq!(
        (end.accepted, end.dropped_total()),
        (2001, full.dropped_total())
    );
    assert_eq!(end.stored, bench.store.rows() as u64);
    assert_eq!(end.stored + end.dropped_total(), end.accepted);
}
