//! Event streams and their oddities.

use super::*;

#[test]
fn plain_stream() {
    let seen = chat_stream("mock-s3");
    let events = seen.events();
    assert_eq!(
        seen.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (
            &events[5]["choices"],
            &events[5]["usage"]["completion_tokens"]
        ),
        (&json!([]), &json!(3))
    );
    assert_eq!(events[1]["usage"], Value::Null);
    assert!(seen.done() && seen.whole && events.len() == 6);
    assert!(seen.content().starts_with("w000000 ") && seen.content().contains("w000002 "));
}

#[test]
fn one_write_an_event() {
    let seen = chat_stream("mock-s200");
    assert_eq!(seen.chunks.len(), 200 + 4);
    assert_eq!(seen.chunks[1].len(), 280);
    let burst = chat_stream("mock-s200-burst");
    assert_eq!(burst.events().len(), 203);
}

#[test]
fn sizes_of_events() {
    assert_eq!(chat_stream("mock-s2-b1000").chunks[2].len(), 1_000);
    let big = chat_stream("mock-big-1m");
    assert_eq!((big.events().len(), big.chunks[3].len()), (16 + 3, 65_536));
    let line = chat_stream("mock-line-1m-s2");
    assert_eq!(
        line.events()[2]["choices"][0]["delta"]["content"]
            .as_str()
            .unwrap()
            .len(),
        1 << 20
    );
    assert!(line.done());
}

#[test]
fn usage_only_when_asked() {
    let mut body = ask("mock-s1");
    body["stream"] = json!(true);
    let seen = post("/v1/chat/completions", &body);
    assert!(!seen.text().contains("usage") && seen.done());
    assert!(!post("/v1/completions", &body).text().contains("usage"));
}

#[test]
fn usage_in_odd_places() {
    let places = |model: &str| -> Vec<usize> {
        let events = chat_stream(model).events();
        (0..events.len())
            .filter(|at| events[*at]["usage"].is_object())
            .collect()
    };
    assert!(places("mock-s2-usage-none").is_empty());
    assert_eq!(places("mock-s2-usage-first"), [0, 4]);
    assert_eq!(places("mock-s2-usage-last"), [3, 4]);
    assert_eq!(places("mock-s2-usage-every"), [0, 1, 2, 3, 4]);
}

#[test]
fn tools_come_in_pieces() {
    let events = chat_stream("mock-tools").events();
    let deltas = events
        .iter()
        .filter_map(|e| e.pointer("/choices/0/delta/tool_calls/0"));
    let mut arguments = [String::new(), String::new()];
    let mut named = Vec::new();
    for delta in deltas {
        let index = usize::try_from(delta["index"].as_u64().unwrap()).unwrap();
        let piece = delta["function"]["arguments"].as_str().unwrap();
        arguments[index].push_str(piece);
        named.extend(
            delta["id"]
                .as_str()
                .map(|id| (id.to_owned(), piece.to_owned())),
        );
    }
    assert_eq!(arguments, [r#"{"city":"Paris"}"#, r#"{"city":"Oslo"}"#]);
    assert_eq!(named[0], ("call_mock_0".to_owned(), String::new()));
    assert_eq!(named[1], ("call_mock_1".to_owned(), r#"{"ci"#.to_owned()));
}

#[test]
fn pieces_inside_characters() {
    let seen = chat_stream("mock-utf8-s20");
    let split = seen
        .chunks
        .iter()
        .filter(|chunk| std::str::from_utf8(chunk).is_err())
        .count();
    assert!(split >= 20, "{split}");
    assert!(seen.content().contains("né日😀ß本語") && seen.done());
    assert!(
        chat_stream("mock-bytes1-s2")
            .chunks
            .iter()
            .all(|chunk| chunk.len() == 1)
    );
    assert!(chat("mock-utf8-bytes7").text().contains("日"));
}

#[test]
fn oddities() {
    let raw = |model: &str| String::from_utf8(chat_stream(model).body).unwrap();
    assert!(raw("mock-bom").starts_with("\u{feff}data: "));
    assert!(raw("mock-crlf").ends_with("}\r\n\r\ndata: [DONE]\r\n\r\n"));
    assert!(raw("mock-noblank").ends_with("}\n\ndata: [DONE]\n"));
    assert!(raw("mock-nodone-noblank").ends_with("}\n") && !raw("mock-nodone").contains("DONE"));
    assert_eq!(raw("mock-s2-emptydata").matches("\ndata:\n\n").count(), 5);
    assert!(raw("mock-comments").starts_with(": mock\ndata: "));
}

#[test]
fn error_in_the_middle() {
    let seen = chat_stream("mock-s10-errevent");
    assert_eq!(seen.events()[6]["error"]["type"], "server_error");
    assert!(seen.events().len() == 7 && seen.whole && !seen.done());
}

#[test]
fn other_contents_stream() {
    assert_eq!(
        chat_stream("mock-json").content(),
        r#"{"name":"Ada","age":36}"#
    );
    assert_eq!(chat_stream("mock-null").events().len(), 3);
    assert!(
        chat_stream("mock-refusal")
            .text()
            .contains("\"refusal\":\"I c")
    );
    assert_eq!(
        chat_stream("mock-whole").json()["object"],
        "chat.completion"
    );
}

#[test]
fn completions_stream() {
    let body = json!({"model": "mock-s2", "prompt": "x", "stream": true,
        "stream_options": {"include_usage": true}});
    let seen = post("/v1/completions", &body);
    assert!(
        seen.events()[1]["choices"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("w000001 ")
    );
    assert_eq!(seen.events()[3]["usage"]["total_tokens"], 23);
    assert!(seen.done());
}

#[test]
fn responses_stream() {
    for (model, kinds) in [
        ("mock-s3", 11),
        ("mock-json", 16),
        ("mock-tools", 17),
        ("mock-refusal", 9),
    ] {
        let body = json!({"model": model, "input": "x", "stream": true});
        let events = post("/v1/responses", &body).events();
        let numbers: Vec<_> = events
            .iter()
            .map(|e| e["sequence_number"].as_u64())
            .collect();
        let counted: Vec<_> = (0..).map(Some).take(events.len()).collect();
        assert_eq!(numbers, counted, "{model}");
        assert_eq!(
            events.last().unwrap()["type"],
            "response.completed",
            "{model}"
        );
        assert_eq!(events.len(), kinds, "{model}");
    }
}

#[test]
fn responses_text_is_the_sum_of_its_deltas() {
    let body = json!({"model": "mock-s3", "input": "x", "stream": true});
    let events = post("/v1/responses", &body).events();
    let deltas: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    let done = events.last().unwrap()["response"]["output"][0]["content"][0]["text"].clone();
    assert_eq!(done, deltas);
}
