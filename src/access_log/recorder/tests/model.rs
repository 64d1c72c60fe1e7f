//! The books against a model: whatever is done to an access log, and whenever it is killed, nothing is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{crc, spooled};
use crate::access_log::draft::{Bodies, BodyKind, Captured};
use crate::access_log::recorder::{AccessLog, AccessLogOptions, Recorder, Ticket};
use crate::access_log::testing::{
    Bench, FakeSink, body, closed, digest, in_dir, opened, segment_files, small,
};

#[derive(Debug, Clone, Copy)]
enum Step {
    Open,
    Part(usize),
    End(usize),
    Finish(usize),
    Abandon(usize),
    Turn,
    Upkeep,
    Roll,
    StoreAway(bool),
    StoreForgets,
    DiskFull(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Open),
        3 => any::<usize>().prop_map(Step::Part),
        3 => any::<usize>().prop_map(Step::End),
        6 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Abandon),
        3 => Just(Step::Turn),
        1 => Just(Step::Upkeep),
        1 => Just(Step::Roll),
        1 => any::<bool>().prop_map(Step::StoreAway),
        1 => Just(Step::StoreForgets),
        1 => any::<bool>().prop_map(Step::DiskFull),
    ]
}

/// What a client's side knows of an exchange.
#[derive(Default)]
struct Model {
    spilled: Vec<u8>,
    /// The answer as of the last end that was kept.
    ended: Option<Vec<u8>>,
    finished: Option<Vec<u8>>,
}

/// Takes the steps, over two lanes, and checks the books after each.
fn take_steps(bench: &mut Bench, steps: &[Step]) -> (Vec<(u32, Ticket)>, BTreeMap<u32, Model>) {
    let recorders = [
        bench.recorder.clone(),
        Recorder::new(Arc::clone(&bench.shared)),
    ];
    let mut open: Vec<(u32, Ticket)> = Vec::new();
    let mut models: BTreeMap<u32, Model> = BTreeMap::new();
    for step in steps {
        let at = |index: usize| (!open.is_empty()).then(|| index % open.len());
        match *step {
            Step::Open => {
                let number = models.len() as u32;
                models.insert(number, Model::default());
                open.push((
                    number,
                    recorders[number as usize % 2].open(opened(number), Some(&body(b"q"))),
                ));
            }
            Step::Part(index) => {
                let Some((number, ticket)) = at(index).map(|at| &mut open[at]) else {
                    continue;
                };
                if ticket.part(BodyKind::Response, &[Bytes::from("piece ")]) {
                    models.get_mut(number).unwrap().spilled.extend(b"piece ");
                }
            }
            Step::End(index) => {
                let Some((number, ticket)) = at(index).map(|at| &mut open[at]) else {
                    continue;
                };
                let response = response_of(&models[number]);
                let bodies = Bodies {
                    response: Some(response),
                    ..Bodies::default()
                };
                if ticket.end(&closed(200), &bodies) {
                    let model = models.get_mut(number).unwrap();
                    model.ended = Some([&model.spilled[..], b"rest"].concat());
                }
            }
            Step::Finish(index) => {
                let Some((number, ticket)) = at(index).map(|at| open.swap_remove(at)) else {
                    continue;
                };
                let model = models.get_mut(&number).unwrap();
                let response = response_of(model);
                model.finished = Some([&model.spilled[..], b"rest"].concat());
                ticket.finish(
                    closed(200),
                    Bodies {
                        response: Some(response),
                        ..Bodies::default()
                    },
                );
            }
            Step::Abandon(index) => drop(at(index).map(|at| open.swap_remove(at))),
            Step::Turn => drop(bench.turn()),
            Step::Upkeep => bench.shared.spool.iter().for_each(|spool| spool.upkeep()),
            Step::Roll => bench.shared.spool.iter().for_each(|spool| spool.seal_all()),
            Step::StoreAway(away) => bench.store.away.store(away, Ordering::SeqCst),
            Step::StoreForgets => bench.store.forgets.store(true, Ordering::SeqCst),
            Step::DiskFull(full) => {
                let free = if full { 40 } else { i64::MAX };
                bench.disk.faults.free_bytes.store(free, Ordering::SeqCst);
            }
        }
        let now = bench.shared.ledger.snapshot();
        assert!(now.is_conserved(), "{now:?} after {step:?}");
        assert_eq!(
            (now.accepted, now.open),
            (models.len() as u64, open.len() as u64)
        );
    }
    (open, models)
}

fn run_model(steps: &[Step], options: &AccessLogOptions) {
    let mut bench = Bench::new(options);
    let (open, models) = take_steps(&mut bench, steps);
    drop(open);
    bench.store.away.store(false, Ordering::SeqCst);
    bench.store.forgets.store(false, Ordering::SeqCst);
    bench.turn_all();
    let end = bench.shared.ledger.snapshot();
    assert_eq!((end.open, end.queued, end.spooled), (0, 0, 0));
    assert_eq!(end.stored, bench.store.rows() as u64);
    assert_eq!(end.stored + end.dropped_total(), models.len() as u64);
    for (number, model) in models {
        if let (Some(row), Some(text)) = (bench.store.row(number), model.finished) {
            // An earlier end is all there is where neither disk nor queue took the last one.
            let known = [Some(text), model.ended].map(|text| text.and_then(|text| crc(&text)));
            assert!(known.contains(&row.response_text), "{row:?}");
        }
    }
    if let Some(spool) = &bench.shared.spool {
        bench
            .disk
            .faults
            .free_bytes
            .store(i64::MAX, Ordering::SeqCst);
        spool.seal_all();
        spool.upkeep();
        assert_eq!(spool.bytes(), 0, "a file stays although all is resolved");
    }
}

/// The process is killed after the steps: every exchange that was acknowledged has one row after the next start,
/// every other one that was begun has one that says so.
fn run_killed(steps: &[Step]) {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::new(&spooled(dir.path(), 2));
    let (open, models) = take_steps(&mut bench, steps);
    let copy = TempDir::new().unwrap();
    for entry in std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        std::fs::copy(&entry, copy.path().join(entry.file_name().unwrap())).unwrap();
    }
    let before = bench.store.rows() as u64;
    bench.store.away.store(false, Ordering::SeqCst);
    bench.store.forgets.store(false, Ordering::SeqCst);
    let sink = Box::new(FakeSink(Arc::clone(&bench.store)));
    let log = AccessLog::start(&spooled(copy.path(), 9), Box::new(digest), sink, Vec::new());
    let log = log.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let drained = runtime.block_on(log.drain(Duration::from_secs(30)));
    let ledger = log.stats().ledger;
    assert_eq!((drained.left_recovering, drained.dropped), (0, 0));
    assert_eq!(
        (bench.store.rows(), ledger.accepted),
        (models.len(), ledger.stored)
    );
    assert_eq!(before + ledger.stored, models.len() as u64);
    for (number, model) in models {
        let row = bench.store.row(number).unwrap();
        let known = [model.finished, model.ended].map(|text| text.and_then(|text| crc(&text)));
        match row.outcome.as_str() {
            "ok" => assert!(known.contains(&row.response_text), "{row:?}"),
            _ => assert_eq!(known, [None, None], "{row:?}"),
        }
    }
    assert_eq!(segment_files(copy.path()), 0);
    drop(open);
}

fn response_of(model: &Model) -> Captured {
    Captured {
        spilled_bytes: model.spilled.len() as u64,
        ..body(b"rest")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_books_hold_with_a_spool(steps in prop::collection::vec(step(), 1..120), queue in 1_usize..6) {
        let dir = TempDir::new().unwrap();
        run_model(&steps, &spooled(dir.path(), queue));
    }

    #[test]
    fn the_books_hold_with_a_small_spool(steps in prop::collection::vec(step(), 1..120)) {
        let dir = TempDir::new().unwrap();
        run_model(&steps, &AccessLogOptions { spool: in_dir(dir.path(), 16 << 10), ..small(2, 4) });
    }

    #[test]
    fn a_kill_after_any_steps_costs_nothing(steps in prop::collection::vec(step(), 1..80)) {
        let steps: Vec<Step> =
            steps.into_iter().filter(|step| !matches!(step, Step::DiskFull(_))).collect();
        run_killed(&steps);
    }

    #[test]
    fn the_books_hold_without_a_spool(steps in prop::collection::vec(step(), 1..120), queue in 1_usize..6) {
        run_model(&steps, &small(queue, 2));
    }
}
