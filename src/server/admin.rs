//! The admin port: metrics and management, on a listener and a thread of its own.
//!
//! On loopback its `Host` must be one of ours, so that a web page that points its own name there reads nothing (DNS
//! rebinding); with a token configured, which is needed beyond loopback, everything but `/health` asks for it.

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpRequest, HttpResponse, dev::ServiceRequest, web};
use serde_json::json;

use crate::config::Secret;
use crate::pipeline::failure::Failure;
use crate::pipeline::replay::{Replays, Speed};
use crate::server::config_reload::{self, ReloadNow};
use crate::server::metrics::{self, Sources};
use crate::server::{about, error, target};

/// What the admin port needs.
#[derive(Clone)]
pub struct AdminState {
    /// For `/metrics`.
    pub sources: Sources,
    /// For replays.
    pub replays: Replays,
    /// Reads the configuration anew.
    pub reload: ReloadNow,
    /// Asked for as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// What callers may write as its `Host`.
    pub hosts: Hosts,
}

/// By which names the admin port may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// On loopback: by loopback's names, and by the one that is configured.
    Loopback(String),
    /// Beyond it: by names that we cannot know. The token, which is needed there, is what keeps web pages out.
    Any,
}

/// Names of this machine for itself.
const LOOPBACK_HOSTS: &[&str] = &["localhost", "127.0.0.1", "[::1]"];

/// Puts the routes into an application.
pub fn configure(state: AdminState) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::new(state)).service(
            web::scope("")
                .wrap(from_fn(guard))
                .route("/health", web::get().to(async || about::health()))
                .route("/health", web::head().to(async || about::health()))
                .route("/metrics", web::get().to(metrics_text))
                .route("/metrics", web::head().to(metrics_text))
                .route("/api/exchanges/{id}/replay", web::get().to(replay))
                .route("/api/config/reload", web::post().to(reload))
                .route("/api/config/reload", web::route().to(only_post))
                .default_service(web::to(not_found)),
        );
    }
}

async fn guard(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let refusal = request
        .app_data::<web::Data<AdminState>>()
        .and_then(|state| refusal(state, &request));
    match refusal {
        Some(response) => Ok(request.into_response(response)),
        None => next.call(request).await,
    }
}

fn refusal(state: &AdminState, request: &ServiceRequest) -> Option<HttpResponse> {
    let headers = request.headers();
    if let Some(response) = foreign_host(headers, &state.hosts) {
        return Some(response);
    }
    let token = state.token.as_ref()?;
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let good = request.path() == "/health" || same(given, token.expose());
    (!good).then(|| refuse(StatusCode::UNAUTHORIZED, "the admin token is needed"))
}

/// What is answered to a request whose `Host` is none of these; `None` when it is one.
pub(super) fn foreign_host(headers: &HeaderMap, hosts: &Hosts) -> Option<HttpResponse> {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    let is_ours = is_ours(host.unwrap_or_default(), hosts);
    (!is_ours).then(|| refuse(StatusCode::FORBIDDEN, "this Host is not served here"))
}

/// Compares digests, so that the time tells nothing of the token.
fn same(given: &str, token: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(given) == Sha256::digest(token)
}

fn is_ours(host: &str, hosts: &Hosts) -> bool {
    let Hosts::Loopback(ours) = hosts else {
        return !host.is_empty() && target::check_host(host.as_bytes()).is_ok();
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let mut known = LOOPBACK_HOSTS.iter().copied().chain([ours.as_str()]);
    known.any(|known| known.eq_ignore_ascii_case(name))
}

fn refuse(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": { "message": message } }))
}

async fn not_found() -> HttpResponse {
    refuse(StatusCode::NOT_FOUND, "nothing is served at this path")
}

async fn only_post() -> HttpResponse {
    let mut response = refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "this method is not served here",
    );
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn metrics_text(state: web::Data<AdminState>) -> HttpResponse {
    match metrics::render(&state.sources) {
        Ok(text) => HttpResponse::Ok()
            .content_type(metrics::CONTENT_TYPE)
            .body(text),
        Err(_) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        ),
    }
}

async fn reload(request: HttpRequest, state: web::Data<AdminState>) -> HttpResponse {
    // Pages of others can send it from a browser, though not read its answer.
    if is_of_another_page(&request) {
        return refuse(
            StatusCode::FORBIDDEN,
            "pages of other origins may not ask for this",
        );
    }
    config_reload::answer(&(state.reload)().await)
}

fn is_of_another_page(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    let origin = header("origin").map(|origin| match memchr::memmem::find(origin, b"://") {
        Some(at) => origin.get(at + 3..).unwrap_or_default(),
        None => origin,
    });
    origin.is_some_and(|origin| Some(origin) != header("host"))
}

#[derive(serde::Deserialize)]
struct ReplayQuery {
    speed: Option<String>,
}

async fn replay(
    request: HttpRequest,
    state: web::Data<AdminState>,
    id: web::Path<String>,
    query: web::Query<ReplayQuery>,
) -> HttpResponse {
    let answer = async {
        let speed = Speed::parse(query.speed.as_deref())?;
        state.replays.find(&id).await.map(|stored| (stored, speed))
    };
    match answer.await {
        Ok((stored, speed)) => inert(super::data::encode(stored.into_reply(speed))),
        Err(failure) => failed(&failure, request.path()),
    }
}

/// A recorded page must not act as one of ours, should somebody open it in a browser.
fn inert(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

fn failed(failure: &Failure, path: &str) -> HttpResponse {
    let reply = error::reply(failure);
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .json(json!({ "error": { "message": reply.message, "code": reply.code }, "path": path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s18_only_our_own_names_are_hosts() {
        let hosts = Hosts::Loopback("proxy.example".to_owned());
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost:8001",
            "127.0.0.1:1",
            "[::1]:8001",
            "PROXY.example:80",
        ] {
            assert!(is_ours(host, &hosts), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8001",
            "x@localhost",
        ] {
            assert!(!is_ours(host, &hosts), "{host}");
        }
    }

    #[test]
    fn s18_beyond_loopback_every_name_that_is_one_will_do() {
        for (host, expected) in [
            ("proxy.example:8001", true),
            ("10.0.0.5", true),
            ("[fd00::5]:8001", true),
            ("", false),
            ("x/#@proxy.example", false),
        ] {
            assert_eq!(is_ours(host, &Hosts::Any), expected, "{host}");
        }
    }
}
