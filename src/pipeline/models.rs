//! Lists of models that no provider gives as they are: of several providers their lists in one, in the order of the
//! configuration; of one whose list has a shape of its own that list in OpenAI's, or the one model of it that is asked for.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::filter::{ChainRun, Dialect, Endpoint, Outcome};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::blame::blame_for;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{Reply, ReplyBody, ReplyHeaders, note_headers, own_headers, refuse};
use crate::pipeline::{Worker, collected, filtering, translation};
use crate::routing::choose;
use crate::upstream::provider::Provider;
use crate::wire::listed_model::ListedModel;
pub use crate::wire::percent::decoded as percent_decoded;

/// A list of models, or one of it, that we put together.
pub struct OwnList {
    /// The indices of the providers that are asked.
    providers: Vec<usize>,
    /// The one model that is asked for.
    model: Option<String>,
}

/// What is put together here of what an exchange asks for: the lists of several providers, and whatever is asked of one
/// whose list has a shape of its own. `None`: the provider's answer is the client's.
pub fn own_list(exchange: &Exchange, worker: &Worker) -> Option<OwnList> {
    let lists_otherwise =
        |index: &usize| has_listing_for(&worker.providers[*index], exchange.dialect);
    let named = exchange.provider.as_deref();
    let chosen = |model: Option<&str>| {
        let dialect = exchange.dialect;
        let target = choose(
            &worker.providers,
            named,
            model,
            dialect,
            Some(Endpoint::ChatCompletions),
        )
        .ok()?;
        lists_otherwise(&target.provider).then_some(target)
    };
    // Names with slashes are written with and without their escapes.
    let model = exchange.rest.strip_prefix("/models/");
    let model = model.filter(|model| exchange.method == "GET" && !model.is_empty());
    if let Some(model) = model.and_then(percent_decoded) {
        let target = chosen(Some(&model))?;
        return Some(OwnList {
            providers: vec![target.provider],
            model: Some(target.model.unwrap_or(model)),
        });
    }
    if exchange.endpoint != Endpoint::Models || exchange.rest != "/models" {
        return None;
    }
    let providers: Vec<usize> = match named {
        Some(_) => vec![chosen(None)?.provider],
        None => {
            let all = worker.providers.iter().enumerate();
            all.filter(|(_, provider)| lists(provider, exchange.dialect))
                .map(|(index, _)| index)
                .collect()
        }
    };
    let is_own = 1 < providers.len() || providers.iter().any(lists_otherwise);
    is_own.then_some(OwnList {
        providers,
        model: None,
    })
}

/// Whether clients of a dialect understand a provider's list.
fn lists(provider: &Provider, dialect: Dialect) -> bool {
    provider.speaks(dialect) || has_listing_for(provider, dialect)
}

/// Whether a provider's list has a shape of its own, which is put into OpenAI's for clients of that.
fn has_listing_for(provider: &Provider, dialect: Dialect) -> bool {
    let is_reached =
        provider.speaks(dialect) || provider.generation(Endpoint::ChatCompletions).is_some();
    matches!(dialect, Dialect::Openai | Dialect::Azure)
        && provider.quirks.listing.is_some()
        && is_reached
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
    let mut list = MergedList::default();
    let mut last_failure = None;
    let is_of_all = 1 < wanted.providers.len();
    for index in wanted.providers {
        match one_list(&mut exchange, index, worker, !is_of_all).await {
            Ok(body) => list.add(&body, &worker.providers[index]),
            Err(failure) => last_failure = Some(failure),
        }
    }
    exchange.guard.upstream_ends(Instant::now());
    let is_one = wanted.model.is_some();
    let found = match wanted.model {
        None => Ok(()),
        Some(model) => list.keep(model),
    };
    let failure = last_failure
        .filter(|_| list.entries.is_empty())
        .or(found.err());
    if let Some(failure) = failure {
        return refuse(
            exchange.guard,
            &failure,
            &exchange.request_id,
            worker.form.as_ref(),
        );
    }
    let mut guard = exchange.guard;
    let body = list.into_body(is_one);
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

/// A provider's list in the client's format.
async fn one_list(
    exchange: &mut Exchange,
    index: usize,
    worker: &Worker,
    is_alone: bool,
) -> Result<Bytes, Failure> {
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
        status @ (401 | 403) if provider.key.is_some() => {
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
    let Some(listing) = listing else {
        return Ok(body);
    };
    if is_alone {
        guard.upstream_response_piece(body.clone());
    }
    match (listing.read)(&body) {
        Ok(models) => Ok(list_of(models.iter().map(ListedModel::to_json))),
        Err(error) => {
            let failure = translation::untold(error, provider, guard.secrets());
            blame_for(&failure, guard);
            Err(failure)
        }
    }
}

/// OpenAI's list of these entries.
fn list_of(entries: impl Iterator<Item = String>) -> Bytes {
    let entries: Vec<String> = entries.collect();
    let entries = entries.join(",");
    Bytes::from(format!(r#"{{"object":"list","data":[{entries}]}}"#))
}

/// Entries as the providers wrote them; of two with one id, the first.
#[derive(Default)]
struct MergedList {
    entries: Vec<Box<RawValue>>,
    ids: HashSet<String>,
}

#[derive(serde::Deserialize)]
struct List {
    data: Vec<Box<RawValue>>,
}

#[derive(serde::Deserialize)]
struct Entry {
    id: String,
}

impl MergedList {
    fn add(&mut self, body: &[u8], provider: &Provider) {
        let Ok(list) = serde_json::from_slice::<List>(body) else {
            return;
        };
        for entry in list.data {
            let Ok(Entry { id }) = serde_json::from_str(entry.get()) else {
                continue;
            };
            if provider.takes(&id) && self.ids.insert(id) {
                self.entries.push(entry);
            }
        }
    }

    /// Keeps the one model that is asked for.
    fn keep(&mut self, model: String) -> Result<(), Failure> {
        let is_it = |entry: &RawValue| {
            let read = serde_json::from_str::<Entry>(entry.get());
            read.is_ok_and(|read| read.id == model)
        };
        self.entries.retain(|entry| is_it(entry));
        match self.entries.is_empty() {
            true => Err(Failure::UnknownModel { model }),
            false => Ok(()),
        }
    }

    fn into_body(self, is_one: bool) -> Bytes {
        let mut entries = self.entries.iter().map(|entry| entry.get().to_owned());
        match entries.next().filter(|_| is_one) {
            Some(only) => Bytes::from(only),
            None => list_of(self.entries.iter().map(|entry| entry.get().to_owned())),
        }
    }
}
