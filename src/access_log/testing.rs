//! What the tests of the access log share: exchanges by number, a sink that fails on command, a disk that does.
//! Over 400 lines: what exchanges, sink and disk are made of is shared by four files of tests.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Runtime;
use uuid::Uuid;

use aiproxy_filters::{Dialect, Endpoint, Outcome};

use crate::access_log::draft::{Bodies, Captured, Closed, Finished, Keep, Opened, Times};
use crate::access_log::record::LogRecord;
use crate::access_log::recorder::shared::Shared;
use crate::access_log::recorder::{AccessLogOptions, Recorder};
use crate::access_log::spool::disk::{Disk, RealDisk, SpoolFile};
use crate::access_log::spool::{Spool, SpoolOptions};
use crate::access_log::sync::locked;
use crate::access_log::writer::sink::{Sink, SinkError, SinkReport};
use crate::access_log::writer::{Digest, Turn, Writer};

pub(crate) fn id(number: u32) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

pub(crate) fn opened(number: u32) -> Opened {
    Opened {
        request_id: id(number),
        created_at_us: i64::from(number),
        instance: "here:1".into(),
        config_version: "c0ffee".into(),
        client_request_id: None,
        end_user: Some("ada".to_owned()),
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
        request_headers: Some("{\"accept\":\"*/*\"}".to_owned()),
    }
}

pub(crate) fn closed(status_code: u16) -> Closed {
    Closed {
        finished_at_us: 99,
        upstream_status: Some(200),
        provider: Some("openai".to_owned()),
        attempts: 1,
        response_complete: Some(true),
        times: Times {
            duration_ms: 1.5,
            ..Times::default()
        },
        ..Closed::new(Outcome::Ok, status_code)
    }
}

pub(crate) fn body(text: &[u8]) -> Captured {
    let pieces = text.chunks(700).map(Bytes::copy_from_slice).collect();
    Captured {
        pieces,
        size: text.len() as u64,
        ..Captured::default()
    }
}

pub(crate) fn answer(text: &[u8]) -> Bodies {
    Bodies {
        response: Some(body(text)),
        ..Bodies::default()
    }
}

pub(crate) fn bytes_of(body: Option<&Captured>) -> Option<Vec<u8>> {
    body.map(|body| body.pieces.concat())
}

/// A record that names its exchange and carries its answer's text.
pub(crate) fn digest(finished: &Finished) -> LogRecord {
    let answer = bytes_of(finished.bodies.response.as_ref());
    LogRecord {
        request_id: finished.opened.request_id.to_string(),
        status_code: finished
            .closed
            .as_ref()
            .map_or(0, |closed| i32::from(closed.status_code)),
        outcome: finished
            .closed
            .as_ref()
            .map_or("crashed", |closed| closed.outcome.as_str())
            .to_owned(),
        request_text: bytes_of(finished.bodies.request.as_ref())
            .map(|bytes| format!("{:08x}", crc32c::crc32c(&bytes))),
        response_text: answer.map(|bytes| format!("{:08x}", crc32c::crc32c(&bytes))),
        ..LogRecord::default()
    }
}

/// A store in memory, with switches.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) rows: Mutex<BTreeMap<Uuid, LogRecord>>,
    pub(crate) order: Mutex<Vec<Uuid>>,
    pub(crate) batches: Mutex<Vec<usize>>,
    pub(crate) away: AtomicBool,
    /// Stores the batch, then says that it did not.
    pub(crate) forgets: AtomicBool,
    pub(crate) poison: Mutex<HashSet<Uuid>>,
    pub(crate) refused: Mutex<HashSet<Uuid>>,
    pub(crate) panics: AtomicUsize,
}

impl Store {
    pub(crate) fn rows(&self) -> usize {
        locked(&self.rows).len()
    }

    pub(crate) fn row(&self, number: u32) -> Option<LogRecord> {
        locked(&self.rows).get(&id(number)).cloned()
    }
}

pub(crate) struct FakeSink(pub(crate) Arc<Store>);

#[async_trait]
impl Sink for FakeSink {
    async fn insert(&mut self, batch: &[LogRecord]) -> Result<SinkReport, SinkError> {
        let store = &self.0;
        if store.away.load(Ordering::SeqCst) {
            return Err(SinkError::Unavailable("away".to_owned()));
        }
        let ids = batch
            .iter()
            .filter_map(|row| Uuid::try_parse(&row.request_id).ok());
        let ids: Vec<Uuid> = ids.collect();
        if ids.iter().any(|id| locked(&store.poison).contains(id)) {
            store.panics.fetch_add(1, Ordering::SeqCst);
            panic!("poison");
        }
        let mut report = SinkReport::default();
        for (id, row) in ids.iter().zip(batch) {
            if locked(&store.refused).contains(id) {
                report.quarantined += 1;
            } else if locked(&store.rows).contains_key(id) {
                report.duplicate += 1;
            } else {
                locked(&store.rows).insert(*id, row.clone());
                locked(&store.order).push(*id);
                report.new += 1;
            }
        }
        locked(&store.batches).push(batch.len());
        if store.forgets.swap(false, Ordering::SeqCst) {
            return Err(SinkError::Unavailable("outcome unknown".to_owned()));
        }
        Ok(report)
    }
}

/// A disk with a bounded number of free bytes, that may write short, be interrupted, and fail to cut or sync.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk {
    pub(crate) faults: Arc<Faults>,
}

#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) free_bytes: AtomicI64,
    pub(crate) longest_write: AtomicUsize,
    pub(crate) interrupt: AtomicBool,
    pub(crate) fail_set_len: AtomicBool,
    pub(crate) failing_syncs: AtomicUsize,
    pub(crate) syncs: AtomicUsize,
    pub(crate) writes: AtomicUsize,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            free_bytes: AtomicI64::new(i64::MAX),
            longest_write: AtomicUsize::new(usize::MAX),
            interrupt: AtomicBool::default(),
            fail_set_len: AtomicBool::default(),
            failing_syncs: AtomicUsize::default(),
            syncs: AtomicUsize::default(),
            writes: AtomicUsize::default(),
        }
    }
}

/// Shows after a failed sync what was written, although the disk has zeros there; so do Linux and its file systems.
#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn SpoolFile>,
    faults: Arc<Faults>,
    synced: AtomicU64,
    shown: Mutex<Option<Vec<u8>>>,
}

impl FaultyDisk {
    fn faulty(&self, file: Box<dyn SpoolFile>) -> Box<dyn SpoolFile> {
        Box::new(FaultyFile {
            file,
            faults: Arc::clone(&self.faults),
            synced: AtomicU64::default(),
            shown: Mutex::default(),
        })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SpoolFile>> {
        Ok(self.faulty(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SpoolFile>> {
        Ok(self.faulty(RealDisk.open(path)?))
    }
}

impl FaultyFile {
    /// Loses what was written since the last sync, but for what is shown.
    fn lose_unsynced(&self) -> io::Result<Vec<u8>> {
        let mut shown = vec![0; self.file.file_len()? as usize];
        assert_eq!(self.file.read_at(&mut shown, 0)?, shown.len());
        let synced = self.synced.load(Ordering::SeqCst);
        let lost = vec![0; shown.len() - synced as usize];
        assert_eq!(self.file.write_at(&lost, synced)?, lost.len());
        Ok(shown)
    }
}

impl SpoolFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.faults.writes.fetch_add(1, Ordering::SeqCst);
        if self.faults.interrupt.swap(false, Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let free = usize::try_from(self.faults.free_bytes.load(Ordering::SeqCst)).unwrap_or(0);
        let len = bytes
            .len()
            .min(self.faults.longest_write.load(Ordering::SeqCst))
            .min(free);
        if len == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write_at(&bytes[..len], offset)?;
        if self.faults.free_bytes.load(Ordering::SeqCst) != i64::MAX {
            self.faults
                .free_bytes
                .fetch_sub(written as i64, Ordering::SeqCst);
        }
        Ok(written)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let shown = locked(&self.shown);
        let Some(shown) = shown.as_deref() else {
            return self.file.read_at(bytes, offset);
        };
        let rest = shown.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.faults.fail_set_len.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Other.into());
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut shown = locked(&self.shown);
        assert!(shown.is_none(), "a second sync after one that failed");
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        let one_less = |left: usize| left.checked_sub(1);
        let failing = &self.faults.failing_syncs;
        if failing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
        {
            *shown = Some(self.lose_unsynced()?);
            return Err(io::ErrorKind::Other.into());
        }
        self.file.sync_data()?;
        self.synced.store(self.file.file_len()?, Ordering::SeqCst);
        Ok(())
    }

    fn file_len(&self) -> io::Result<u64> {
        self.file.file_len()
    }
}

/// An access log without threads: the test moves the writer and the upkeep step by step.
pub(crate) struct Bench {
    pub(crate) shared: Arc<Shared>,
    pub(crate) recorder: Recorder,
    pub(crate) writer: Writer,
    pub(crate) store: Arc<Store>,
    pub(crate) disk: FaultyDisk,
    runtime: Runtime,
}

pub(crate) fn small(queue_records: usize, batch_records: usize) -> AccessLogOptions {
    AccessLogOptions {
        queue_records,
        batch_records,
        ..AccessLogOptions::default()
    }
}

pub(crate) fn in_dir(dir: &Path, max_bytes: u64) -> Option<SpoolOptions> {
    Some(SpoolOptions {
        max_bytes,
        ..SpoolOptions::new(dir)
    })
}

impl Bench {
    pub(crate) fn new(options: &AccessLogOptions) -> Self {
        Self::with_digest(options, Box::new(digest))
    }

    pub(crate) fn with_digest(options: &AccessLogOptions, digest: Digest) -> Self {
        let disk = FaultyDisk::default();
        let spool = options.spool.clone().map(|options| {
            let on: Arc<dyn Disk> = Arc::new(disk.clone());
            Spool::open_on(options, on).unwrap().0
        });
        let shared = Arc::new(Shared::new(options, spool));
        let store = Arc::<Store>::default();
        let sink = Box::new(FakeSink(Arc::clone(&store)));
        let writer = Writer::new(Arc::clone(&shared), digest, sink, Vec::new());
        let recorder = Recorder::new(Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            shared,
            recorder,
            writer,
            store,
            disk,
            runtime,
        }
    }

    pub(crate) fn turn(&mut self) -> Turn {
        self.runtime.block_on(self.writer.turn())
    }

    /// Turns until there is nothing left to do.
    pub(crate) fn turn_all(&mut self) {
        while self.turn() == Turn::Progress {}
    }

    pub(crate) fn spool(&self) -> &Spool {
        self.shared.spool.as_ref().unwrap()
    }

    /// Opens and finishes one exchange.
    pub(crate) fn exchange(&self, number: u32) {
        let ticket = self.recorder.open(opened(number), Some(&body(b"question")));
        ticket.finish(closed(200), answer(b"answer"));
    }

    #[track_caller]
    pub(crate) fn check(&self, open: u64, queued: u64, spooled: u64, stored: u64, dropped: u64) {
        let now = self.shared.ledger.snapshot();
        assert!(now.is_conserved(), "{now:?}");
        let found = (
            now.open,
            now.queued,
            now.spooled,
            now.stored,
            now.dropped_total(),
        );
        assert_eq!(found, (open, queued, spooled, stored, dropped));
    }
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    segments.sort();
    segments
}

pub(crate) fn segment_files(dir: &Path) -> usize {
    segments(dir).len()
}
