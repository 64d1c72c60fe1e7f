use super::*;

fn stream(chunks: &[&str]) -> Decoded {
    let text: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    decode_stream(text.as_bytes())
}

fn delta(delta: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)
}

#[track_caller]
fn check_stream(deltas: &[&str], text: Option<&str>, tool_calls: Option<&str>) {
    let chunks: Vec<_> = deltas.iter().map(|piece| delta(piece)).collect();
    let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
    let decoded = stream(&chunks);
    assert_eq!(
        (decoded.text.as_deref(), decoded.tool_calls.as_deref()),
        (text, tool_calls),
        "{deltas:?}"
    );
    assert_eq!(decoded.event_count, deltas.len() as u64);
}

#[test]
fn texts_are_joined_before_escapes_are_undone() {
    check_stream(
        &[
            r#"{"content":"a"}"#,
            r#"{"content":""}"#,
            r#"{"content":"b\n"}"#,
        ],
        Some("ab\n"),
        None,
    );
    check_stream(
        &[r#"{"content":"\ud83d"}"#, r#"{"content":"\ude00"}"#],
        Some("😀"),
        None,
    );
    check_stream(&[r#"{"content":"\ud800"}"#], Some("\\ud800"), None);
    check_stream(
        &[r#"{"content":null}"#, r#"{"refusal":"no"}"#],
        Some("no"),
        None,
    );
    check_stream(
        &[r#"{"content":""}"#, r#"{"refusal":"no"}"#],
        Some("no"),
        None,
    );
    check_stream(&[r#"{"role":"assistant"}"#], None, None);
}

#[test]
fn parallel_tool_calls_are_kept_apart() {
    check_stream(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":" "}}]}"#,
        ],
        None,
        Some(
            r#"[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{} "}}]"#,
        ),
    );
}

#[test]
fn tool_calls_of_odd_servers() {
    let two = Some(
        r#"[{"id":"a","type":"function","function":{"name":"f","arguments":"1"}},{"id":"b","type":"function","function":{"name":"g","arguments":"23"}}]"#,
    );
    // All under one index, told apart by their ids.
    check_stream(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"","arguments":"3"}}]}"#,
        ],
        None,
        two,
    );
    // Without an index; the id repeated.
    check_stream(
        &[
            r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}},{"id":"b","function":{"name":"g","arguments":"2"}}]}"#,
            r#"{"tool_calls":[{"id":"b","function":{"arguments":"3"}}]}"#,
        ],
        None,
        two,
    );
    // Without an index or an id: a name begins a call.
    check_stream(
        &[
            r#"{"tool_calls":[{"function":{"name":"f","arguments":"1"}}]}"#,
            r#"{"tool_calls":[{"id":"","function":{"name":"f","arguments":"2"}}]}"#,
            r#"{"tool_calls":[{"function":{"name":"","arguments":"3"}}]}"#,
        ],
        None,
        Some(
            r#"[{"id":"","type":"function","function":{"name":"f","arguments":"1"}},{"id":"","type":"function","function":{"name":"f","arguments":"23"}}]"#,
        ),
    );
    // Without an index, side by side; the first one's id comes behind its name.
    check_stream(
        &[
            r#"{"tool_calls":[{"function":{"name":"f"}},{"id":"a"},{"id":"b","function":{"name":"g","arguments":"2"}}]}"#,
            r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}},{"id":"b","function":{"arguments":"3"}}]}"#,
        ],
        None,
        two,
    );
    check_stream(
        &[
            r#"{"tool_calls":null}"#,
            r#"{"tool_calls":[]}"#,
            r#"{"tool_calls":[null,5]}"#,
        ],
        None,
        None,
    );
    check_stream(
        &[
            r#"{"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"sh","input":"l"}}]}"#,
            r#"{"tool_calls":[{"index":0,"custom":{"input":"s"}}]}"#,
        ],
        None,
        Some(r#"[{"id":"c","type":"custom","custom":{"name":"sh","input":"ls"}}]"#),
    );
}

#[test]
fn the_legacy_function_call_is_kept_apart() {
    let decoded = stream(&[
        &delta(r#"{"function_call":{"name":"f","arguments":"{\"a\""}}"#),
        &delta(r#"{"function_call":{"arguments":":1}"}}"#),
    ]);
    assert_eq!(decoded.tool_calls, None);
    assert_eq!(
        decoded.function_call.as_deref(),
        Some(r#"{"name":"f","arguments":"{\"a\":1}"}"#)
    );
    let whole = decode_whole(
        r#"{"choices":[{"message":{"function_call":{"name":"f","arguments":"{}"}}}]}"#,
    );
    assert_eq!(
        whole.function_call.as_deref(),
        Some(r#"{"name":"f","arguments":"{}"}"#)
    );
}

#[test]
fn choices_are_told_by_their_index() {
    let decoded = stream(&[
        r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"y"},"finish_reason":"stop"},{"index":0,"delta":{"content":"b"}}]}"#,
    ]);
    assert_eq!(
        (decoded.text.as_deref(), decoded.finish_reason.as_deref()),
        (Some("ab"), Some("length"))
    );
    assert_eq!(decoded.other_texts, ["xy"]);
}

#[test]
fn f42_events_that_are_not_json_teach_nothing() {
    let decoded = decode_stream(
        b"data: \xff\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lost\"}}]\n\ndata: 5\n\ndata: [DONE]\n\n\
          data: {\"choices\":[{\"delta\":{\"content\":\"kept\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"cut\"}}]}",
    );
    assert_eq!(
        (decoded.text.as_deref(), decoded.event_count),
        (Some("kept"), 5)
    );
}

#[test]
fn f46_usage_stands_in_any_chunk_and_is_checked() {
    let usage = |prompt: &str| {
        format!(r#"{{"choices":[],"usage":{{"prompt_tokens":{prompt},"completion_tokens":2}}}}"#)
    };
    for (chunks, prompt) in [
        (vec![usage("1")], Some(1)),
        (vec![usage("1"), delta("{}")], Some(1)),
        (vec![usage("1"), usage("2")], Some(2)),
        (vec![usage("1"), usage("-2")], Some(1)),
        (
            vec![
                usage("1"),
                r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#.to_owned(),
            ],
            Some(1),
        ),
        (vec![usage("1"), r#"{"usage":null}"#.to_owned()], Some(1)),
        (vec![usage("\"1\"")], None),
        (vec![usage("1000000000000000000")], None),
        (vec![], None),
    ] {
        let decoded = stream(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            decoded.usage.map(|usage| usage.prompt),
            prompt,
            "{chunks:?}"
        );
        assert_eq!(decoded.usage_raw.is_some(), !chunks.is_empty());
    }
}

#[test]
fn f44_errors_are_read_in_any_shape() {
    let fields = |chunk: &str| {
        stream(&[chunk])
            .error
            .map(|error| (error.kind, error.code, error.message))
    };
    let text = |text: &str| Some(text.to_owned());
    let object = r#"{"error":{"message":"m","type":"t","code":503,"param":null}}"#;
    assert_eq!(fields(object), Some((text("t"), text("503"), text("m"))));
    assert_eq!(fields(r#"{"error":"m"}"#), Some((None, None, text("m"))));
    assert_eq!(fields(r#"{"error":null}"#), None);
    assert_eq!(
        fields(r#"{"error":{"code":null}}"#),
        Some((None, None, None))
    );
}

#[test]
fn odd_whole_answers() {
    let text = |body: &str| decode_whole(body).text;
    assert_eq!(
        text(r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"}]}}]}"#).as_deref(),
        Some("a")
    );
    assert_eq!(
        text(r#"{"choices":[{"message":{"content":"a"}}],"x":"#).as_deref(),
        Some("a")
    );
    for body in [
        "",
        "[]",
        "null",
        "<html>",
        r#"{"choices":null}"#,
        r#"{"choices":{}}"#,
        r#"{"choices":[null]}"#,
        r#"{"choices":[{"message":null}]}"#,
        r#"{"choices":[{"message":"x"}]}"#,
        r#"{"choices":[{"message":{"content":5}}]}"#,
    ] {
        assert_eq!(text(body), None, "{body}");
    }
    assert_eq!(decode_whole(&"[".repeat(100_000)), Decoded::default());
}

#[test]
fn f45_usage_before_trailing_bytes_is_not_believed() {
    let body = r#"{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    assert!(decode_whole(body).usage.is_some());
    let twice = decode_whole(&format!("{body}{body}"));
    assert_eq!((twice.usage, twice.text.as_deref()), (None, Some("a")));
    assert!(twice.usage_raw.is_some());
}

#[test]
fn the_first_model_that_is_named_counts() {
    assert_eq!(
        stream(&[
            r#"{"model":""}"#,
            r#"{"model":null}"#,
            r#"{"model":"m"}"#,
            r#"{"model":"n"}"#
        ])
        .model
        .as_deref(),
        Some("m")
    );
}

#[test]
fn bug_8_prompts_of_any_shape_are_counted() {
    let pieces = prompt_pieces(
        r#"{"messages":[{"role":"user","content":"a","name":"ann"},{"role":"assistant","content":null,"tool_calls":[{"id":1}]},
        {"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"x"}}]},
        {"role":"tool","content":{"a":1},"name":null},null,"x"],"tools":[{"type":"function"}],"tool_choice":{"a":1},"functions":null}"#,
    );
    assert_eq!(
        (pieces.messages, pieces.names, pieces.odd, pieces.broken),
        (4, 1, true, false)
    );
    let texts = [
        "user",
        "a",
        "ann",
        "assistant",
        "[{\"id\":1}]",
        "user",
        "b",
        "tool",
        "x",
        "{\"type\":\"function\"}",
        "{\"a\":1}",
    ];
    assert_eq!(pieces.texts, texts);
    assert!(prompt_pieces("{").broken);
    assert_eq!(prompt_pieces(r#"{"messages":null}"#).messages, 0);
}
