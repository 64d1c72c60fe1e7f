//! `GET /v1/models` with several providers: their lists in one, in the order of the configuration.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::filter::{ChainRun, Endpoint, Outcome};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::exchange::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{Reply, ReplyBody, ReplyHeaders, note_headers, own_headers, refuse};
use crate::pipeline::{Worker, collected, filtering};
use crate::upstream::provider::Provider;
pub use crate::wire::percent::decoded as percent_decoded;

/// Whether an exchange asks for the list, and there is more than one to give.
pub fn wants_merged_list(exchange: &Exchange, worker: &Worker) -> bool {
    exchange.endpoint == Endpoint::Models
        && exchange.rest == "/models"
        && exchange.provider.is_none()
        && 1 < asked(exchange, worker).count()
}

/// The providers whose lists its clients understand, with their index.
fn asked<'a>(
    exchange: &Exchange,
    worker: &'a Worker,
) -> impl Iterator<Item = (usize, &'a Provider)> + use<'a> {
    let dialect = exchange.dialect;
    let all = worker.providers.iter().enumerate();
    all.filter(move |(_, provider)| provider.speaks(dialect))
}

/// The model that a path `/models/{id}` names, percent signs resolved.
pub fn model_in_path(exchange: &Exchange) -> Option<String> {
    let id = exchange
        .rest
        .strip_prefix("/models/")
        .filter(|_| exchange.endpoint == Endpoint::Models)?;
    percent_decoded(id)
}

/// Asks every provider and gives one list. A provider that fails is left out and stands among the attempts; when
/// all fail, the last failure is the answer.
pub async fn merged_list(
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
    let providers: Vec<_> = asked(&exchange, worker).collect();
    for (index, provider) in providers {
        match one_list(&mut exchange, index, provider, worker).await {
            Ok(body) => list.add(&body, provider),
            Err(failure) => last_failure = Some(failure),
        }
    }
    exchange.guard.upstream_ends(Instant::now());
    if let (true, Some(failure)) = (list.entries.is_empty(), last_failure) {
        return refuse(
            exchange.guard,
            &failure,
            &exchange.request_id,
            worker.form.as_ref(),
        );
    }
    let mut guard = exchange.guard;
    let body = list.into_body();
    let mut headers = ReplyHeaders::of_type("application/json");
    note_headers(&mut guard, &headers);
    headers.extend(own_headers(&mut guard));
    let closed = guard.closed_mut();
    // The answer is of all of them, not of the one that was asked last.
    closed.provider = None;
    closed.provider_key = None;
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

async fn one_list(
    exchange: &mut Exchange,
    index: usize,
    provider: &Provider,
    worker: &Worker,
) -> Result<Bytes, Failure> {
    let url = exchange.url_at(provider, None);
    let call = Call {
        provider,
        method: &exchange.method,
        url: &url,
        headers: &exchange.headers,
        model: None,
        cancel_when_client_leaves: false,
        is_translated: false,
    };
    let transport = worker.transport(index);
    let (guard, link) = (&mut exchange.guard, &exchange.link);
    let reply = attempt(worker, transport, &call, CallBody::None, guard, link).await?;
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
    collected::read(reply.body, provider, exchange.guard.started(), worker)
        .await
        .map_err(|unread| unread.failure)
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

    fn into_body(self) -> Bytes {
        let entries: Vec<&str> = self.entries.iter().map(|entry| entry.get()).collect();
        Bytes::from(format!(
            r#"{{"object":"list","data":[{}]}}"#,
            entries.join(",")
        ))
    }
}
