//! Ways to put load on an address: a closed loop, a fixed rate, streams that stay open.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use memchr::memmem;
use tokio::task::JoinSet;

use crate::client::{self, Client, Reference, micros};
use crate::targets::Kind;

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Answers.
    pub(crate) answers: u64,
    /// Answers that are not, byte for byte, what the mock sent.
    pub(crate) wrong: u64,
    /// Microseconds from sending a request to the end of its answer.
    pub(crate) latencies: Vec<f64>,
}

/// A kind of request and the answer that it has.
#[derive(Clone)]
pub(crate) struct Ask {
    /// The request's bytes.
    pub(crate) request: Rc<[u8]>,
    /// What the mock sends.
    pub(crate) reference: Rc<Reference>,
    /// The same for a proxy that asks for usage, whose chunk it takes out again.
    pub(crate) with_usage_asked: Rc<Reference>,
}

impl Ask {
    /// Learns the answer from the mock.
    pub(crate) async fn new(mock: SocketAddr, request: Vec<u8>) -> anyhow::Result<Self> {
        let reference = Rc::new(Reference::ask(mock, &request).await?);
        Ok(Self {
            with_usage_asked: reference.clone(),
            reference,
            request: request.into(),
        })
    }

    /// The same for a stream.
    pub(crate) async fn stream(mock: SocketAddr, model: &str) -> anyhow::Result<Self> {
        let ask = Self::new(mock, client::chat(model, true, 730)).await?;
        let asking = client::chat_with_usage(model);
        let with_usage_asked = Reference::ask_without_usage(mock, &asking).await?;
        Ok(Self {
            with_usage_asked: Rc::new(with_usage_asked),
            ..ask
        })
    }

    /// Another request with the same answer.
    pub(crate) fn asked_with(&self, request: Vec<u8>) -> Self {
        Self {
            request: request.into(),
            reference: self.reference.clone(),
            with_usage_asked: self.with_usage_asked.clone(),
        }
    }

    /// A chat's stream that is translated from another dialect's, of so many pieces of text.
    pub(crate) fn translated(pieces: usize) -> Self {
        let model = format!("claude/mock-s{pieces}");
        // The role, the reason to stop and the end come with them.
        let reference = Rc::new(Reference::stream_of(pieces + 3));
        Self {
            request: client::chat(&model, true, 730).into(),
            with_usage_asked: reference.clone(),
            reference,
        }
    }

    /// The request with the answer that is right through this proxy.
    pub(crate) fn through(&self, kind: Kind) -> Self {
        let reference = match kind {
            Kind::Nginx => &self.reference,
            Kind::Full | Kind::Light => &self.with_usage_asked,
        };
        Self {
            reference: reference.clone(),
            ..self.clone()
        }
    }
}

/// So many connections, each sending its next request when the answer is there.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    ask: &Ask,
    connections: usize,
    requests: u64,
) -> anyhow::Result<Tally> {
    let left = Rc::new(Cell::new(requests));
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let (ask, left) = (ask.clone(), left.clone());
        clients.spawn_local(async move {
            let mut client = Client::connect(address).await?;
            let mut tally = Tally::default();
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                one(&mut client, &ask, &mut tally).await?;
            }
            anyhow::Ok(tally)
        });
    }
    let mut all = Tally::default();
    while let Some(done) = clients.join_next().await {
        all.add(done??);
    }
    Ok(all)
}

/// A request every `interval`, whether or not earlier ones are answered.
pub(crate) async fn fixed_rate(
    address: SocketAddr,
    ask: &Ask,
    interval: Duration,
    requests: u64,
) -> anyhow::Result<Tally> {
    let idle: Rc<RefCell<Vec<Client>>> = Rc::default();
    let mut running = JoinSet::new();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for _ in 0..requests {
        ticks.tick().await;
        let (ask, idle) = (ask.clone(), idle.clone());
        running.spawn_local(async move {
            let waiting = idle.borrow_mut().pop();
            let mut client = match waiting {
                Some(client) => client,
                None => Client::connect(address).await?,
            };
            let mut tally = Tally::default();
            one(&mut client, &ask, &mut tally).await?;
            idle.borrow_mut().push(client);
            anyhow::Ok(tally)
        });
    }
    let mut all = Tally::default();
    while let Some(done) = running.join_next().await {
        all.add(done??);
    }
    Ok(all)
}

/// Opens streams and leaves them open once each has brought something.
pub(crate) async fn hold(
    address: SocketAddr,
    request: Rc<[u8]>,
    streams: usize,
) -> anyhow::Result<Vec<Client>> {
    let mut held = Vec::with_capacity(streams);
    while held.len() < streams {
        let mut opening = JoinSet::new();
        for _ in 0..(streams - held.len()).min(100) {
            let request = request.clone();
            opening.spawn_local(async move {
                let mut client = Client::connect(address).await?;
                client.send(&request).await?;
                let head = client.head().await?;
                anyhow::ensure!(head.status == 200, "a stream was answered {}", head.status);
                client.wait_for_bytes(1).await?;
                anyhow::Ok(client)
            });
        }
        while let Some(done) = opening.join_next().await {
            held.push(done??);
        }
    }
    Ok(held)
}

/// Streams of events that carry the time of their sending: microseconds that each was on its way.
pub(crate) async fn transit(
    address: SocketAddr,
    request: Rc<[u8]>,
    streams: usize,
    epoch: Instant,
) -> anyhow::Result<Vec<f64>> {
    let mut clients = JoinSet::new();
    for _ in 0..streams {
        let request = request.clone();
        clients.spawn_local(async move {
            let mut client = Client::connect(address).await?;
            client.send(&request).await?;
            let mut times = Vec::new();
            let note = |piece: &[u8]| {
                let now = epoch.elapsed().as_nanos();
                for at in memmem::find_iter(piece, b"\"sent ") {
                    let digits = piece.get(at + 6..at + 26).unwrap_or_default();
                    let sent = std::str::from_utf8(digits)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    if let Some(sent) = sent.and_then(|sent: u128| now.checked_sub(sent)) {
                        times.push(sent as f64 / 1e3);
                    }
                }
            };
            client.answer(note).await?;
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = clients.join_next().await {
        all.append(&mut done??);
    }
    Ok(all)
}

async fn one(client: &mut Client, ask: &Ask, tally: &mut Tally) -> anyhow::Result<()> {
    let since = Instant::now();
    let head = client.exchange(&ask.request).await.context("an answer")?;
    tally.latencies.push(micros(since));
    tally.answers += 1;
    tally.wrong += u64::from(!ask.reference.fits(&head, &client.body));
    Ok(())
}

impl Tally {
    fn add(&mut self, mut other: Self) {
        self.answers += other.answers;
        self.wrong += other.wrong;
        self.latencies.append(&mut other.latencies);
    }
}
