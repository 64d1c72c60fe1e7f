//! Calls of a history: what becomes of them where their tools or their signatures are gone.

use serde_json::{Value, json};

use super::CHAT;
use super::requests::asked;
use crate::wire::translate::{ClientFormat, Format};

const CLAUDE: &str = "anthropic.claude-sonnet-4-5-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";

fn called(names: &[&str], more: Value) -> Value {
    let mut messages = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let id = format!("c{at}");
        let call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": "{}" } });
        messages.push(json!({ "role": "assistant", "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "r" }));
    }
    messages.push(json!({ "role": "user", "content": "Sum it up." }));
    let mut body = json!({ "messages": messages });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

/// Names of the tools, what they say and take, and which is to be called.
fn tools(to: Format, model: &str, body: &Value) -> (Vec<Value>, Value) {
    let (made, dropped) = asked(CHAT.0, to, model, body).unwrap();
    assert_eq!(dropped, Vec::<String>::new(), "{body}");
    let (at, choice, schema) = match to {
        Format::Anthropic => ("/tools", "/tool_choice", "/input_schema"),
        _ => (
            "/toolConfig/tools",
            "/toolConfig/toolChoice",
            "/inputSchema/json",
        ),
    };
    let tools = made.pointer(at).and_then(Value::as_array);
    let tools = tools.into_iter().flatten().map(|tool| {
        let tool = tool.get("toolSpec").unwrap_or(tool);
        let takes_nothing = json!({ "type": "object", "properties": {} });
        assert_eq!(tool.pointer(schema), Some(&takes_nothing), "{tool}");
        tool["name"].clone()
    });
    let choice = made.pointer(choice).cloned().unwrap_or_default();
    (tools.collect(), choice)
}

#[test]
fn a_history_with_calls_has_tools() {
    let forbidden = json!({ "type": "none" });
    for (to, model, choice) in [
        (Format::Anthropic, "claude-sonnet-4-5", &forbidden),
        (Format::BedrockConverse, CLAUDE, &Value::Null),
        (Format::BedrockConverse, NOVA, &Value::Null),
    ] {
        for more in [
            json!({}),
            json!({ "tools": [] }),
            json!({ "tool_choice": "none" }),
            json!({ "parallel_tool_calls": true }),
        ] {
            let body = called(&["look", "find", "look"], more);
            let expected = (vec![json!("look"), json!("find")], choice.clone());
            assert_eq!(tools(to, model, &body), expected, "{body}");
        }
        let none = (Vec::new(), Value::Null);
        let body = called(&[], json!({}));
        assert_eq!(tools(to, model, &body), none, "no calls: {body}");
        let own = json!([{ "type": "function", "function": { "name": "own" } }]);
        let body = called(&["look"], json!({ "tools": own }));
        let expected = (vec![json!("own")], Value::Null);
        assert_eq!(tools(to, model, &body), expected, "the client's own");
    }
}

#[test]
fn tools_that_stand_in_say_that_they_are_gone() {
    let body = called(&["look"], json!({}));
    for (to, model, at) in [
        (
            Format::Anthropic,
            "claude-sonnet-4-5",
            "/tools/0/description",
        ),
        (
            Format::BedrockConverse,
            CLAUDE,
            "/toolConfig/tools/0/toolSpec/description",
        ),
    ] {
        let (made, _) = asked(CHAT.0, to, model, &body).unwrap();
        let said = made.pointer(at).and_then(Value::as_str).unwrap_or_default();
        assert!(said.contains("Do not call"), "{made}");
    }
    // Nobody else refuses a history without tools.
    for to in [Format::OpenaiChat, Format::Gemini] {
        let (made, _) = asked(CHAT.0, to, "m", &body).unwrap();
        assert!(made.get("tools").is_none(), "{made}");
    }
}

/// Signatures rarely fit into the ids of `converse`: the next turn names what is lost.
#[test]
fn a_call_whose_signature_did_not_come_back_is_named() {
    let call = |id: &str| {
        json!([
            { "role": "user", "content": [{ "text": "a" }] },
            { "role": "assistant", "content": [{ "toolUse": { "toolUseId": id, "name": "f", "input": {} } }] },
            { "role": "user", "content": [{ "toolResult": { "toolUseId": id, "content": [{ "text": "r" }] } }] },
        ])
    };
    let lost = "functionCall.thoughtSignature";
    for (id, model, expected) in [
        ("c", "gemini-3-pro", &[lost][..]),
        ("c__thought__c2ln", "gemini-3-pro", &[]),
        ("c", "gemini-2.5-pro", &[]),
    ] {
        let body = json!({ "messages": call(id) });
        let from = ClientFormat::BedrockConverse;
        let (_, dropped) = asked(from, Format::Gemini, model, &body).unwrap();
        assert_eq!(dropped, expected, "{id} {model}");
    }
}
