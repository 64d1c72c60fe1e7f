//! `/logical-models`: names of one's own, and who answers for them. A name that only providers list is one too, if it is asked
//! for by itself; the list has those of the configuration.

use serde_json::{Value, json};

use crate::config::LogicalModelConfig;
use crate::pipeline::failure::Failure;
use crate::server::manage::upstreams;
use crate::server::state::DataState;

/// `GET /logical-models`.
pub(super) fn all(state: &DataState) -> Value {
    let known = state.worker.routing.logical_models().iter();
    let models: Vec<Value> = known
        .map(|model| shown(state, &model.name, Some(model)))
        .collect();
    json!({ "total": models.len(), "models": models })
}

/// `GET /logical-models/{id}` and `GET /logical-models/{id}/upstreams`; a name may have slashes, so which of both it is
/// depends on the names that there are.
pub(super) fn one(state: &DataState, rest: &str) -> Result<Value, Failure> {
    if let Some(model) = of_name(state, rest) {
        return Ok(model);
    }
    let name = rest.strip_suffix("/upstreams");
    let model = name.and_then(|name| of_name(state, name));
    let mut model = model.ok_or_else(|| Failure::NoSuch {
        what: "logical model",
        name: name.unwrap_or(rest).to_owned(),
    })?;
    Ok(json!({ "upstreams": model["upstreams"].take() }))
}

/// A model by its name: of the configuration, or one that a provider names.
fn of_name(state: &DataState, name: &str) -> Option<Value> {
    let routing = &state.worker.routing;
    let mut known = routing.logical_models().iter();
    let configured = known.find(|model| model.name == name);
    let table = routing.table();
    let mut providers = 0..state.worker.providers.len();
    let is_known = configured.is_some() || providers.any(|provider| table.names(provider, name));
    is_known.then(|| shown(state, name, configured))
}

fn shown(state: &DataState, name: &str, configured: Option<&LogicalModelConfig>) -> Value {
    let found = upstreams::find(state, name, None).ok();
    let upstreams = found.iter().flat_map(|found| {
        let targets = 0..found.route.targets.len();
        targets.map(|index| upstreams::shown(state, found, index, name))
    });
    let upstreams: Vec<Value> = upstreams.collect();
    let strategy = found.as_ref().map(|found| found.route.strategy.word());
    let description = configured.map(|model| model.description.as_str());
    json!({
        "logical_id": name,
        "display_name": name,
        "description": description.filter(|text| !text.is_empty()),
        "capabilities": null,
        "strategy": configured.map(|model| model.strategy.word()).or(strategy),
        "sticky": configured.is_none_or(|model| model.sticky),
        "is_configured": configured.is_some(),
        "enabled": !upstreams.is_empty(),
        "updated_at": null,
        "upstreams": upstreams,
    })
}
