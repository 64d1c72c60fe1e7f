//! Anthropic's Messages.

use super::*;

fn message(model: &str) -> Seen {
    post("/v1/messages", &ask(model))
}

fn stream(model: &str) -> Seen {
    let mut body = ask(model);
    body["stream"] = json!(true);
    post("/v1/messages", &body)
}

fn names(seen: &Seen) -> Vec<&str> {
    let lines = seen.text().lines();
    lines
        .filter_map(|line| line.strip_prefix("event: "))
        .collect()
}

#[test]
fn plain_answer() {
    let seen = message("mock");
    assert_eq!(
        (seen.status(), seen.body.len(), seen.whole),
        (200, 670, true)
    );
    let body = seen.json();
    assert_eq!(
        (&body["type"], &body["stop_reason"]),
        (&json!("message"), &json!("end_turn"))
    );
    assert_eq!(body["usage"]["output_tokens"], 10);
    assert_eq!(seen.header("request-id"), Some("req_mock_0000000001"));
    assert_eq!(
        (seen.header("x-request-id"), seen.header("openai-version")),
        (None, None)
    );
    assert_eq!(post("/messages", &ask("mock")).status(), 200);
    let count = post("/v1/messages/count_tokens", &ask("mock"));
    assert_eq!(count.json(), json!({"input_tokens": 21}));
}

#[test]
fn contents() {
    let content = |model: &str| message(model).json()["content"].clone();
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    assert_eq!(content("mock-json"), text(r#"{"name":"Ada","age":36}"#));
    assert_eq!(content("mock-refusal"), text("I can't help with that."));
    assert_eq!(content("mock-null"), json!([]));
    assert_eq!(content("mock-tools")[1]["input"], json!({"city": "Oslo"}));
    assert_eq!(message("mock-tools").json()["stop_reason"], "tool_use");
    assert_eq!(message("mock-b4k").body.len(), 4_096);
    let big = message("mock-big-1m");
    assert_eq!(
        (big.body.len(), big.json()["type"].as_str()),
        (1 << 20, Some("message"))
    );
    let image = json!({"model":"mock-vision","messages":[{"content":[{"type":"image","source":{"type":"base64","data":"abcd"}},{"type":"image","source":{"type":"url","url":"http://x"}}]}]});
    let seen = post("/v1/messages", &image).json();
    assert_eq!(seen["content"][0]["text"], "images: 2, url bytes: [4, 8]");
}

#[test]
fn the_events_of_a_stream() {
    let seen = stream("mock-s2");
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names(&seen), expected);
    assert_eq!(seen.chunks[3].len(), 280, "one write an event");
    let events = seen.events();
    assert_eq!(events[6]["usage"], json!({"output_tokens": 2}));
    assert_eq!(events[0]["message"]["usage"]["output_tokens"], 1);
    assert!(!seen.text().contains("[DONE]") && seen.whole);
}

#[test]
fn tools_stream_one_block_after_the_other() {
    let seen = stream("mock-tools");
    let events = seen.events();
    let input = |index: u64| -> String {
        let of = events.iter().filter(|event| event["index"] == index);
        of.filter_map(|event| event["delta"]["partial_json"].as_str())
            .collect()
    };
    assert_eq!(
        (input(0), input(1)),
        (r#"{"city":"Paris"}"#.into(), r#"{"city":"Oslo"}"#.into())
    );
    let starts = events
        .iter()
        .filter(|event| event["type"] == "content_block_start");
    let ids: Vec<&Value> = starts.map(|event| &event["content_block"]["id"]).collect();
    assert_eq!(ids, ["toolu_mock_0", "toolu_mock_1"]);
}

#[test]
fn errors_have_anthropics_shape() {
    for (model, status, kind) in [
        ("mock-err-400", 400, "invalid_request_error"),
        ("mock-err-401", 401, "authentication_error"),
        ("mock-err-403", 403, "permission_error"),
        ("mock-err-413", 413, "request_too_large"),
        ("mock-err-429", 429, "rate_limit_error"),
        ("mock-err-529", 529, "overloaded_error"),
        ("mock-err-500", 500, "api_error"),
        ("mock-nonsense", 404, "not_found_error"),
    ] {
        let seen = message(model);
        assert_eq!(seen.status(), status, "{model}");
        assert_eq!(seen.json()["type"], "error");
        assert_eq!(seen.json()["error"]["type"], kind, "{model}");
    }
    assert_eq!(
        post("/v1/messages", &json!([])).json()["error"]["type"],
        "invalid_request_error"
    );
}

#[test]
fn usage_in_odd_forms() {
    let usage = |model: &str| message(model).json()["usage"].clone();
    assert_eq!(usage("mock-usage-none"), Value::Null);
    assert_eq!(usage("mock-usage-empty"), json!({}));
    let negative = json!({"input_tokens": -5, "output_tokens": -7});
    assert_eq!(usage("mock-usage-negative"), negative);
    assert_eq!(usage("mock-usage-string")["input_tokens"], "21");
    let events = stream("mock-usage-negative").events();
    let told: Vec<&Value> = events
        .iter()
        .flat_map(|event| [&event["message"]["usage"], &event["usage"]])
        .filter(|usage| !usage.is_null())
        .collect();
    assert_eq!(told, [&negative, &negative]);
}

#[test]
fn faults_of_a_stream() {
    assert_eq!(names(&stream("mock-nodone")).last(), Some(&"message_delta"));
    let failed = stream("mock-errevent");
    assert_eq!(names(&failed).last(), Some(&"error"));
    assert_eq!(
        failed.events().pop().unwrap()["error"]["type"],
        "overloaded_error"
    );
    let cut = stream("mock-s9-cut-3");
    let deltas = names(&cut)
        .iter()
        .filter(|name| **name == "content_block_delta")
        .count();
    assert_eq!((deltas, cut.whole), (3, false));
    let early = stream("mock-s9-eof-3");
    assert!(early.whole && !early.text().contains("message_delta"));
    let line = stream("mock-line-1m-s2");
    assert_eq!(
        line.events()[4]["delta"]["text"].as_str().map(str::len),
        Some(1 << 20)
    );
}
