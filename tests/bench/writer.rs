//! Measures the writer by itself: records go into the access log as fast as it takes them, then at a fixed rate.
//!
//! `bench_writer DATABASE_URL SPOOL_DIR` prints exchanges per second and, in milliseconds, how long 99 of 100
//! records took from their end to their commit, at 500 a second. The database is emptied first.
#![expect(clippy::print_stdout, reason = "the figures are the program's output")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aiproxy::access_log::digest::{Digest, DigestOptions};
use aiproxy::access_log::draft::{Bodies, Captured, Closed, Keep, Opened, Times};
use aiproxy::access_log::record::LogRecord;
use aiproxy::access_log::recorder::{AccessLog, AccessLogOptions, Recorder};
use aiproxy::access_log::spool::SpoolOptions;
use aiproxy::access_log::store::{LogStore, StoreError};
use aiproxy::access_log::writer::sink::{Sink, SinkError, SinkReport};
use aiproxy::config::DatabaseUrl;
use aiproxy::filter::{Dialect, Endpoint, Outcome};
use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exchanges of the flood.
const FLOOD: u64 = 60_000;
/// Exchanges that may wait in memory; more would go through the spool's files.
const WAITING: u64 = 10_000;
/// Exchanges at the fixed rate.
const PACED: u64 = 2_000;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_millis(2);

/// When exchanges ended that are not stored yet, and how long the stored ones took.
#[derive(Default)]
struct Waits {
    ended: HashMap<String, Instant>,
    took_ms: Vec<f64>,
}

struct Timed {
    store: LogStore,
    waits: Arc<Mutex<Waits>>,
}

#[async_trait]
impl Sink for Timed {
    async fn insert(&mut self, batch: &[LogRecord]) -> Result<SinkReport, SinkError> {
        let unavailable = |error: StoreError| SinkError::Unavailable(error.to_string());
        let inserted = self.store.insert(batch).await.map_err(unavailable)?;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        for record in batch {
            if let Some(ended) = waits.ended.remove(&record.request_id.to_string()) {
                waits.took_ms.push(ended.elapsed().as_secs_f64() * 1e3);
            }
        }
        let new = inserted.new_rows() as u64;
        Ok(SinkReport {
            new,
            duplicate: batch.len() as u64 - new,
            quarantined: 0,
        })
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("no database URL")?;
    let spool = arguments.next().context("no spool directory")?;
    let waits: Arc<Mutex<Waits>> = Arc::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(empty(&url))?;
    let store = LogStore::new(DatabaseUrl::parse(&url)?, true, Vec::new())?;
    let sink = Box::new(Timed {
        store,
        waits: waits.clone(),
    });
    let options = AccessLogOptions {
        spool: Some(SpoolOptions::new(&spool)),
        ..AccessLogOptions::default()
    };
    let digest = Digest::new(DigestOptions::default());
    let digest = Box::new(move |finished: &_| digest.digest(finished));
    let log = AccessLog::start(&options, digest, sink, Vec::new())?;
    let recorder = log.recorder();

    // Opens the database and makes its schema.
    for _ in 0..100 {
        exchange(&recorder);
    }
    until_stored(&log, 100)?;

    let began = Instant::now();
    for _ in 0..FLOOD {
        while log.stats().ledger.queued > WAITING {
            std::thread::sleep(Duration::from_millis(1));
        }
        exchange(&recorder);
    }
    until_stored(&log, 100 + FLOOD)?;
    let rate = FLOOD as f64 / began.elapsed().as_secs_f64();

    for _ in 0..PACED {
        std::thread::sleep(PAUSE);
        let id = exchange(&recorder);
        let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.ended.insert(id.to_string(), Instant::now());
    }
    until_stored(&log, 100 + FLOOD + PACED)?;
    let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner);
    // One that was stored before its end was noted is not among them.
    ensure!(
        waits.took_ms.len() as u64 > PACED * 9 / 10,
        "times are missing"
    );
    waits.took_ms.sort_by(f64::total_cmp);
    let p99 = waits.took_ms[waits.took_ms.len() * 99 / 100];
    println!("{rate:.0} {p99:.0}");
    Ok(())
}

/// Takes the tables of an earlier run away.
async fn empty(url: &str) -> anyhow::Result<()> {
    if let Some(file) = url.strip_prefix("sqlite:///") {
        for end in ["", "-wal", "-shm"] {
            // Not there is as good as removed.
            drop(std::fs::remove_file(format!("{file}{end}")));
        }
        return Ok(());
    }
    use sea_orm::ConnectionTrait;
    let database = sea_orm::Database::connect(url).await?;
    let anew = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    database.execute_unprepared(anew).await?;
    Ok(())
}

fn until_stored(log: &AccessLog, count: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while log.stats().ledger.stored < count {
        ensure!(
            Instant::now() < deadline,
            "records are not stored: {:?}",
            log.stats()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    ensure!(
        log.stats().ledger.dropped_total() == 0,
        "records were dropped"
    );
    Ok(())
}

/// An exchange such as the plain ones of the other scenarios.
fn exchange(recorder: &Recorder) -> Uuid {
    let id = Uuid::now_v7();
    let request = body(REQUEST);
    let ticket = recorder.open(opened(id), Some(&request));
    let bodies = Bodies {
        request: Some(request),
        response: Some(body(ANSWER)),
        ..Bodies::default()
    };
    ticket.finish(closed(), bodies);
    id
}

fn body(text: &'static str) -> Captured {
    Captured {
        pieces: vec![Bytes::from_static(text.as_bytes())],
        size: text.len() as u64,
        ..Captured::default()
    }
}

const REQUEST: &str = r#"{"model":"gpt-4o-mini","stream":false,"temperature":0.7,"messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the answer to that question what is the "}]}"#;

const ANSWER: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1767225600,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox jumps over","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":21,"completion_tokens":10,"total_tokens":31,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_bench"}"#;

fn opened(request_id: Uuid) -> Opened {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Opened {
        request_id,
        created_at_us: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
        instance: "127.0.0.1:8000".into(),
        config_version: "0123456789ab".into(),
        client_request_id: None,
        end_user: None,
        session_id: None,
        trace_id: None,
        client_ip: Some([127, 0, 0, 1].into()),
        endpoint: Endpoint::ChatCompletions,
        dialect: Dialect::Openai,
        method: "POST".into(),
        path: "/v1/chat/completions".to_owned(),
        stream: Some(false),
        requested_model: Some("gpt-4o-mini".to_owned()),
        keep: Keep::Full,
        request_headers: Some(
            r#"{"host":"127.0.0.1","accept":"application/json","content-type":"application/json","user-agent":"OpenAI/Python 2.8.1","authorization":"Bearer sk-…cdef","content-length":"730"}"#
                .to_owned(),
        ),
    }
}

fn closed() -> Closed {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Closed {
        finished_at_us: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
        upstream_status: Some(200),
        provider: Some("openai".to_owned()),
        provider_key: Some("primary".to_owned()),
        sent_model: Some("gpt-4o-mini".to_owned()),
        attempts: 1,
        response_complete: Some(true),
        times: Times {
            duration_ms: 1.5,
            upstream_ms: Some(1.2),
            overhead_ms: Some(0.3),
            ..Times::default()
        },
        request_bytes: REQUEST.len() as u64,
        response_bytes: Some(ANSWER.len() as u64),
        response_headers: Some(
            r#"{"content-type":"application/json","content-length":"670","x-request-id":"req_0000000001"}"#
                .to_owned(),
        ),
        ..Closed::new(Outcome::Ok, 200)
    }
}
