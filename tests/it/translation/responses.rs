//! OpenAI's Responses before Anthropic.

use super::{
    ERROR_STREAM, MESSAGE, MESSAGE_STREAM, before_anthropic, check_tokens, data, in_chunks, last,
    sent, stored, streamed,
};
use crate::replay::{assert_same, id_of, replay};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::TestGateway;
use crate::support::raw_client::RawResponse;
use crate::support::shouts::shouts;
use crate::support::wire::{json as json_answer, stream};

const ASKED: &str = r#"{"model":"claude-sonnet-4-5","instructions":"Be terse.","input":"Hello?","temperature":0.5,"store":true}"#;

fn respond(gateway: &TestGateway, body: &str) -> RawResponse {
    let headers =
        "content-type: application/json\r\nauthorization: Bearer sk-client-0123456789\r\n";
    gateway.send("POST", "/v1/responses", headers, body.as_bytes())
}

#[test]
fn a_response_is_given_by_anthropic() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    let said = respond(&gateway, ASKED).json();
    assert_eq!(
        (said["object"].as_str(), said["status"].as_str()),
        (Some("response"), Some("completed"))
    );
    assert_eq!(
        said["output"][0]["content"][0]["text"],
        "Hello \"you\", café 😀"
    );
    assert_eq!(
        (said["temperature"].as_f64(), said["store"].as_bool()),
        (Some(0.5), Some(false))
    );
    let (_, body) = sent(&upstream);
    assert_eq!(body["system"], "Be terse.");
    let row = gateway.row().record;
    assert_eq!((&*row.endpoint, &*row.outcome), ("responses", "ok"));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.dropped.as_deref(), Some(r#"["store"]"#));
    check_tokens(&row, 35, 12);
}

#[test]
fn a_response_is_streamed_by_anthropic_whatever_the_chunks() {
    let mut first = None;
    for bytes in [1, 100, MESSAGE_STREAM.len()] {
        let upstream = FakeUpstream::answering(in_chunks(MESSAGE_STREAM, bytes));
        let gateway = before_anthropic(&upstream, None);
        let answer = respond(&gateway, &streamed(ASKED));
        let kinds: Vec<String> = answer
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("event: ").map(str::to_owned))
            .collect();
        assert_eq!(
            kinds.last().map(String::as_str),
            Some("response.completed"),
            "{}",
            answer.text()
        );
        assert_eq!(*first.get_or_insert(kinds.clone()), kinds);
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
        assert_eq!(row.response_text.as_deref(), Some("Hello café 😀!"));
        check_tokens(&row, 32, 15);
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), MESSAGE_STREAM);
        assert_eq!(stored(&payload.response_body), answer.text());
        assert_same(&replay(&gateway, &id_of(&answer), ""), &answer);
        assert_eq!(upstream.connections(), 1, "a replay asks no upstream");
    }
}

#[test]
fn filters_see_a_response_and_errors_come_in_its_shape() {
    for (wire, body) in [
        (json_answer(200, "", MESSAGE), ASKED.to_owned()),
        (in_chunks(MESSAGE_STREAM, 100), streamed(ASKED)),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before_anthropic(&upstream, Some(shouts()));
        let answer = respond(&gateway, &body);
        assert!(answer.text().contains("HELLO"), "{}", answer.text());
    }
    let upstream = FakeUpstream::answering(stream(ERROR_STREAM));
    let gateway = before_anthropic(&upstream, None);
    let answer = respond(&gateway, &streamed(ASKED));
    let events = data(answer.text());
    let event = events.last().expect("an event");
    assert_eq!(
        (event["type"].as_str(), event["code"].as_str()),
        (Some("error"), Some("overloaded_error"))
    );
    // Clients that check events do not read one without its number.
    let numbers = events.iter().map(|event| event["sequence_number"].as_u64());
    assert!(
        numbers.eq((0..).map(Some).take(events.len())),
        "{}",
        answer.text()
    );
    assert_eq!(last(&gateway).outcome, "upstream_error");
}

#[test]
fn what_would_need_a_kept_response_is_refused() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    let body = ASKED.replacen('{', r#"{"previous_response_id":"resp_1","#, 1);
    let answer = respond(&gateway, &body);
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        answer.status == 400 && message.starts_with("'previous_response_id' "),
        "{message}"
    );
    assert_eq!(upstream.connections(), 0);
}
