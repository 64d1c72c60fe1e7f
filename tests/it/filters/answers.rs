//! Filters' answers where the client's call has no place for a text.

use super::*;

/// Each dialect's clients read an error in their own form, and none can read a chat in the place of a vector or a count.
#[test]
fn texts_that_an_answer_cannot_hold_are_errors_in_the_clients_form() {
    let gateway =
        TestGateway::configured("filters: [{ kind: canned_answer, text: \"we're closed\" }]");
    for (path, headers, place, kind) in [
        ("/v1/embeddings", "", "/error/type", "request_filter_error"),
        ("/v1/moderations", "", "/error/type", "request_filter_error"),
        (
            "/openai/deployments/d/embeddings",
            "api-key: k\r\n",
            "/error/code",
            "blocked_by_filter",
        ),
        (
            "/v1/messages/count_tokens",
            "anthropic-version: 2023-06-01\r\n",
            "/error/type",
            "request_filter_error",
        ),
        (
            "/v1beta/models/g:countTokens",
            "",
            "/error/status",
            "INVALID_ARGUMENT",
        ),
        (
            "/v1beta/models/g:embedContent",
            "",
            "/error/status",
            "INVALID_ARGUMENT",
        ),
        (
            "/v1beta/models/g:batchEmbedContents",
            "",
            "/error/details/0/reason",
            "blocked_by_filter",
        ),
    ] {
        let headers = format!("content-type: application/json\r\n{headers}");
        let answer = gateway.send("POST", path, &headers, br#"{"model":"mock","input":"a"}"#);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let json = answer.json();
        assert_eq!(json["error"]["message"], "we're closed", "{path}");
        let found = json.pointer(place).and_then(serde_json::Value::as_str);
        assert_eq!(found, Some(kind), "{path}: {json}");
    }
    let models = gateway.get("/v1/models");
    assert_eq!(
        (models.status, &models.json()["error"]["message"]),
        (400, &"we're closed".into())
    );
    for row in gateway.rows() {
        let record = &row.record;
        assert_eq!((&*record.outcome, record.attempts), ("filter_blocked", 0));
        assert_eq!(record.error_message.as_deref(), Some("we're closed"));
        assert_eq!(record.filtered_by.as_deref(), Some("canned_answer"));
        assert_eq!(record.response_text, None);
        assert_eq!(verdicts(&row), ["canned_answer request answered"]);
    }
}
