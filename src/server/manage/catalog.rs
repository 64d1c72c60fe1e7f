//! What models there are: of one provider, of each endpoint, and of all with what they run on.

use std::cell::RefCell;
use std::collections::HashSet;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::mask_url;
use crate::server::state::DataState;
use crate::upstream::discovery::Snapshot;
use crate::upstream::provider::Provider;
use crate::wire::found::Found;

/// What models of providers run on that are asked by an API and say no more.
const API: &str = "API";

/// What models of nodes run on that do not say.
const UNKNOWN: &str = "Unknown";

/// An answer that is long to put together, kept while the lists that it was made of stand. It belongs to one configuration.
#[derive(Debug, Default)]
pub struct KeptAnswer(RefCell<Option<(u64, Bytes)>>);

/// A model of a provider.
struct Model {
    /// What clients ask for.
    name: String,
    /// What the provider calls it.
    own_name: String,
    /// What its list says of it; `None` for one that only the configuration names.
    found: Option<Found>,
}

// === impl KeptAnswer ===

impl KeptAnswer {
    /// The answer for lists of this version.
    fn of(&self, version: u64, make: impl FnOnce() -> Value) -> Bytes {
        let known = self.0.borrow().clone();
        match known.filter(|(of, _)| *of == version) {
            Some((_, answer)) => answer,
            None => {
                let answer = Bytes::from(make().to_string());
                self.0.replace(Some((version, answer.clone())));
                answer
            }
        }
    }
}

/// Those that the configuration names, in its order, then those of the provider's list.
fn models_of(state: &DataState, snapshot: &Snapshot, index: usize) -> Vec<Model> {
    let provider = &state.worker.providers[index];
    let known = snapshot.of(index);
    let listed = provider.list.iter().map(|name| Model {
        name: name.clone(),
        own_name: name.clone(),
        found: known.and_then(|known| known.find(name)).cloned(),
    });
    let found = known.into_iter().flat_map(|known| {
        known.models.iter().map(|model| Model {
            name: known.name_of(model),
            own_name: model.id.clone(),
            found: Some(model.clone()),
        })
    });
    let mut seen = HashSet::new();
    let all = listed.chain(found).filter(|model| {
        let is_denied = provider.denies(&model.name) || provider.denies(&model.own_name);
        !is_denied && seen.insert(model.name.clone())
    });
    all.collect()
}

fn device(provider: &Provider, found: Option<&Found>) -> String {
    let said = found.and_then(|found| found.device.clone());
    let has_nodes = provider.api.kind == "ocf";
    said.unwrap_or_else(|| if has_nodes { UNKNOWN } else { API }.to_owned())
}

/// `GET /providers/{id}/models`.
pub(super) fn of_provider(state: &DataState, index: usize) -> Value {
    let provider = &state.worker.providers[index];
    let routing = &state.worker.routing;
    let snapshot = routing.snapshot();
    let models: Vec<Value> = models_of(state, &snapshot, index)
        .iter()
        .map(|model| {
            let found = model.found.as_ref();
            json!({
                "id": model.name,
                "model_id": model.own_name,
                "provider_id": provider.name,
                "object": "model",
                "created": found.and_then(|found| found.created_s),
                "owned_by": found.and_then(|found| found.owned_by.as_deref()),
                "device": device(provider, found),
                "nodes": found.filter(|found| found.device.is_some()).map(|found| found.nodes),
                "source": if found.is_some() { "discovered" } else { "listed" },
                "context_length": null,
                "capabilities": null,
                "pricing": routing.price_of(&model.own_name),
            })
        })
        .collect();
    let known = snapshot.of(index);
    let fetched_us = known.and_then(|known| known.fetched_at_us);
    json!({
        "total": models.len(),
        "models": models,
        "patterns": patterns(provider),
        "fetched_at": fetched_us.map(|at_us| at_us as f64 / 1e6),
        "is_stale": known.map(|known| known.is_stale),
        "error": known.and_then(|known| known.error.as_deref()),
    })
}

fn patterns(provider: &Provider) -> Vec<&str> {
    provider.allow.iter().map(|glob| glob.as_str()).collect()
}

/// `GET /v1/endpoints`, as AI Proxy's users know it: each endpoint with its models.
pub(super) fn endpoints(state: &DataState) -> Value {
    let snapshot = state.worker.routing.snapshot();
    let providers = state.worker.providers.iter().enumerate();
    let endpoints = providers.map(|(index, provider)| {
        let models = models_of(state, &snapshot, index).into_iter();
        json!({
            "url": mask_url(&provider.base_url),
            "type": provider.api.kind,
            "name": provider.name,
            "models": models.map(|model| model.name).collect::<Vec<_>>(),
            "patterns": patterns(provider),
        })
    });
    json!({ "object": "list", "data": endpoints.collect::<Vec<_>>() })
}

/// `GET /v1/models_detailed`, as AI Proxy's users know it: OpenAI's list, and what each model runs on. A model of several
/// providers stands there once for each.
pub(super) fn models_detailed(state: &DataState) -> Bytes {
    let snapshot = state.worker.routing.snapshot();
    let kept = &state.models_detailed;
    kept.of(snapshot.version, || detailed(state, &snapshot))
}

fn detailed(state: &DataState, snapshot: &Snapshot) -> Value {
    let mut entries = Vec::new();
    for (index, provider) in state.worker.providers.iter().enumerate() {
        for model in models_of(state, snapshot, index) {
            let found = model.found.as_ref();
            let owner = found.and_then(|found| found.owned_by.as_deref());
            entries.push(json!({
                "id": model.name,
                "object": "model",
                "created": found.and_then(|found| found.created_s).unwrap_or(0),
                "owned_by": owner.unwrap_or(&provider.name),
                "device": device(provider, found),
                "provider": provider.name,
                "nodes": found.filter(|found| found.device.is_some()).map(|found| found.nodes),
            }));
        }
    }
    for model in state.worker.routing.logical_models() {
        let mut devices: Vec<String> = Vec::new();
        for target in &model.targets {
            let mut providers = state.worker.providers.iter();
            let index = providers.position(|provider| provider.name == target.provider);
            let known = index.map(|index| {
                let found = snapshot
                    .of(index)
                    .and_then(|known| known.find(&target.model));
                device(&state.worker.providers[index], found)
            });
            devices.extend(known.filter(|known| !devices.contains(known)));
        }
        entries.push(json!({
            "id": model.name,
            "object": "model",
            "created": 0,
            "owned_by": "aiproxy",
            "device": devices.join(", "),
            "provider": null,
            "nodes": null,
        }));
    }
    json!({ "object": "list", "data": entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_once_for_a_version() {
        let kept = KeptAnswer::default();
        for (version, made, expected) in
            [(1, "a", "a"), (1, "b", "a"), (2, "c", "c"), (1, "d", "d")]
        {
            let answer = kept.of(version, || json!({ "made": made }));
            let expected = json!({ "made": expected }).to_string();
            assert_eq!(answer, expected, "{version} {made}");
        }
    }
}
