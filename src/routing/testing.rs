//! What the tests of routing share: what a configuration routes to, in time that stands still.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Environment, Rules, load_text};
use crate::filter::{Dialect, Endpoint};
use crate::routing::table::{Question, Reach};
use crate::routing::target::Route;
use crate::routing::{NoTarget, Routing};
use crate::upstream::discovery::Discovery;
use crate::upstream::registry;

/// The routing of a configuration.
pub(super) fn routing(yaml: &str) -> Routing {
    routing_by(yaml, &Clock::manual(0))
}

/// The same, in this clock's time.
pub(super) fn routing_by(yaml: &str, clock: &Clock) -> Routing {
    routing_after(yaml, clock, None)
}

/// The same, after that of another configuration.
pub(super) fn routing_after(yaml: &str, clock: &Clock, before: Option<&Routing>) -> Routing {
    let rules = Rules {
        filters: &(),
        built_in_columns: &[],
    };
    let config = load_text(Path::new("t.yaml"), yaml, &Environment::default(), &rules);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let providers = registry::build(&config.providers).expect("providers");
    let discovery = Discovery::configured(providers.clone(), &config);
    Routing::new(&config, providers, clock, before).with_lists(&discovery)
}

/// The targets of a chat.
pub(super) fn chat(routing: &Routing, model: Option<&str>) -> Result<Arc<Route>, NoTarget> {
    routing.table().route(Question {
        named: None,
        model,
        reach: Reach::Clients {
            dialect: Dialect::Openai,
            translatable: Some(Endpoint::ChatCompletions),
        },
    })
}

/// The targets as text: provider, the model it is asked for where that is another one, and `*` where it is translated.
pub(super) fn told(routing: &Routing, route: &Route) -> Vec<String> {
    let targets = route.targets.iter();
    targets
        .map(|target| {
            let provider = &routing.providers()[target.provider].name;
            let model = target.model.as_deref().map(|model| format!(":{model}"));
            let mark = if target.is_translated { "*" } else { "" };
            format!("{provider}{}{mark}", model.unwrap_or_default())
        })
        .collect()
}
