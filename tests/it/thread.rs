//! The thinnest whole path: client, proxy, upstream, row, replay.

use crate::support::gateway::TestGateway;

#[test]
fn a_chat_is_answered_untouched_and_on_record() {
    let gateway = TestGateway::start();
    let answer = gateway.chat("mock", "");
    assert_eq!(answer.status, 200);
    let row = gateway.row().record;
    assert_eq!(
        (row.outcome.as_str(), row.status_code, row.prompt_tokens),
        ("ok", 200, Some(21))
    );
    let payload = row.payload.expect("bodies");
    assert_eq!(payload.response_body.expect("a body").bytes, answer.body);
}

#[test]
fn a_stream_replays_byte_for_byte() {
    let gateway = TestGateway::start();
    let first = gateway.chat("mock-s5", r#","stream":true"#);
    assert!(
        first.text().ends_with("data: [DONE]\n\n"),
        "{}",
        first.text()
    );
    let id = gateway.row().record.request_id;
    let again = gateway.admin_get(&format!("/api/exchanges/{id}/replay"));
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(again.header("x-aiproxy-replayed"), Some(id.as_str()));
}
