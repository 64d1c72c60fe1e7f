//! The data port's own paths: what this is, whether it lives, whether it can serve.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use serde_json::json;

use crate::pipeline::link::Stage;
use crate::server::state::DataState;

/// `GET /`, `/v1/docs`.
pub fn about() -> HttpResponse<BoxBody> {
    json_answer(
        StatusCode::OK,
        &json!({
            "name": "aiproxy",
            "about": "the flight recorder for LLM traffic",
            "version": env!("CARGO_PKG_VERSION"),
            "use": "point a client's base URL here: OpenAI's at /v1, all others' (Azure, Anthropic, Gemini, Bedrock) at /",
        }),
    )
}

/// `GET /health`, `/healthz`, `/livez`.
pub fn health() -> HttpResponse<BoxBody> {
    json_answer(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `GET /version`.
pub fn version() -> HttpResponse<BoxBody> {
    json_answer(
        StatusCode::OK,
        &json!({ "version": env!("CARGO_PKG_VERSION") }),
    )
}

/// `GET /v1/status`, by which clients of Argo's proxy look whether it lives: an answer in OpenAI's shape, as they know it,
/// for which no model was asked.
pub fn status(state: &DataState) -> HttpResponse<BoxBody> {
    let message =
        json!({ "role": "assistant", "content": "Hello! aiproxy is alive; no model was asked." });
    json_answer(
        StatusCode::OK,
        &json!({
            "status": "ok",
            "id": "status",
            "object": "chat.completion",
            "created": state.worker.clock.wall_us() / 1_000_000,
            "model": "none",
            "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
        }),
    )
}

/// `GET /readyz`: 503 only when requests cannot be served. A log store that is away is a field, not a reason.
pub fn ready(state: &DataState) -> HttpResponse<BoxBody> {
    let draining = state.worker.lifecycle.stage() != Stage::Running;
    let accepts = state.worker.recorder.accepts();
    let ready = !draining && accepts;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_answer(
        status,
        &json!({
            "ready": ready,
            "draining": draining,
            "records_accepted": accepts,
            "log_store_up": state.log.stats().db_up,
        }),
    )
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> HttpResponse<BoxBody> {
    HttpResponse::build(status).json(body)
}
