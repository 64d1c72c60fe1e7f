//! What several instances share: opened at the start, whether Redis is there or not, and listened to once a second.

use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::StartError;
use crate::gateway::start::system;
use crate::pipeline::sharing::Sharing;
use crate::routing::current::CurrentRouting;
use crate::shared_state::{self, OpenError, RedisOptions};
use crate::telemetry::background::Background;

/// Time between two looks at what others tell.
const HEAR_EVERY: Duration = Duration::from_secs(1);

/// Opens it. Redis may come later.
pub(super) fn open(config: &Config, clock: &Clock) -> Result<Sharing, StartError> {
    let url = config.redis.url.as_ref();
    let url = url.map_or("", |url| url.expose());
    let state = shared_state::open(url, RedisOptions::default(), clock.clone());
    let state = state.map_err(|error| match error {
        OpenError::Thread(source) => system("cannot start the thread for Redis", source),
        error => error.into(),
    })?;
    Ok(Sharing::new(state, clock.clone()))
}

/// Hears what others tell, for as long as the background thread lives.
pub(super) fn keep_hearing(sharing: Sharing, routing: CurrentRouting, background: &Background) {
    if !sharing.state().is_shared() {
        return;
    }
    background.runner().start("shared state", async move {
        loop {
            sharing.hear(&routing.now()).await;
            tokio::time::sleep(HEAR_EVERY).await;
        }
    });
}
