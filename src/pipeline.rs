//! Runs exchanges: the steps in order, attempts, relays. Knows neither actix-web nor any dialect; how things look to
//! a client comes in as a [`reply::ClientForm`].

pub mod answer;
mod argo;
pub mod attempt;
mod attempts;
mod birth;
mod blame;
pub mod collected;
pub mod event_codec;
pub mod events;
pub mod exchange;
pub mod failure;
pub mod filtered_stream;
pub mod filtering;
mod flight;
mod folding;
pub mod generator;
mod lacking;
pub mod link;
mod marked;
pub mod models;
pub mod openai_at_google;
mod other_form;
pub mod plan;
pub mod prefix;
pub mod replay;
pub mod reply;
pub mod sessions;
pub mod sharing;
pub mod timer;
pub mod translation;
pub mod whole;
mod wishes;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::LocalBoxFuture;

use crate::access_log::recorder::Recorder;
use crate::access_log::redact::Secrets;
use crate::clock::Clock;
use crate::pipeline::filtering::Filters;
use crate::pipeline::link::Lifecycle;
use crate::pipeline::reply::ClientForm;
use crate::pipeline::sharing::Sharing;
use crate::routing::Routing;
use crate::upstream::provider::Provider;
use crate::upstream::transport::{Transport, TransportOptions};

/// What exchanges need, once for each worker thread.
pub struct Worker {
    /// Where records go.
    pub recorder: Rc<Recorder>,
    /// Texts that are masked in every record.
    pub secrets: Rc<Secrets>,
    /// The providers, in the order of the configuration.
    pub providers: Arc<[Provider]>,
    /// Which of them an exchange goes to.
    pub routing: Arc<Routing>,
    /// What instances tell each other.
    pub sharing: Sharing,
    /// The filters.
    pub filters: Filters,
    /// Settings of the relay.
    pub settings: RelaySettings,
    /// How errors and filter answers look.
    pub form: Rc<dyn ClientForm>,
    /// Time of day.
    pub clock: Clock,
    /// The server's stage.
    pub lifecycle: Lifecycle,
    /// How many streams are open.
    pub streams: StreamCount,
    /// Starts work that goes on without a client.
    pub spawn: Rc<dyn Fn(LocalBoxFuture<'static, ()>)>,
    /// How many exchanges go on without their client.
    pub alone: StreamCount,
    /// How the providers are reached.
    pub transports: Transports,
}

impl Worker {
    /// The transport of a provider, by its index.
    pub fn transport(&self, provider: usize) -> &Transport {
        &self.transports.0[provider]
    }
}

/// One transport for each provider, on the thread that made them.
pub struct Transports(Vec<Transport>);

impl Transports {
    /// In the order of the providers. `before`: what the thread had until now, whose connections stay where a provider is
    /// reached as it was.
    pub fn new(providers: &[Provider], before: Option<&Worker>) -> Self {
        let known = |provider: &Provider| {
            let before = before?;
            let mut pairs = before.providers.iter().zip(&before.transports.0);
            let (_, transport) = pairs.find(|(known, _)| known.is_reached_like(provider))?;
            Some(transport.clone())
        };
        let transport = |provider: &Provider| {
            known(provider).unwrap_or_else(|| {
                Transport::new(&TransportOptions {
                    connect: provider.timeouts.connect,
                    tls: provider.tls.clone(),
                })
            })
        };
        Self(providers.iter().map(transport).collect())
    }
}

/// Settings of the relay.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// Whether streams are mended (promise P1).
    pub repair_streams: bool,
    /// Whether CORS headers are ours to give.
    pub cors: bool,
    /// Longest answer that is collected for a response filter, in bytes.
    pub max_body_bytes: usize,
}

/// How many streams, or other things of a kind, are open in the whole process, and how many may be.
#[derive(Debug, Clone)]
pub struct StreamCount {
    open: Arc<AtomicUsize>,
    limit: usize,
}

/// One open stream; counted until it is dropped.
#[derive(Debug)]
pub struct StreamSlot(Arc<AtomicUsize>);

impl StreamCount {
    /// None open, at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            open: Arc::default(),
            limit,
        }
    }

    /// The same count with another limit.
    pub fn limited_to(&self, limit: usize) -> Self {
        Self {
            open: self.open.clone(),
            limit,
        }
    }

    /// Whether one more may be opened.
    pub fn has_room(&self) -> bool {
        self.open.load(Ordering::Relaxed) < self.limit
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub fn take_slot(&self) -> StreamSlot {
        self.open.fetch_add(1, Ordering::Relaxed);
        StreamSlot(self.open.clone())
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
