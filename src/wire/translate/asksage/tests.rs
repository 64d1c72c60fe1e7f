use serde_json::{Value, json};

use crate::wire::translate::{
    AnswerFacts, ClientFormat, Format, ProviderError, TranslateError, answer, answer_as_stream,
    error_of, request,
};

const CONVERSATION: &str =
    include_str!("../../../../tests/fixtures/translate/chat_conversation.json");
const TOOLS_OF_MESSAGES: &str =
    include_str!("../../../../tests/fixtures/translate/message_tools.json");
const SCHEMA: &str = include_str!("../../../../tests/fixtures/translate/chat_schema.json");
const PLAIN: &str = include_str!("../../../../tests/fixtures/asksage/plain.json");
const TOOLS: &str = include_str!("../../../../tests/fixtures/asksage/tools.json");

fn facts() -> AnswerFacts {
    AnswerFacts {
        request_id: "id-1".to_owned(),
        model: "gpt-4.1-gov".to_owned(),
        created_s: 1,
        include_usage: true,
        echo: Default::default(),
        tools_in_words: false,
    }
}

fn asked(from: ClientFormat, body: &Value) -> Result<String, TranslateError> {
    let body = body.to_string();
    let (made, dropped) = request(from, Format::Asksage, body.as_bytes(), "the-model", false)?;
    let made: Value = serde_json::from_slice(&made).expect("JSON");
    let dropped = dropped.into_fields().join("\n");
    Ok(format!("{made:#}\n--- dropped\n{dropped}"))
}

fn parsed(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(&body.replace("\\ud83d alone", "x")).expect("JSON");
    if let Some(content) = body.pointer_mut("/messages/1/content") {
        // Without its pictures and files.
        let kept = content.as_array().map(|parts| parts[..1].to_vec());
        *content = json!(kept.expect("parts"));
    }
    body
}

#[test]
fn requests() {
    let chat = parsed(CONVERSATION);
    let written = asked(ClientFormat::OpenaiChat, &chat).expect("written");
    insta::assert_snapshot!("chat_as_asksage", written);
    let mut message: Value = serde_json::from_str(TOOLS_OF_MESSAGES).expect("JSON");
    message["output_config"] = Value::Null;
    let parts = message.pointer_mut("/messages/2/content/0/content");
    parts.and_then(Value::as_array_mut).expect("parts").pop();
    let written = asked(ClientFormat::Anthropic, &message).expect("written");
    insta::assert_snapshot!("message_as_asksage", written);
}

#[track_caller]
fn refused(body: &Value, field: &str) {
    match asked(ClientFormat::OpenaiChat, body) {
        Err(TranslateError::Unsupported { field: told, .. }) => assert_eq!(told, field),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_would_change_the_meaning_is_refused_by_its_name() {
    let image = json!({ "type": "image_url", "image_url": { "url": "https://a/b.png" } });
    let file =
        json!({ "type": "file", "file": { "file_data": "data:application/pdf;base64,eA==" } });
    for (part, field) in [(image, "image_url"), (file, "file")] {
        refused(
            &json!({ "messages": [{ "role": "user", "content": [part] }] }),
            &format!("messages[0].content[0].{field}"),
        );
    }
    refused(
        &serde_json::from_str(SCHEMA).expect("JSON"),
        "response_format",
    );
    refused(
        &json!({ "messages": [{ "role": "system", "content": "x" }] }),
        "messages",
    );
    refused(&json!({ "messages": [] }), "messages");
}

#[test]
fn answers() {
    for (name, whole) in [("plain", PLAIN), ("tools", TOOLS)] {
        for (to, client) in [
            ("chat", ClientFormat::OpenaiChat),
            ("message", ClientFormat::Anthropic),
        ] {
            let whole = whole.as_bytes();
            let (made, dropped) = answer(Format::Asksage, client, whole, &facts()).expect(name);
            let made: Value = serde_json::from_slice(&made).expect("JSON");
            assert!(dropped.into_fields().is_empty(), "{name}");
            insta::assert_snapshot!(format!("{name}_as_{to}"), format!("{made:#}"));
            let (stream, _) =
                answer_as_stream(Format::Asksage, client, whole, &facts()).expect(name);
            let stream = String::from_utf8(stream).expect("text");
            insta::assert_snapshot!(format!("{name}_as_{to}_stream"), stream);
        }
    }
}

#[test]
fn what_is_no_answer_is_told() {
    let read = |body: &str| {
        let read = answer(
            Format::Asksage,
            ClientFormat::OpenaiChat,
            body.as_bytes(),
            &facts(),
        );
        read.map(|(made, _)| serde_json::from_slice::<Value>(&made).expect("JSON"))
    };
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{\"message\":\"cut",
        r#"{"status":200}"#,
        r#"{"response":"OK"}"#,
        r#"{"message":"","tool_calls":[{"id":"a"}]}"#,
        r#"{"message":"","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}"#,
    ] {
        assert!(read(body).is_err(), "{body}");
    }
    for (body, content) in [
        (r#"{"message":""}"#, json!("")),
        (
            r#"{"message":null,"response":"OK","usage":null}"#,
            Value::Null,
        ),
    ] {
        let empty = read(body).expect(body);
        let choice = &empty["choices"][0];
        assert_eq!(choice["message"]["content"], content, "{body}");
        assert_eq!(choice["finish_reason"], "stop");
        assert!(
            empty.get("usage").is_none(),
            "what is not known is not there"
        );
    }
    let odd = r#"{"message":"m","references":"[1] x","added_obj":{"a":1},"tool_responses":[]}"#;
    let (_, dropped) = answer(
        Format::Asksage,
        ClientFormat::OpenaiChat,
        odd.as_bytes(),
        &facts(),
    )
    .expect("an answer");
    assert_eq!(dropped.into_fields(), ["references", "added_obj"]);
}

#[test]
fn errors_have_their_words() {
    let words = |body: &str| {
        let ProviderError {
            status,
            message,
            code,
            ..
        } = error_of(Format::Asksage, body.as_bytes());
        (status, code, message)
    };
    let told = |status, message: &str| (status, None, message.to_owned());
    assert_eq!(
        words(r#"{"error":"no","status":400,"details":"why"}"#),
        told(Some(400), "no: why")
    );
    assert_eq!(
        words(r#"{"response":"no","status":413}"#),
        told(Some(413), "no")
    );
    assert_eq!(words("<html>"), told(None, ""));
    assert_eq!(
        words(r#"{"error":{"message":"gone","code":"model_gone"}}"#),
        (None, Some("model_gone".to_owned()), "gone".to_owned())
    );
}
