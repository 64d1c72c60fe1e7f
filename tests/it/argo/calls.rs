//! Tools before Argo's own API: calls come back as calls, in the provider's words or in the model's, or they are an error.

use serde_json::{Value, json};

use super::{TOOLS, answering, last, sent, stored, streamed, wanted};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::TestGateway;
use crate::support::wire::{STREAM, json as json_answer};

#[test]
fn who_offers_tools_gets_a_stream_made_of_the_whole_answer() {
    let called = r#"{"response":{"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}}"#;
    let (upstream, gateway) = answering(json_answer(200, "", called));
    let answer = gateway.chat("argo:gpt-4o", &format!("{TOOLS}{STREAM}"));
    let text = answer.text();
    assert!(
        text.contains("\"name\":\"f\"") && text.contains("\"finish_reason\":\"tool_calls\""),
        "{text}"
    );
    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /argoapi/api/v1/resource/chat/ "),
        "{head}"
    );
    assert_eq!(body["tools"][0]["function"]["name"], "f");
    let row = last(&gateway);
    assert_eq!(
        (&*row.outcome, row.finish_reason.as_deref()),
        ("ok", Some("tool_calls"))
    );
}

#[test]
fn a_call_that_is_none_is_an_error_in_the_clients_words() {
    let chat = r#""model":"argo:gpt-4o","messages":[{"role":"user","content":"a"}]"#;
    let message =
        format!(r#"{{{chat},"max_tokens":9,"tools":[{{"name":"f","input_schema":{{}}}}]}}"#);
    let chat = format!("{{{chat}{TOOLS}}}");
    let responses = r#"{"model":"argo:gpt-4o","input":"a","tools":[{"type":"function","name":"f","parameters":{}}]}"#;
    let content = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#;
    let call = |arguments: &str| {
        let call = json!({ "id": "call_one", "type": "function", "function": { "name": "f", "arguments": arguments } });
        json!({ "response": { "content": "a", "tool_calls": [call] } }).to_string()
    };
    let (openai, anthropic) = ("", "anthropic-version: 2023-06-01\r\n");
    let gemini = "/v1beta/models/argo:gpt-4o:generateContent";
    let cases = [
        ("/v1/chat/completions", openai, chat.clone(), r#"{"a":"#),
        ("/v1/chat/completions", openai, chat.clone(), "{'a': 1}"),
        ("/v1/chat/completions", openai, streamed(&chat), "[1]"),
        ("/v1/messages", anthropic, message.clone(), r#"{"a":"#),
        ("/v1/messages", anthropic, streamed(&message), r#"{"a":"#),
        ("/v1/responses", openai, responses.to_owned(), r#"{"a":"#),
        (gemini, openai, content.to_owned(), r#"{"a":"#),
    ];
    let script = |arguments: &str| {
        let wire = json_answer(200, "connection: close\r\n", &call(arguments));
        vec![Step::ReadRequest, Step::Send(wire), Step::Fin]
    };
    let scripts = cases.iter().map(|(.., arguments)| script(arguments));
    let upstream = FakeUpstream::start(scripts.collect());
    let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
    for (path, more, body, _) in cases {
        let headers = format!("content-type: application/json\r\n{more}");
        let answer = gateway.send("POST", path, &headers, body.as_bytes());
        let told = answer.json();
        assert_eq!(answer.status, 502, "{path}: {told}");
        let word = if path == gemini { "status" } else { "type" };
        assert!(told["error"][word].is_string(), "{path}: {told}");
        assert!(!answer.text().contains("call_one"), "{path}: {told}");
    }
    let rows = gateway.rows();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let row = row.record;
        let facts = (
            &*row.outcome,
            row.error_code.as_deref(),
            row.upstream_status,
        );
        assert_eq!(
            facts,
            ("upstream_error", Some("upstream_protocol"), Some(200))
        );
        let message = row.error_message.unwrap_or_default();
        assert!(
            message.contains("response.tool_calls[0].arguments"),
            "{message}"
        );
        let [only] = &*row.tries else {
            panic!("{:?}", row.tries)
        };
        let blamed = (only.outcome.as_str(), only.status_code);
        assert_eq!(blamed, ("upstream_error", Some(200)));
        let payload = row.payload.expect("bodies");
        assert!(stored(&payload.upstream_response_body).contains("call_one"));
    }
}

#[test]
fn calls_in_words_are_calls_and_the_rest_is_said() {
    let said = "Look.\n<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}</tool_call>\n\nDone. {'id': 'toolu_1', 'input': {}, 'name': 'f', 'type': 'tool_use'}";
    let (upstream, gateway) = answering(json_answer(
        200,
        "",
        &json!({ "response": said }).to_string(),
    ));
    let answer = gateway.chat(
        "argo:claude-opus-4.7",
        &format!(r#"{TOOLS},"temperature":0.5,"top_p":0.5"#),
    );
    let message = answer.json()["choices"][0]["message"].clone();
    assert_eq!(
        message["content"],
        "Look.\n\n\nDone. {'id': 'toolu_1', 'input': {}, 'name': 'f', 'type': 'tool_use'}"
    );
    let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
    assert_eq!(
        (calls, &message["tool_calls"][0]["function"]["name"]),
        (1, &json!("f"))
    );
    let (_, body) = sent(&upstream);
    let told = ["tools", "temperature", "top_p"].map(|name| body.get(name));
    assert_eq!(told, [None; 3], "{body}");
    let row = last(&gateway);
    assert_eq!(row.dropped.as_deref(), Some(r#"["temperature","top_p"]"#));
    assert_eq!(row.finish_reason.as_deref(), Some("tool_calls"));
    let calls: Value = serde_json::from_str(&row.tool_calls.unwrap_or_default()).expect("calls");
    assert_eq!(calls[0]["function"]["arguments"], "{\"a\":1}");
}
