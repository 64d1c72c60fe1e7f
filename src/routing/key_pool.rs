//! Which of a provider's keys an attempt uses: shares by weight, no more requests a second than a key may have, and no key
//! that its provider has just refused while another one stands.
//!
//! Pure: time and chance are arguments. Keys are numbers here, their secrets are not known. What a client did wrong is no key's
//! trouble, and never told to a pool.

mod window;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Dice;
use crate::config::KeySelection;
use crate::routing::key_pool::window::Window;
use crate::routing::weighted::{Turns, Wheel, draw, draw_in_turn};

/// Longest time a key cools down for, whatever a provider or another instance says.
const LONGEST: Duration = Duration::from_secs(3600);

/// First and longest time for a key that is over its rate and was not told until when.
const RATE_LIMITED: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// First and longest time for a key that was refused.
const REFUSED: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(600)];

/// A key as the configuration has it, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySpec {
    /// What people call it.
    pub name: String,
    /// Its share beside the others; a key with 0 is never given.
    pub weight: f64,
    /// Most requests in any one second; 0 for no limit.
    pub max_rps: u32,
}

/// What a provider has against a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTrouble {
    /// 429.
    RateLimited {
        /// As the provider said; `None` when it did not.
        retry_after: Option<Duration>,
    },
    /// 401 or 403.
    Refused,
}

/// What a pool answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// This key, which has been counted as used.
    Key(usize),
    /// All keys that are left cool down or are busy; the first that is ready cools down until then.
    Cooling {
        /// When it is ready.
        until: Instant,
    },
    /// No key that is left may have another request now; the first that may is busy until then.
    Busy {
        /// When it may.
        until: Instant,
    },
    /// No key is left: the request has tried all that have a weight.
    Tried,
}

/// How a key stands, for who wants to know why it was or was not given.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyState {
    /// What people call it.
    pub name: String,
    /// Its share beside the others.
    pub weight: f64,
    /// Most requests in any one second; 0 for no limit.
    pub max_rps: u32,
    /// How long it still cools down, and why; `None` when it does not.
    pub cooling: Option<(Duration, KeyTrouble)>,
    /// How long until it may have another request by its limit; `None` when it may now.
    pub busy: Option<Duration>,
    /// Failures since its last success.
    pub failures: u32,
    /// How often it was given.
    pub picks: u64,
}

/// The keys of one provider, shared by all worker threads.
///
/// A lock is held for the choice alone. A pool of one key without a limit takes none as long as there is no trouble.
#[derive(Debug)]
pub struct KeyPool {
    keys: Vec<Key>,
    selection: KeySelection,
    /// One key that may have every request.
    is_plain: bool,
    /// Whether a key has failures or cools down. Written under the lock only.
    is_troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Key {
    spec: KeySpec,
    picks: AtomicU64,
}

#[derive(Debug)]
struct State {
    wheel: Wheel,
    turns: Turns,
    health: Vec<Health>,
    /// Weights of the keys that are ready; here so that no call allocates.
    ready: Vec<f64>,
}

#[derive(Debug)]
struct Health {
    failures: u32,
    cooling: Option<Cooling>,
    window: Window,
}

#[derive(Debug, Clone, Copy)]
struct Cooling {
    until: Instant,
    why: KeyTrouble,
}

/// What comes first of all that was offered, the first of equals.
#[derive(Debug, Default)]
struct Soonest {
    best: Option<(Instant, Pick)>,
}

// === impl KeyPool ===

impl KeySpec {
    /// One without a limit.
    pub fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            weight: 1.0,
            max_rps: 0,
        }
    }
}

impl KeyPool {
    /// All keys ready.
    pub fn new(specs: Vec<KeySpec>, selection: KeySelection) -> Self {
        let health = specs.iter().map(|spec| Health {
            failures: 0,
            cooling: None,
            window: Window::new(spec.max_rps),
        });
        let state = State {
            wheel: Wheel::new(specs.len()),
            turns: Turns::new(specs.len()),
            health: health.collect(),
            ready: Vec::with_capacity(specs.len()),
        };
        Self {
            is_plain: matches!(specs.as_slice(), [only] if only.has_weight() && only.max_rps == 0),
            keys: specs.into_iter().map(Key::new).collect(),
            selection,
            is_troubled: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Gives a key, and counts it as used.
    ///
    /// `tried`: the keys that this request has tried; they are not given again. `may_cool`: nothing else stands, so a key that cools
    /// down is given rather than none, the one that is ready soonest. The limit of a key holds even then.
    pub fn pick(&self, now: Instant, dice: &Dice, tried: &[usize], may_cool: bool) -> Pick {
        if self.is_plain && !self.is_troubled.load(Ordering::Acquire) {
            return match tried.contains(&0) {
                true => Pick::Tried,
                false => self.give(0),
            };
        }
        let mut state = self.lock();
        let State {
            wheel,
            turns,
            health,
            ready,
        } = &mut *state;
        ready.clear();
        // Among those that are not ready: the first that will be, and the one that may be given although it cools down.
        let (mut waits, mut last) = (Soonest::default(), Soonest::default());
        for (index, (key, health)) in self.keys.iter().zip(health.iter_mut()).enumerate() {
            let mut weight = 0.0;
            if key.spec.has_weight() && !tried.contains(&index) {
                let cooling = health.cooling(now).map(|cooling| cooling.until);
                match (cooling, health.window.full_until(now)) {
                    (None, None) => weight = key.spec.weight,
                    (None, Some(until)) => waits.offer(until, Pick::Busy { until }),
                    (Some(until), None) if may_cool => last.offer(until, Pick::Key(index)),
                    (Some(_), Some(until)) if may_cool => waits.offer(until, Pick::Busy { until }),
                    (Some(until), busy) => {
                        let until = busy.map_or(until, |busy| busy.max(until));
                        waits.offer(until, Pick::Cooling { until });
                    }
                }
            }
            ready.push(weight);
        }
        let chosen = match self.selection {
            KeySelection::Smooth => wheel.next(ready),
            KeySelection::WeightedRoundRobin => draw_in_turn(ready, turns, dice),
            KeySelection::RoundRobin => turns.next(ready),
            KeySelection::Weighted => draw(ready, dice),
        };
        let chosen = chosen.map(Pick::Key).or(last.pick()).or(waits.pick());
        let Some(Pick::Key(index)) = chosen else {
            return chosen.unwrap_or(Pick::Tried);
        };
        if let Some(health) = health.get_mut(index) {
            health.window.give(now);
        }
        drop(state);
        self.give(index)
    }

    /// The first key that is ready, else the first that has room although it cools down: for calls that may belong to one key.
    /// Counts it as used. The limit of a key holds, and one without a weight is not given.
    pub fn main(&self, now: Instant) -> Pick {
        let mut state = self.lock();
        let (mut ready, mut cooling, mut busy) = (None, None, Soonest::default());
        for (index, (key, health)) in self.keys.iter().zip(&mut state.health).enumerate() {
            if !key.spec.has_weight() {
                continue;
            }
            match health.window.full_until(now) {
                Some(until) => busy.offer(until, Pick::Busy { until }),
                None if health.cooling(now).is_none() => ready = ready.or(Some(index)),
                None => cooling = cooling.or(Some(index)),
            }
        }
        let Some(index) = ready.or(cooling) else {
            return busy.pick().unwrap_or(Pick::Tried);
        };
        if let Some(health) = state.health.get_mut(index) {
            health.window.give(now);
        }
        drop(state);
        self.give(index)
    }

    /// Its keys in their order.
    pub fn specs(&self) -> impl Iterator<Item = &KeySpec> {
        self.keys.iter().map(|key| &key.spec)
    }

    /// Whether it is made of these.
    pub fn is_of(&self, specs: &[KeySpec], selection: KeySelection) -> bool {
        let own = self.keys.iter().map(|key| &key.spec);
        self.selection == selection && own.eq(specs)
    }

    /// A provider took the key: its row of failures ends. Costs a look at a flag when there is none.
    ///
    /// A key that cools down goes on to: most often what succeeds then was sent before the trouble, and proves nothing.
    pub fn succeeded(&self, key: usize, now: Instant) {
        if !self.is_troubled.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        if let Some(health) = state.health.get_mut(key)
            && health.cooling(now).is_none()
        {
            (health.failures, health.cooling) = (0, None);
        }
        let is_well = |health: &Health| health.failures == 0 && health.cooling(now).is_none();
        if state.health.iter().all(is_well) {
            self.is_troubled.store(false, Ordering::Release);
        }
    }

    /// A provider did not take the key: it cools down until the moment that is given back.
    ///
    /// As long as the provider said, at most an hour; `Retry-After: 0` says nothing. Else twice as long with each failure in a row:
    /// from 1 to 60 seconds, refused from 30 seconds to 10 minutes. Answers that come while it cools down already belong to the
    /// same failure: a hundred requests at once do not make a hundred in a row. A later cool-down never shortens an earlier one.
    pub fn cools(&self, key: usize, why: KeyTrouble, now: Instant) -> Instant {
        let mut state = self.lock();
        let Some(health) = state.health.get_mut(key) else {
            return now;
        };
        health.failures = match health.cooling(now) {
            None => health.failures.saturating_add(1),
            Some(_) => health.failures.max(1),
        };
        let time = why.cool_down(health.failures);
        let until = health.cool(after(now, time), why, now);
        self.is_troubled.store(true, Ordering::Release);
        until
    }

    /// Another instance says that a key cools down until then: at most an hour from now, and no failure of ours.
    pub fn cools_until(&self, key: usize, until: Instant, why: KeyTrouble, now: Instant) {
        let mut state = self.lock();
        if until <= now {
            return;
        }
        if let Some(health) = state.health.get_mut(key) {
            health.cool(until.min(after(now, LONGEST)), why, now);
            self.is_troubled.store(true, Ordering::Release);
        }
    }

    /// How all keys stand.
    pub fn states(&self, now: Instant) -> Vec<KeyState> {
        let mut state = self.lock();
        let keys = self.keys.iter().zip(&mut state.health);
        let states = keys.map(|(key, health)| KeyState {
            name: key.spec.name.clone(),
            weight: key.spec.weight,
            max_rps: key.spec.max_rps,
            cooling: health
                .cooling(now)
                .map(|cooling| (cooling.until.saturating_duration_since(now), cooling.why)),
            busy: health
                .window
                .full_until(now)
                .map(|until| until.saturating_duration_since(now)),
            failures: health.failures,
            picks: key.picks.load(Ordering::Relaxed),
        });
        states.collect()
    }

    fn give(&self, key: usize) -> Pick {
        if let Some(key) = self.keys.get(key) {
            key.picks.fetch_add(1, Ordering::Relaxed);
        }
        Pick::Key(key)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Key, KeySpec, KeyTrouble ===

impl Key {
    fn new(spec: KeySpec) -> Self {
        Self {
            spec,
            picks: AtomicU64::new(0),
        }
    }
}

impl KeySpec {
    fn has_weight(&self) -> bool {
        self.weight.is_finite() && 0.0 < self.weight
    }
}

impl KeyTrouble {
    /// Its word in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Refused => "refused",
        }
    }

    /// How long a key cools down for, after so many failures in a row, this one among them.
    fn cool_down(self, failures: u32) -> Duration {
        let [first, longest] = match self {
            Self::RateLimited {
                retry_after: Some(time),
            } if !time.is_zero() => return time.min(LONGEST),
            Self::RateLimited { .. } => RATE_LIMITED,
            Self::Refused => REFUSED,
        };
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        first.saturating_mul(doubled).min(longest)
    }
}

// === impl Health ===

impl Health {
    fn cooling(&self, now: Instant) -> Option<Cooling> {
        self.cooling.filter(|cooling| now < cooling.until)
    }

    /// Cools down until then, or longer if it does already.
    fn cool(&mut self, until: Instant, why: KeyTrouble, now: Instant) -> Instant {
        match self.cooling(now) {
            Some(longer) if until <= longer.until => longer.until,
            _ => {
                self.cooling = Some(Cooling { until, why });
                until
            }
        }
    }
}

// === impl Soonest ===

impl Soonest {
    fn offer(&mut self, at: Instant, pick: Pick) {
        if self.best.is_none_or(|(best, _)| at < best) {
            self.best = Some((at, pick));
        }
    }

    fn pick(&self) -> Option<Pick> {
        self.best.map(|(_, pick)| pick)
    }
}

fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}

#[cfg(test)]
mod tests;
