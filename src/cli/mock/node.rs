//! A node of the Open Compute Framework: its table of peers, and what it says when nobody behind it answers.

use serde_json::{Value, json};

use crate::cli::mock::reply::Reply;

/// What stands before OpenAI's paths: the door to whoever serves the model.
pub(super) const SERVICE: &str = "/v1/service/llm";

/// Where the table is.
pub(super) const TABLE: &str = "/v1/dnt/table";

/// Who answers.
pub(super) const PEER: &str = "QmMockPeer";

/// The table: two peers with some models in common, one that has gone, and one that serves nothing.
pub(super) fn table() -> Reply {
    let peer = |id: &str, connected: bool, groups: &[&str]| {
        let service = json!([{ "name": "llm", "status": "connected", "host": "localhost",
            "port": "8080", "identity_group": groups,
            "hardware": { "gpus": null, "host_memory": 0 } }]);
        let gpus = json!([{ "name": "mock GPU", "total_memory": 97_871, "used_memory": 1 }]);
        json!({ "id": id, "connected": connected, "last_seen": 1_732_130_972, "service": service,
            "hardware": { "gpus": gpus, "host_memory": 0 }, "load": null })
    };
    let mut table = Value::Null;
    table[format!("/{PEER}")] = peer(PEER, true, &["model=mock", "model=acme/mock"]);
    table["/QmOther"] = peer("QmOther", true, &["model=acme/mock", "model=*", "all"]);
    table["/QmGone"] = peer("QmGone", false, &["model=gone"]);
    table["/QmHead"] = json!({ "id": "QmHead", "connected": true, "service": null });
    Reply::json(200, &table)
}

/// A peer that is not reached: under 200, as text.
pub(super) fn unreached() -> Reply {
    Reply::whole(
        200,
        "text/plain; charset=utf-8",
        b"ERROR: failed to dial QmMockPeer: all dials failed".to_vec(),
    )
}

/// No peer serves the model.
pub(super) fn nobody() -> Reply {
    let error = "No provider found for the requested service.";
    Reply::json(503, &json!({ "error": error }))
}
