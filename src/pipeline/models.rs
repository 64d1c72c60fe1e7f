//! Lists of models that no provider gives as they are: of several providers, and of the names that the configuration
//! lists, one list in the order of the configuration, in the client's form; of one whose list has a shape of its own that list,
//! or the one model of it that is asked for.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use crate::filter::{ChainRun, Dialect, Endpoint, Outcome};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::blame::blame_for;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{Reply, ReplyBody, ReplyHeaders, note_headers, own_headers, refuse};
use crate::pipeline::{Worker, collected, filtering, translation};
use crate::routing::table::{Question, Reach};
use crate::upstream::provider::Provider;
use crate::wire::listed_model::ListedModel;
use crate::wire::model_list::{ModelList, whole_query};
pub use crate::wire::percent::decoded as percent_decoded;

/// A list of models, or one of it, that we put together.
pub struct OwnList {
    /// The indices of the providers whose models are in it.
    providers: Vec<usize>,
    /// The one model that is asked for.
    model: Option<String>,
}

/// What is put together here of what an exchange asks for: the lists of several providers and of the configuration, and
/// whatever is asked of one whose list has a shape of its own. `None`: the provider's answer is the client's.
pub fn own_list(exchange: &Exchange, worker: &Worker) -> Option<OwnList> {
    let dialect = exchange.dialect;
    let lists_otherwise = |index: &usize| has_listing_for(&worker.providers[*index], dialect);
    let named = exchange.provider.as_deref();
    let choose = |model: Option<&str>| {
        let table = worker.routing.table();
        let question = Question {
            named,
            model,
            reach: Reach::Clients {
                dialect,
                translatable: Some(Endpoint::ChatCompletions),
            },
        };
        Some(table.route(question).ok()?.first().clone())
    };
    if let Some(model) = one_model(exchange) {
        let target = choose(Some(&model))?;
        let provider = &worker.providers[target.provider];
        let model = target.model.unwrap_or(model);
        // Only who understands the client can be asked for one of its list.
        let is_listed = target.is_translated && provider.list.contains(&model);
        return (is_listed || lists_otherwise(&target.provider)).then(|| OwnList {
            providers: vec![target.provider],
            model: Some(model),
        });
    }
    if exchange.endpoint != Endpoint::Models || !is_list(exchange) {
        return None;
    }
    let providers: Vec<usize> = match named {
        Some(_) => vec![choose(None)?.provider],
        None => {
            let all = worker.providers.iter().enumerate();
            all.filter(|(_, provider)| has_models_for(provider, dialect))
                .map(|(index, _)| index)
                .collect()
        }
    };
    // The one provider that the client understands says itself what it has, whatever the configuration lists.
    let is_foreign = |index: &usize| named.is_none() && !worker.providers[*index].speaks(dialect);
    let is_own = 1 < providers.len()
        || providers.iter().any(lists_otherwise)
        || providers.iter().any(is_foreign);
    is_own.then_some(OwnList {
        providers,
        model: None,
    })
}

/// Whether a path is of the list; Gemini's has its version.
fn is_list(exchange: &Exchange) -> bool {
    match exchange.dialect {
        Dialect::Gemini => exchange.rest.ends_with("/models"),
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => exchange.rest == "/models",
        Dialect::Bedrock => false,
    }
}

/// The one model that is asked for.
fn one_model(exchange: &Exchange) -> Option<String> {
    match exchange.dialect {
        Dialect::Gemini if exchange.endpoint == Endpoint::Models => exchange.deployment.clone(),
        Dialect::Gemini | Dialect::Bedrock => None,
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => {
            // Names with slashes are written with and without their escapes.
            let model = exchange.rest.strip_prefix("/models/");
            let model = model.filter(|model| exchange.method == "GET" && !model.is_empty());
            model.and_then(percent_decoded)
        }
    }
}

/// Whether a provider is asked for its list: one that clients of a dialect understand, or that has a shape of its own.
fn is_asked(provider: &Provider, dialect: Dialect) -> bool {
    provider.speaks(dialect) || has_listing_for(provider, dialect)
}

/// Whether models of a provider are in the list of these clients.
fn has_models_for(provider: &Provider, dialect: Dialect) -> bool {
    is_asked(provider, dialect) || is_reached(provider, dialect) && !provider.list.is_empty()
}

/// Whether clients of a dialect can ask a provider for texts.
fn is_reached(provider: &Provider, dialect: Dialect) -> bool {
    provider.speaks(dialect) || provider.generation(Endpoint::ChatCompletions).is_some()
}

/// Whether a provider's list has a shape of its own, which is put into the clients'.
fn has_listing_for(provider: &Provider, dialect: Dialect) -> bool {
    provider.quirks.listing.is_some() && is_reached(provider, dialect)
}

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
    let table = worker.routing.table();
    let mut last_failure = None;
    let is_of_all = 1 < wanted.providers.len();
    for index in wanted.providers {
        let provider = &worker.providers[index];
        if is_asked(provider, dialect) {
            match one_list(&mut exchange, index, worker, !is_of_all).await {
                Ok(Listed::InForm(body)) => list.add_body(&body, |name| table.takes(index, name)),
                Ok(Listed::Read(mut models)) => {
                    models.retain(|model| table.takes(index, &model.id));
                    list.add(&models);
                }
                Err(failure) => last_failure = Some(failure),
            }
            exchange.guard.upstream_ends(Instant::now());
        }
        let named: Vec<ListedModel> = provider.list.iter().map(|id| named(id, provider)).collect();
        list.add(&named);
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
    if is_of_all {
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

/// A model of the configuration's.
fn named(id: &str, provider: &Provider) -> ListedModel {
    ListedModel {
        id: id.to_owned(),
        internal_name: None,
        owned_by: provider.name.clone(),
        created_s: None,
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
        None => (&*exchange.method, exchange.url_at(provider, None), ""),
        Some(listing) => (
            listing.method,
            [&*provider.base_url, listing.path].concat(),
            listing.body,
        ),
    };
    let call = Call {
        provider,
        key: provider.keys.first(),
        method,
        url: &url,
        timeouts: provider.timeouts,
        headers: &exchange.headers,
        model: None,
        cancel_when_client_leaves: false,
        is_translated: !provider.speaks(exchange.dialect),
    };
    let body = match body {
        "" => CallBody::None,
        body => CallBody::Whole(Bytes::from_static(body.as_bytes())),
    };
    let transport = worker.transport(index);
    let (guard, link) = (&mut exchange.guard, &exchange.link);
    let reply = attempt(worker, transport, &call, body, guard, link).await?;
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
    let body = collected::read(reply.body, &provider.timeouts, guard.started(), worker)
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
