//! Which key a try uses: the pool's choice, within the key's rate over all instances.

use std::time::Instant;

use crate::filter::Outcome;
use crate::pipeline::attempts::entries::pass_over;
use crate::pipeline::attempts::{Nobody, Place, Tries, is_by_model};
use crate::pipeline::exchange::Exchange;
use crate::routing::key_pool::Pick;
use crate::routing::target::Target;

/// A key of a provider for one try.
pub(super) enum Shown {
    /// The client's own credentials.
    Clients,
    /// The key of this index.
    Ours(usize),
}

impl Tries<'_> {
    /// Chooses the key. `None`: this target has none at the moment.
    pub(super) async fn key(
        &mut self,
        exchange: &mut Exchange,
        target: &Target,
        tried: &[usize],
        place: Place,
        now: Instant,
    ) -> Option<Shown> {
        let worker = self.worker;
        let is_only = place.is_last && self.last.is_none();
        let provider = &worker.providers[target.provider];
        if provider.keys.is_empty() {
            return Some(Shown::Clients);
        }
        let pool = worker.routing.pool(target.provider);
        let mut wants_main = !is_by_model(exchange) && tried.is_empty();
        let mut passed = tried.to_vec();
        // Keys that have room here, and none over all instances.
        let mut full: Option<Instant> = None;
        let (reason, busy) = loop {
            let pick = match std::mem::take(&mut wants_main) {
                true => pool.main(now),
                false => pool.pick(now, &worker.routing.dice, &passed, is_only),
            };
            match pick {
                Pick::Key(index) => {
                    let spec = pool.specs().nth(index)?;
                    let (name, most) = (&provider.name, spec.max_rps);
                    match worker.sharing.full_until(name, &spec.name, most).await {
                        None => return Some(Shown::Ours(index)),
                        Some(until) => {
                            full = Some(full.map_or(until, |full| full.min(until)));
                            passed.push(index);
                        }
                    }
                }
                Pick::Tried => match full {
                    None => return None,
                    Some(until) => break ("key_rate", Some(until)),
                },
                Pick::Cooling { .. } => {
                    self.cooling = self.cooling.or(Some(place.index));
                    break ("key_cooling_down", full);
                }
                Pick::Busy { until } => {
                    break ("key_rate", Some(full.map_or(until, |full| full.min(until))));
                }
            }
        };
        if let Some(until) = busy {
            self.nobody = self.nobody.or(Nobody::Busy { until });
        }
        pass_over(exchange, target, worker, reason, Outcome::RateLimited);
        None
    }
}
