//! Lists that instances show each other, so that however many there are, a provider is asked about once while a list is good.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cache::CachedList;
use crate::shared_state::{SharedState, hashed};
use crate::upstream::provider::Provider;
use crate::wire::found::Found;

/// Longest list that is shown, in bytes: what goes out with every call to the shared place should not hold up the others.
const MOST_BYTES: usize = 256 * 1024;

/// Longest wait for the shared place, before a provider is asked as if there were none.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where instances show each other their lists.
#[derive(Debug, Clone)]
pub(super) struct SharedLists(Arc<dyn SharedState>);

impl SharedLists {
    /// `None` where there is nobody to share with.
    pub(super) fn of(state: Arc<dyn SharedState>) -> Option<Self> {
        state.is_shared().then_some(Self(state))
    }

    /// A list that is still good, and for how long. `None` too where the shared place is away or holds something else.
    pub(super) async fn fresh(
        &self,
        provider: &Provider,
        ttl: Duration,
        now_us: i64,
    ) -> Option<(CachedList, Duration)> {
        if !self.0.shares(PATIENCE).await {
            return None;
        }
        let shown = self.0.get(&key(provider)).await?;
        let list = CachedList::parse(&shown, provider)?;
        // Another machine's clock may be ahead: then it is new.
        let age_us = u64::try_from(now_us.saturating_sub(list.fetched_at_us)).unwrap_or(0);
        let left = ttl.checked_sub(Duration::from_micros(age_us))?;
        Some((list, left))
    }

    /// Shows a list that has come, for as long as it is good.
    pub(super) async fn show(
        &self,
        provider: &Provider,
        ttl: Duration,
        fetched_at_us: i64,
        models: &[Found],
    ) {
        let list = CachedList::new(provider, fetched_at_us, models.to_vec(), Vec::new());
        let shown = list.to_json();
        if shown.len() <= MOST_BYTES {
            self.0.set(&key(provider), Bytes::from(shown), ttl).await;
        }
    }
}

/// By what decides what a provider lists. Its keys do too, and nothing can be told of them by this.
fn key(provider: &Provider) -> String {
    let keys = provider.keys.iter().filter_map(|key| key.header(true));
    let mut parts = vec![provider.api.kind, provider.base_url.as_str()];
    parts.extend(keys.map(|(_, value)| value));
    format!("models:{}:{}", provider.name, hashed(&parts))
}
