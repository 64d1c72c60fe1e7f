//! `/providers`: who answers, what they have, and how they do, as far as their traffic shows it.

use serde_json::{Value, json};

use crate::config::{Glob, mask_url};
use crate::pipeline::failure::Failure;
use crate::routing::breaker::BreakerState;
use crate::routing::figures::Status;
use crate::routing::key_pool::{KeyState, KeyTrouble};
use crate::server::manage::shown::{self, Now};
use crate::server::manage::{catalog, upstreams};
use crate::server::state::DataState;
use crate::upstream::provider::Provider;
use crate::wire::percent;

/// `GET /providers`.
pub(super) fn all(state: &DataState) -> Value {
    let now = Now::of(state);
    let count = state.worker.providers.len();
    let shown: Vec<Value> = (0..count).map(|index| shown(state, index, &now)).collect();
    json!({ "providers": shown, "total": count })
}

/// `GET /providers/{id}`.
pub(super) fn one(state: &DataState, id: &str) -> Result<Value, Failure> {
    Ok(shown(state, index_of(state, id)?, &Now::of(state)))
}

/// The index of a provider.
fn index_of(state: &DataState, id: &str) -> Result<usize, Failure> {
    let mut providers = state.worker.providers.iter();
    let found = providers.position(|provider| provider.name == id);
    found.ok_or_else(|| Failure::NoSuch {
        what: "provider",
        name: id.to_owned(),
    })
}

/// A provider as its configuration has it, without what opens it.
fn shown(state: &DataState, index: usize, now: &Now) -> Value {
    let routing = &state.worker.routing;
    let provider = &state.worker.providers[index];
    let (status, _) = health_of(state, index, now);
    let keys = routing.pool(index).states(now.instant);
    let retried = match provider.retry_statuses.is_empty() {
        true => &routing.settings.retry_statuses,
        false => &provider.retry_statuses,
    };
    let globs = |globs: &[Glob]| -> Vec<String> {
        globs.iter().map(|glob| glob.as_str().to_owned()).collect()
    };
    let header_names = provider.headers.iter().map(|(name, _)| name.as_str());
    let last_seen = routing.provider_state(index).figures.count(now.instant);
    json!({
        "id": provider.name,
        "name": provider.name,
        "kind": provider.api.kind,
        "dialects": dialects(provider),
        "base_url": mask_url(&provider.base_url),
        "transport": "http",
        "weight": provider.weight,
        "region": provider.region.as_deref(),
        "retryable_status_codes": retried,
        "custom_headers": header_names.collect::<Vec<_>>(),
        "static_models": provider.list,
        "allow": globs(&provider.allow),
        "deny": globs(&provider.deny),
        "keys": keys.iter().map(shown::key).collect::<Vec<_>>(),
        "status": status.word(),
        "last_check": last_seen.last_seen_ago.map(|ago| now.ago(ago)),
    })
}

/// Whose clients it understands as they are.
fn dialects(provider: &Provider) -> Vec<&'static str> {
    let dialects = provider.api.dialects.iter();
    dialects.map(|dialect| dialect.as_str()).collect()
}

/// A provider in a word, and what is wrong with it.
fn health_of(state: &DataState, index: usize, now: &Now) -> (Status, Vec<String>) {
    let routing = &state.worker.routing;
    let provider = &state.worker.providers[index];
    let own = routing.provider_state(index);
    let models = routing.health.models_of(&provider.name);
    let summary = own.figures.summary(now.instant);
    let mut status = summary.status;
    let mut wrong = Vec::new();
    if Status::Healthy < summary.status {
        let percent = (summary.error_rate * 100.0).round();
        wrong.push(format!(
            "{percent} % of the attempts of the last minute failed"
        ));
    }
    let known = models.iter().map(|(model, state)| (model.as_str(), state));
    let known = known.chain([("", own)]);
    let troubled: Vec<(&str, &'static str)> = known
        .filter_map(|(model, state)| {
            let word = match state.breaker.state(now.instant) {
                BreakerState::Open { .. } | BreakerState::HalfOpen { .. } => {
                    "cannot be reached: its circuit is open"
                }
                BreakerState::Closed => {
                    state.breaker.cooling_until(now.instant)?;
                    "cools down"
                }
            };
            Some((model, word))
        })
        .collect();
    if !troubled.is_empty() {
        let is_open = |model: &str| {
            let mut troubled = troubled.iter();
            troubled.any(|(known, word)| *known == model && word.contains("circuit"))
        };
        let all_models = !models.is_empty() && models.iter().all(|(model, _)| is_open(model));
        status = status.max(match is_open("") || all_models {
            true => Status::Down,
            false => Status::Degraded,
        });
        wrong.extend(troubled.iter().map(|(model, word)| match *model {
            "" => format!("the provider {word}"),
            model => format!("the model '{model}' {word}"),
        }));
    }
    let keys = routing.pool(index).states(now.instant);
    status = status.max(of_keys(&keys, &mut wrong));
    (status, wrong)
}

/// What the keys of a provider make of it.
fn of_keys(keys: &[KeyState], wrong: &mut Vec<String>) -> Status {
    let used: Vec<&KeyState> = keys.iter().filter(|key| 0.0 < key.weight).collect();
    let cooling = used.iter().filter_map(|key| {
        let (left, why) = key.cooling?;
        Some((&key.name, left, why))
    });
    let cooling: Vec<_> = cooling.collect();
    wrong.extend(cooling.iter().map(|(name, left, why)| {
        let left_s = left.as_secs_f64().ceil();
        let what = match why {
            KeyTrouble::RateLimited { .. } => "is over its rate",
            KeyTrouble::Refused => "was refused",
        };
        format!("the key '{name}' {what} and cools down for {left_s} s")
    }));
    let refused = cooling
        .iter()
        .filter(|(_, _, why)| *why == KeyTrouble::Refused);
    match (used.len(), refused.count(), cooling.len()) {
        (0, _, _) | (_, _, 0) => Status::Unknown,
        (all, refused, _) if all == refused => Status::Down,
        _ => Status::Degraded,
    }
}

/// `GET /providers/{id}/models`.
pub(super) fn models(state: &DataState, id: &str) -> Result<Value, Failure> {
    Ok(catalog::of_provider(state, index_of(state, id)?))
}

/// `GET /providers/{id}/health`.
pub(super) fn health(state: &DataState, id: &str) -> Result<Value, Failure> {
    let index = index_of(state, id)?;
    let now = Now::of(state);
    let routing = &state.worker.routing;
    let own = routing.provider_state(index);
    let (status, wrong) = health_of(state, index, &now);
    let summary = own.figures.summary(now.instant);
    let keys = routing.pool(index).states(now.instant);
    let models = routing.health.models_of(id);
    let models = models.iter().map(|(model, state)| {
        json!({
            "model_id": model,
            "status": shown::status(&now, state).word(),
            "breaker": shown::breaker(&now, &state.breaker),
        })
    });
    Ok(json!({
        "provider_id": id,
        "status": status.word(),
        "timestamp": now.epoch_s(),
        "response_time_ms": summary.average_ms.map(shown::rounded),
        "error_message": (!wrong.is_empty()).then(|| wrong.join("; ")),
        "last_successful_check": summary.last_success_ago.map(|ago| now.ago(ago)),
        "breaker": shown::breaker(&now, &own.breaker),
        "keys": keys.iter().map(shown::key).collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
    }))
}

/// `GET /providers/{id}/metrics?logical_model=`: of its targets of that model, or of all its models that were asked for.
pub(super) fn metrics(state: &DataState, id: &str, query: &str) -> Result<Value, Failure> {
    let index = index_of(state, id)?;
    let now = Now::of(state);
    let asked = query.split('&').find_map(|parameter| {
        let model = parameter.strip_prefix("logical_model=")?;
        percent::decoded(&model.replace('+', " "))
    });
    let metrics: Vec<Value> = match asked {
        None => {
            let models = state.worker.routing.health.models_of(id).into_iter();
            models
                .filter(|(_, target)| 0 < target.figures.count(now.instant).requests)
                .map(|(model, target)| shown::metrics(&now, &model, id, &target))
                .collect()
        }
        Some(model) => {
            let found = upstreams::find(state, &model, None).ok();
            let targets = found.iter().flat_map(|found| found.route.targets.iter());
            let of_this = targets.filter(|target| target.provider == index);
            of_this
                .map(|target| shown::metrics(&now, &model, id, &target.state))
                .collect()
        }
    };
    Ok(json!({ "metrics": metrics }))
}
