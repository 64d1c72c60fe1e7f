//! `/routing/sessions/{id}`: where a session is bound to.

use serde_json::{Value, json};

use crate::pipeline::failure::Failure;
use crate::server::manage::shown::epoch_s;
use crate::server::state::DataState;

/// `GET /routing/sessions/{id}`: the binding that was used last.
pub(super) async fn one(state: &DataState, id: &str) -> Result<Value, Failure> {
    let session = state.worker.sharing.session(id).await;
    let session = session.ok_or_else(|| unknown(id))?;
    Ok(json!({
        "conversation_id": session.conversation_id,
        "logical_model": session.logical_model,
        "provider_id": session.provider_id,
        "model_id": session.model_id,
        "created_at": epoch_s(session.created_ms.saturating_mul(1_000)),
        "last_accessed": epoch_s(session.accessed_ms.saturating_mul(1_000)),
        // Messages are not counted; those on record are at `/context/{id}`.
        "message_count": null,
    }))
}

/// `DELETE /routing/sessions/{id}`.
pub(super) async fn forget(state: &DataState, id: &str) -> Result<(), Failure> {
    let worker = &state.worker;
    let ttl = worker.routing.settings.session_ttl;
    match worker.sharing.forget_session(id, ttl).await {
        true => Ok(()),
        false => Err(unknown(id)),
    }
}

fn unknown(id: &str) -> Failure {
    Failure::NoSuch {
        what: "session",
        name: id.to_owned(),
    }
}
