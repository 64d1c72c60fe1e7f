//! The writer under failure: a store that is away, forgets, panics or refuses; a digest that panics.

mod long;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;

use crate::access_log::draft::Finished;
use crate::access_log::ledger::DropReason;
use crate::access_log::observer::Observer;
use crate::access_log::record::LogRecord;
use crate::access_log::recorder::{AccessLog, AccessLogOptions};
use crate::access_log::sync::locked;
use crate::access_log::testing::{
    Bench, FakeSink, Store, answer, body, closed, digest, id, in_dir, opened, segment_files, small,
};
use crate::access_log::writer::{Digest, Turn};

const MIB: u64 = 1 << 20;

fn start(
    options: &AccessLogOptions,
    digest: Digest,
    store: &Arc<Store>,
    observers: Vec<Arc<dyn Observer>>,
) -> AccessLog {
    AccessLog::start(
        options,
        digest,
        Box::new(FakeSink(Arc::clone(store))),
        observers,
    )
    .unwrap()
}

fn spooled(dir: &Path) -> AccessLogOptions {
    AccessLogOptions {
        spool: in_dir(dir, 64 * MIB),
        flush_after: Duration::ZERO,
        ..AccessLogOptions::default()
    }
}

fn exchanges(log: &AccessLog, numbers: std::ops::Range<u32>) {
    let recorder = log.recorder();
    for number in numbers {
        let ticket = recorder.open(opened(number), Some(&body(b"question")));
        ticket.finish(closed(200), answer(b"answer"));
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn batches_are_bounded() {
    let mut bench = Bench::new(&small(100, 4));
    (0..10).for_each(|number| bench.exchange(number));
    bench.check(0, 10, 0, 0, 0);
    bench.turn_all();
    bench.check(0, 0, 0, 10, 0);
    assert_eq!(*locked(&bench.store.batches), [4, 4, 2]);

    let mut bench = Bench::new(&AccessLogOptions {
        batch_bytes: 5000,
        ..small(100, 400)
    });
    (0..5).for_each(|number| bench.exchange(number));
    bench.turn_all();
    assert_eq!(*locked(&bench.store.batches), [2, 2, 1]);
}

#[test]
fn f61_a_store_that_is_away_costs_nothing() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&AccessLogOptions {
        spool: in_dir(dir.path(), MIB),
        ..small(8, 4)
    });
    bench.store.away.store(true, Ordering::SeqCst);
    bench.exchange(0);
    assert_eq!(bench.turn(), Turn::Away);
    assert!(!bench.shared.stats().db_up);
    (1..40).for_each(|number| bench.exchange(number));
    assert_eq!(bench.turn(), Turn::Away);
    bench.check(0, 9, 31, 0, 0);
    bench.store.away.store(false, Ordering::SeqCst);
    bench.turn_all();
    bench.check(0, 0, 0, 40, 0);
    assert!(bench.shared.stats().db_up);
    bench.spool().seal_all();
    bench.spool().upkeep();
    assert_eq!((segment_files(dir.path()), bench.spool().bytes()), (0, 0));
}

#[test]
fn f62_a_batch_of_unknown_outcome_is_stored_once() {
    let mut bench = Bench::new(&small(100, 4));
    (0..3).for_each(|number| bench.exchange(number));
    bench.store.forgets.store(true, Ordering::SeqCst);
    assert_eq!(bench.turn(), Turn::Away);
    bench.check(0, 3, 0, 0, 0);
    bench.turn_all();
    bench.check(0, 0, 0, 3, 0);
    assert_eq!(bench.store.rows(), 3);
}

#[test]
fn f64_a_record_that_the_store_refuses_is_counted() {
    let mut bench = Bench::new(&small(100, 10));
    locked(&bench.store.refused).insert(id(1));
    (0..3).for_each(|number| bench.exchange(number));
    bench.turn_all();
    bench.check(0, 0, 0, 2, 1);
    assert_eq!(
        bench
            .shared
            .ledger
            .snapshot()
            .dropped(DropReason::Quarantined),
        1
    );
}

#[test]
fn f85_a_digest_that_panics_costs_its_own_record_alone() {
    let dir = TempDir::new().unwrap();
    let store = Arc::<Store>::default();
    let poison = |finished: &Finished| {
        assert!(finished.opened.request_id != id(5), "poison");
        digest(finished)
    };
    let log = start(&spooled(dir.path()), Box::new(poison), &store, Vec::new());
    exchanges(&log, 0..20);
    let drained = block_on(log.drain(Duration::from_secs(20)));
    assert_eq!(
        (drained.left_in_spool, drained.dropped, store.rows()),
        (0, 1, 19)
    );
    assert!(store.row(5).is_none() && log.stats().ledger.is_conserved());
    assert_eq!(
        std::fs::read_dir(dir.path().join("quarantine"))
            .unwrap()
            .count(),
        1
    );
    assert_eq!(segment_files(dir.path()), 0);
}

#[test]
fn f85_a_sink_that_panics_is_given_halves() {
    let store = Arc::<Store>::default();
    locked(&store.poison).extend([id(5), id(90)]);
    let options = AccessLogOptions {
        flush_after: Duration::from_secs(9),
        ..small(1000, 100)
    };
    let log = start(&options, Box::new(digest), &store, Vec::new());
    exchanges(&log, 0..100);
    let drained = block_on(log.drain(Duration::from_secs(30)));
    assert_eq!((drained.dropped, store.rows()), (2, 98));
    assert_eq!(log.stats().ledger.dropped(DropReason::Quarantined), 2);
}

#[test]
fn observers_see_every_exchange_and_may_panic() {
    struct Panics;
    impl Observer for Panics {
        fn on_complete(&self, _: &LogRecord) {
            panic!("an observer");
        }
    }
    #[derive(Default)]
    struct Sees(std::sync::Mutex<HashSet<String>>);
    impl Observer for Sees {
        fn on_complete(&self, record: &LogRecord) {
            locked(&self.0).insert(record.request_id.clone());
        }
    }
    let store = Arc::<Store>::default();
    let sees = Arc::<Sees>::default();
    let observers: Vec<Arc<dyn Observer>> = vec![Arc::new(Panics), Arc::<Sees>::clone(&sees)];
    let log = start(&small(100, 10), Box::new(digest), &store, observers);
    exchanges(&log, 0..5);
    block_on(log.drain(Duration::from_secs(20)));
    assert_eq!((locked(&sees.0).len(), store.rows()), (5, 5));
}

#[test]
fn what_cannot_be_stored_in_time_waits_for_the_next_start() {
    let dir = TempDir::new().unwrap();
    let store = Arc::<Store>::default();
    store.away.store(true, Ordering::SeqCst);
    let log = start(&spooled(dir.path()), Box::new(digest), &store, Vec::new());
    exchanges(&log, 0..30);
    let drained = block_on(log.drain(Duration::from_millis(50)));
    assert_eq!((drained.left_in_spool, drained.dropped), (30, 0));
    drop(log);

    store.away.store(false, Ordering::SeqCst);
    let log = start(&spooled(dir.path()), Box::new(digest), &store, Vec::new());
    let drained = block_on(log.drain(Duration::from_secs(20)));
    let ledger = log.stats().ledger;
    assert_eq!((drained.left_recovering, store.rows()), (0, 30));
    assert_eq!((ledger.accepted, ledger.stored), (30, 30));
    assert_eq!(segment_files(dir.path()), 0);
}

#[test]
fn without_a_spool_what_is_left_at_the_end_is_counted() {
    let store = Arc::<Store>::default();
    store.away.store(true, Ordering::SeqCst);
    let log = start(&small(100, 10), Box::new(digest), &store, Vec::new());
    exchanges(&log, 0..30);
    let drained = block_on(log.drain(Duration::from_millis(20)));
    assert_eq!((drained.left_in_spool, drained.dropped), (0, 30));
    assert_eq!(log.stats().ledger.dropped(DropReason::Shutdown), 30);
}

/// The process dies with exchanges stored, queued and open: the next start stores what was not, once.
#[test]
fn f74_a_killed_process_loses_and_doubles_nothing() {
    let dir = TempDir::new().unwrap();
    let options = AccessLogOptions {
        spool: in_dir(dir.path(), MIB),
        ..small(4, 2)
    };
    let mut bench = Bench::new(&options);
    (0..10).for_each(|number| bench.exchange(number));
    bench.turn();
    let open = bench.recorder.open(opened(77), Some(&body(b"question")));
    let store = Arc::clone(&bench.store);
    assert_eq!(store.rows(), 2);
    std::mem::forget(open); // a killed process runs no destructors; the lock alone is given up
    let Bench {
        recorder, writer, ..
    } = bench;
    drop((recorder, writer));
    copy_dir(dir.path(), &dir.path().join("copy"));

    let options = spooled(&dir.path().join("copy"));
    let log = start(&options, Box::new(digest), &store, Vec::new());
    block_on(log.drain(Duration::from_secs(20)));
    let ledger = log.stats().ledger;
    assert_eq!((ledger.accepted, ledger.stored, store.rows()), (9, 9, 11));
    assert_eq!(
        store.row(77).map(|row| row.outcome),
        Some("crashed".to_owned())
    );
    assert_eq!(segment_files(&dir.path().join("copy")), 0);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_file() {
            std::fs::copy(&entry, to.join(entry.file_name().unwrap())).unwrap();
        }
    }
}

/// Several workers, a store that comes and goes, a small queue: all rows arrive, each once.
#[test]
fn f86_workers_and_a_store_that_comes_and_goes() {
    let dir = TempDir::new().unwrap();
    let store = Arc::<Store>::default();
    let options = AccessLogOptions {
        spool: in_dir(dir.path(), 64 * MIB),
        flush_after: Duration::from_millis(1),
        ..small(50, 20)
    };
    let log = start(&options, Box::new(digest), &store, Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..3_u32 {
            let (log, store) = (&log, &store);
            scope.spawn(move || {
                for round in 0..10 {
                    store.away.store(round % 2 == 0, Ordering::SeqCst);
                    let first = worker * 1000 + round * 50;
                    exchanges(log, first..first + 50);
                    assert!(log.stats().ledger.is_conserved());
                }
            });
        }
    });
    store.away.store(false, Ordering::SeqCst);
    let drained = block_on(log.drain(Duration::from_secs(30)));
    assert_eq!(
        (drained.left_in_spool, drained.dropped, store.rows()),
        (0, 0, 1500)
    );
    assert_eq!(log.stats().ledger.stored, 1500);
    assert_eq!((segment_files(dir.path()), log.stats().spool_bytes), (0, 0));
}
