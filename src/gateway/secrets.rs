//! The providers' keys that the writer masks in what only decoding shows: those of the newest configurations, for a record
//! may be written long after its request came.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use crate::access_log::redact::Secrets;
use crate::config::Config;

/// How many configurations' keys are masked: each one costs a search in every text.
const CONFIGURATIONS: usize = 8;

/// See the module.
#[derive(Clone)]
pub(super) struct RecentSecrets(Arc<RwLock<Recent>>);

#[derive(Default)]
struct Recent {
    /// The newest one is the last.
    of_each: VecDeque<Secrets>,
    all: Arc<Secrets>,
}

impl RecentSecrets {
    /// Those of the first configuration.
    pub(super) fn new(config: &Config) -> Self {
        let recent = Self(Arc::default());
        recent.add(provider_secrets(config));
        recent
    }

    /// Those of one more.
    pub(super) fn add(&self, secrets: Secrets) {
        let mut recent = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if CONFIGURATIONS <= recent.of_each.len() {
            recent.of_each.pop_front();
        }
        recent.of_each.push_back(secrets);
        let mut all = Secrets::default();
        recent.of_each.iter().for_each(|some| all.add_all(some));
        recent.all = Arc::new(all);
    }

    /// All of them.
    pub(super) fn now(&self) -> Arc<Secrets> {
        let recent = self.0.read().unwrap_or_else(PoisonError::into_inner);
        recent.all.clone()
    }
}

/// The providers' keys, those in fixed headers too: they must stand nowhere.
pub(super) fn provider_secrets(config: &Config) -> Secrets {
    let keys = config.providers.iter().flat_map(|provider| {
        let keys = provider.api_keys.iter().map(|key| &key.key);
        let headers = provider.headers.iter();
        let aws = provider.aws.iter().flat_map(|aws| &aws.credentials);
        let aws = aws.flat_map(|credentials| {
            std::iter::once(&credentials.secret_access_key).chain(&credentials.session_token)
        });
        keys.chain(aws).chain(
            headers
                .filter(|header| header.is_credential)
                .map(|header| &header.value),
        )
    });
    Secrets::new(keys.map(|key| key.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_newest_configurations_are_masked() {
        let secrets = |number: usize| {
            let key = format!("sk-rotated-{number:04}");
            Secrets::new([key.as_bytes()])
        };
        let recent = RecentSecrets(Arc::default());
        (0..=CONFIGURATIONS).for_each(|number| recent.add(secrets(number)));
        let masked: Vec<bool> = (0..=CONFIGURATIONS)
            .map(|number| {
                recent
                    .now()
                    .occur_in(format!("sk-rotated-{number:04}").as_bytes())
            })
            .collect();
        let mut expected = vec![true; CONFIGURATIONS + 1];
        expected[0] = false;
        assert_eq!(masked, expected);
    }
}
