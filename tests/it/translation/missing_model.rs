//! Requests without a model, where only a provider of another dialect could be asked for one.

use serde_json::json;

use super::{last, message};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::TestGateway;
use crate::support::wire::{WHOLE, json as json_answer};

#[test]
fn a_request_without_a_model_is_told_so() {
    let upstream = FakeUpstream::answering(json_answer(200, "", WHOLE));
    let gateway = TestGateway::before(upstream.base_url());
    for body in [r#"{"messages":[]}"#, r#"{"model":7,"messages":[]}"#] {
        let answer = message(&gateway, body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        let body = answer.json();
        let told = (&body["type"], &body["error"]["type"]);
        assert_eq!(told, (&json!("error"), &json!("invalid_request_error")));
        let text = body["error"]["message"].as_str().unwrap_or_default();
        assert!(text.starts_with("the request names no model"), "{text}");
        assert_eq!(last(&gateway).outcome, "client_error");
    }
    assert_eq!(upstream.connections(), 0);
}
