//! One exchange, from the checked request to the answer: the steps in the order in which they happen.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::access_log::guard::RecordGuard;
use crate::access_log::redact;
use crate::filter::{self, ChainRun, Dialect, Endpoint, Headers, LlmResponse, Outcome};
use crate::pipeline::attempt;
use crate::pipeline::attempts::{Answered, answered};
use crate::pipeline::failure::Failure;
use crate::pipeline::link::ClientLink;
use crate::pipeline::plan::{Asked, body_model, check, follow_model, read_head, route};
use crate::pipeline::reply::{
    AnswerTo, Reply, ReplyBody, ReplyHeaders, note_headers, own_headers, refuse,
};
use crate::pipeline::{Worker, answer, filtering, models, openai_at_google};
use crate::routing::target::{Route, Target};
use crate::upstream::provider::{Place, Provider};
use crate::upstream::transport::BodyStream;
use crate::wire::aws_event_stream;
use crate::wire::bedrock::InvokeForm;
use crate::wire::gemini::{array, asks_for_events};

/// An accepted request, its body read or flowing.
pub struct Exchange {
    /// Its record, not begun yet.
    pub guard: RecordGuard,
    /// Its client.
    pub link: ClientLink,
    /// Our id, as text.
    pub request_id: String,
    /// Which API.
    pub endpoint: Endpoint,
    /// Whose API.
    pub dialect: Dialect,
    /// The deployment or, of Gemini's API, the model that the path names, which decides about the model.
    pub deployment: Option<String>,
    /// Whether its body had another form than its path's, so that the client's key is of another dialect.
    pub is_other_form: bool,
    /// HTTP method.
    pub method: String,
    /// The provider that the path names.
    pub provider: Option<String>,
    /// The raw path behind the version, beginning with a slash.
    pub rest: String,
    /// The raw query with its question mark, or nothing.
    pub query: String,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// The client's headers.
    pub headers: Headers,
    /// What follows the head.
    pub body: Body,
    /// Whether the body is another than the client's: a filter changed it, or its form was another.
    pub is_changed: bool,
    /// Whether a body that flows has been taken by a try.
    pub has_flown: bool,
}

impl Exchange {
    /// Where a provider takes it, for this model. `rest`: the path as that provider is asked for it.
    pub fn url_at(&self, provider: &Provider, model: Option<&str>, rest: &str) -> String {
        provider.url(&Place {
            rest,
            query: &self.query,
            model,
            dialect: self.dialect,
        })
    }
}

/// A request's body.
pub enum Body {
    /// No body.
    None,
    /// Read whole.
    Whole(Bytes),
    /// Not JSON: flows through, with the client's `Content-Length`.
    Flowing(BodyStream, Option<u64>),
}

/// Runs it. The answer's body may go on after this returns; the record is closed with the body.
pub async fn run(mut exchange: Exchange, worker: &Rc<Worker>) -> Reply {
    let mut asked = match check(&mut exchange) {
        Ok(asked) => asked,
        Err(failure) => return refused(exchange, &failure, worker),
    };
    if asked.stream == Some(true) && !worker.streams.has_room() {
        return refused(exchange, &Failure::Overloaded, worker);
    }
    let mut filters =
        worker
            .filters
            .begin(&exchange, asked.model.as_deref(), asked.user.as_deref());
    if let Some(run) = &mut filters {
        let before = body_model(&exchange);
        let outcome = Box::pin(filtering::request(run, &mut exchange)).await;
        match outcome {
            Ok(filtering::Asked::Unchanged) => {}
            Ok(filtering::Asked::Changed) => {
                follow_model(&mut exchange, before);
                match read_head(&exchange) {
                    Ok(changed) => asked = changed,
                    Err(failure) => {
                        filtering::note(run, &mut exchange.guard);
                        return refused(exchange, &failure, worker);
                    }
                }
            }
            Ok(filtering::Asked::Answered {
                by,
                response,
                invoke_form,
            }) => {
                filtering::note(run, &mut exchange.guard);
                return answered_by_filter(exchange, &asked, by, &response, invoke_form, worker);
            }
            Err(failure) => {
                filtering::note(run, &mut exchange.guard);
                return refused(exchange, &failure, worker);
            }
        }
    }
    openai_at_google::leave(&mut exchange, asked.model.as_deref(), worker);
    if let Some(wanted) = models::own_list(&exchange, worker) {
        return Box::pin(models::merged_list(wanted, exchange, filters, worker)).await;
    }
    match route(&exchange, &asked, worker) {
        Ok(route) => carry_out(exchange, asked, &route, filters, worker).await,
        Err(failure) => {
            if let Some(run) = &filters {
                filtering::note(run, &mut exchange.guard);
            }
            refused(exchange, &failure, worker)
        }
    }
}

fn refused(exchange: Exchange, failure: &Failure, worker: &Worker) -> Reply {
    refuse(
        exchange.guard,
        failure,
        &exchange.request_id,
        worker.form.as_ref(),
    )
}

/// Gives a filter's answer in the client's own form.
fn answered_by_filter(
    exchange: Exchange,
    asked: &Asked,
    by: String,
    response: &LlmResponse,
    invoke_form: InvokeForm,
    worker: &Worker,
) -> Reply {
    let Exchange {
        mut guard,
        request_id,
        endpoint,
        query,
        ..
    } = exchange;
    let to = AnswerTo {
        endpoint,
        request_id: &request_id,
        created_s: worker.clock.wall_us() / 1_000_000,
        stream: asked.stream.unwrap_or(false),
        with_usage: asked.has_include_usage,
        invoke_form,
    };
    let (body, is_stream) = filtering::answer_body(worker.form.as_ref(), response, &to);
    let as_array = is_stream && endpoint == Endpoint::GenerateContent && !asks_for_events(&query);
    let (body, is_stream) = match as_array {
        true => (array::of_events(&body), false),
        false => (body, is_stream),
    };
    let mut headers = ReplyHeaders::of_type(match (is_stream, endpoint) {
        (true, Endpoint::BedrockInvoke | Endpoint::BedrockConverse) => {
            aws_event_stream::CONTENT_TYPE
        }
        (true, Endpoint::ArgoChat) => "text/plain; charset=utf-8",
        (true, _) => "text/event-stream; charset=utf-8",
        (false, _) => "application/json",
    });
    note_headers(&mut guard, &headers);
    let read_at = guard.read_at();
    guard.worked(read_at.elapsed());
    let closed = guard.closed_mut();
    closed.filtered_by = Some(by);
    closed.status_code = response.status();
    closed.response_complete = Some(true);
    closed.response_is_stream = is_stream;
    let now = Instant::now();
    match is_stream {
        true => guard.stream_piece(body.clone(), now),
        false => guard.response_piece(body.clone()),
    }
    guard.first_byte(now);
    guard.end(Outcome::FilterAnswered);
    headers.extend(own_headers(&mut guard));
    guard.finish();
    Reply {
        status: response.status(),
        headers,
        body: ReplyBody::Whole(body),
        close: false,
    }
}

/// Reads a body that flows: what is signed is signed with its body.
async fn hold_body(exchange: &mut Exchange, worker: &Worker) -> Result<(), Failure> {
    let Body::Flowing(stream, _) = &mut exchange.body else {
        return Ok(());
    };
    let limit = worker.settings.max_body_bytes;
    let mut held = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| attempt::broken_body(error.kind()))?;
        if limit < held.len() + piece.len() {
            return Err(Failure::BodyTooLarge {
                limit: limit as u64,
            });
        }
        held.extend_from_slice(&piece);
    }
    let held = held.freeze();
    exchange.guard.request_body(held.clone());
    exchange.body = Body::Whole(held);
    Ok(())
}

/// Whether one of the targets is asked with the client's own credentials.
fn passes_credentials(exchange: &Exchange, route: &Route, worker: &Worker) -> bool {
    let passes =
        |target: &Target| !worker.providers[target.provider].has_key() && !target.is_translated;
    !exchange.is_other_form && route.targets.iter().any(passes)
}

async fn carry_out(
    mut exchange: Exchange,
    head: Asked,
    route: &Route,
    mut filters: Option<ChainRun>,
    worker: &Rc<Worker>,
) -> Reply {
    if passes_credentials(&exchange, route, worker) {
        // They may come back.
        for value in redact::credentials_in_query(&exchange.query) {
            exchange.guard.add_secret(value.as_bytes());
        }
        for (name, value) in exchange.headers.iter() {
            if redact::is_credential_header(name) {
                exchange.guard.add_secret(value);
            }
        }
    }
    let mut targets = route.targets.iter();
    let signs = targets.any(|target| worker.providers[target.provider].signs());
    let held = match signs {
        true => hold_body(&mut exchange, worker).await,
        false => Ok(()),
    };
    if held.is_ok() {
        exchange.guard.begin();
        let before = Instant::now();
        let read_at = exchange.guard.read_at();
        exchange.guard.worked(before.duration_since(read_at));
    }
    let answered = match held {
        Ok(()) => Box::pin(answered(&mut exchange, &head, route, worker)).await,
        Err(failure) => Err(failure),
    };
    let answered = match answered {
        Ok(answered) => answered,
        Err(failure) => {
            if let Some(run) = &filters {
                filtering::note(run, &mut exchange.guard);
            }
            return refused(exchange, &failure, worker);
        }
    };
    let Answered {
        provider,
        model,
        asked,
        reply,
        kept,
    } = answered;
    let provider = &worker.providers[provider];
    if let Some(run) = &mut filters {
        let target = filter::Target {
            provider: provider.name.clone(),
            model: model.unwrap_or_default(),
        };
        let deadline = exchange.guard.started() + asked.timeouts.total;
        run.set_target(target, exchange.guard.closed_mut().attempts, deadline);
    }
    let (guard, link) = (exchange.guard, exchange.link);
    match reply {
        Ok(reply) => answer::answer(worker, provider, asked, reply, filters, guard, link).await,
        Err(failure) => {
            let id = &asked.request_id;
            answer::unanswered(worker, &failure, id, kept, filters.as_ref(), guard)
        }
    }
}
