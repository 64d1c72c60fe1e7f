//! OpenAI's older completions before a provider that only chats.

use super::{
    ERROR_STREAM, MESSAGE, MESSAGE_STREAM, before_anthropic, check_tokens, data, in_chunks, last,
    sent, stored, streamed,
};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::shouts::shouts;
use crate::support::wire::{json as json_answer, stream};

const ASKED: &str = r#"{"model":"claude-sonnet-4-5","prompt":"Hello?","seed":7}"#;

#[test]
fn a_completion_is_answered_by_anthropic() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    let said = gateway.post("/v1/completions", ASKED).json();
    assert_eq!(said["object"], "text_completion");
    assert_eq!(said["choices"][0]["text"], "Hello \"you\", café 😀");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    let (head, body) = sent(&upstream);
    assert!(head.starts_with("POST /v1/messages "), "{head}");
    assert_eq!(body["messages"][0]["content"], "Hello?");
    let row = last(&gateway);
    assert_eq!((&*row.endpoint, &*row.outcome), ("completions", "ok"));
    assert_eq!(row.request_text.as_deref(), Some("Hello?"));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.dropped.as_deref(), Some(r#"["seed"]"#));
    check_tokens(&row, 35, 12);
}

#[test]
fn a_completion_is_streamed_by_anthropic_whatever_the_chunks() {
    for bytes in [1, 100, MESSAGE_STREAM.len()] {
        let upstream = FakeUpstream::answering(in_chunks(MESSAGE_STREAM, bytes));
        let gateway = before_anthropic(&upstream, None);
        let answer = gateway.post("/v1/completions", &streamed(ASKED));
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
        let row = last(&gateway);
        assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
        assert_eq!(row.response_text.as_deref(), Some("Hello café 😀!"));
        check_tokens(&row, 32, 15);
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), MESSAGE_STREAM);
        assert_eq!(stored(&payload.response_body), answer.text());
    }
}

#[test]
fn filters_see_a_completion_and_errors_come_in_its_shape() {
    for (wire, body) in [
        (json_answer(200, "", MESSAGE), ASKED.to_owned()),
        (in_chunks(MESSAGE_STREAM, 100), streamed(ASKED)),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before_anthropic(&upstream, Some(shouts()));
        let answer = gateway.post("/v1/completions", &body);
        assert!(answer.text().contains("HELLO"), "{}", answer.text());
    }
    let upstream = FakeUpstream::answering(stream(ERROR_STREAM));
    let gateway = before_anthropic(&upstream, None);
    let answer = gateway.post("/v1/completions", &streamed(ASKED));
    let events = data(answer.text());
    assert_eq!(
        events.last().expect("an event")["error"]["code"],
        "overloaded_error"
    );
    assert_eq!(last(&gateway).outcome, "upstream_error");
    let several = ASKED.replace("\"Hello?\"", r#"["a","b"]"#);
    let refused = gateway.post("/v1/completions", &several);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "unsupported_parameter");
}
