//! Sessions: requests with the same `x-session-id` stay with the target that answered well, for each model that was asked for.
//! Kept in the shared state under a hash of the id, so several instances agree.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::access_log::draft::Closed;
use crate::filter::{Headers, Outcome};
use crate::pipeline::sharing::Sharing;
use crate::shared_state::hashed;

/// Longest id of a session that is heeded, in bytes.
pub const LONGEST_ID: usize = 256;

/// A session as it was used last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, as the client names it.
    pub conversation_id: String,
    /// The model that was asked for last.
    pub logical_model: String,
    /// Who answered.
    pub provider_id: String,
    /// The model that answered, by its provider's name for it.
    pub model_id: String,
    /// When its first request came, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was bound last.
    pub accessed_ms: i64,
}

/// The target of a session for one model that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bound {
    provider: String,
    model: String,
    /// Before its session began: it is of one that was forgotten.
    at_ms: i64,
}

/// The session of one request.
#[derive(Debug, Clone)]
pub struct Asking {
    sharing: Sharing,
    ttl: Duration,
    id: String,
    model: String,
    created_ms: i64,
    bound: Option<Bound>,
}

/// What binds a session when its exchange ends well.
#[derive(Debug)]
pub struct Binding {
    asking: Asking,
    provider: String,
    model: String,
}

/// The id of a request's session, if it names one that is heeded.
pub fn id_of(headers: &Headers) -> Option<&str> {
    let id = headers.get("x-session-id")?;
    (!id.is_empty() && id.len() <= LONGEST_ID).then_some(id)
}

impl Sharing {
    /// A session as it is for a request that asks for `model`.
    pub async fn ask(&self, id: &str, model: &str, ttl: Duration) -> Asking {
        let names = [session_name(id), bound_name(id, model), forgotten_name(id)];
        let mut values = self.state().many(&names).await.into_iter();
        let session: Option<Session> = values.next().flatten().and_then(|value| read(&value));
        let bound: Option<Bound> = values.next().flatten().and_then(|value| read(&value));
        let forgotten_ms = values
            .next()
            .flatten()
            .and_then(|value| read::<i64>(&value));
        let session = session.filter(|session| session.conversation_id == id);
        let created_ms = session.as_ref().map(|session| session.created_ms);
        Asking {
            sharing: self.clone(),
            ttl,
            id: id.to_owned(),
            model: model.to_owned(),
            bound: bound.filter(|bound| {
                let is_of_it = created_ms.is_some_and(|from| from <= bound.at_ms);
                is_of_it && forgotten_ms.is_none_or(|forgotten| forgotten < bound.at_ms)
            }),
            created_ms: created_ms.unwrap_or_else(|| self.now_ms()),
        }
    }

    /// A session as it was used last; `None` where none is known.
    pub async fn session(&self, id: &str) -> Option<Session> {
        let value = self.state().get(&session_name(id)).await?;
        read(&value).filter(|session: &Session| session.conversation_id == id)
    }

    /// Forgets a session with all its targets, and says whether there was one. `ttl`: how long a target is bound.
    pub async fn forget_session(&self, id: &str, ttl: Duration) -> bool {
        let now_ms = self.now_ms();
        let is_forgotten = self.state().delete(&session_name(id)).await;
        // A request that runs meanwhile brings the session back, and may bring its own target alone.
        if is_forgotten && let Ok(value) = serde_json::to_vec(&now_ms) {
            let name = forgotten_name(id);
            self.state().set(&name, Bytes::from(value), ttl).await;
        }
        is_forgotten
    }

    fn now_ms(&self) -> i64 {
        self.clock().wall_us().div_euclid(1000)
    }
}

impl Asking {
    /// The provider and model that the session is bound to.
    pub fn bound(&self) -> Option<(&str, &str)> {
        let bound = self.bound.as_ref()?;
        Some((&bound.provider, &bound.model))
    }

    /// What binds it to this target.
    pub fn to(&self, provider: &str, model: &str) -> Binding {
        Binding {
            asking: self.clone(),
            provider: provider.to_owned(),
            model: model.to_owned(),
        }
    }
}

impl Binding {
    /// Binds where the exchange ended well, or its first content had come.
    pub(super) fn closed(self, closed: &Closed) {
        let is_answered = match closed.outcome {
            Outcome::Ok => true,
            Outcome::UpstreamError | Outcome::UpstreamTimeout | Outcome::UpstreamTruncated => false,
            _ => closed.times.first_token_ms.is_some(),
        };
        if is_answered {
            self.bind();
        }
    }

    /// Binds. Its time begins anew; nobody waits.
    pub fn bind(self) {
        let Asking {
            sharing,
            ttl,
            id,
            model: logical_model,
            created_ms,
            ..
        } = self.asking;
        let now_ms = sharing.now_ms();
        let (session_name, bound_name) = (session_name(&id), bound_name(&id, &logical_model));
        let bound = Bound {
            provider: self.provider.clone(),
            model: self.model.clone(),
            at_ms: now_ms,
        };
        let session = Session {
            conversation_id: id,
            logical_model,
            provider_id: self.provider,
            model_id: self.model,
            created_ms: created_ms.min(now_ms),
            accessed_ms: now_ms,
        };
        for (name, value) in [
            (bound_name, serde_json::to_vec(&bound)),
            (session_name, serde_json::to_vec(&session)),
        ] {
            if let Ok(value) = value {
                sharing.state().tell(&name, Bytes::from(value), ttl);
            }
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

fn session_name(id: &str) -> String {
    format!("session/{}", hashed(&[id]))
}

fn bound_name(id: &str, model: &str) -> String {
    format!("bound/{}", hashed(&[id, model]))
}

/// When a session was forgotten last: what was bound until then is of no use.
fn forgotten_name(id: &str) -> String {
    format!("forgotten/{}", hashed(&[id]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;
    use crate::clock::Clock;
    use crate::shared_state::Memory;

    const TTL: Duration = Duration::from_secs(60);

    struct Place {
        sharing: Sharing,
        clock: Clock,
    }

    impl Place {
        fn new() -> Self {
            let clock = Clock::manual(1_700_000_000_000_000);
            let memory = Arc::new(Memory::new(clock.clone()));
            let sharing = Sharing::new(memory, clock.clone());
            Self { sharing, clock }
        }

        fn ask(&self, id: &str, model: &str) -> Asking {
            let asked = self.sharing.ask(id, model, TTL).now_or_never();
            asked.expect("memory does not wait")
        }

        fn bound(&self, id: &str, model: &str) -> Option<String> {
            let asking = self.ask(id, model);
            let bound = asking.bound();
            bound.map(|(provider, model)| format!("{provider}/{model}"))
        }

        fn session(&self, id: &str) -> Option<Session> {
            let session = self.sharing.session(id).now_or_never();
            session.expect("memory does not wait")
        }
    }

    #[test]
    fn each_model_of_a_session_has_its_target() {
        let place = Place::new();
        place.ask("s", "fast").to("a", "m1").bind();
        place.ask("s", "slow").to("b", "m2").bind();
        for (id, model, expected) in [
            ("s", "fast", Some("a/m1")),
            ("s", "slow", Some("b/m2")),
            ("s", "other", None),
            ("t", "fast", None),
        ] {
            let bound = place.bound(id, model);
            assert_eq!(bound.as_deref(), expected, "{id} {model}");
        }
        let session = place.session("s").expect("a session");
        assert_eq!(
            (&*session.logical_model, &*session.provider_id),
            ("slow", "b")
        );
    }

    #[test]
    fn use_renews_the_time() {
        let place = Place::new();
        let created_ms = 1_700_000_000_000;
        for minute in 0..3 {
            place.ask("s", "m").to("a", "m").bind();
            let session = place.session("s").expect("a session");
            let expected = (created_ms, created_ms + minute * 59_000);
            assert_eq!((session.created_ms, session.accessed_ms), expected);
            place.clock.advance(Duration::from_secs(59));
        }
        place.clock.advance(Duration::from_secs(1));
        assert_eq!((place.bound("s", "m"), place.session("s")), (None, None));
    }

    #[test]
    fn what_is_forgotten_does_not_come_back_with_the_next_one_of_that_name() {
        let place = Place::new();
        place.ask("s", "m").to("a", "m").bind();
        let forget = || place.sharing.forget_session("s", TTL).now_or_never();
        assert_eq!((forget(), forget()), (Some(true), Some(false)));
        assert_eq!(place.bound("s", "m"), None);
        place.clock.advance(Duration::from_secs(1));
        place.ask("s", "other").to("b", "n").bind();
        assert_eq!(place.bound("s", "m"), None);
        assert_eq!(place.bound("s", "other").as_deref(), Some("b/n"));
    }

    #[test]
    fn a_request_that_ran_while_its_session_was_forgotten_binds_itself_alone() {
        let place = Place::new();
        place.ask("s", "m").to("a", "m").bind();
        let running = place.ask("s", "other").to("b", "n");
        place.clock.advance(Duration::from_secs(1));
        let forgotten = place.sharing.forget_session("s", TTL).now_or_never();
        assert_eq!(forgotten, Some(true));
        place.clock.advance(Duration::from_secs(1));
        running.bind();
        assert_eq!(place.bound("s", "m"), None);
        assert_eq!(place.bound("s", "other").as_deref(), Some("b/n"));
    }

    #[test]
    fn f92_a_session_goes_on_when_the_wall_clock_is_set() {
        for by_s in [3_600, -3_600, -1_700_000_000] {
            let place = Place::new();
            place.ask("s", "m").to("a", "m").bind();
            place.clock.jump(by_s * 1_000_000);
            assert_eq!(place.bound("s", "m").as_deref(), Some("a/m"), "{by_s}");
            place.ask("s", "m").to("b", "n").bind();
            assert_eq!(place.bound("s", "m").as_deref(), Some("b/n"), "{by_s}");
            place.clock.advance(TTL);
            assert_eq!(place.bound("s", "m"), None, "{by_s}");
        }
    }

    #[test]
    fn only_who_answered_is_bound_to() {
        for (outcome, first_token_ms, expected) in [
            (Outcome::Ok, None, true),
            (Outcome::ClientDisconnected, Some(3.0), true),
            (Outcome::ClientDisconnected, None, false),
            (Outcome::FilterBlocked, None, false),
            (Outcome::UpstreamTruncated, Some(3.0), false),
            (Outcome::UpstreamError, None, false),
        ] {
            let place = Place::new();
            let mut closed = Closed::new(outcome, 200);
            closed.times.first_token_ms = first_token_ms;
            place.ask("s", "m").to("a", "m").closed(&closed);
            let is_bound = place.bound("s", "m").is_some();
            assert_eq!(is_bound, expected, "{outcome:?}");
        }
    }

    #[test]
    fn ids_are_short() {
        let longest = "x".repeat(LONGEST_ID);
        let longer = "x".repeat(LONGEST_ID + 1);
        for (id, expected) in [
            ("s", Some("s")),
            ("", None),
            (&*longest, Some(&*longest)),
            (&*longer, None),
        ] {
            let headers = Headers::from_pairs([("x-session-id", id.as_bytes())]);
            assert_eq!(id_of(&headers), expected);
        }
    }

    #[test]
    fn names_tell_pairs_apart() {
        assert_ne!(bound_name("ab", "c"), bound_name("a", "bc"));
        assert_ne!(session_name("a"), bound_name("a", ""));
    }
}
