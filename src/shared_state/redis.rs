//! Shared state in Redis. A thread of its own keeps one pipelined connection; calls come from any thread and never wait
//! for a connection: where there is none, this instance's memory answers at once.
//!
//! Memory follows what this instance writes, so it knows that much when Redis goes; what others wrote or deleted since it
//! does not. What is written while Redis is away
//! is written there when it is back: values (the last writer's, with the time that is left), deletions, and moments,
//! which never shorten what stands. Not so rates: each instance gives the whole rate meanwhile, and once more within the
//! second in which Redis comes back. Nor what memory had to forget, or keys beyond [`MOST_OWED`]. A Redis that lost its
//! data (FLUSHALL) simply knows nothing: values are missing, and cool-downs and rates begin anew. What is told while
//! [`MOST_TOLD`] writes are on their way stays memory's alone.
//!
//! Over 400 lines: calls, what is owed and the connection are one state behind one lock.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline};
use tokio::sync::{Semaphore, watch};

use super::memory::Memory;
use super::redis_link::{Address, Trouble};
use super::{
    Health, OpenError, RedisOptions, SharedState, Taken, ahead, scripts, unix_ms, whole_ms,
};
use crate::clock::Clock;
use crate::telemetry::background::Background;

/// Longest for one try to connect, and for each step until calls go there again.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Waits between tries, doubled from the first to the last; a connection that held longer than the last begins anew.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Most keys whose change is remembered for Redis while it is away.
const MOST_OWED: usize = 10_000;

/// Longest key of these; a longer one's change is memory's alone.
const MOST_OWED_KEY_BYTES: usize = 1024;

/// Most writes on their way for which nobody waits.
const MOST_TOLD: usize = 1_000;

/// Changes in one round trip when Redis is back.
const CHANGES_AT_ONCE: usize = 500;

/// State in Redis.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    /// Ends with this.
    background: Background,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    call_limit: Duration,
    clock: Clock,
    local: Memory,
    link: Mutex<Link>,
    degraded: watch::Sender<bool>,
    errors: AtomicU64,
    told: Arc<Semaphore>,
}

#[derive(Debug)]
struct Link {
    /// `None`: degraded.
    connection: Option<MultiplexedConnection>,
    /// Counts connections: late news of an old one must not end a new one.
    number: u64,
    owed: HashMap<String, Change>,
}

/// What happened to a key while Redis was away. The value itself is in memory.
#[derive(Debug, Clone, Copy)]
enum Change {
    Set,
    SetIfLater,
    Deleted,
}

impl Redis {
    /// Starts the thread, which begins to connect; nobody waits for that.
    ///
    /// # Errors
    /// [`OpenError`] when the URL or the certificates cannot be used.
    pub fn start(url: &str, options: RedisOptions, clock: Clock) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            address: Address::parse(url, options.ca_cert.as_deref())?,
            call_limit: options.call_limit,
            local: Memory::new(clock.clone()),
            clock,
            link: Mutex::new(Link {
                connection: None,
                number: 0,
                owed: HashMap::new(),
            }),
            degraded: watch::Sender::new(true),
            errors: AtomicU64::new(0),
            told: Arc::new(Semaphore::new(MOST_TOLD)),
        });
        let background = Background::start(1)?;
        let runner = background.runner();
        runner.start("redis", keep_connected(shared.clone()));
        Ok(Self { shared, background })
    }

    /// Waits until it is degraded, or is no longer; without an end where that does not come.
    pub async fn changes_to(&self, degraded: bool) {
        let mut now = self.shared.degraded.subscribe();
        // The sender is ours: it does not end before this.
        drop(now.wait_for(|is| *is == degraded).await);
    }

    /// Sends a write that memory has taken already; nobody waits for it.
    fn send(&self, key: &str, command: Cmd, change: Change) {
        let Ok(place) = self.shared.told.clone().try_acquire_owned() else {
            self.shared.errors.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let (shared, key) = (self.shared.clone(), key.to_owned());
        self.background.runner().start("redis write", async move {
            let _: Option<redis::Value> = shared.write(&key, &command, change).await;
            drop(place);
        });
    }
}

#[async_trait]
impl SharedState for Redis {
    async fn get(&self, key: &str) -> Option<Bytes> {
        match self.shared.ask::<Option<Vec<u8>>>(&scripts::get(key)).await {
            Some(value) => value.map(Bytes::from),
            None => self.shared.local.value(key).map(|(value, _)| value),
        }
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) {
        if whole_ms(ttl) == 0 {
            self.delete(key).await;
            return;
        }
        let command = scripts::set(key, &value, ttl);
        self.shared.local.put(key, value, ttl);
        let _: Option<()> = self.shared.write(key, &command, Change::Set).await;
    }

    async fn delete(&self, key: &str) -> bool {
        let was_here = self.shared.local.remove(key);
        let command = scripts::delete(key);
        let there: Option<u64> = self.shared.write(key, &command, Change::Deleted).await;
        there.map_or(was_here, |count| count != 0)
    }

    async fn set_if_later(&self, key: &str, until_unix_ms: i64) -> i64 {
        let here = self.shared.local.put_if_later(key, until_unix_ms);
        let (left, until) =
            ahead(&self.shared.clock, until_unix_ms).unwrap_or((Duration::ZERO, until_unix_ms));
        let command = scripts::set_if_later(key, until, left);
        let there = self.shared.write(key, &command, Change::SetIfLater).await;
        there.unwrap_or(here)
    }

    async fn many(&self, keys: &[String]) -> Vec<Option<Bytes>> {
        if keys.is_empty() {
            return Vec::new();
        }
        let command = scripts::get_many(keys);
        match self.shared.ask::<Vec<Option<Vec<u8>>>>(&command).await {
            Some(values) => {
                let values = values.into_iter();
                values.map(|value| value.map(Bytes::from)).collect()
            }
            None => self.shared.local.many(keys).await,
        }
    }

    async fn take(&self, key: &str, per_second: u32) -> Taken {
        if per_second == 0 {
            return Taken::Yes;
        }
        match self
            .shared
            .ask::<u64>(&scripts::take(key, per_second))
            .await
        {
            Some(0) => Taken::Yes,
            Some(us) => Taken::No {
                retry_in: Duration::from_micros(us),
            },
            None => self.shared.local.take_one(key, per_second),
        }
    }

    fn tell(&self, key: &str, value: Bytes, ttl: Duration) {
        if whole_ms(ttl) == 0 {
            return;
        }
        let command = scripts::set(key, &value, ttl);
        self.shared.local.put(key, value, ttl);
        self.send(key, command, Change::Set);
    }

    fn tell_if_later(&self, key: &str, until_unix_ms: i64) {
        self.shared.local.put_if_later(key, until_unix_ms);
        let Some((left, until)) = ahead(&self.shared.clock, until_unix_ms) else {
            return;
        };
        let command = scripts::set_if_later(key, until, left);
        self.send(key, command, Change::SetIfLater);
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn shares(&self, limit: Duration) -> bool {
        let is_there = self.changes_to(false);
        tokio::time::timeout(limit, is_there).await.is_ok()
    }

    fn health(&self) -> Health {
        Health {
            degraded: *self.shared.degraded.borrow(),
            errors: self.shared.errors.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Asks Redis. `None`: memory has to answer.
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let (mut connection, number) = {
            let link = self.link();
            (link.connection.clone()?, link.number)
        };
        let answer =
            tokio::time::timeout(self.call_limit, command.query_async(&mut connection)).await;
        let trouble = match answer {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.into(),
            Err(_) => Trouble::Late,
        };
        self.failed(number, &trouble);
        None
    }

    /// Writes what memory has taken already, now or when Redis is back.
    async fn write<T: FromRedisValue>(
        &self,
        key: &str,
        command: &Cmd,
        change: Change,
    ) -> Option<T> {
        let answer = self.ask(command).await;
        if answer.is_none() {
            self.owe(key, change);
        }
        answer
    }

    /// Nothing that holds the lock leaves the link half-changed when it panics.
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what went wrong on a connection, and gives that up unless one key is to blame.
    fn failed(&self, number: u64, trouble: &Trouble) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if trouble.is_of_one_key() {
            tracing::debug!(%trouble, "redis refused one call; it was answered from memory");
        } else {
            self.degrade(number, trouble);
        }
    }

    fn degrade(&self, number: u64, trouble: &Trouble) {
        let mut link = self.link();
        if link.number == number && link.connection.take().is_some() {
            self.degraded.send_replace(true);
            drop(link);
            tracing::warn!(%trouble, "redis is away: shared state is this instance's own until it is back");
        }
    }

    /// Remembers a change for Redis. Once it is back that is too late, and memory alone knows it.
    fn owe(&self, key: &str, change: Change) {
        if MOST_OWED_KEY_BYTES < key.len() {
            return;
        }
        let mut link = self.link();
        let is_known = link.owed.contains_key(key);
        if link.connection.is_none() && (is_known || link.owed.len() < MOST_OWED) {
            link.owed.insert(key.to_owned(), change);
        }
    }

    /// One connection from its beginning to its end.
    async fn connect_and_serve(&self) -> Result<(), Trouble> {
        let login = self.address.login()?;
        let (connection, driver) = in_time_of(self.address.connect(&login)).await?;
        let (driver, served) = (pin!(driver), pin!(self.serve(connection)));
        match select(served, driver).await {
            Either::Left((end, _)) => end,
            Either::Right(((), _)) => Err(Trouble::Ended),
        }
    }

    /// Takes a new connection into use, when nothing is owed any more, and stays until that is given up.
    async fn serve(&self, mut connection: MultiplexedConnection) -> Result<(), Trouble> {
        in_time::<u64>(scripts::probe().query_async(&mut connection)).await?;
        let mut degraded = self.degraded.subscribe();
        while let Some(owed) = self.take_owed(&connection) {
            if let Err(trouble) = self.pay(&owed, &mut connection).await {
                let mut link = self.link();
                for (key, change) in owed {
                    link.owed.entry(key).or_insert(change);
                }
                return Err(trouble);
            }
        }
        tracing::info!("redis is there: state is shared");
        // The sender is ours: it does not end before this.
        drop(degraded.wait_for(|degraded| *degraded).await);
        Ok(())
    }

    /// Some of what is owed. Where that is nothing, calls go to Redis from now on.
    fn take_owed(&self, connection: &MultiplexedConnection) -> Option<Vec<(String, Change)>> {
        let mut link = self.link();
        if link.owed.is_empty() {
            link.owed.shrink_to_fit();
            link.connection = Some(connection.clone());
            link.number += 1;
            self.degraded.send_replace(false);
            return None;
        }
        let some = link.owed.extract_if(|_, _| true).take(CHANGES_AT_ONCE);
        Some(some.collect())
    }

    /// Writes changes. What Redis refuses is given up and counted.
    async fn pay(
        &self,
        owed: &[(String, Change)],
        connection: &mut MultiplexedConnection,
    ) -> Result<(), Trouble> {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        for (key, change) in owed {
            if let Some(command) = self.command(key, *change) {
                pipeline.add_command(command);
            }
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        let written: Vec<redis::RedisResult<redis::Value>> =
            in_time(pipeline.query_async(connection)).await?;
        let refused = written.iter().filter(|written| written.is_err()).count();
        let refused = u64::try_from(refused).unwrap_or(u64::MAX);
        self.errors.fetch_add(refused, Ordering::Relaxed);
        Ok(())
    }

    /// `None` where the value has expired since, or was forgotten.
    fn command(&self, key: &str, change: Change) -> Option<Cmd> {
        let value = self.local.value(key);
        match (change, value) {
            (Change::Deleted, None) => Some(scripts::delete(key)),
            (Change::Set | Change::Deleted, Some((value, left))) => {
                Some(scripts::set(key, &value, left))
            }
            (Change::SetIfLater, Some((value, left))) => match unix_ms(&value) {
                Some(until) => Some(scripts::set_if_later(key, until, left)),
                None => Some(scripts::set(key, &value, left)),
            },
            (Change::Set | Change::SetIfLater, None) => None,
        }
    }
}

/// Connects, and connects again, for as long as the thread lives.
async fn keep_connected(shared: Arc<Shared>) {
    let (mut wait, mut is_told) = (FIRST_WAIT, false);
    loop {
        let began = shared.clock.now();
        let number = shared.link().number;
        let end = shared.connect_and_serve().await;
        let was_there = shared.link().number != number;
        if let Err(trouble) = end {
            shared.errors.fetch_add(1, Ordering::Relaxed);
            if was_there {
                shared.degrade(number + 1, &trouble);
            } else if !is_told {
                tracing::warn!(%trouble, "redis cannot be had: shared state is this instance's own");
            }
        }
        is_told = true;
        if was_there && LAST_WAIT < shared.clock.now().saturating_duration_since(began) {
            wait = FIRST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST_WAIT);
    }
}

async fn in_time<T>(work: impl Future<Output = redis::RedisResult<T>>) -> Result<T, Trouble> {
    in_time_of(async { Ok(work.await?) }).await
}

async fn in_time_of<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let done = tokio::time::timeout(CONNECT_LIMIT, work).await;
    done.unwrap_or(Err(Trouble::Late))
}
