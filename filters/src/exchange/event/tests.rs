use super::*;

fn event(endpoint: Endpoint, raw: &str) -> StreamEvent {
    StreamEvent::from_bytes(endpoint, Bytes::copy_from_slice(raw.as_bytes()))
}

fn chat(raw: &str) -> StreamEvent {
    event(Endpoint::ChatCompletions, raw)
}

#[track_caller]
fn check_set(endpoint: Endpoint, before: &str, choice: u64, text: &str, after: &str) {
    let mut event = event(endpoint, before);
    event.set_text_delta(choice, text).unwrap();
    assert_eq!(event.to_bytes(), after);
    assert!(event.is_well_formed());
}

#[test]
fn kinds() {
    for (raw, kind) in [
        ("data: {\"choices\":[{\"delta\":{}}]}\n\n", EventKind::Delta),
        (
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":1}}\n\n",
            EventKind::Usage,
        ),
        (
            "data: {\"choices\":[],\"usage\":null}\n\n",
            EventKind::Other,
        ),
        ("data:[DONE]\r\n\r\n", EventKind::Done),
        (
            "data: {\"error\":{\"message\":\"x\"}}\n\n",
            EventKind::Error,
        ),
        ("event: error\ndata: {}\n\n", EventKind::Error),
        (
            "data: {\"error\":null,\"choices\":[{}]}\n\n",
            EventKind::Delta,
        ),
        ("data: {\"type\":\"response.failed\"}\n\n", EventKind::Error),
        (
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\"}\n\n",
            EventKind::Delta,
        ),
        (
            "data: {\"type\":\"response.created\"}\n\n",
            EventKind::Other,
        ),
        (
            "data: {\"type\":\"response.refusal.delta\",\"delta\":\"\"}\n\n",
            EventKind::Delta,
        ),
        (": ping\n\n", EventKind::Comment),
        ("data: not json\n\n", EventKind::Other),
    ] {
        assert_eq!(chat(raw).kind(), kind, "{raw}");
    }
    let not_text = Bytes::from_static(b"data: {\"a\":\"\xff\"}\n\n");
    let event = StreamEvent::from_bytes(Endpoint::ChatCompletions, not_text);
    assert_eq!(event.kind(), EventKind::Other);
}

#[test]
fn an_unedited_event_leaves_as_it_came() {
    let raw = Bytes::from_static(
        b"event: x\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
    );
    let mut event = StreamEvent::from_bytes(Endpoint::ChatCompletions, raw.clone());
    assert_eq!(event.text_delta(), [(0, "a".to_owned())]);
    event.set_text_delta(0, "a").unwrap();
    assert_eq!(event.to_bytes().as_ptr(), raw.as_ptr());
    assert_eq!(event.revision(), 0);
    assert_eq!(event.name(), Some("x"));
}

#[test]
fn a_delta_is_replaced_and_its_log_probabilities_go() {
    check_set(
        Endpoint::ChatCompletions,
        "id: 1\ndata: {\"n\":1.0,\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\\u00e4d\"},\"logprobs\":{\"content\":[{\"token\":\"bad\"}]}},{\"index\":0,\"delta\":{\"content\":\"x\"},\"logprobs\":[1]}]}\n\n",
        1,
        "***",
        "id: 1\ndata: {\"n\":1.0,\"choices\":[{\"index\":1,\"delta\":{\"content\":\"***\"},\"logprobs\":null},{\"index\":0,\"delta\":{\"content\":\"x\"},\"logprobs\":[1]}]}\n\n",
    );
    check_set(
        Endpoint::Completions,
        "data: {\"choices\":[{\"text\":\"bad\",\"logprobs\":null}]}\n\n",
        0,
        "",
        "data: {\"choices\":[{\"text\":\"\",\"logprobs\":null}]}\n\n",
    );
    check_set(
        Endpoint::Responses,
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":2,\"delta\":\"b\",\"logprobs\":[{}]}\n\n",
        (1 << 32) + 2,
        "c",
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":2,\"delta\":\"c\",\"logprobs\":[]}\n\n",
    );
}

#[test]
fn refusals_are_texts_of_their_choice() {
    check_set(
        Endpoint::ChatCompletions,
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":null,\"refusal\":\"bad\"},\"logprobs\":{\"refusal\":[1]}}]}\n\n",
        1,
        "***",
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":null,\"refusal\":\"***\"},\"logprobs\":null}]}\n\n",
    );
    check_set(
        Endpoint::Responses,
        "data: {\"type\":\"response.refusal.delta\",\"output_index\":1,\"content_index\":0,\"delta\":\"b\"}\n\n",
        1 << 32,
        "c",
        "data: {\"type\":\"response.refusal.delta\",\"output_index\":1,\"content_index\":0,\"delta\":\"c\"}\n\n",
    );
}

#[test]
fn data_over_several_lines_is_one_document() {
    check_set(
        Endpoint::Completions,
        "event: x\ndata: {\"choices\":\ndata: [{\"text\":\"a\"}]}\nid: 7\n\n",
        0,
        "b",
        "event: x\ndata: {\"choices\":\ndata: [{\"text\":\"b\"}]}\nid: 7\n\n",
    );
}

#[test]
fn no_text_to_replace_is_an_error() {
    for raw in [
        "data: [DONE]\n\n",
        ": c\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"a\"}}]}\n\n",
    ] {
        assert_eq!(
            chat(raw).set_text_delta(0, "x"),
            Err(BodyError::NoText),
            "{raw}"
        );
    }
}

#[test]
fn whole_texts_of_the_responses_api_can_be_edited() {
    for (raw, expected) in [
        (
            "data: {\"type\":\"response.output_text.done\",\"output_index\":0,\"content_index\":1,\"text\":\"bad\",\"logprobs\":[1]}\n\n",
            "data: {\"type\":\"response.output_text.done\",\"output_index\":0,\"content_index\":1,\"text\":\"*\",\"logprobs\":[]}\n\n",
        ),
        (
            "data: {\"type\":\"response.content_part.done\",\"part\":{\"type\":\"output_text\",\"text\":\"bad\"}}\n\n",
            "data: {\"type\":\"response.content_part.done\",\"part\":{\"type\":\"output_text\",\"text\":\"*\"}}\n\n",
        ),
        (
            "data: {\"type\":\"response.output_item.done\",\"item\":{\"content\":[{\"type\":\"output_text\",\"text\":\"bad\"}]}}\n\n",
            "data: {\"type\":\"response.output_item.done\",\"item\":{\"content\":[{\"type\":\"output_text\",\"text\":\"*\"}]}}\n\n",
        ),
        (
            "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"type\":\"output_text\",\"text\":\"bad\"}]},{\"type\":\"function_call\",\"arguments\":\"bad\"}]}}\n\n",
            "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"type\":\"output_text\",\"text\":\"*\"}]},{\"type\":\"function_call\",\"arguments\":\"bad\"}]}}\n\n",
        ),
        (
            "data: {\"type\":\"response.refusal.done\",\"refusal\":\"bad\"}\n\n",
            "data: {\"type\":\"response.refusal.done\",\"refusal\":\"*\"}\n\n",
        ),
        (
            "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"type\":\"refusal\",\"refusal\":\"bad\",\"text\":\"bad\"}]}]}}\n\n",
            "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"type\":\"refusal\",\"refusal\":\"*\",\"text\":\"bad\"}]}]}}\n\n",
        ),
    ] {
        let mut event = event(Endpoint::Responses, raw);
        assert!(event.map_whole_texts(&mut |_, text| (text == "bad").then(|| "*".to_owned())));
        assert_eq!(event.to_bytes(), expected);
    }
}

#[test]
fn a_finish_reason_ends_its_choice() {
    let raw = "data: {\"choices\":[{\"index\":2,\"finish_reason\":\"stop\"},{\"index\":1,\"finish_reason\":null}]}\n\n";
    assert_eq!(chat(raw).ended_choices(), [2]);
}

#[test]
fn a_repeated_text_ends_its_part_but_an_added_one_does_not() {
    for (kind, ended) in [("added", &[][..]), ("done", &[3])] {
        let raw = format!(
            "data: {{\"type\":\"response.content_part.{kind}\",\"content_index\":3,\"part\":{{\"type\":\"output_text\",\"text\":\"\"}}}}\n\n"
        );
        assert_eq!(event(Endpoint::Responses, &raw).ended_choices(), ended);
    }
}

#[test]
fn what_is_not_one_event_is_not_well_formed() {
    for raw in [
        "data: {}",
        "data: {}\n",
        "data: {}\n\ndata: {}\n\n",
        "data: {\n\n",
        "data: \u{0}x\n\n",
        "",
    ] {
        assert!(!chat(raw).is_well_formed(), "{raw}");
    }
    for raw in ["data: {}\n\n", ": c\r\n\r\n", "data: [DONE]\r\r"] {
        assert!(chat(raw).is_well_formed(), "{raw}");
    }
    let invalid = StreamEvent::from_bytes(Endpoint::Completions, Bytes::from_static(b": \xff\n\n"));
    assert!(!invalid.is_well_formed());
}

#[test]
fn usage_is_read_from_either_place() {
    let chat = chat("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n");
    assert_eq!(chat.usage().and_then(|usage| usage.prompt_tokens), Some(3));
    let raw =
        "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":4}}}\n\n";
    let responses = event(Endpoint::Responses, raw);
    assert_eq!(
        responses.usage().and_then(|usage| usage.prompt_tokens),
        Some(4)
    );
    assert_eq!(
        StreamEvent::from_data(Endpoint::ChatCompletions, "a\nb").to_bytes(),
        "data: a\ndata: b\n\n"
    );
}

#[test]
fn anthropics_events() {
    let check = |data: &str, kind: EventKind, deltas: &[(u64, &str)], ended: &[u64]| {
        let event = event(Endpoint::Messages, &format!("event: x\ndata: {data}\n\n"));
        assert_eq!(event.kind(), kind, "{data}");
        let found = event.text_delta();
        let found: Vec<(u64, &str)> = found.iter().map(|(at, text)| (*at, &**text)).collect();
        assert_eq!(found, deltas, "{data}");
        assert_eq!(event.ended_choices(), ended, "{data}");
    };
    let start = r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":4,"output_tokens":1}}}"#;
    check(start, EventKind::Other, &[], &[]);
    let begun =
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"a"}}"#;
    check(begun, EventKind::Other, &[(1, "a")], &[]);
    let delta =
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"b"}}"#;
    check(delta, EventKind::Delta, &[(2, "b")], &[]);
    let input = r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}}"#;
    check(input, EventKind::Delta, &[], &[]);
    check(
        r#"{"type":"content_block_stop","index":2}"#,
        EventKind::Other,
        &[],
        &[2],
    );
    check(r#"{"type":"message_stop"}"#, EventKind::Done, &[], &[]);
    check(r#"{"type":"ping"}"#, EventKind::Comment, &[], &[]);
    let error = r#"{"type":"error","error":{"type":"overloaded_error"}}"#;
    check(error, EventKind::Error, &[], &[]);
    let start = event(Endpoint::Messages, &format!("data: {start}\n\n"));
    assert_eq!(start.usage().and_then(|usage| usage.prompt_tokens), Some(4));
    check_set(
        Endpoint::Messages,
        &format!("event: content_block_delta\ndata: {delta}\n\n"),
        2,
        "c",
        &format!(
            "event: content_block_delta\ndata: {}\n\n",
            delta.replace("\"b\"", "\"c\"")
        ),
    );
}
