//! Exchanges with long bodies: one at a time, behind the others, whatever fails.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::access_log::draft::{Bodies, Captured};
use crate::access_log::long::LongRecord;
use crate::access_log::testing::segments;
use crate::access_log::writer::long::LONG_BYTES;
use crate::access_log::writer::sink::{Sink, SinkError, SinkReport};

/// Finishes an exchange whose request stands in its begin record alone; what stays in memory makes none long.
fn exchange(log: &AccessLog, number: u32, request: &[u8]) {
    let ticket = log.recorder().open(opened(number), Some(&body(request)));
    let request = Captured {
        pieces: Vec::new(),
        begun_bytes: ticket.begun_bytes(),
        ..body(request)
    };
    let bodies = Bodies {
        request: Some(request),
        ..answer(&[b'c'; 300_000])
    };
    ticket.finish(closed(200), bodies);
}

/// Notes how records come, and fails long ones as it is told.
struct Notes {
    store: Arc<Store>,
    calls: Arc<Mutex<Vec<String>>>,
    answers: VecDeque<Fail>,
}

#[derive(PartialEq)]
enum Fail {
    /// Found while a record is given.
    Away,
    /// Found when asked.
    StillAway,
    Refuses,
    Panics,
}

#[async_trait]
impl Sink for Notes {
    async fn insert(&mut self, batch: &[LogRecord]) -> Result<SinkReport, SinkError> {
        locked(&self.calls).push(format!("batch of {}", batch.len()));
        FakeSink(Arc::clone(&self.store)).insert(batch).await
    }

    async fn ready(&mut self) -> Result<(), SinkError> {
        locked(&self.calls).push("ready?".to_owned());
        match self.answers.pop_front_if(|fail| *fail == Fail::StillAway) {
            None => Ok(()),
            Some(_) => Err(SinkError::Unavailable("still away".to_owned())),
        }
    }

    async fn insert_long(&mut self, long: LongRecord) -> Result<Option<SinkReport>, SinkError> {
        locked(&self.calls).push("long".to_owned());
        match self.answers.pop_front() {
            None => FakeSink(Arc::clone(&self.store)).insert_long(long).await,
            Some(Fail::Away | Fail::StillAway) => Err(SinkError::Unavailable("away".to_owned())),
            Some(Fail::Refuses) => Ok(None),
            Some(Fail::Panics) => panic!("a long record"),
        }
    }
}

/// Stores two short exchanges and a long one; gives how the long one was digested and how they came to the sink, and the
/// log.
fn run(
    dir: &Path,
    answers: impl IntoIterator<Item = Fail>,
) -> (Vec<String>, Arc<Store>, AccessLog) {
    #[derive(Default)]
    struct Counts(Mutex<Vec<String>>);
    impl Observer for Counts {
        fn on_complete(&self, record: &LogRecord) {
            locked(&self.0).push(record.request_id.clone());
        }
    }
    let (store, calls, seen) = (
        Arc::<Store>::default(),
        Arc::default(),
        Arc::<Counts>::default(),
    );
    let sink = Box::new(Notes {
        store: Arc::clone(&store),
        calls: Arc::clone(&calls),
        answers: answers.into_iter().collect(),
    });
    let options = AccessLogOptions {
        flush_after: Duration::from_secs(9), // all three in one batch
        ..spooled(dir)
    };
    let digests = Arc::clone(&calls);
    let noted = move |finished: &Finished| {
        let request = finished.bodies.request.as_ref();
        if request.is_some_and(|body| LONG_BYTES as u64 <= body.size) {
            locked(&digests).push("digest".to_owned());
        }
        digest(finished)
    };
    let log = AccessLog::start(
        &options,
        Box::new(noted),
        sink,
        vec![Arc::clone(&seen) as _],
    )
    .unwrap();
    exchange(&log, 0, &[b'a'; 300_000]);
    exchange(&log, 1, &[b'b'; LONG_BYTES]);
    exchange(&log, 2, b"short");
    let drained = block_on(log.drain(Duration::from_secs(20)));
    assert_eq!(drained.left_in_spool, 0);
    let mut seen = std::mem::take(&mut *locked(&seen.0));
    seen.sort();
    assert_eq!(seen, [0, 1, 2].map(|number| id(number).to_string()));
    let calls = std::mem::take(&mut *locked(&calls));
    (calls, store, log)
}

#[track_caller]
fn check(answers: impl IntoIterator<Item = Fail>, expected: &[&str]) {
    let dir = TempDir::new().unwrap();
    let (calls, store, _log) = run(dir.path(), answers);
    assert_eq!(calls, expected);
    assert_eq!(store.rows(), 3);
    let crc = format!("{:08x}", crc32c::crc32c(&[b'b'; LONG_BYTES]));
    assert_eq!(store.row(1).unwrap().request_text, Some(crc));
    assert_eq!(segment_files(dir.path()), 0);
}

#[test]
fn a_long_exchange_is_stored_alone() {
    check([], &["batch of 2", "digest", "long"]);
}

#[test]
fn a_long_exchange_is_tried_until_it_is_stored() {
    let failures = [Fail::Panics, Fail::Away];
    let tries = [
        "digest", "long", "digest", "long", "ready?", "digest", "long",
    ];
    check(failures, &[&["batch of 2"][..], &tries].concat());
}

#[test]
fn a_long_exchange_is_not_digested_while_the_store_is_known_to_be_away() {
    let failures = [Fail::Away, Fail::StillAway, Fail::StillAway, Fail::Away];
    let tries = [
        "digest", "long", "ready?", "ready?", "ready?", "digest", "long",
    ];
    let last = ["ready?", "digest", "long"];
    check(failures, &[&["batch of 2"][..], &tries, &last].concat());
}

#[test]
fn a_long_exchange_that_is_refused_goes_the_way_of_the_others() {
    let expected = ["batch of 2", "digest", "long", "digest", "batch of 1"];
    check([Fail::Refuses], &expected);
}

#[test]
fn a_long_exchange_that_takes_the_writer_down_is_put_aside() {
    let dir = TempDir::new().unwrap();
    let panics = [Fail::Panics, Fail::Panics, Fail::Panics];
    let (calls, store, log) = run(dir.path(), panics);
    assert_eq!(
        calls,
        [&["batch of 2"][..], &["digest", "long"].repeat(3)].concat()
    );
    assert_eq!(store.rows(), 2);
    assert_eq!(log.stats().ledger.dropped(DropReason::Quarantined), 1);
    let kept = std::fs::read_dir(dir.path().join("quarantine")).unwrap();
    let bytes = kept.map(|file| file.unwrap().metadata().unwrap().len());
    assert!(LONG_BYTES as u64 <= bytes.sum());
}

#[test]
fn a_damaged_place_counts_once_however_often_it_is_read() {
    let (dir, store) = (TempDir::new().unwrap(), Arc::<Store>::default());
    let options = AccessLogOptions {
        flush_after: Duration::from_secs(9), // not before the damage
        ..spooled(dir.path())
    };
    let log = start(&options, Box::new(digest), &store, Vec::new());
    exchange(&log, 1, &[b'b'; LONG_BYTES]);
    for file in segments(dir.path()) {
        let file = std::fs::File::options().write(true).open(file).unwrap();
        file.write_all_at(b"?", LONG_BYTES as u64 / 2).unwrap();
    }
    block_on(log.drain(Duration::from_secs(20)));
    assert_eq!(store.rows(), 1);
    assert_eq!(log.stats().spool_corrupt_total, 1);
}
