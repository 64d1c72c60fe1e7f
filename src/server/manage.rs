//! What clients may ask us about providers, models and choices. Answered from what is known at this moment: nobody is asked for
//! it, nothing changes by it but that a session may be forgotten, and it leaves no row. Until there are keys, all clients are one party and see the same.

mod catalog;
mod context;
mod decide;
mod logical;
mod providers;
mod sessions;
mod shown;
mod upstreams;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;

use crate::filter::Dialect;
use crate::pipeline::failure::Failure;
use crate::server::routes::Unserved;
use crate::server::state::DataState;
use crate::server::{credentials, ingest, target};
use crate::wire::percent;

pub use catalog::KeptAnswer;
pub use context::Histories;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manage {
    /// `GET /v1/endpoints`.
    Endpoints,
    /// `GET /v1/models_detailed`.
    ModelsDetailed,
    /// `GET /providers`.
    Providers,
    /// `GET /providers/{id}`.
    Provider(String),
    /// `GET /providers/{id}/models`.
    ProviderModels(String),
    /// `GET /providers/{id}/health`.
    ProviderHealth(String),
    /// `GET /providers/{id}/metrics`.
    ProviderMetrics(String),
    /// `GET /logical-models`.
    LogicalModels,
    /// `GET /logical-models/{id}` and `GET /logical-models/{id}/upstreams`: all behind the first segment.
    LogicalModel(String),
    /// `POST /routing/decide`.
    Decide,
    /// `GET /routing/sessions/{id}`.
    Session(String),
    /// `DELETE /routing/sessions/{id}`.
    ForgetSession(String),
    /// `GET /context/{session_id}`.
    Context(String),
}

/// Longest body of a question, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Methods, as in `Allow`.
const GET: &str = "GET, HEAD";

const POST: &str = "POST";

const GET_OR_DELETE: &str = "GET, HEAD, DELETE";

/// Whether a path is of this module, by its first segment and what is behind it.
pub fn is_ours(first: &str, behind: &str) -> bool {
    match first {
        "v1" => matches!(behind, "/endpoints" | "/models_detailed"),
        "providers" | "logical-models" | "routing" | "context" => true,
        _ => false,
    }
}

/// Finds what a path asks.
///
/// # Errors
/// [`Unserved`] with a 404 or 405, without a row.
pub fn find(method: &str, path: &str) -> Result<Manage, Unserved> {
    let unserved = |failure| Unserved {
        failure,
        recorded: false,
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let name = |piece: &str| percent::decoded(piece).ok_or(unserved(Failure::UnknownPath));
    let (manage, methods) = match segments.as_slice() {
        ["v1", "endpoints"] => (Manage::Endpoints, GET),
        ["v1", "models_detailed"] => (Manage::ModelsDetailed, GET),
        ["providers"] => (Manage::Providers, GET),
        ["providers", id] => (Manage::Provider(name(id)?), GET),
        ["providers", id, "models"] => (Manage::ProviderModels(name(id)?), GET),
        ["providers", id, "health"] => (Manage::ProviderHealth(name(id)?), GET),
        ["providers", id, "metrics"] => (Manage::ProviderMetrics(name(id)?), GET),
        ["logical-models"] => (Manage::LogicalModels, GET),
        ["logical-models", rest @ ..] => (Manage::LogicalModel(name(&rest.join("/"))?), GET),
        ["routing", "decide"] => (Manage::Decide, POST),
        ["routing", "sessions", id] if method == "DELETE" => {
            (Manage::ForgetSession(name(id)?), GET_OR_DELETE)
        }
        ["routing", "sessions", id] => (Manage::Session(name(id)?), GET_OR_DELETE),
        ["context", id] => (Manage::Context(name(id)?), GET),
        _ => return Err(unserved(Failure::UnknownPath)),
    };
    match methods.split(", ").any(|known| known == method) {
        true => Ok(manage),
        false => Err(unserved(Failure::MethodNotAllowed {
            allow: Some(methods),
        })),
    }
}

/// Answers it.
///
/// # Errors
/// [`Failure`] where there is no such thing, or the request cannot be understood.
pub async fn answer(
    manage: Manage,
    request: &HttpRequest,
    payload: Payload,
    state: &DataState,
) -> Result<HttpResponse<BoxBody>, Failure> {
    let query = request.uri().query().unwrap_or_default();
    target::check_path(request.path(), query.len())?;
    ingest::check_head(request)?;
    credentials::check(Dialect::Openai, &ingest::headers(request), query)?;
    let body = match manage {
        Manage::Endpoints => catalog::endpoints(state),
        Manage::ModelsDetailed => return Ok(written(catalog::models_detailed(state))),
        Manage::Providers => providers::all(state),
        Manage::Provider(id) => providers::one(state, &id)?,
        Manage::ProviderModels(id) => providers::models(state, &id)?,
        Manage::ProviderHealth(id) => providers::health(state, &id)?,
        Manage::ProviderMetrics(id) => providers::metrics(state, &id, query)?,
        Manage::LogicalModels => logical::all(state),
        Manage::LogicalModel(rest) => logical::one(state, &rest)?,
        Manage::Decide => decide::decide(state, &read(payload, state).await?).await?,
        Manage::Session(id) => sessions::one(state, &id).await?,
        Manage::ForgetSession(id) => {
            sessions::forget(state, &id).await?;
            return Ok(HttpResponse::NoContent().finish());
        }
        Manage::Context(id) => context::one(state, &id, query).await?,
    };
    Ok(json_answer(&body))
}

fn json_answer(body: &Value) -> HttpResponse<BoxBody> {
    HttpResponse::Ok().json(body)
}

/// An answer that is JSON already.
fn written(json: Bytes) -> HttpResponse<BoxBody> {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(json)
}

/// Reads the body of a question.
async fn read(mut payload: Payload, state: &DataState) -> Result<BytesMut, Failure> {
    let mut body = BytesMut::new();
    let limits = state.body_limits;
    let whole = async {
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|error| match error {
                PayloadError::Incomplete(_) | PayloadError::Io(_) => Failure::ClientGone,
                _ => Failure::BodyBroken,
            })?;
            body.extend_from_slice(&piece);
            if MOST_BYTES < body.len() {
                let limit = MOST_BYTES as u64;
                return Err(Failure::BodyTooLarge { limit });
            }
        }
        Ok(())
    };
    match tokio::time::timeout(limits.idle.min(limits.total), whole).await {
        Ok(read) => read.map(|()| body),
        Err(_) => Err(Failure::BodyTimeout),
    }
}
