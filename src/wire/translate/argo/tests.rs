use proptest::prelude::*;
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
    for (model, role) in [
        ("argo:gpt-o1-preview", "user"),
        ("argo:o1-mini", "user"),
        ("argo:gpt-o1", "system"),
        ("argo:gpt-o3-mini", "system"),
    ] {
        assert_eq!(roles(&chat("", model).0), role, "{model}");
    }
    assert_eq!(chat("", "claudeopus41").0["max_tokens"], 4096);
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
fn what_a_model_would_refuse_to_be_told_is_left_out_and_named() {
    let both = r#""temperature":0.5,"top_p":0.25"#;
    for (model, asked_for, sent, left_out) in [
        (
            "argo:gpt-5",
            both,
            [None, None],
            &["temperature", "top_p"][..],
        ),
        (
            "argo:gpt-5-mini",
            r#""temperature":0"#,
            [None, None],
            &["temperature"],
        ),
        (
            "argo:gpt-5-nano",
            r#""temperature":1"#,
            [Some(1.0), None],
            &[],
        ),
        (
            "argo:gpt-5.5",
            r#""temperature":1.0,"top_p":1"#,
            [Some(1.0), None],
            &[],
        ),
        ("gpt55", r#""temperature":null"#, [None, None], &[]),
        ("argo:gpt-5.1", both, [Some(0.5), Some(0.25)], &[]),
        ("argo:gpt-o3-mini", both, [Some(0.5), Some(0.25)], &[]),
        ("argo:gemini-2.5-pro", both, [Some(0.5), Some(0.25)], &[]),
        (
            "argo:claude-4.7-opus",
            both,
            [None, None],
            &["temperature", "top_p"],
        ),
        ("claudeopus47", r#""top_p":0.25"#, [None, None], &["top_p"]),
        ("argo:claude-opus-4.1", both, [Some(0.5), Some(0.25)], &[]),
        ("argo:claude-opus-4.6", both, [Some(0.5), None], &["top_p"]),
        (
            "argo:claude-haiku-4.5",
            r#""top_p":0.25"#,
            [None, Some(0.25)],
            &[],
        ),
    ] {
        for (from, more) in [
            (ClientFormat::OpenaiChat, ""),
            (ClientFormat::Anthropic, r#","max_tokens":9"#),
        ] {
            let body =
                format!(r#"{{"messages":[{{"role":"user","content":"u"}}],{asked_for}{more}}}"#);
            let (made, dropped) = asked(from, &body, model).expect("written");
            let got = ["temperature", "top_p"].map(|name| made[name].as_f64());
            assert_eq!(got, sent, "{model} {asked_for}");
            assert_eq!(dropped, left_out, "{model} {asked_for}");
        }
    }
    for wrong in [r#""temperature":"1""#, r#""top_p":[]"#] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"u"}}],{wrong}}}"#);
        let refused = asked(ClientFormat::OpenaiChat, &body, "argo:gpt-5");
        assert!(
            matches!(refused, Err(TranslateError::Invalid { .. })),
            "{wrong}: {refused:?}"
        );
    }
}

#[test]
fn no_schema_is_strict_in_words() {
    let body = r#"{"messages":[],"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{}}}]}"#;
    for (model, expected) in [("gpt4o", &[][..]), ("claudeopus41", &["tools.strict"])] {
        let (_, dropped) = asked(ClientFormat::OpenaiChat, body, model).expect("written");
        assert_eq!(dropped, expected, "{model}");
    }
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
fn calls_that_are_none_are_an_error_and_never_made_up() {
    for call in [
        r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":"}}"#,
        r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1} and on"}}"#,
        r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{'a': 1}"}}"#,
        r#"{"id":"c","type":"function","function":{"name":"f","arguments":"[1]"}}"#,
        r#"{"id":"c","type":"function","function":{"name":"f","arguments":7}}"#,
        r#"{"id":"c","type":"function","function":{"name":"","arguments":"{}"}}"#,
        r#"{"id":"c","type":"function","function":{"arguments":"{}"}}"#,
        r#"{"id":"c","type":"function","function":"f"}"#,
        r#"{"id":"c","type":"tool_use","name":"f","input":"a"}"#,
        r#"{"id":null,"args":[1],"name":"f"}"#,
        r#"{"id":null,"args":{"a":1}}"#,
        "null",
        r#""f""#,
    ] {
        // Neither a text nor a good call beside it makes it one.
        let good = r#"{"id":"g","name":"f","input":{}}"#;
        for body in [
            format!(r#"{{"response":{{"content":"a","tool_calls":[{call}]}}}}"#),
            format!(r#"{{"response":{{"content":null,"tool_calls":[{good},{call}]}}}}"#),
        ] {
            let read = read(&body);
            assert!(
                matches!(read, Err(TranslateError::Invalid { .. })),
                "{body}: {read:?}"
            );
        }
    }
    for calls in [r#"{"name":"f"}"#, r#""f""#, "true"] {
        let body = format!(r#"{{"response":{{"content":"a","tool_calls":{calls}}}}}"#);
        let read = read(&body);
        assert!(
            matches!(read, Err(TranslateError::Invalid { .. })),
            "{body}: {read:?}"
        );
    }
}

/// What is said, and the names and arguments of the calls, of a model that was told of tools in words.
fn in_words(text: &str) -> (Option<String>, Vec<(String, String)>) {
    let made = read(&json!({ "response": text }).to_string()).expect("an answer");
    let message = &made["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let calls = calls.map(|call| {
        let text = |key: &str| {
            call["function"][key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        (text("name"), text("arguments"))
    });
    (
        message["content"].as_str().map(str::to_owned),
        calls.collect(),
    )
}

#[test]
fn calls_in_words_are_read() {
    const F: &str = r#"<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>"#;
    const G: &str = "<tool_call>\n {\"name\":\"g\"} \n</tool_call>";
    let (f, g) = (("f", r#"{"a":1}"#), ("g", "{}"));
    for (text, said, calls) in [
        (F.to_owned(), None, &[f][..]),
        (format!("Look.\n{F}"), Some("Look.\n"), &[f]),
        // Not a blank is lost beside words.
        (format!("Look.\n{F}\n{G} \t"), Some("Look.\n\n \t"), &[f, g]),
        (format!("  a {F}\n\n{G} b\n"), Some("  a \n\n b\n"), &[f, g]),
        (format!("\n{F}\n{G}\nb"), Some("\n\n\nb"), &[f, g]),
        // Blanks alone are no words.
        (format!("\n{F}\n{G}\n"), None, &[f, g]),
        // Arguments in a text, and an end in an argument.
        (
            r#"<tool_call>{"name":"f","arguments":"{\"a\":1}"}</tool_call>"#.to_owned(),
            None,
            &[f],
        ),
        (
            r#"a<tool_call>{"name":"f","arguments":{"a":"</tool_call>"}}</tool_call>b"#.to_owned(),
            Some("ab"),
            &[("f", r#"{"a":"</tool_call>"}"#)],
        ),
        (format!("<tool_call>{{{F}"), Some("<tool_call>{"), &[f]),
    ] {
        let (content, read) = in_words(&text);
        assert_eq!(content.as_deref(), said, "{text:?}");
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, input)| (&**name, &**input))
            .collect();
        assert_eq!(read, calls, "{text:?}");
    }
    let made = read(&json!({ "response": format!("{F}{F}") }).to_string()).expect("an answer");
    let calls = &made["choices"][0]["message"]["tool_calls"];
    assert_ne!(calls[0]["id"], calls[1]["id"]);
}

#[test]
fn what_is_no_call_in_words_stays_text() {
    for text in [
        "<tool_call>{</tool_call>",
        "<tool_call>no end",
        r#"<tool_call>{"name":"f"}"#,
        r#"<tool_call>{"name":"f"} and on</tool_call>"#,
        r#"<tool_call>{"name":"f"}{"name":"g"}</tool_call>"#,
        r#"<tool_call>{"arguments":{}}</tool_call>"#,
        r#"<tool_call>{"name":"","arguments":{}}</tool_call>"#,
        r#"<tool_call>{"name":7}</tool_call>"#,
        r#"<tool_call>[{"name":"f"}]</tool_call>"#,
        r#"<tool_call>{"name":"f","arguments":"{"}</tool_call>"#,
        r#"<tool_call>{"name":"f","arguments":[1]}</tool_call> and on"#,
        r#"<tool_call>{'name': 'f'}</tool_call>"#,
        "</tool_call> \n",
        " \n",
        "",
    ] {
        assert_eq!(in_words(text), (Some(text.to_owned()), Vec::new()));
    }
}

proptest! {
    /// Whatever stands between calls comes out, character for character.
    #[test]
    fn nothing_of_what_is_said_is_lost(said in prop::collection::vec("[aé😀< \n\t\u{3000}]{0,4}", 1..6)) {
        let call = r#"<tool_call>{"name":"f"}</tool_call>"#;
        let (content, calls) = in_words(&said.join(call));
        prop_assert_eq!(calls.len(), said.len() - 1);
        let said = said.concat();
        let has_words = !said.trim().is_empty() || calls.is_empty();
        prop_assert_eq!(content, has_words.then_some(said));
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
