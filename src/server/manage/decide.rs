//! `POST /routing/decide`: who would be asked for a model now, and why, without asking anybody.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Strategy;
use crate::filter::{Endpoint, Headers};
use crate::pipeline::failure::Failure;
use crate::pipeline::prefix::prefix;
use crate::pipeline::sessions::{self, Asking};
use crate::routing::candidates::Facts;
use crate::routing::explain::{Explained, Judged, Passed, explain};
use crate::server::manage::shown::{self, Now, rounded};
use crate::server::manage::upstreams::{self, Found};
use crate::server::state::DataState;
use crate::wire::json_check;

/// What is asked.
#[derive(Debug)]
struct Question {
    model: String,
    session: Option<String>,
    user: Option<String>,
    region: Option<String>,
    strategy: Option<Strategy>,
    excluded: Vec<String>,
    headers: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    prompt_bytes: u64,
    endpoint: Option<Endpoint>,
}

/// The members that are a request's prompt, as its own body has them, and what each may be. Their spelling decides, so they are
/// read from the question's bytes as they are from a request's.
const PROMPT: &[(&str, IsPrompt, &str)] = &[
    ("messages", Value::is_array, "expected a list"),
    ("contents", Value::is_array, "expected a list"),
    ("prompt", is_text_or_list, "expected a text or a list"),
    ("input", is_text_or_list, "expected a text or a list"),
    ("system", is_text_or_list, "expected a text or a list"),
    ("instructions", Value::is_string, "expected a text"),
    ("systemInstruction", Value::is_object, "expected an object"),
    ("system_instruction", Value::is_object, "expected an object"),
];

type IsPrompt = fn(&Value) -> bool;

fn is_text_or_list(value: &Value) -> bool {
    value.is_string() || value.is_array()
}

/// Longest time that a client is told to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Answers a question in this body.
pub(super) async fn decide(state: &DataState, body: &[u8]) -> Result<Value, Failure> {
    let question = Question::read(body)?;
    let started = state.worker.clock.now();
    let routing = &state.worker.routing;
    let found = upstreams::find(state, &question.model, question.endpoint)?;
    let headers = question.headers();
    let preferred = &*routing.settings.preferred_region;
    let session = sessions::id_of(&headers).filter(|_| found.route.is_sticky);
    let asking = match session {
        Some(id) => {
            let ttl = routing.settings.session_ttl;
            let sharing = &state.worker.sharing;
            Some(sharing.ask(id, &question.model, ttl).await)
        }
        None => None,
    };
    let region = question.region.as_deref().unwrap_or(preferred);
    let bound = asking.as_ref().and_then(Asking::bound);
    let has_affinity = found.route.has_prefix_affinity && bound.is_none();
    let asked = found.route.logical.as_deref().unwrap_or(&question.model);
    let facts = Facts {
        headers: &headers,
        tags: &question.tags,
        prompt_bytes: question.prompt_bytes,
        region: Some(region).filter(|region| !region.is_empty()),
        excluded: &question.excluded,
        bound,
        prefix: has_affinity.then(|| prefix(asked, body)).flatten(),
    };
    let now = Now::of(state);
    let explained = explain(
        routing,
        &found.route,
        &facts,
        question.strategy,
        now.instant,
    );
    let told = Told {
        state,
        question: &question,
        found: &found,
        explained: &explained,
        now: &now,
    };
    let Some(first) = explained.asked().next() else {
        return Err(told.nobody());
    };
    let others = explained.asked().skip(1);
    let took = state.worker.clock.now().saturating_duration_since(started);
    Ok(json!({
        "logical_model": question.model,
        "selected_upstream": told.upstream(first),
        "decision_time": rounded(took.as_secs_f64() * 1_000.0),
        "reasoning": told.reasoning(first, facts.region),
        "alternative_upstreams": others.map(|judged| told.upstream(judged)).collect::<Vec<_>>(),
        "strategy_used": explained.strategy.word(),
        "all_candidates": told.candidates(),
        "left_out": told.left_out(),
        "endpoint": found.endpoint.as_str(),
    }))
}

// === impl Question ===

impl Question {
    fn read(body: &[u8]) -> Result<Self, Failure> {
        json_check::check(body, json_check::MAX_KEYS)?;
        let object: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| Failure::InvalidJson {
                reason: error.to_string(),
            })?;
        let strategy = text(&object, "strategy")?.map(|word| {
            let found = Strategy::of_word(&word);
            found.ok_or_else(|| one_of("strategy", &Strategy::words()))
        });
        let endpoint = text(&object, "endpoint")?.map(|word| {
            let found = upstreams::call(&word);
            found.ok_or_else(|| one_of("endpoint", &upstreams::calls()))
        });
        for (name, is_right, reason) in PROMPT {
            if present(&object, name).is_some_and(|value| !is_right(value)) {
                return Err(bad(name, reason));
            }
        }
        let model = text(&object, "logical_model")?.filter(|model| !model.is_empty());
        let prompt_bytes = match present(&object, "prompt_bytes") {
            None => 0,
            Some(value) => value
                .as_u64()
                .ok_or_else(|| bad("prompt_bytes", "expected a number of bytes"))?,
        };
        Ok(Self {
            model: model.ok_or_else(|| bad("logical_model", "expected the name of a model"))?,
            session: text(&object, "conversation_id")?,
            user: text(&object, "user_id")?,
            region: text(&object, "preferred_region")?,
            strategy: strategy.transpose()?,
            excluded: texts(&object, "exclude_providers")?,
            headers: pairs(&object, "headers")?,
            tags: pairs(&object, "tags")?,
            prompt_bytes,
            endpoint: endpoint.transpose()?,
        })
    }

    /// The headers of the request that is asked about: who asks and in which session are two of them.
    fn headers(&self) -> Headers {
        let named = |name: &'static str, value: &Option<String>| {
            value.as_ref().map(|value| (name.to_owned(), value.clone()))
        };
        let own = [
            named("x-session-id", &self.session),
            named("x-aiproxy-user", &self.user),
        ];
        let own: Vec<_> = own.into_iter().flatten().collect();
        let given = self.headers.iter();
        let given = given.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        // What is asked by a name of its own goes before a header that says the same.
        let is_own = |name: &str| own.iter().any(|(own, _)| own == name);
        let given: Vec<_> = given.filter(|(name, _)| !is_own(name)).collect();
        Headers::from_pairs(given.into_iter().chain(own))
    }
}

/// A member that is there and not null.
fn present<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn text(object: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Failure> {
    let value = present(object, name).map(|value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| bad(name, "expected a text"))
    });
    value.transpose()
}

fn texts(object: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, Failure> {
    let wrong = || bad(name, "expected a list of texts");
    let Some(value) = present(object, name) else {
        return Ok(Vec::new());
    };
    let values = value.as_array().ok_or_else(wrong)?.iter();
    let texts = values.map(|value| value.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(wrong)
}

fn pairs(
    object: &Map<String, Value>,
    name: &'static str,
) -> Result<Vec<(String, String)>, Failure> {
    let wrong = || bad(name, "expected an object with texts");
    let Some(value) = present(object, name) else {
        return Ok(Vec::new());
    };
    let members = value.as_object().ok_or_else(wrong)?.iter();
    let pairs = members.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    pairs.collect::<Option<_>>().ok_or_else(wrong)
}

fn bad(name: &'static str, reason: &str) -> Failure {
    Failure::BadMember {
        name,
        reason: reason.to_owned(),
    }
}

fn one_of(name: &'static str, words: &[&str]) -> Failure {
    bad(name, &format!("expected one of {}", words.join(", ")))
}

/// What is known of an answer while it is written.
struct Told<'a> {
    state: &'a DataState,
    question: &'a Question,
    found: &'a Found,
    explained: &'a Explained,
    now: &'a Now,
}

// === impl Told ===

impl Told<'_> {
    fn upstream(&self, judged: &Judged) -> Value {
        upstreams::shown(self.state, self.found, judged.index, &self.question.model)
    }

    /// Provider and model, for a sentence.
    fn name(&self, judged: &Judged) -> (&str, &str) {
        let target = &self.found.route.targets[judged.index];
        let provider = &self.state.worker.providers[target.provider];
        let model = target.model.as_deref();
        (&provider.name, model.unwrap_or(&self.question.model))
    }

    /// Those that are for the request, as they would be tried, and what stands in the way of some of them.
    fn candidates(&self) -> Vec<Value> {
        let eligible = self.explained.targets.iter();
        let eligible = eligible.filter_map(|judged| Some((judged, judged.share?)));
        eligible
            .map(|(judged, share)| {
                let (provider, _) = self.name(judged);
                let target = &self.found.route.targets[judged.index];
                let asked = &self.question.model;
                json!({
                    "upstream": self.upstream(judged),
                    "score": rounded(share),
                    "metrics": shown::metrics(self.now, asked, provider, &target.state),
                    "keys": judged.keys.iter().map(shown::key).collect::<Vec<_>>(),
                    "skipped": judged.passed.map(|passed| passed.word),
                })
            })
            .collect()
    }

    fn left_out(&self) -> Vec<Value> {
        let left_out = self.explained.left_out();
        left_out
            .map(|(judged, passed)| {
                let lasts = passed.lasts.map(|lasts| rounded(lasts.as_secs_f64()));
                json!({
                    "upstream": self.upstream(judged),
                    "reason": passed.word,
                    "for_s": lasts,
                })
            })
            .collect()
    }

    /// Why this one, in a sentence for people.
    fn reasoning(&self, first: &Judged, region: Option<&str>) -> String {
        let (provider, model) = self.name(first);
        let asked = self.explained.asked().count();
        let mut text = format!("'{model}' of the provider '{provider}' would be asked first");
        let target = &self.found.route.targets[first.index];
        let is_near = region.is_some() && target.region.as_deref() == region;
        let why = match asked {
            1 => ": nobody else stands".to_owned(),
            _ if self.explained.is_bound => ": the session is bound to it".to_owned(),
            _ if self.explained.is_alike => ": prompts that begin so go to it".to_owned(),
            others => format!(
                " of {others} that stand, by the strategy {} and its turn: its score is {}",
                self.explained.strategy.word(),
                rounded(first.share.unwrap_or_default()),
            ),
        };
        text.push_str(&why);
        if is_near && 1 < asked {
            text.push_str("; its region is preferred");
        }
        for (judged, passed) in self.explained.left_out() {
            // Writing to a text cannot fail.
            let _written = write!(text, "; {}", self.sentence(judged, passed));
        }
        text
    }

    /// Why one is left out, for a sentence.
    fn sentence(&self, judged: &Judged, passed: Passed) -> String {
        let (provider, model) = self.name(judged);
        let lasts = passed.lasts.map(|lasts| lasts.as_secs_f64().ceil());
        let lasts = lasts.map_or_else(String::new, |left_s| format!(" for {left_s} s"));
        format!(
            "'{model}' of '{provider}' is left out ({}{lasts})",
            passed.word
        )
    }

    fn nobody(&self) -> Failure {
        let left_out = self.explained.left_out();
        let waits = self.explained.left_out();
        let soonest = waits.filter_map(|(_, passed)| passed.lasts).min();
        let seconds = soonest.map(|wait| wait.min(LONGEST_WAIT).as_secs_f64().ceil());
        Failure::NoCandidate {
            left_out: left_out
                .map(|(judged, passed)| self.sentence(judged, passed))
                .collect(),
            retry_after_s: seconds.map(|seconds| (seconds as u32).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_of_its_own_goes_before_a_header() {
        let headers = r#""headers":{"X-Session-Id":"h","x-aiproxy-user":"h","x-other":"h"}"#;
        for (own, session, user) in [
            ("", "h", "h"),
            (r#""conversation_id":"c","#, "c", "h"),
            (r#""user_id":"u","#, "h", "u"),
        ] {
            let body = format!(r#"{{"logical_model":"m",{own}{headers}}}"#);
            let question = Question::read(body.as_bytes()).expect("a question");
            let headers = question.headers();
            let got = ["x-session-id", "x-aiproxy-user", "x-other"].map(|name| headers.get(name));
            assert_eq!(got, [Some(session), Some(user), Some("h")], "{body}");
        }
    }
}
