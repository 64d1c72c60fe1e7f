//! Files that were cut, changed, zeroed, lost or made up.

use super::*;

/// Damages the files of four exchanges in two segments, and says what must come of it.
#[track_caller]
fn check_damage(
    what: &str,
    damage: fn(&[PathBuf]),
    whole: usize,
    corrupt: u64,
    in_quarantine: usize,
) {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    let lane = spool.lane();
    for number in 0..4 {
        if number == 2 {
            spool.seal_all();
        }
        let (pin, at) = begin(&spool, &lane, number, &[b'q'; 300]).unwrap();
        pin.leave();
        end(&spool, &lane, number, (at, &[]), &[b'a'; 9000], 200)
            .unwrap()
            .0
            .leave();
    }
    drop(spool);
    damage(&segments(dir.path()));
    let (seen, found) = recover(dir.path());
    let good = seen.values().filter(|seen| seen.2.is_some()).count();
    assert_eq!(
        (good, found, quarantined(dir.path())),
        (whole, corrupt, in_quarantine),
        "{what}"
    );
    for (_, response, status) in seen.values() {
        assert!(
            status.is_none() || *response == Some(vec![b'a'; 9000]),
            "{what}: invented bytes"
        );
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn f60_damaged_files() {
    check_damage("nothing", |_| {}, 4, 0, 0);
    check_damage(
        "torn tail",
        |files| edit(&files[1], |bytes| bytes.truncate(bytes.len() - 5)),
        3,
        0,
        0,
    );
    check_damage(
        "cut in an earlier file",
        |files| edit(&files[0], |bytes| bytes.truncate(bytes.len() - 5)),
        3,
        1,
        1,
    );
    check_damage(
        "bit flip in a body",
        |files| edit(&files[0], |bytes| bytes[5000] ^= 4),
        3,
        1,
        1,
    );
    check_damage(
        "bit flip in the first head",
        |files| edit(&files[0], |bytes| bytes[7] ^= 1),
        3,
        2,
        1,
    );
    check_damage(
        "bit flip in the last file",
        |files| edit(&files[1], |bytes| bytes[5000] ^= 1),
        3,
        1,
        1,
    );
    check_damage(
        "zero page",
        |files| edit(&files[0], |bytes| bytes[4096..8192].fill(0)),
        3,
        1,
        1,
    );
    check_damage(
        "zeros at the end",
        |files| edit(&files[1], |bytes| bytes.extend([0; 4096])),
        4,
        0,
        0,
    );
    check_damage(
        "deleted",
        |files| fs::remove_file(&files[0]).unwrap(),
        2,
        0,
        0,
    );
    check_damage("empty", |files| fs::write(&files[0], b"").unwrap(), 2, 0, 0);
    check_damage(
        "garbage",
        |files| fs::write(&files[0], [0x5a; 20_000]).unwrap(),
        2,
        1,
        1,
    );
    check_damage(
        "false beginnings",
        |files| fs::write(&files[0], MAGIC.repeat(90_000)).unwrap(),
        2,
        1,
        1,
    );
    let rename = |files: &[PathBuf]| {
        let name = SegmentName {
            boot: Uuid::from_u128(5),
            worker: 0,
            number: 0,
        };
        fs::rename(&files[0], files[0].with_file_name(name.file_name())).unwrap();
    };
    check_damage("renamed", rename, 2, 1, 1);
}

#[test]
fn f60_a_damaged_last_end_leaves_the_one_before() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    let lane = spool.lane();
    let (pin, at) = begin(&spool, &lane, 8, b"q").unwrap();
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
    edit(&segments(dir.path())[0], |bytes| {
        *bytes.last_mut().unwrap() ^= 1
    });
    let (seen, corrupt) = recover(dir.path());
    assert_eq!(seen[&id(8)], (None, Some(b"first".to_vec()), Some(200)));
    assert_eq!(corrupt, 1);
}

/// A record of another version, its checksums right.
#[test]
fn f60_another_version() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path(), 1 << 20));
    let name = SegmentName {
        boot: Uuid::from_u128(5),
        worker: 0,
        number: 0,
    };
    let head = Head {
        kind: RecordKind::Begin,
        id: id(1),
        payload_len: 0,
        payload_crc: name.salt(),
    };
    let mut bytes = head.to_bytes(name.salt(), 0).to_vec();
    bytes[4] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(name.salt(), &[0; 8]), &bytes[..32]);
    bytes[32..].copy_from_slice(&crc.to_le_bytes());
    fs::write(dir.path().join(name.file_name()), bytes).unwrap();
    let (seen, corrupt) = recover(dir.path());
    assert_eq!((seen.len(), corrupt, quarantined(dir.path())), (0, 1, 1));
}

/// A client sends the bytes of a record as its body; damage to the record around it must not free it.
#[test]
fn a_record_inside_a_body_is_never_taken_for_one() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    let (path, _) = write_exchanges(&spool, 1).remove(0);
    let stolen = fs::read(path).unwrap();
    let lane = spool.lane();
    begin(&spool, &lane, 5, &stolen).unwrap().0.leave();
    drop(spool);
    edit(&segments(dir.path())[1], |bytes| bytes[8] ^= 1);
    let (seen, _) = recover(dir.path());
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [id(0)]);
}

#[test]
fn a_recovery_that_is_stopped_leaves_all_for_the_next() {
    struct Stop;
    impl RecoveryTarget for Stop {
        fn expect(&mut self, _: u64) {}
        fn take(&mut self, _: Loaded) -> bool {
            false
        }
        fn miss(&mut self) {}
        fn is_over(&self) -> bool {
            false
        }
    }
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    write_exchanges(&spool, 4);
    drop(spool);
    let (spool, lanes) = Spool::open(options(dir.path(), 1 << 20)).unwrap();
    assert!(!spool.recover(lanes, &mut Stop));
    spool.remove_unneeded();
    drop(spool);
    assert_eq!(recover(dir.path()).0.len(), 4);
}

#[test]
fn an_exchange_in_quarantine_is_a_segment_like_any_other() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    let bodies = Bodies {
        request: Some(body(b"q")),
        ..answer(b"a")
    };
    let finished = Finished {
        opened: opened(3),
        closed: Some(closed(200)),
        bodies,
    };
    spool.quarantine(&finished).unwrap();
    spool.quarantine(&finished).unwrap();
    drop(spool);
    let name = SegmentName {
        boot: id(3),
        worker: 0,
        number: 0,
    }
    .file_name();
    fs::rename(
        dir.path().join("quarantine").join(&name),
        dir.path().join(name),
    )
    .unwrap();
    let (seen, corrupt) = recover(dir.path());
    assert_eq!(
        seen[&id(3)],
        (Some(b"q".to_vec()), Some(b"a".to_vec()), Some(200))
    );
    assert_eq!(corrupt, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The process dies, and the file is cut anywhere: every exchange whose end was acknowledged before the cut
    /// is there whole, and nothing else but beginnings of the others.
    #[test]
    fn any_cut_keeps_what_was_acknowledged(count in 1_u32..6, cut in 0.0..1.0_f64) {
        let dir = TempDir::new().unwrap();
        let spool = open(dir.path(), 1 << 20);
        let ends = write_exchanges(&spool, count);
        drop(spool);
        let len = fs::metadata(&ends[0].0).unwrap().len();
        let cut = (len as f64 * cut) as u64;
        edit(&ends[0].0, |bytes| bytes.truncate(cut as usize));
        let (seen, corrupt) = recover(dir.path());
        prop_assert_eq!(corrupt, 0);
        for (number, (_, end)) in (0..).zip(&ends) {
            let found = seen.get(&id(number));
            let whole = found.is_some_and(|found| *found == (None, Some(b"halfwhole".to_vec()), Some(200)));
            prop_assert_eq!(whole, *end <= cut);
            prop_assert!(whole || found.is_none_or(|found| found.2.is_none()));
        }
    }

    /// Bytes are changed anywhere: nothing is invented, nothing panics, and what does not touch the damage is there.
    #[test]
    fn any_damage_costs_only_what_it_touches(
        count in 2_u32..6,
        at in 0.0..1.0_f64,
        len in 1_usize..600,
        fill in prop_oneof![Just(None), any::<u8>().prop_map(Some)],
    ) {
        let dir = TempDir::new().unwrap();
        let spool = open(dir.path(), 1 << 20);
        let ends = write_exchanges(&spool, count);
        drop(spool);
        let total = fs::metadata(&ends[0].0).unwrap().len() as usize;
        let at = (total as f64 * at) as usize;
        let touched = at..(at + len).min(total);
        edit(&ends[0].0, |bytes| {
            bytes[touched.clone()].iter_mut().for_each(|byte| *byte = fill.unwrap_or(!*byte));
        });
        let (seen, _) = recover(dir.path());
        let mut start = 0;
        for (number, (_, end)) in (0..).zip(&ends) {
            let end = *end as usize;
            let found = seen.get(&id(number));
            let whole = found.is_some_and(|found| *found == (None, Some(b"halfwhole".to_vec()), Some(200)));
            if touched.end <= start || end <= touched.start {
                prop_assert!(whole, "exchange {} at {}..{} is lost to damage at {:?}", number, start, end, touched);
            } else if let Some((_, Some(response), Some(_))) = found {
                prop_assert!(b"halfwhole".starts_with(&response[..]), "invented bytes");
            }
            start = end;
        }
        prop_assert!(seen.len() <= count as usize);
    }

    /// Bytes that were never a spool, under a segment's name.
    #[test]
    fn noise_is_quarantined(noise in prop::collection::vec(any::<u8>(), 0..5000)) {
        let dir = TempDir::new().unwrap();
        drop(open(dir.path(), 1 << 20));
        let name = SegmentName { boot: Uuid::from_u128(5), worker: 0, number: 0 };
        fs::write(dir.path().join(name.file_name()), noise).unwrap();
        prop_assert!(recover(dir.path()).0.is_empty());
    }

    /// Payloads with right checksums and wrong contents are refused, not believed and not feared.
    #[test]
    fn no_payload_panics(noise in prop::collection::vec(any::<u8>(), 0..400), flip in any::<prop::sample::Index>()) {
        let payload = bytes::Bytes::from(noise);
        drop((BeginPayload::decode(payload.clone()), EndPayload::decode(payload)));
        let mut record = RecordBuffer::default();
        record.end(&closed(200), &answer(b"abc"), Position { segment: 0, offset: 0 }, 0, &[]).unwrap();
        let mut bytes = record.bytes[HEAD_BYTES..].to_vec();
        let at = flip.index(bytes.len());
        bytes[at] ^= 0x40;
        drop(EndPayload::decode(bytes.into()));
    }
}
