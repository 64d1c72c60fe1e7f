//! What several instances know together: short-lived values, cool-downs and rates behind one small trait, in memory or
//! in Redis. Nothing here decides about an exchange, and no call waits longer than [`RedisOptions::call_limit`].

mod bounded;
mod memory;
mod redis;
mod redis_link;
mod scripts;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use self::memory::Memory;
pub use self::redis::Redis;

use crate::clock::Clock;

/// Longest that one call takes, waiting for its turn and all, where [`RedisOptions`] do not say otherwise.
pub const CALL_LIMIT: Duration = Duration::from_millis(50);

/// Longest that anything is kept; what is meant to stay longer stays so long.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// State that instances share.
///
/// No call fails. Where the shared place cannot be had, the answer is that of this instance's own memory:
/// [`SharedState::health`] tells. Values and rates have names of their own: the same key in both does no harm. Calls
/// are made within a tokio runtime.
#[async_trait]
pub trait SharedState: Debug + Send + Sync {
    /// The value, if its time has not passed.
    async fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps a value for some time, counted in milliseconds and at most [`LONGEST`]. A time of zero deletes.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration);

    /// Forgets a value, and says whether there was one.
    async fn delete(&self, key: &str) -> bool;

    /// Sets a moment in milliseconds since the Unix epoch unless a later one stands there, in one step over all
    /// instances. Gives the one that holds. It is a value like others, which [`unix_ms`] reads, and gone when the
    /// moment has come. One that has passed is not set.
    async fn set_if_later(&self, key: &str, until_unix_ms: i64) -> i64;

    /// The values of many keys in their order, in one round trip.
    async fn many(&self, keys: &[String]) -> Vec<Option<Bytes>>;

    /// Takes one of the `per_second` that are to be had in any span of one second, in one step over all instances. 0 is
    /// no limit. A refusal takes nothing.
    async fn take(&self, key: &str, per_second: u32) -> Taken;

    /// As [`SharedState::set`], but nobody waits: this instance's memory has it at once, others by and by.
    fn tell(&self, key: &str, value: Bytes, ttl: Duration);

    /// As [`SharedState::set_if_later`], but nobody waits.
    fn tell_if_later(&self, key: &str, until_unix_ms: i64);

    /// Whether other instances may see it: else there is nothing to agree on.
    fn is_shared(&self) -> bool;

    /// Whether other instances see what is written now; waits at most so long until they do.
    async fn shares(&self, limit: Duration) -> bool;

    /// How it is now.
    fn health(&self) -> Health;
}

/// The answer to [`SharedState::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// One was free.
    Yes,
    /// All are taken.
    No {
        /// The next is free then, if nobody else takes it.
        retry_in: Duration,
    },
}

/// Whether instances share at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// The shared place cannot be had: answers come from this instance's memory. Never so where that is all there is.
    pub degraded: bool,
    /// Calls and tries to connect that failed, since the start.
    pub errors: u64,
}

/// Why shared state cannot be set up. No variant tells the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is none of Redis.
    #[error("the URL of Redis {0}")]
    Url(&'static str),
    /// The certificates cannot be used.
    #[error("TLS for Redis: {0}")]
    Tls(String),
    /// The machine has no thread left.
    #[error("no thread for Redis: {0}")]
    Thread(#[from] io::Error),
}

/// What is settled about Redis beside its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// PEM file of further authorities for `rediss://`, added to the system's.
    pub ca_cert: Option<PathBuf>,
    /// Longest that one call takes; then memory answers.
    pub call_limit: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            ca_cert: None,
            call_limit: CALL_LIMIT,
        }
    }
}

/// Opens what the URL names: memory where it is empty, else Redis. Whether Redis is there shows later.
///
/// # Errors
/// [`OpenError`] when that can never work.
pub fn open(
    url: &str,
    options: RedisOptions,
    clock: Clock,
) -> Result<Arc<dyn SharedState>, OpenError> {
    if url.is_empty() {
        return Ok(Arc::new(Memory::new(clock)));
    }
    Ok(Arc::new(Redis::start(url, options, clock)?))
}

/// The moment that [`SharedState::set_if_later`] keeps as a value; `None` where something else stands.
pub fn unix_ms(value: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(value).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// A part of a key for texts, which may be long and hold anything: it tells nothing of them.
pub fn hashed(texts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    let digest = hasher.finalize();
    let mut name = String::with_capacity(2 * digest.len());
    for byte in digest {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

/// Times go out in whole milliseconds; what is begun counts.
fn whole_ms(ttl: Duration) -> u64 {
    let ms = ttl.min(LONGEST).as_nanos().div_ceil(1_000_000);
    u64::try_from(ms).unwrap_or(u64::MAX)
}

/// How far a moment is away, and the moment, both at most [`LONGEST`] ahead. `None`: it has passed.
fn ahead(clock: &Clock, until_unix_ms: i64) -> Option<(Duration, i64)> {
    let now_ms = clock.wall_us().div_euclid(1000);
    let longest_ms = i64::try_from(LONGEST.as_millis()).unwrap_or(i64::MAX);
    let until = until_unix_ms.min(now_ms.saturating_add(longest_ms));
    let left_ms = u64::try_from(until.saturating_sub(now_ms)).unwrap_or(0);
    (left_ms != 0).then_some((Duration::from_millis(left_ms), until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_where_one_stands() {
        for (text, expected) in [
            ("1700000000123", Some(1_700_000_000_123)),
            ("0", Some(0)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("12x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(unix_ms(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(unix_ms(&[0xff]), None);
    }

    #[test]
    fn times_are_whole_and_bounded() {
        for (ttl, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_micros(1_001), 2),
            (Duration::MAX, 366 * 86_400_000),
        ] {
            assert_eq!(whole_ms(ttl), expected, "{ttl:?}");
        }
        let clock = Clock::manual(5_000_999);
        for (until, expected) in [
            (4_000, None),
            (5_000, None),
            (5_001, Some((1, 5_001))),
            (i64::MAX, Some((366 * 86_400_000, 366 * 86_400_000 + 5_000))),
        ] {
            let ahead = ahead(&clock, until);
            let ahead = ahead.map(|(left, until)| (whole_ms(left), until));
            assert_eq!(ahead, expected, "{until}");
        }
    }
}
