//! What becomes of single wishes of a request. Over 400 lines: one row for each wish and format.

use serde_json::{Value, json};

use super::facts;
use crate::wire::sse;
use crate::wire::translate::{
    ClientFormat, Format, StreamTranslator, TranslateError, answer, request,
};

const CHAT: ClientFormat = ClientFormat::OpenaiChat;
const MESSAGES: ClientFormat = ClientFormat::Anthropic;
const RESPONSES: ClientFormat = ClientFormat::OpenaiResponses;
const GEMINI: ClientFormat = ClientFormat::Gemini;

/// A request that says this, in the client's format.
fn body(from: ClientFormat, more: &Value) -> Value {
    let mut body = match from {
        ClientFormat::Gemini => json!({ "contents": [{ "parts": [{ "text": "x" }] }] }),
        ClientFormat::BedrockConverse => {
            json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] })
        }
        ClientFormat::OpenaiResponses => json!({ "input": "x" }),
        ClientFormat::OpenaiCompletions => json!({ "prompt": "x" }),
        ClientFormat::OpenaiChat | ClientFormat::Anthropic | ClientFormat::BedrockInvoke => {
            json!({ "messages": [{ "role": "user", "content": "x" }] })
        }
    };
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    body
}

pub(super) fn asked(
    from: ClientFormat,
    to: Format,
    model: &str,
    more: &Value,
) -> Result<(Value, Vec<String>), TranslateError> {
    let body = body(from, more).to_string();
    let (made, dropped) = request(from, to, body.as_bytes(), model, false)?;
    let made = serde_json::from_slice(&made).unwrap();
    Ok((made, dropped.into_fields()))
}

#[test]
fn claude_is_asked_to_think_as_its_version_takes_it() {
    let enabled =
        |tokens: u64| json!({ "thinking": { "type": "enabled", "budget_tokens": tokens } });
    let adaptive = |effort: Option<&str>| match effort {
        None => json!({ "thinking": { "type": "adaptive" } }),
        Some(effort) => {
            json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": effort } })
        }
    };
    let effort = |word: &str| (CHAT, json!({ "reasoning_effort": word }));
    let gemini = |config| {
        let config = json!({ "thinkingConfig": config });
        (GEMINI, json!({ "generationConfig": config }))
    };
    let (old, both, new) = ("claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-7");
    for ((from, more), model, expected) in [
        (effort("low"), old, enabled(1024)),
        (effort("xhigh"), old, enabled(16384)),
        (effort("low"), both, adaptive(Some("low"))),
        (effort("xhigh"), new, adaptive(Some("xhigh"))),
        (effort("minimal"), new, json!({})),
        (effort("medium"), "the-model", enabled(4096)),
        ((MESSAGES, adaptive(None)), old, enabled(4096)),
        ((MESSAGES, adaptive(None)), both, adaptive(None)),
        ((MESSAGES, adaptive(None)), new, adaptive(None)),
        ((MESSAGES, adaptive(None)), "my-profile", adaptive(None)),
        (
            (MESSAGES, adaptive(Some("low"))),
            new,
            adaptive(Some("low")),
        ),
        ((MESSAGES, enabled(1024)), "my-profile", enabled(1024)),
        ((MESSAGES, enabled(9000)), new, adaptive(Some("high"))),
        (
            gemini(json!({ "thinkingBudget": 512 })),
            new,
            adaptive(Some("low")),
        ),
        (
            gemini(json!({ "thinkingLevel": "HIGH" })),
            old,
            enabled(16384),
        ),
    ] {
        let (made, _) = asked(from, Format::Anthropic, model, &more).unwrap();
        let got: Vec<_> = ["thinking", "output_config"]
            .iter()
            .map(|key| &made[*key])
            .collect();
        let wanted = [&expected["thinking"], &expected["output_config"]];
        assert_eq!(got, wanted, "{more} for {model}");
        let at_bedrock = format!("us.anthropic.{model}");
        let at_bedrock = if model.starts_with("claude") {
            &at_bedrock
        } else {
            model
        };
        let (made, _) = asked(from, Format::BedrockConverse, at_bedrock, &more).unwrap();
        let got = made.get("additionalModelRequestFields").cloned();
        assert_eq!(
            got.unwrap_or_else(|| json!({})),
            expected,
            "{more} for {at_bedrock}"
        );
    }
    for (to, limit) in [
        (Format::Anthropic, "/max_tokens"),
        (Format::BedrockConverse, "/inferenceConfig/maxTokens"),
    ] {
        for (model, expected) in [(old, 1034), (new, 10)] {
            let more = json!({ "reasoning_effort": "low", "max_tokens": 10 });
            let (made, _) = asked(CHAT, to, model, &more).unwrap();
            assert_eq!(made.pointer(limit), Some(&json!(expected)), "{model}");
        }
    }
}

#[test]
fn adaptive_thinking_may_begin_in_the_middle_of_calls_but_not_where_one_is_forced() {
    let call = json!({ "role": "assistant", "tool_calls": [{ "id": "a", "function": { "name": "f", "arguments": "{}" } }] });
    let result = json!({ "role": "tool", "tool_call_id": "a", "content": "r" });
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    for (choice, expected) in [("auto", vec![]), ("required", vec!["reasoning_effort"])] {
        let more = json!({ "messages": [call, result], "tools": tools, "tool_choice": choice, "reasoning_effort": "low" });
        let (made, dropped) = asked(CHAT, Format::Anthropic, "claude-opus-4-7", &more).unwrap();
        assert_eq!(dropped, expected, "{choice}");
        assert_eq!(made["thinking"].is_null(), !expected.is_empty(), "{made}");
    }
}

#[test]
fn the_newest_claudes_are_not_told_how_to_sample() {
    let more = json!({ "temperature": 0.5, "top_p": 0.5, "top_k": 5 });
    let names = ["temperature", "top_k", "top_p"];
    for (to, model) in [
        (Format::Anthropic, "claude-opus-4-7"),
        (Format::BedrockConverse, "anthropic.claude-opus-4-7"),
    ] {
        let (made, mut dropped) = asked(CHAT, to, model, &more).unwrap();
        dropped.sort();
        assert_eq!(dropped, names, "{made}");
        for name in ["temperature", "topP", "top_p", "top_k"] {
            assert!(!made.to_string().contains(name), "{made}");
        }
    }
}

/// A call's id as a client gets it of Gemini's answer, whole and as a stream, and what is named as dropped.
fn id_of(to: ClientFormat, signature: &str) -> (String, Vec<String>) {
    let call = json!({ "functionCall": { "id": "c", "name": "f" }, "thoughtSignature": signature });
    let said =
        json!({ "candidates": [{ "content": { "parts": [call] }, "finishReason": "STOP" }] });
    let said = said.to_string();
    let (made, dropped) = answer(Format::Gemini, to, said.as_bytes(), &facts()).unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    let id = match to {
        ClientFormat::BedrockConverse => "/output/message/content/0/toolUse/toolUseId",
        _ => "/content/0/id",
    };
    let id = made.pointer(id).unwrap().as_str().unwrap().to_owned();
    let mut translator = StreamTranslator::new(Format::Gemini, to, &facts());
    let mut out = Vec::new();
    translator.event(said.as_bytes(), &mut out).unwrap();
    translator.end(&mut out).unwrap();
    let is_there = sse::events(&out).any(|event| {
        let data = event.data.unwrap_or_default();
        String::from_utf8_lossy(&data).contains(&format!("\"{id}\""))
    });
    assert!(is_there, "{id} in {}", String::from_utf8_lossy(&out));
    let dropped = dropped.into_fields();
    assert_eq!(translator.take_dropped(), dropped);
    (id, dropped)
}

#[test]
fn a_signature_goes_round_in_the_id_of_its_call() {
    let (short, long) = ("YS9iKw==", "x".repeat(400));
    let lost = ["functionCall.thoughtSignature"].as_slice();
    for (to, signature, is_carried) in [
        (MESSAGES, short, true),
        (MESSAGES, &*long, true),
        (ClientFormat::BedrockInvoke, short, true),
        (ClientFormat::BedrockConverse, short, true),
        (ClientFormat::BedrockConverse, &*long, false),
    ] {
        let (id, dropped) = id_of(to, signature);
        assert_eq!(dropped, if is_carried { &[] } else { lost }, "{to:?}");
        let messages = match to {
            ClientFormat::BedrockConverse => json!([
                { "role": "assistant", "content": [{ "toolUse": { "toolUseId": id, "name": "f", "input": {} } }] },
                { "role": "user", "content": [{ "toolResult": { "toolUseId": id, "content": [{ "text": "r" }] } }] },
            ]),
            _ => json!([
                { "role": "assistant", "content": [{ "type": "tool_use", "id": id, "name": "f", "input": {} }] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": id, "content": "r" }] },
            ]),
        };
        let more = json!({ "messages": messages });
        let (made, _) = asked(to, Format::Gemini, "gemini-3-pro-preview", &more).unwrap();
        let part = &made["contents"][0]["parts"][0];
        let expected = if is_carried {
            signature
        } else {
            "skip_thought_signature_validator"
        };
        assert_eq!(part["thoughtSignature"], expected, "{to:?}");
        assert_eq!(part["functionCall"]["id"], "c");
        assert_eq!(
            made["contents"][1]["parts"][0]["functionResponse"]["id"],
            "c"
        );
        // Nobody else gets it.
        let (made, _) = asked(to, Format::OpenaiChat, "m", &more).unwrap();
        assert_eq!(made["messages"][0]["tool_calls"][0]["id"], "c");
        assert_eq!(made["messages"][1]["tool_call_id"], "c");
    }
}

#[test]
fn the_first_call_of_a_turn_is_signed_where_the_model_wants_that() {
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let mut signed = call("a");
    signed["extra_content"] = json!({ "google": { "thought_signature": "c2ln" } });
    let dummy = json!("skip_thought_signature_validator");
    for (model, first, expected) in [
        ("gemini-3-flash-preview", &call("a"), &dummy),
        ("models/gemini-3.1-pro", &call("a"), &dummy),
        ("gemini-flash-latest", &call("a"), &dummy),
        ("gemini-2.5-pro", &call("a"), &Value::Null),
        ("gemma-3-27b", &call("a"), &Value::Null),
        ("gemini-3-pro", &signed, &json!("c2ln")),
    ] {
        let more =
            json!({ "messages": [{ "role": "assistant", "tool_calls": [first, call("b")] }] });
        let (made, _) = asked(CHAT, Format::Gemini, model, &more).unwrap();
        let parts = &made["contents"][0]["parts"];
        assert_eq!(&parts[0]["thoughtSignature"], expected, "{model}");
        assert_eq!(parts[1]["thoughtSignature"], Value::Null, "{model}");
    }
}

/// A schema with these members beside its type.
fn object(members: Value) -> Value {
    let mut schema = json!({ "type": "object" });
    schema
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    schema
}

#[test]
fn a_schema_is_strict_where_the_client_says_so_or_it_keeps_the_rules() {
    let closed = object(
        json!({ "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false }),
    );
    let inside = |schema: &Value| {
        object(
            json!({ "properties": { "b": { "type": "array", "items": schema } }, "required": ["b"], "additionalProperties": false }),
        )
    };
    let open = object(json!({ "properties": { "a": { "type": "string" } }, "required": ["a"] }));
    let optional = object(
        json!({ "properties": { "a": { "type": "string" } }, "additionalProperties": false }),
    );
    let bounded = object(
        json!({ "properties": { "a": { "type": "string", "minLength": 1 } }, "required": ["a"], "additionalProperties": false }),
    );
    let referring = object(
        json!({ "properties": { "a": { "$ref": "#/$defs/a" } }, "required": ["a"], "additionalProperties": false, "$defs": { "a": open } }),
    );
    let choice = json!({ "anyOf": [closed] });
    for (schema, expected) in [
        (&closed, true),
        (&inside(&closed), true),
        (&open, false),
        (&inside(&open), false),
        (&optional, false),
        (&bounded, false),
        (&referring, false),
        (&choice, false),
        (&inside(&choice), true),
        (&inside(&json!({})), false),
        (&json!({ "type": "string" }), false),
        (&json!(true), false),
    ] {
        let messages =
            json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } });
        let former = json!({ "output_format": { "type": "json_schema", "schema": schema } });
        let gemini = json!({ "generationConfig": { "responseMimeType": "application/json", "responseJsonSchema": schema } });
        for (from, more) in [(MESSAGES, messages), (MESSAGES, former), (GEMINI, gemini)] {
            let (made, _) = asked(from, Format::OpenaiChat, "m", &more).unwrap();
            let written = &made["response_format"]["json_schema"];
            assert_eq!(
                (&written["schema"], &written["strict"]),
                (schema, &json!(expected))
            );
        }
        for (said, expected) in [
            (json!(true), true),
            (json!(false), false),
            (Value::Null, false),
        ] {
            let format =
                json!({ "type": "json_schema", "name": "n", "schema": schema, "strict": said });
            let more = json!({ "text": { "format": format } });
            let (made, _) = asked(
                ClientFormat::OpenaiResponses,
                Format::OpenaiChat,
                "m",
                &more,
            )
            .unwrap();
            assert_eq!(
                made["response_format"]["json_schema"]["strict"], expected,
                "{said}"
            );
        }
    }
}

#[test]
fn objects_are_closed_where_they_must_be() {
    let with = |more: &Value, inner: Value| {
        let mut schema =
            object(json!({ "properties": { "a": { "anyOf": [{ "type": "null" }, inner] } } }));
        schema
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        schema
    };
    let named = |more: Value| {
        let mut schema = object(json!({ "properties": { "b": { "type": "string" } } }));
        schema
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        schema
    };
    let shut = json!({ "additionalProperties": false });
    let expected = with(&shut, named(shut.clone()));
    let path = "response_format.json_schema.schema";
    let inner = format!("{path}.properties.a.anyOf[1]");
    let opened = format!("{inner}.additionalProperties");
    for (schema, dropped) in [
        (expected.clone(), vec![]),
        (with(&json!({}), named(json!({}))), vec![]),
        (
            with(&json!({}), named(json!({ "additionalProperties": true }))),
            vec![opened],
        ),
    ] {
        let format =
            json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } });
        let more = json!({ "response_format": format });
        let (made, named) = asked(CHAT, Format::Anthropic, "m", &more).unwrap();
        assert_eq!(made["output_config"]["format"]["schema"], expected);
        assert_eq!(named, dropped);
        let (made, named) = asked(CHAT, Format::BedrockConverse, "m", &more).unwrap();
        let written = made
            .pointer("/outputConfig/textFormat/structure/jsonSchema/schema")
            .unwrap();
        let written: Value = serde_json::from_str(written.as_str().unwrap()).unwrap();
        assert_eq!((written, named), (expected.clone(), dropped));
    }
    for free in [
        json!({ "type": "object" }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    ] {
        let schema = with(&json!({}), free);
        let format =
            json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } });
        for to in [Format::Anthropic, Format::BedrockConverse] {
            let error = asked(CHAT, to, "m", &json!({ "response_format": format })).unwrap_err();
            assert!(
                matches!(&error, TranslateError::Unsupported { field, .. } if *field == inner),
                "{error}"
            );
        }
    }
}

#[test]
fn seeds_and_penalties_are_those_of_chats_and_of_gemini() {
    let chat = json!({ "seed": 3, "presence_penalty": 0.5, "frequency_penalty": -1 });
    let gemini = json!({ "seed": 3, "presencePenalty": 0.5, "frequencyPenalty": -1 });
    let config = json!({ "generationConfig": gemini });
    let (made, dropped) = asked(CHAT, Format::Gemini, "m", &chat).unwrap();
    assert_eq!((&made["generationConfig"], dropped), (&gemini, vec![]));
    let (made, dropped) = asked(GEMINI, Format::OpenaiChat, "m", &config).unwrap();
    assert_eq!(dropped, [""; 0]);
    for (name, value) in chat.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    let none = json!({ "presence_penalty": 0, "frequency_penalty": 0.0 });
    for to in [
        Format::Anthropic,
        Format::BedrockConverse,
        Format::Asksage,
        Format::Argo,
    ] {
        let (_, dropped) = asked(CHAT, to, "m", &chat).unwrap();
        assert_eq!(
            dropped,
            ["seed", "presence_penalty", "frequency_penalty"],
            "{to:?}"
        );
        assert_eq!(asked(CHAT, to, "m", &none).unwrap().1, [""; 0], "{to:?}");
    }
}

#[test]
fn a_system_prompt_alone_is_what_the_user_says() {
    let more = json!({ "messages": [{ "role": "system", "content": "s" }] });
    for (to, place) in [
        (Format::Anthropic, "/messages/0/content"),
        (Format::BedrockConverse, "/messages/0/content/0/text"),
        (Format::Gemini, "/contents/0/parts/0/text"),
    ] {
        let (made, dropped) = asked(CHAT, to, "m", &more).unwrap();
        assert_eq!(made.pointer(place), Some(&json!("s")), "{made}");
        assert_eq!(dropped, ["messages[0].role"], "{to:?}");
        for system in ["system", "systemInstruction"] {
            assert_eq!(made[system], Value::Null, "{made}");
        }
    }
}

#[track_caller]
pub(super) fn refused(from: ClientFormat, to: Format, more: &Value, expected: &str) {
    let error = asked(from, to, "m", more).unwrap_err();
    match error {
        TranslateError::Unsupported { field, .. } | TranslateError::Invalid { field, .. } => {
            assert_eq!(field, expected, "{to:?}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_image_or_document_that_is_not_taken_is_named_itself() {
    const URL: &str = "https://example.com/a.png";
    let user = |key: &str, text: Value, part: Value| json!({ key: [{ "role": "user", "content": [text, part] }] });
    let chat = |part| user("messages", json!({ "type": "text", "text": "x" }), part);
    let responses = |part| user("input", json!({ "type": "input_text", "text": "x" }), part);
    let gemini = |part| json!({ "contents": [{ "parts": [{ "text": "x" }, part] }] });
    let at_url = json!({ "type": "url", "url": URL });
    let image = (
        CHAT,
        chat(json!({ "type": "image_url", "image_url": { "url": URL } })),
        "messages[0].content[1].image_url",
    );
    let file = (
        RESPONSES,
        responses(json!({ "type": "input_file", "file_url": URL })),
        "input[0].content[1].file_url",
    );
    for ((from, more, field), refusing) in [
        (
            image,
            [Format::Gemini, Format::BedrockConverse, Format::Asksage].as_slice(),
        ),
        (
            (
                CHAT,
                chat(
                    json!({ "type": "image_url", "image_url": { "url": "data:image/tiff;base64,eA==" } }),
                ),
                "messages[0].content[1].image_url",
            ),
            &[Format::BedrockConverse, Format::Asksage],
        ),
        (
            (
                RESPONSES,
                responses(json!({ "type": "input_image", "image_url": URL })),
                "input[0].content[1].image_url",
            ),
            &[Format::Gemini, Format::BedrockConverse],
        ),
        (
            file,
            &[Format::Gemini, Format::BedrockConverse, Format::OpenaiChat],
        ),
        (
            (
                MESSAGES,
                chat(json!({ "type": "image", "source": at_url })),
                "messages[0].content[1].source",
            ),
            &[Format::Gemini, Format::BedrockConverse],
        ),
        (
            (
                MESSAGES,
                chat(json!({ "type": "document", "source": at_url })),
                "messages[0].content[1].source",
            ),
            &[Format::Gemini, Format::BedrockConverse, Format::OpenaiChat],
        ),
        (
            (
                GEMINI,
                gemini(json!({ "fileData": { "fileUri": URL } })),
                "contents[0].parts[1].fileData",
            ),
            &[Format::BedrockConverse, Format::Asksage],
        ),
    ] {
        for to in refusing {
            refused(from, *to, &more, field);
        }
    }
}

#[test]
fn what_geminis_clients_name_by_url_goes_where_urls_are_taken() {
    let part = |media_type: Option<&str>, url: &str| {
        let file = json!({ "fileUri": url, "mimeType": media_type });
        json!({ "contents": [{ "parts": [{ "fileData": file }] }] })
    };
    let pdf = "application/pdf";
    for (media_type, url, kind) in [
        (Some("image/png"), "https://example.com/cat", "image"),
        (None, "https://example.com/CAT.PNG?x=1", "image"),
        (Some(pdf), "https://example.com/a", "document"),
        (None, "https://example.com/a.pdf", "document"),
    ] {
        let more = part(media_type, url);
        let (made, _) = asked(GEMINI, Format::Anthropic, "m", &more).unwrap();
        let expected = json!([{ "type": kind, "source": { "type": "url", "url": url } }]);
        assert_eq!(made["messages"][0]["content"], expected, "{url}");
        match kind {
            "image" => {
                let (made, _) = asked(GEMINI, Format::OpenaiChat, "m", &more).unwrap();
                let expected = json!([{ "type": "image_url", "image_url": { "url": url } }]);
                assert_eq!(made["messages"][0]["content"], expected, "{url}");
            }
            _ => refused(
                GEMINI,
                Format::OpenaiChat,
                &more,
                "contents[0].parts[0].fileData",
            ),
        }
    }
    for (media_type, url) in [
        (None, "https://www.youtube.com/watch?v=a"),
        (
            Some(pdf),
            "https://generativelanguage.googleapis.com/v1beta/files/a",
        ),
        (Some(pdf), "gs://bucket/a"),
        (Some("text/csv"), "https://example.com/a"),
        (None, "https://example.com/a"),
    ] {
        let more = part(media_type, url);
        refused(
            GEMINI,
            Format::Anthropic,
            &more,
            "contents[0].parts[0].fileData.fileUri",
        );
    }
    let video = part(Some("video/mp4"), "https://example.com/a");
    refused(
        GEMINI,
        Format::Anthropic,
        &video,
        "contents[0].parts[0].fileData",
    );
}
