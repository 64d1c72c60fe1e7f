//! The data port: a request comes in, is read, runs through the pipeline, and the reply goes out.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{FutureExt, Stream};

use crate::access_log::guard::RecordGuard;
use crate::filter::{Dialect, Endpoint, Headers};
use crate::pipeline::exchange::{self, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::{Aborted, Generator};
use crate::pipeline::link::{ClientLink, Stage};
use crate::pipeline::replay::Speed;
use crate::pipeline::reply::{Reply, ReplyBody, ReplyHeaders, refuse};
use crate::server::client_socket::{self, FirstRequest};
use crate::server::current::CurrentState;
use crate::server::detachable::Detachable;
use crate::server::routes::{self, Route, Said};
use crate::server::state::DataState;
use crate::server::{about, admin, cors, credentials, ingest, manage, opened, target};
use crate::upstream::signing::is_signature;

/// Answers one request of the data port.
pub async fn handle(request: HttpRequest, payload: web::Payload) -> HttpResponse<BoxBody> {
    let started = Instant::now();
    let Some(current) = request.app_data::<Rc<CurrentState>>() else {
        return HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR);
    };
    // The whole request sees one configuration.
    let state = current.get();
    if let Some(first) = request.conn_data::<FirstRequest>() {
        first.has_come();
    }
    let request_id = uuid::Uuid::now_v7();
    let mut response = respond(&request, payload.into_inner(), &state, request_id, started).await;
    cors::add_to(&state.cors, &request, response.headers_mut());
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text: &str = request_id.hyphenated().encode_lower(&mut text);
    if let Ok(id) = HeaderValue::from_str(text) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-aiproxy-request-id"), id);
    }
    response
}

async fn respond(
    request: &HttpRequest,
    payload: Payload,
    state: &Rc<DataState>,
    request_id: uuid::Uuid,
    started: Instant,
) -> HttpResponse<BoxBody> {
    if let Err(failure) = check_target(request) {
        state.counts.refused_unrecorded(&failure);
        return plain_error(state, &failure, whose(request), request_id);
    }
    if let Some(preflight) = cors::preflight(&state.cors, request) {
        return preflight;
    }
    let whose = whose(request);
    let said = Said {
        method: request.method().as_str(),
        path: request.path(),
        names_anthropic: whose == Dialect::Anthropic,
        names_gemini: whose == Dialect::Gemini,
    };
    let route = routes::find(said, |name| state.is_provider(name));
    let route = route.map(|route| route.or_argo(said.method, |name| state.takes_argo(name)));
    match route {
        Ok(Route::About) => about::about(),
        Ok(Route::Health) => about::health(),
        Ok(Route::Version) => about::version(),
        Ok(Route::Status) => about::status(state),
        Ok(Route::Ready) => about::ready(state),
        Ok(Route::Manage(asked)) => {
            let hosts = state.manage_hosts.as_ref();
            let foreign = hosts.and_then(|hosts| admin::foreign_host(request.headers(), hosts));
            if let Some(refusal) = foreign {
                return refusal;
            }
            match manage::answer(asked, request, payload, state).await {
                Ok(answer) => answer,
                Err(failure) => plain_error(state, &failure, Dialect::Openai, request_id),
            }
        }
        Ok(Route::Api {
            endpoint,
            dialect,
            deployment,
            provider,
            rest,
        }) => {
            let asked = Asked {
                endpoint,
                dialect,
                deployment,
                provider,
                rest,
                failure: None,
            };
            record_and_run(request, payload, state, request_id, started, asked).await
        }
        Err(unserved) if unserved.recorded => {
            let asked = Asked {
                endpoint: Endpoint::Passthrough,
                dialect: whose,
                deployment: None,
                provider: None,
                rest: String::new(),
                failure: Some(unserved.failure),
            };
            record_and_run(request, payload, state, request_id, started, asked).await
        }
        Err(unserved) => {
            state.counts.refused_unrecorded(&unserved.failure);
            plain_error(state, &unserved.failure, whose, request_id)
        }
    }
}

/// Whose a request is by its headers, its version or its key, where its path does not say.
fn whose(request: &HttpRequest) -> Dialect {
    let has = |name: &str| request.headers().contains_key(name);
    let path = request.path();
    let is_key = |parameter: &str| parameter.starts_with("key=");
    let is_signed = || {
        let shown = request.headers().get("authorization");
        shown.is_some_and(|shown| is_signature(shown.as_bytes()))
    };
    if path.starts_with("/model/") || path.starts_with("/bedrock-claude/") || is_signed() {
        Dialect::Bedrock
    } else if has("anthropic-version") {
        Dialect::Anthropic
    } else if ["/v1beta/", "/v1alpha/"]
        .iter()
        .any(|version| path.starts_with(version))
        || has("x-goog-api-key")
        || has("x-goog-api-client")
        || request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(is_key))
    {
        Dialect::Gemini
    } else {
        Dialect::Openai
    }
}

/// What the path asks for.
struct Asked {
    endpoint: Endpoint,
    dialect: Dialect,
    deployment: Option<String>,
    provider: Option<String>,
    rest: String,
    failure: Option<Failure>,
}

fn check_target(request: &HttpRequest) -> Result<(), Failure> {
    if request.method() == actix_web::http::Method::CONNECT {
        return Err(Failure::MethodNotAllowed { allow: None });
    }
    let uri = &request.head().uri;
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(Failure::BadTarget {
            reason: "the target must be a path",
        });
    }
    if let Some(host) = request.headers().get("host") {
        target::check_host(host.as_bytes())?;
    }
    match target::check_path(uri.path(), uri.query().map_or(0, str::len)) {
        // Too long is a wrong request like others: it has a row.
        Err(Failure::TargetTooLong) | Ok(()) => Ok(()),
        Err(failure) => Err(failure),
    }
}

async fn record_and_run(
    request: &HttpRequest,
    payload: Payload,
    state: &Rc<DataState>,
    request_id: uuid::Uuid,
    started: Instant,
    asked: Asked,
) -> HttpResponse<BoxBody> {
    let headers = ingest::headers(request);
    let mut guard = RecordGuard::new(
        state.worker.recorder.clone(),
        state.worker.secrets.clone(),
        opened::opened(
            request,
            &headers,
            state,
            request_id,
            (asked.endpoint, asked.dialect),
        ),
        started,
        state.body_max_bytes,
    );
    guard.closed_mut().tags = opened::tags(&headers);
    let dialect = asked.dialect;
    let link = client_socket::link(request);
    let head_lost = guard.head_lost();
    let run = run(
        request,
        headers,
        payload,
        state.clone(),
        guard,
        link.clone(),
        asked,
        request_id,
    );
    match Detachable::new(run.boxed_local(), link, head_lost, state.clone()).await {
        Ok(reply) => encode(reply),
        Err(_) => plain_error(state, &Failure::Internal, dialect, request_id),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing the exchange is made of"
)]
fn run(
    request: &HttpRequest,
    headers: Headers,
    payload: Payload,
    state: Rc<DataState>,
    mut guard: RecordGuard,
    link: ClientLink,
    asked: Asked,
    request_id: uuid::Uuid,
) -> impl Future<Output = Reply> + use<> {
    let method = request.method().as_str().to_owned();
    let query = request
        .uri()
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let client_ip = state.client_ip(request, &headers);
    let head = match asked.failure {
        Some(failure) => Err(failure),
        None => may_run(request, &state)
            .and_then(|()| credentials::check(asked.dialect, &headers, &query)),
    };
    async move {
        let request_id = request_id.to_string();
        let body = match head {
            Ok(()) => {
                ingest::body(
                    &headers,
                    (asked.endpoint, asked.dialect),
                    payload,
                    state.body_limits,
                    &mut guard,
                )
                .await
            }
            Err(failure) => Err(failure),
        };
        let body = match body {
            Ok(body) => body,
            Err(failure) => {
                return refuse(guard, &failure, &request_id, state.worker.form.as_ref());
            }
        };
        guard.request_is_read();
        if let Some(id) = headers.get("x-aiproxy-replay") {
            return Box::pin(replay(id, &headers, &state, guard, &request_id)).await;
        }
        let exchange = Exchange {
            guard,
            link,
            request_id,
            endpoint: asked.endpoint,
            dialect: asked.dialect,
            deployment: asked.deployment,
            is_other_form: false,
            is_changed: false,
            method,
            provider: asked.provider,
            rest: asked.rest,
            query,
            client_ip,
            headers,
            body,
            has_flown: false,
        };
        exchange::run(exchange, &state.worker).await
    }
}

/// Serves a recorded answer; the request's body does not matter.
async fn replay(
    id: &str,
    headers: &Headers,
    state: &DataState,
    guard: RecordGuard,
    request_id: &str,
) -> Reply {
    let speed = Speed::parse(headers.get("x-aiproxy-replay-speed"));
    let found = match speed {
        Ok(speed) => state
            .replays
            .find(id)
            .await
            .map(|recorded| (recorded, speed)),
        Err(failure) => Err(failure),
    };
    match found {
        Ok((recorded, speed)) => recorded.into_recorded_reply(speed, guard),
        Err(failure) => refuse(guard, &failure, request_id, state.worker.form.as_ref()),
    }
}

/// Whether the server takes one more exchange with such a head.
fn may_run(request: &HttpRequest, state: &DataState) -> Result<(), Failure> {
    let uri = request.uri();
    target::check_path(uri.path(), uri.query().map_or(0, str::len))?;
    ingest::check_head(request)?;
    if state.worker.lifecycle.stage() != Stage::Running {
        return Err(Failure::ShuttingDown);
    }
    if !state.worker.recorder.accepts() {
        return Err(Failure::LogUnavailable);
    }
    Ok(())
}

/// An error without a row.
fn plain_error(
    state: &DataState,
    failure: &Failure,
    dialect: Dialect,
    request_id: uuid::Uuid,
) -> HttpResponse<BoxBody> {
    let form = &state.worker.form;
    let form = form.error(failure, dialect, &request_id.to_string());
    let mut headers = ReplyHeaders::of_type("application/json");
    headers.extend(form.headers);
    encode(Reply {
        status: form.status,
        headers,
        body: ReplyBody::Whole(form.body),
        close: form.close,
    })
}

/// An answer in actix's types.
pub fn encode(reply: Reply) -> HttpResponse<BoxBody> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = match reply.body {
        ReplyBody::Whole(bytes) => BoxBody::new(bytes),
        ReplyBody::Pieces(pieces, length) => BoxBody::new(PiecesBody { pieces, length }),
    };
    let mut response = HttpResponse::with_body(status, body);
    let upstream = reply.headers.upstream();
    let upstream = upstream.filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, value))
    });
    let own = reply.headers.own();
    let own = own.map(|(name, value)| (HeaderName::from_static(name), value));
    for (name, value) in upstream.chain(own) {
        if let Ok(value) = HeaderValue::from_maybe_shared(value)
            && value.len() <= LONGEST_HEADER_VALUE
        {
            response.headers_mut().append(name, value);
        }
    }
    if reply.close {
        response
            .head_mut()
            .set_connection_type(actix_web::http::ConnectionType::Close);
    }
    response
}

/// Longest header value that is sent, in bytes.
const LONGEST_HEADER_VALUE: usize = 8 * 1024;

/// A generator as an actix body.
struct PiecesBody {
    pieces: Generator,
    length: Option<u64>,
}

impl MessageBody for PiecesBody {
    type Error = Aborted;

    fn size(&self) -> BodySize {
        self.length.map_or(BodySize::Stream, BodySize::Sized)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.pieces).poll_next(cx)
    }
}
