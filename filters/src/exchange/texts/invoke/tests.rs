//! Tests of where texts stand in what models of every maker answer to `invoke`, whole and streamed.
use bytes::Bytes;

use crate::exchange::BodyError;
use crate::{Endpoint, EventKind, LlmResponse, StreamEvent};

fn masked(text: &str) -> Option<String> {
    text.contains("bad").then(|| text.replace("bad", "***"))
}

fn event(data: &str) -> StreamEvent {
    StreamEvent::from_data(Endpoint::BedrockInvoke, data)
}

fn borrowed(texts: &[(u64, String)]) -> Vec<(u64, &str)> {
    let texts = texts.iter();
    texts.map(|(number, text)| (*number, &**text)).collect()
}

/// The texts of a whole answer; all of `bad` in it is masked, and what stands under `echo` is emptied.
#[track_caller]
fn check_whole(answer: &str, texts: &[(u64, &str)], echo: Option<&str>) {
    let body = Bytes::copy_from_slice(answer.as_bytes());
    let mut response = LlmResponse::from_body(Endpoint::BedrockInvoke, 200, body);
    assert_eq!(borrowed(&response.texts()), texts, "{answer}");
    assert_eq!(
        response.text().as_deref(),
        texts.first().map(|(_, text)| *text)
    );
    let changed = response.map_texts(&mut |text| masked(text)).expect("JSON");
    assert_eq!(changed, !texts.is_empty(), "{answer}");
    let expected = match echo {
        Some(echo) => answer.replace(echo, "[]"),
        None => answer.to_owned(),
    };
    let expected = match changed {
        true => expected.replace("bad", "***"),
        false => expected,
    };
    assert_eq!(response.body().expect("a body"), &expected);
}

#[test]
fn whole_answers_of_every_maker() {
    for (answer, texts) in [
        (
            r#"{"completion":" bad","stop_reason":"stop_sequence","stop":"\n\nHuman:"}"#,
            &[(0, " bad")][..],
        ),
        (
            r#"{"type":"message","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"bad"}]}"#,
            &[(1, "bad")],
        ),
        (
            r#"{"inputTextTokenCount":5,"results":[{"tokenCount":3,"outputText":"\nbad","completionReason":"FINISH"}]}"#,
            &[(0, "\nbad")],
        ),
        (
            r#"{"output":{"message":{"content":[{"reasoningContent":{}},{"text":"bad"}],"role":"assistant"}},"stopReason":"end_turn"}"#,
            &[(1, "bad")],
        ),
        (
            r#"{"generation":"bad","prompt_token_count":5,"generation_token_count":3,"stop_reason":"stop"}"#,
            &[(0, "bad")],
        ),
        (
            r#"{"outputs":[{"text":"bad","stop_reason":"stop"},{"text":"so bad","stop_reason":"stop"}]}"#,
            &[(0, "bad"), (1, "so bad")],
        ),
        (
            r#"{"choices":[{"index":0,"delta":null,"message":{"role":"assistant","content":"bad","tool_calls":null},"stop_reason":"stop"}]}"#,
            &[(0, "bad")],
        ),
        (
            r#"{"choices":[{"text":"bad","stop_reason":"stop"}]}"#,
            &[(0, "bad")],
        ),
        (
            r#"{"chat_history":[{"role":"USER","message":"a"},{"role":"CHATBOT","message":"bad"}],"text":"bad","citations":null,"finish_reason":"COMPLETE"}"#,
            &[(0, "bad"), (0, "bad")],
        ),
        (
            r#"{"id":"r","generations":[{"id":"g","text":"bad"},{"id":"h","text":"so bad"}],"prompt":"a"}"#,
            &[(0, "bad"), (1, "so bad")],
        ),
        // What is no text of an answer stays.
        (
            r#"{"embedding":[0.1],"inputTextTokenCount":5,"x":"bad"}"#,
            &[],
        ),
        (r#"{"images":["bad"],"error":"bad"}"#, &[]),
        (r#"{"results":"bad"}"#, &[]),
        (
            r#"{"results":["bad",{"outputText":["bad"]}],"text":7}"#,
            &[],
        ),
        (r#"{"output":"bad","choices":{"text":"bad"}}"#, &[]),
    ] {
        check_whole(answer, texts, None);
    }
}

#[test]
fn what_spells_a_changed_text_again_goes_with_it() {
    check_whole(
        r#"{"text":"so bad","citations":[{"start":3,"end":6,"text":"bad"}]}"#,
        &[(0, "so bad")],
        Some(r#"[{"start":3,"end":6,"text":"bad"}]"#),
    );
    check_whole(
        r#"{"generations":[{"text":"bad","token_likelihoods":[{"token":"ba"},{"token":"d"}]}]}"#,
        &[(0, "bad")],
        Some(r#"[{"token":"ba"},{"token":"d"}]"#),
    );
}

#[track_caller]
fn check_event(data: &str, kind: EventKind, deltas: &[(u64, &str)], ended: &[u64]) {
    let event = event(data);
    assert_eq!(event.kind(), kind, "{data}");
    assert_eq!(borrowed(&event.text_delta()), deltas, "{data}");
    assert_eq!(event.ended_choices(), ended, "{data}");
    for (number, text) in deltas {
        let mut event = event.clone();
        assert_eq!(event.set_text_delta(*number, "other"), Ok(()), "{data}");
        let expected = data.replacen(&format!("\"{text}\""), "\"other\"", 1);
        assert_eq!(event.data(), Some(&*expected));
    }
    let none = event.clone().set_text_delta(9, "other");
    assert_eq!(none, Err(BodyError::NoText));
}

#[test]
fn events_of_every_maker() {
    let delta = EventKind::Delta;
    for (data, kind, deltas, ended) in [
        (
            r#"{"completion":"a","stop_reason":null,"stop":null}"#,
            delta,
            &[(0, "a")][..],
            &[][..],
        ),
        (
            r#"{"completion":"","stop_reason":"stop_sequence","stop":null}"#,
            delta,
            &[(0, "")],
            &[0],
        ),
        // The index is the event's.
        (
            r#"{"index":3,"outputText":"a","completionReason":null}"#,
            delta,
            &[(0, "a")],
            &[],
        ),
        (
            r#"{"index":4,"outputText":"a","completionReason":"FINISH"}"#,
            delta,
            &[(0, "a")],
            &[0],
        ),
        (
            r#"{"messageStart":{"role":"assistant"}}"#,
            EventKind::Other,
            &[],
            &[],
        ),
        (
            r#"{"contentBlockDelta":{"delta":{"text":"a"},"contentBlockIndex":1}}"#,
            delta,
            &[(1, "a")],
            &[],
        ),
        (
            r#"{"contentBlockStop":{"contentBlockIndex":1}}"#,
            EventKind::Other,
            &[],
            &[1],
        ),
        (
            r#"{"messageStop":{"stopReason":"end_turn"}}"#,
            delta,
            &[],
            &[],
        ),
        (
            r#"{"metadata":{"usage":{"inputTokens":5}},"amazon-bedrock-invocationMetrics":{}}"#,
            EventKind::Usage,
            &[],
            &[],
        ),
        (
            r#"{"generation":"a","prompt_token_count":5,"stop_reason":null}"#,
            delta,
            &[(0, "a")],
            &[],
        ),
        (
            r#"{"generation":"a","stop_reason":"length"}"#,
            delta,
            &[(0, "a")],
            &[0],
        ),
        (
            r#"{"outputs":[{"text":"a","stop_reason":null},{"text":"b","stop_reason":"stop"}]}"#,
            delta,
            &[(0, "a"), (1, "b")],
            &[1],
        ),
        (
            r#"{"choices":[{"index":1,"message":{"role":"assistant","content":"a"},"stop_reason":null}]}"#,
            delta,
            &[(1, "a")],
            &[],
        ),
        (
            r#"{"choices":[{"index":1,"delta":{"content":"a"},"finish_reason":null}]}"#,
            delta,
            &[(1, "a")],
            &[],
        ),
        (
            r#"{"choices":[{"index":1,"delta":{},"stop_reason":"length"}]}"#,
            delta,
            &[],
            &[1],
        ),
        (
            r#"{"choices":[],"usage":{"prompt_tokens":5}}"#,
            EventKind::Usage,
            &[],
            &[],
        ),
        (
            r#"{"choices":[{"text":"a","stop_reason":null}]}"#,
            delta,
            &[(0, "a")],
            &[],
        ),
        (
            r#"{"event_type":"stream-start","is_finished":false}"#,
            EventKind::Other,
            &[],
            &[],
        ),
        (
            r#"{"event_type":"text-generation","is_finished":false,"text":"a"}"#,
            delta,
            &[(0, "a")],
            &[],
        ),
        (
            r#"{"event_type":"citation-generation","is_finished":false,"citations":[{"text":"a"}]}"#,
            EventKind::Other,
            &[],
            &[],
        ),
        (
            r#"{"event_type":"stream-end","is_finished":true,"response":{"text":"a"}}"#,
            delta,
            &[],
            &[0],
        ),
        (
            r#"{"index":1,"is_finished":false,"text":"a"}"#,
            delta,
            &[(1, "a")],
            &[],
        ),
        (r#"{"index":1,"is_finished":true}"#, delta, &[], &[1]),
        (
            r#"{"generations":[{"text":"a","finish_reason":"COMPLETE"}]}"#,
            delta,
            &[(0, "a")],
            &[0],
        ),
        (
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a"}}"#,
            delta,
            &[(2, "a")],
            &[],
        ),
        (
            r#"{"type":"content_block_stop","index":2}"#,
            EventKind::Other,
            &[],
            &[2],
        ),
        (
            r#"{"throttlingException":{"message":"slow down"}}"#,
            EventKind::Error,
            &[],
            &[],
        ),
        (r#"{"other":1}"#, EventKind::Other, &[], &[]),
    ] {
        check_event(data, kind, deltas, ended);
    }
}

#[test]
fn what_events_say_again_can_be_changed() {
    for (data, texts, after) in [
        (
            r#"{"event_type":"stream-end","is_finished":true,"response":{"text":"bad","chat_history":[{"role":"CHATBOT","message":"bad"}],"citations":[{"text":"ba"}]}}"#,
            &[(0, "bad"), (0, "bad")][..],
            r#"{"event_type":"stream-end","is_finished":true,"response":{"text":"***","chat_history":[{"role":"CHATBOT","message":"***"}],"citations":[]}}"#,
        ),
        (
            r#"{"is_finished":true,"response":{"generations":[{"text":"a"},{"text":"bad"}]}}"#,
            &[(0, "a"), (1, "bad")],
            r#"{"is_finished":true,"response":{"generations":[{"text":"a"},{"text":"***"}]}}"#,
        ),
        (
            r#"{"event_type":"citation-generation","is_finished":false,"citations":[{"text":"bad"}]}"#,
            &[(u64::MAX, "bad")],
            r#"{"event_type":"citation-generation","is_finished":false,"citations":[{"text":"***"}]}"#,
        ),
        (
            r#"{"choices":[{"index":0,"message":{"content":"bad"},"delta":{"content":"a"}}]}"#,
            &[(0, "bad")],
            r#"{"choices":[{"index":0,"message":{"content":"***"},"delta":{"content":"a"}}]}"#,
        ),
    ] {
        let mut event = event(data);
        assert_eq!(borrowed(&event.whole_texts()), texts, "{data}");
        assert!(event.map_whole_texts(&mut |_, text| masked(text)), "{data}");
        assert_eq!(event.data(), Some(after));
    }
    for data in [
        r#"{"response":"bad","citations":["bad",7],"choices":[7,{"delta":7,"message":7}]}"#,
        r#"{"text":"bad"}"#,
    ] {
        assert!(event(data).whole_texts().is_empty(), "{data}");
    }
}
