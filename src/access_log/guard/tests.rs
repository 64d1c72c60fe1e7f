//! What a record keeps of tries that were none.

use std::rc::Rc;

use tempfile::TempDir;

use super::*;
use crate::access_log::draft::Finished;
use crate::access_log::record::{LogRecord, Payload, StoredBody};
use crate::access_log::recorder::AccessLogOptions;
use crate::access_log::testing::{Bench, bytes_of, digest, id, in_dir, opened, small};

fn with_upstream_response(finished: &Finished) -> LogRecord {
    let body = bytes_of(finished.bodies.upstream_response.as_ref());
    let upstream_response_body = body.map(|bytes| StoredBody {
        bytes: bytes.into(),
        ..StoredBody::default()
    });
    LogRecord {
        payload: Some(Payload {
            upstream_response_body,
            ..Payload::default()
        }),
        ..digest(finished)
    }
}

#[test]
fn an_answer_that_was_none_leaves_nothing_before_the_next_one() {
    let dir = TempDir::new().unwrap();
    let options = AccessLogOptions {
        spool: in_dir(dir.path(), 8 << 20),
        ..small(1, 4)
    };
    let mut bench = Bench::with_digest(&options, Box::new(with_upstream_response));
    let recorder = Rc::new(Recorder::new(bench.shared.clone()));
    // The first goes over the queue, the others over the spool.
    let lengths = [SPILL_BYTES + 1, 7, SPILL_BYTES + 1, 7];
    for (number, length) in (0..).zip(lengths) {
        let secrets = Rc::new(Secrets::default());
        let (opened, now) = (opened(number), Instant::now());
        let mut guard = RecordGuard::new(recorder.clone(), secrets, opened, now, u64::MAX);
        guard.begin();
        guard.upstream_response_piece(Bytes::from(vec![b'a'; SPILL_BYTES + 1]));
        guard.tries_again(&[]);
        guard.upstream_response_piece(Bytes::from(vec![b'b'; length]));
        guard.response_piece(Bytes::from_static(b"translated"));
        guard.finish();
    }
    bench.turn_all();
    for (number, length) in (0..).zip(lengths) {
        let row = bench.store.row(number).expect("a row");
        let payload = row.payload.expect("bodies");
        let body = payload.upstream_response_body.expect("a body").bytes;
        let is_the_second = body.iter().all(|byte| *byte == b'b');
        assert!(is_the_second, "{}", id(number));
        assert_eq!(body.len(), length, "{}", id(number));
    }
}
