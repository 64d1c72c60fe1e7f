//! What clients may ask us about providers, models and choices. Answered from what is known at this moment: nobody is asked for
//! it, nothing changes by it, and it leaves no row. Until there are keys, all clients are one party and see the same.

mod context;
mod providers;
mod sessions;
mod shown;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use crate::pipeline::failure::Failure;
use crate::server::routes::Unserved;
use crate::server::state::DataState;
use crate::wire::percent;

pub use context::Histories;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manage {
    /// `GET /providers`.
    Providers,
    /// `GET /providers/{id}`.
    Provider(String),
    /// `GET /routing/sessions/{id}`.
    Session(String),
    /// `DELETE /routing/sessions/{id}`.
    ForgetSession(String),
    /// `GET /context/{session_id}`.
    Context(String),
}

/// Whether a path is of this module, by its first segment and what is behind it.
pub fn is_ours(first: &str, _behind: &str) -> bool {
    matches!(first, "providers" | "routing" | "context")
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
    let (manage, methods): (Manage, &[&str]) = match segments.as_slice() {
        ["providers"] => (Manage::Providers, GET),
        ["providers", id] => (Manage::Provider(name(id)?), GET),
        ["routing", "sessions", id] if method == "DELETE" => {
            (Manage::ForgetSession(name(id)?), &["DELETE"])
        }
        ["routing", "sessions", id] => (Manage::Session(name(id)?), GET),
        ["context", id] => (Manage::Context(name(id)?), GET),
        _ => return Err(unserved(Failure::UnknownPath)),
    };
    match methods.contains(&method) {
        true => Ok(manage),
        false => Err(unserved(Failure::MethodNotAllowed)),
    }
}

const GET: &[&str] = &["GET", "HEAD"];

/// Answers it.
///
/// # Errors
/// [`Failure`] where there is no such thing, or the request cannot be understood.
pub async fn answer(
    manage: Manage,
    request: &HttpRequest,
    _payload: Payload,
    state: &DataState,
) -> Result<HttpResponse<BoxBody>, Failure> {
    match manage {
        Manage::Providers => Ok(json_answer(&providers::all(state))),
        Manage::Provider(id) => providers::one(state, &id).map(|body| json_answer(&body)),
        Manage::Session(id) => {
            let session = sessions::one(state, &id).await;
            session.map(|body| json_answer(&body))
        }
        Manage::ForgetSession(id) => {
            let forgotten = sessions::forget(state, &id).await;
            forgotten.map(|()| HttpResponse::NoContent().finish())
        }
        Manage::Context(id) => {
            let page = context::one(state, &id, request.uri().query().unwrap_or_default()).await;
            page.map(|body| json_answer(&body))
        }
    }
}

fn json_answer(body: &Value) -> HttpResponse<BoxBody> {
    HttpResponse::Ok().json(body)
}
