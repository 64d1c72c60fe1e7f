//! Streams that break off: what came before is the client's, also what waited for its turn.

use super::*;

#[test]
fn f32_what_waited_behind_a_call_is_given_however_the_stream_breaks_off() {
    let delta = |delta: Value| {
        let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "model": "m-1",
            "choices": [{ "index": 0, "delta": delta }] });
        format!("data: {chunk}\n\n")
    };
    let call =
        json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "{\"half\":" } });
    let events = [
        delta(json!({ "tool_calls": [call] })),
        delta(json!({ "content": "It waits." })),
    ]
    .concat();
    let begun = [STREAM_HEAD.as_bytes(), &chunk(&events)].concat();
    let ended = [&*begun, LAST_CHUNK.as_bytes()].concat();
    // Without a reason to end, and in the middle of the body.
    for steps in [
        vec![Step::ReadRequest, Step::Send(ended)],
        vec![Step::ReadRequest, Step::Send(begun), Step::Fin],
    ] {
        let upstream = FakeUpstream::start(vec![steps]);
        let gateway = TestGateway::before(upstream.base_url());
        let answer = message(&gateway, &streamed(ASKED));
        let text = answer.text();
        let said = text.find("It waits.");
        let failed = text.find("event: error");
        assert!(said.is_some() && said < failed, "{text}");
        let row = gateway.row().record;
        assert_eq!(&*row.outcome, "upstream_truncated");
        assert_eq!(row.response_text.as_deref(), Some("It waits."));
    }
}
