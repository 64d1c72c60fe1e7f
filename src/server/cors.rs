//! Cross-origin requests of browsers: our own headers where origins are configured, else none.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

/// Which origins may call.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<String>,
}

impl Cors {
    /// Rules for these origins; `*` allows all.
    pub fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// Whether CORS headers are ours to give.
    pub fn is_configured(&self) -> bool {
        !self.origins.is_empty()
    }

    /// The value of `Access-Control-Allow-Origin` for this request.
    fn allowed(&self, request: &HttpRequest) -> Option<HeaderValue> {
        let origin = request.headers().get("origin")?;
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }
}

/// The answer to a preflight; `None` for every other request, and where no origins are configured.
pub fn preflight(cors: &Cors, request: &HttpRequest) -> Option<HttpResponse> {
    let is_preflight = cors.is_configured()
        && request.method() == Method::OPTIONS
        && request.headers().contains_key("origin")
        && request
            .headers()
            .contains_key("access-control-request-method");
    if !is_preflight {
        return None;
    }
    let mut response = HttpResponse::new(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    if cors.allowed(request).is_some() {
        let asked = request.headers().get("access-control-request-headers");
        put(
            headers,
            "access-control-allow-methods",
            "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD",
        );
        let allowed = asked
            .cloned()
            .unwrap_or_else(|| HeaderValue::from_static("*"));
        headers.insert(
            HeaderName::from_static("access-control-allow-headers"),
            allowed,
        );
        put(headers, "access-control-max-age", "86400");
    }
    Some(response)
}

/// Adds what an allowed origin needs to read the answer.
pub fn add_to(cors: &Cors, request: &HttpRequest, headers: &mut HeaderMap) {
    if !cors.is_configured() {
        return;
    }
    headers.append(
        HeaderName::from_static("vary"),
        HeaderValue::from_static("origin"),
    );
    if let Some(origin) = cors.allowed(request) {
        headers.insert(
            HeaderName::from_static("access-control-allow-origin"),
            origin,
        );
        put(headers, "access-control-expose-headers", "*");
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
}
