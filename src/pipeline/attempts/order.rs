//! In which order the targets of an exchange are tried: what is known of its request, session and prompt goes to who orders.

use crate::pipeline::Worker;
use crate::pipeline::attempts::is_by_model;
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::plan;
use crate::pipeline::prefix::prefix;
use crate::pipeline::sessions::{self, Asking};
use crate::pipeline::wishes;
use crate::routing::candidates::{Facts, candidates};
use crate::routing::target::Route;

/// Indices of the route's targets, and the session that is to be bound to who answers.
pub(super) async fn order(
    exchange: &mut Exchange,
    head: &plan::Asked,
    route: &Route,
    worker: &Worker,
) -> (Vec<usize>, Option<Asking>) {
    let settings = &worker.routing.settings;
    let asked = route.logical.as_deref().or(head.model.as_deref());
    let asked = asked.filter(|_| is_by_model(exchange));
    let id = sessions::id_of(&exchange.headers).filter(|_| route.is_sticky);
    let asking = match (id, asked) {
        (Some(id), Some(asked)) => Some(worker.sharing.ask(id, asked, settings.session_ttl).await),
        _ => None,
    };
    let has_affinity = route.has_prefix_affinity && 1 < route.targets.len();
    let tags = exchange.guard.closed_mut().tags.clone();
    let bound = asking.as_ref().and_then(Asking::bound);
    let facts = Facts {
        headers: &exchange.headers,
        tags: &tags,
        prompt_bytes: match &exchange.body {
            Body::Whole(body) => body.len() as u64,
            Body::None | Body::Flowing(..) => 0,
        },
        region: wishes::region(&exchange.headers, settings),
        excluded: &wishes::excluded(&exchange.headers),
        bound,
        prefix: match (&exchange.body, asked) {
            (Body::Whole(body), Some(asked)) if has_affinity && bound.is_none() => {
                prefix(asked, body)
            }
            _ => None,
        },
    };
    let now = worker.clock.now();
    let order = candidates(route, &facts, &worker.providers, now, &worker.routing.dice);
    (order, asking)
}
