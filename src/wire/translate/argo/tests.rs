use serde_json::{Value, json};

use crate::wire::translate::{
    AnswerFacts, ClientFormat, Format, StreamTranslator, TranslateError, answer, request,
};

const CONVERSATION: &str =
    include_str!("../../../../tests/fixtures/translate/chat_conversation.json");
const TOOLS_OF_MESSAGES: &str =
    include_str!("../../../../tests/fixtures/translate/message_tools.json");
const SCHEMA: &str = include_str!("../../../../tests/fixtures/translate/chat_schema.json");

fn facts() -> AnswerFacts {
    AnswerFacts {
        request_id: "id-1".to_owned(),
        model: "argo:gpt-4o".to_owned(),
        created_s: 1,
        include_usage: true,
        echo: Default::default(),
        tools_in_words: true,
    }
}

fn asked(
    from: ClientFormat,
    body: &str,
    model: &str,
) -> Result<(Value, Vec<String>), TranslateError> {
    let (made, dropped) = request(from, Format::Argo, body.as_bytes(), model, false)?;
    Ok((
        serde_json::from_slice(&made).expect("JSON"),
        dropped.into_fields(),
    ))
}

#[test]
fn requests() {
    // Without the surrogate that stands alone.
    let chat = CONVERSATION.replace("\\ud83d alone", "x");
    let mut message: Value = serde_json::from_str(TOOLS_OF_MESSAGES).expect("JSON");
    message["output_config"] = Value::Null;
    let parts = message.pointer_mut("/messages/2/content/0/content");
    parts.and_then(Value::as_array_mut).expect("parts").pop();
    let message = message.to_string();
    for (name, from, body, model) in [
        (
            "chat_as_gpt",
            ClientFormat::OpenaiChat,
            &chat,
            "argo:gpt-4o",
        ),
        (
            "message_as_gpt",
            ClientFormat::Anthropic,
            &message,
            "argo:gpt-4o",
        ),
        (
            "message_as_claude",
            ClientFormat::Anthropic,
            &message,
            "argo:claude-opus-4.1",
        ),
        (
            "message_as_o3",
            ClientFormat::Anthropic,
            &message,
            "argo:gpt-o3-mini",
        ),
    ] {
        let (made, dropped) = asked(from, body, model).expect(name);
        let dropped = dropped.join("\n");
        insta::assert_snapshot!(name, format!("{made:#}\n--- dropped\n{dropped}"));
    }
}

#[test]
fn families_want_different_things() {
    let body = |more: &str| {
        format!(
            r#"{{"messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"u"}}]{more}}}"#
        )
    };
    let chat = |more: &str, model: &str| {
        asked(ClientFormat::OpenaiChat, &body(more), model).expect("written")
    };
    let roles = |made: &Value| made["messages"][0]["role"].clone();
    assert_eq!(roles(&chat("", "gpt4o").0), "system");
    assert_eq!(roles(&chat("", "argo:gpt-o1-preview").0), "user");
    let (made, dropped) = chat(r#","temperature":0.5,"top_p":0.5"#, "claudeopus41");
    assert_eq!(
        (&made["max_tokens"], &made["top_p"]),
        (&json!(4096), &Value::Null)
    );
    assert_eq!(dropped, ["top_p"]);
    let (made, dropped) = chat(r#","max_tokens":50000"#, "claudeopus41");
    assert_eq!(
        (&made["max_tokens"], dropped),
        (&json!(21_000), vec!["max_tokens".to_owned()])
    );
    let (made, _) = chat(r#","max_tokens":50000,"stream":true"#, "claudeopus41");
    assert_eq!(
        (&made["max_tokens"], &made["stream"]),
        (&json!(50_000), &Value::Null)
    );
    let (made, dropped) = chat(r#","user":"ann","stop":"x""#, "gpt4o");
    assert_eq!(
        (&made["user"], &made["stop"]),
        (&Value::Null, &json!(["x"]))
    );
    assert_eq!(dropped, ["user"]);
    let alone = r#"{"messages":[{"role":"system","content":"s"}]}"#;
    let (made, _) = asked(ClientFormat::OpenaiChat, alone, "argo:gemini-2.5-pro").expect("written");
    assert_eq!(
        made["messages"][1],
        json!({ "role": "user", "content": "[continue]" })
    );
}

#[test]
fn only_texts_are_streamed() {
    let streams = |more: &str, model: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"u"}}]{more}}}"#);
        let (made, _) = request(
            ClientFormat::OpenaiChat,
            Format::Argo,
            body.as_bytes(),
            model,
            false,
        )
        .expect("written");
        Format::Argo.streams(&made)
    };
    let tools = r#","tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#;
    assert!(streams("", "gpt4o") && streams("", "claudeopus41"));
    assert!(!streams(tools, "gpt4o") && !streams(tools, "claudeopus41"));
}

#[test]
fn what_would_change_the_meaning_is_refused_by_its_name() {
    match asked(ClientFormat::OpenaiChat, SCHEMA, "gpt4o") {
        Err(TranslateError::Unsupported { field, .. }) => assert_eq!(field, "response_format"),
        other => panic!("{other:?}"),
    }
}

fn read(body: &str) -> Result<Value, TranslateError> {
    let read = answer(
        Format::Argo,
        ClientFormat::OpenaiChat,
        body.as_bytes(),
        &facts(),
    );
    read.map(|(made, _)| serde_json::from_slice(&made).expect("JSON"))
}

#[test]
fn answers_of_every_family_are_read() {
    let plain = read(r#"{"response":"Hällo"}"#).expect("an answer");
    assert_eq!(plain["choices"][0]["message"]["content"], "Hällo");
    assert_eq!(plain["choices"][0]["finish_reason"], "stop");
    assert!(
        plain.get("usage").is_none(),
        "what is not known is not there"
    );
    for (call, id) in [
        (
            r#"{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}"#,
            Some("c1"),
        ),
        (
            r#"{"id":"toolu_1","input":{"a":1},"name":"f","type":"tool_use"}"#,
            Some("toolu_1"),
        ),
        (r#"{"id":null,"args":{"a":1},"name":"f"}"#, None),
    ] {
        let body = format!(r#"{{"response":{{"content":"","tool_calls":[{call}]}}}}"#);
        let made = read(&body).expect(call);
        let message = &made["choices"][0]["message"];
        let got = &message["tool_calls"][0];
        assert_eq!(
            got["function"],
            json!({ "name": "f", "arguments": "{\"a\":1}" })
        );
        let got = got["id"].as_str().expect("an id");
        assert!(
            id.map_or_else(|| got.starts_with("call_"), |id| got == id),
            "{got}"
        );
        assert_eq!(made["choices"][0]["finish_reason"], "tool_calls");
    }
}

#[test]
fn calls_in_words_are_read() {
    let text = "Let me look.\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>";
    let made = read(&json!({ "response": text }).to_string()).expect("an answer");
    let message = &made["choices"][0]["message"];
    assert_eq!(message["content"], "Let me look.\n");
    let names: Vec<&Value> = message["tool_calls"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| &call["function"]["name"])
        .collect();
    assert_eq!(names, ["f", "g"]);
    assert_ne!(
        message["tool_calls"][0]["id"],
        message["tool_calls"][1]["id"]
    );
    for text in [
        "<tool_call>{</tool_call>",
        "<tool_call>no end",
        "<tool_call>{\"arguments\":{}}</tool_call>",
        "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call> and on",
    ] {
        let made = read(&json!({ "response": text }).to_string()).expect("an answer");
        assert_eq!(made["choices"][0]["message"]["content"], text);
    }
}

#[test]
fn who_offered_no_tools_reads_the_text_as_it_is() {
    let text = "Write <tool_call>{\"name\":\"f\"}</tool_call> to call.";
    let facts = AnswerFacts {
        tools_in_words: false,
        ..facts()
    };
    let body = json!({ "response": text }).to_string();
    let read = answer(
        Format::Argo,
        ClientFormat::OpenaiChat,
        body.as_bytes(),
        &facts,
    );
    let made: Value = serde_json::from_slice(&read.expect("an answer").0).expect("JSON");
    assert_eq!(made["choices"][0]["message"]["content"], text);
    assert_eq!(made["choices"][0]["finish_reason"], "stop");
}

#[test]
fn what_is_no_answer_is_told() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"response":null}"#,
        r#"{"response":{}}"#,
        r#"{"response":"cut"#,
    ] {
        assert!(
            matches!(
                read(body),
                Err(TranslateError::Malformed(_) | TranslateError::Invalid { .. })
            ),
            "{body}"
        );
    }
    match read(r#"{"response":"AUTHENTICATION NOTICE FROM ARGO: no"}"#) {
        Err(TranslateError::Reported(error)) => assert_eq!(
            (error.status, error.code.as_deref()),
            (Some(403), Some("upstream_auth"))
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_is_its_texts() {
    for to in [ClientFormat::OpenaiChat, ClientFormat::Anthropic] {
        let mut translator = StreamTranslator::new(Format::Argo, to, &facts());
        let mut out = Vec::new();
        for piece in ["Hä", "llo \"you\"\n", "😀"] {
            let before = out.len();
            translator
                .event(piece.as_bytes(), &mut out)
                .expect("a text");
            assert!(before < out.len(), "each piece goes out at once");
        }
        translator.end(&mut out).expect("its end");
        let name = format!("stream_as_{to:?}");
        insta::assert_snapshot!(name, String::from_utf8(out).expect("text"));
    }
}
