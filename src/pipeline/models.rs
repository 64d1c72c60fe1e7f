//! Lists of models that no provider gives as they are: of several providers, of logical models, and of the names that were
//! found or that the configuration lists, one list in the order of the configuration, in the client's form; and one model of
//! it. Who was asked in the background is not asked here, nor whose names the configuration lists.

mod own;

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::filter::{ChainRun, Endpoint, Outcome};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::blame::blame_for;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{Reply, ReplyBody, ReplyHeaders, note_headers, own_headers, refuse};
use crate::pipeline::{Worker, collected, filtering, translation};
use crate::routing::breaker::BreakerState;
use crate::routing::key_pool::Pick;
use crate::upstream::discovery::{PATIENCE, ProviderModels};
use crate::upstream::provider::{Provider, Timeouts};
use crate::wire::listed_model::ListedModel;
use crate::wire::model_list::{ModelList, whole_query};
pub use crate::wire::percent::decoded as percent_decoded;

pub use self::own::{OwnList, own_list};
use self::own::{is_asked, is_told};

/// The model that a path `/models/{id}` names, percent signs resolved.
pub fn model_in_path(exchange: &Exchange) -> Option<String> {
    let id = exchange
        .rest
        .strip_prefix("/models/")
        .filter(|_| exchange.endpoint == Endpoint::Models)?;
    percent_decoded(id)
}

/// Asks the providers and gives one list, or one model of it. A provider that fails is left out and stands among the
/// attempts; when all fail, the last failure is the answer.
pub async fn merged_list(
    wanted: OwnList,
    mut exchange: Exchange,
    filters: Option<ChainRun>,
    worker: &Rc<Worker>,
) -> Reply {
    if let Some(run) = &filters {
        filtering::note(run, &mut exchange.guard);
    }
    exchange.guard.begin();
    exchange.link.expect_whole_answer();
    let dialect = exchange.dialect;
    // What a client asks for page by page is given on one.
    exchange.query = whole_query(&exchange.query, dialect);
    let mut list = ModelList::of(dialect);
    let logical = wanted.logical.iter().map(|name| ours(name, OURSELVES));
    list.add(&logical.collect::<Vec<_>>());
    let table = worker.routing.table();
    let mut last_failure = None;
    let is_of_one = wanted.logical.is_empty() && wanted.providers.len() == 1;
    for index in wanted.providers {
        let provider = &worker.providers[index];
        let is_told = is_told(&wanted.snapshot, index, provider);
        if let Some(models) = wanted.snapshot.of(index) {
            let model = wanted.model.as_deref();
            list.add(&found(models, provider, wanted.is_bare, model));
        }
        if is_asked(provider, dialect) && !is_told {
            let listed = match is_of_one || !is_passed_over(index, worker) {
                true => one_list(&mut exchange, index, worker, is_of_one).await,
                false => Err(left_alone(provider)),
            };
            match listed {
                Ok(Listed::InForm(body)) => list.add_body(&body, |name| table.takes(index, name)),
                Ok(Listed::Read(mut models)) => {
                    models.retain(|model| table.takes(index, &model.id));
                    list.add(&models);
                }
                Err(failure) => last_failure = Some(failure),
            }
            exchange.guard.upstream_ends(Instant::now());
        }
        let listed = provider.list.iter().filter(|id| !provider.denies(id));
        let listed = listed.map(|id| ours(id, &provider.name));
        list.add(&listed.collect::<Vec<_>>());
    }
    let model = wanted.model;
    if let Some(model) = &model {
        list.keep(model);
    }
    let is_one = model.is_some();
    let unknown = model.map(|model| Failure::UnknownModel {
        model,
        nearest: Vec::new(),
    });
    let failure = last_failure.or(unknown).filter(|_| list.is_empty());
    if let Some(failure) = failure {
        return refuse(
            exchange.guard,
            &failure,
            &exchange.request_id,
            worker.form.as_ref(),
        );
    }
    let mut guard = exchange.guard;
    let body = match is_one {
        true => list.into_one(),
        false => list.into_body(),
    };
    let mut headers = ReplyHeaders::of_type("application/json");
    note_headers(&mut guard, &headers);
    headers.extend(own_headers(&mut guard));
    let closed = guard.closed_mut();
    if !is_of_one {
        // Then it is not of the one that was asked last.
        closed.provider = None;
        closed.provider_key = None;
    }
    closed.status_code = GOOD;
    closed.response_complete = Some(true);
    guard.response_piece(body.clone());
    guard.end(Outcome::Ok);
    guard.finish();
    Reply {
        status: GOOD,
        headers,
        body: ReplyBody::Whole(body),
        close: false,
    }
}

/// The status of a list that we put together.
const GOOD: u16 = 200;

/// Whose logical models are.
const OURSELVES: &str = "aiproxy";

/// A model of the configuration's.
fn ours(id: &str, owned_by: &str) -> ListedModel {
    ListedModel {
        id: id.to_owned(),
        internal_name: None,
        owned_by: owned_by.to_owned(),
        created_s: None,
    }
}

/// The models that a provider was found to have, or one of them; `is_bare`: by the names that it knows.
fn found(
    models: &ProviderModels,
    provider: &Provider,
    is_bare: bool,
    one: Option<&str>,
) -> Vec<ListedModel> {
    let named = models.models.iter().map(|found| match is_bare {
        true => (found.id.clone(), found),
        false => (models.name_of(found), found),
    });
    let wanted = named.filter(|(name, _)| one.is_none_or(|one| one == name));
    let listed = wanted.map(|(id, found)| ListedModel {
        id,
        internal_name: found.internal_name.clone(),
        owned_by: found
            .owned_by
            .clone()
            .unwrap_or_else(|| provider.name.clone()),
        created_s: found.created_s,
    });
    listed.collect()
}

/// Whether a provider is left alone: one list of several does not wait for one that nobody reaches. One that cools down answers.
fn is_passed_over(index: usize, worker: &Worker) -> bool {
    let state = worker.routing.provider_state(index);
    matches!(
        state.breaker.state(worker.clock.now()),
        BreakerState::Open { .. }
    )
}

fn left_alone(provider: &Provider) -> Failure {
    Failure::NoCandidate {
        left_out: vec![format!("'{}' is left alone for now", provider.name)],
        retry_after_s: Some(SOON_S),
    }
}

/// When a client may come again that nobody was asked for, in seconds.
const SOON_S: u32 = 10;

/// The time limits of one list: as long as one is waited for in the background, however long those before it took.
fn limits(of_provider: Timeouts, passed: Duration) -> Timeouts {
    Timeouts {
        total: of_provider.total.min(passed + PATIENCE),
        ..of_provider
    }
}

/// A provider's list.
enum Listed {
    /// In the client's form.
    InForm(Bytes),
    /// Of a shape of its own.
    Read(Vec<ListedModel>),
}

async fn one_list(
    exchange: &mut Exchange,
    index: usize,
    worker: &Worker,
    is_alone: bool,
) -> Result<Listed, Failure> {
    let provider = &worker.providers[index];
    let listing = provider.quirks.listing.as_ref();
    let (method, url, body) = match listing {
        None => (
            &*exchange.method,
            exchange.url_at(provider, None, &exchange.rest),
            "",
        ),
        Some(listing) => (
            listing.method,
            [&*provider.base_url, listing.path].concat(),
            listing.body,
        ),
    };
    let main = match provider.has_key() {
        true => match worker.routing.pool(index).main(worker.clock.now()) {
            Pick::Key(key) => key,
            // A list is worth a look with any of them.
            Pick::Cooling { .. } | Pick::Busy { .. } | Pick::Tried => 0,
        },
        false => 0,
    };
    // Another key where one is refused, each once.
    let keys = provider.keys.iter().cycle().skip(main);
    let mut keys = keys.take(provider.keys.len());
    let timeouts = limits(provider.timeouts, exchange.guard.started().elapsed());
    let mut call = Call {
        provider,
        key: keys.next(),
        method,
        url: &url,
        timeouts,
        headers: &exchange.headers,
        model: None,
        cancel_when_client_leaves: false,
        is_translated: !provider.speaks(exchange.dialect),
    };
    let body = || match body {
        "" => CallBody::None,
        body => CallBody::Whole(Bytes::from_static(body.as_bytes())),
    };
    let transport = worker.transport(index);
    let (guard, link) = (&mut exchange.guard, &exchange.link);
    let reply = loop {
        let reply = attempt(worker, transport, &call, body(), guard, link).await?;
        match keys.next() {
            Some(next) if matches!(reply.status, 401 | 403) => call.key = Some(next),
            _ => break reply,
        }
        guard.upstream_ends(Instant::now());
    };
    match reply.status {
        GOOD => {}
        300..=399 => return Err(Failure::UpstreamRedirect),
        status @ (401 | 403) if provider.has_key() => {
            return Err(Failure::UpstreamAuth { status });
        }
        status @ 400.. => return Err(Failure::UpstreamStatus { status }),
        status => {
            let detail = format!("status {status} for a list");
            return Err(Failure::UpstreamProtocol { detail });
        }
    }
    let body = collected::read(reply.body, &timeouts, guard.started(), worker)
        .await
        .map_err(|unread| unread.failure)?;
    if is_alone {
        guard.upstream_response_piece(body.clone());
    }
    let Some(listing) = listing else {
        return Ok(Listed::InForm(body));
    };
    match (listing.read)(&body) {
        Ok(models) => Ok(Listed::Read(models)),
        Err(error) => {
            let failure = translation::untold(error, provider, guard.secrets());
            blame_for(&failure, guard);
            Err(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_waited_for_as_long_as_in_the_background() {
        let seconds = Duration::from_secs;
        for (total, passed, expected) in [(600, 0, 10), (600, 30, 40), (4, 0, 4)] {
            let timeouts = Timeouts {
                connect: seconds(5),
                first_byte: seconds(300),
                idle: seconds(60),
                total: seconds(total),
            };
            let limits = limits(timeouts, seconds(passed));
            assert_eq!(limits.total, seconds(expected), "{total} {passed}");
        }
    }
}
