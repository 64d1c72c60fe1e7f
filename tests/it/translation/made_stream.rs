//! Who asked for a stream gets one, also where the provider answers whole: the same answer, event by event.

use super::{
    ASKED, CHAT, MESSAGE, before_anthropic, chat, check_tokens, data, last, message, stored,
    streamed,
};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::TestGateway;
use crate::support::shouts::shouts;
use crate::support::wire::{WHOLE, json};

#[test]
fn a_whole_message_becomes_a_chats_stream() {
    let upstream = FakeUpstream::answering(json(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    let answer = chat(&gateway, &streamed(CHAT));
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("text/event-stream; charset=utf-8"));
    let text = answer.text();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let chunks = data(text);
    let ids = chunks.iter().map(|chunk| &chunk["id"]);
    assert!(ids.into_iter().all(|id| *id == chunks[0]["id"]), "{text}");
    let mut reasons: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(reasons.pop(), Some(Some("stop")));
    assert!(reasons.iter().all(Option::is_none), "{text}");
    let row = gateway.row().record;
    assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    check_tokens(&row, 35, 12);
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.upstream_response_body), MESSAGE);
    assert_eq!(stored(&payload.response_body), text);
}

#[test]
fn a_whole_chat_becomes_a_messages_stream() {
    let upstream = FakeUpstream::answering(json(200, "", WHOLE));
    let gateway = TestGateway::before(upstream.base_url());
    let answer = message(&gateway, &streamed(ASKED));
    let text = answer.text();
    assert!(text.starts_with("event: message_start\n"), "{text}");
    assert!(text.contains("event: message_stop\n"), "{text}");
    let row = last(&gateway);
    assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.upstream_response_body), WHOLE);
}

#[test]
fn filters_of_streams_see_it() {
    let upstream = FakeUpstream::answering(json(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, Some(shouts()));
    let answer = chat(&gateway, &streamed(CHAT));
    assert!(answer.text().contains("HELLO"), "{}", answer.text());
}
