use serde_json::{Value, json};

use super::{AnswerFacts, Call, Format, TranslateError, answer, request};

fn facts() -> AnswerFacts {
    AnswerFacts {
        request_id: "id-1".to_owned(),
        model: "asked".to_owned(),
        created_s: 1,
        include_usage: false,
        echo: serde_json::Map::new(),
        tools_in_words: false,
    }
}

fn asked(client: Format, provider: Format, body: &Value) -> (Call, Value, Vec<String>) {
    let body = body.to_string();
    let (call, body, dropped) = request(client, provider, body.as_bytes(), "m").unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    (call, body, dropped.into_fields())
}

fn answered(call: Call, body: &Value) -> Value {
    let (body, _) = answer(call, body.to_string().as_bytes(), &facts()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn openais_call_for_gemini_and_back() {
    let body = json!({ "model": "x", "input": ["a", "b\u{1f600}"], "dimensions": 2, "user": "u" });
    let (call, sent, dropped) = asked(Format::Openai, Format::Gemini, &body);
    let one = |text: &str| json!({ "model": "models/m", "content": { "parts": [{ "text": text }] }, "outputDimensionality": 2 });
    assert_eq!(sent, json!({ "requests": [one("a"), one("b\u{1f600}")] }));
    assert_eq!(dropped, ["user"]);
    let came = json!({ "embeddings": [{ "values": [0.5, -0.013427734] }, { "values": [1, 2] }] });
    let item = |index: u64, vector: Value| json!({ "object": "embedding", "index": index, "embedding": vector });
    let expected = json!({
        "object": "list", "model": "asked", "usage": null,
        "data": [item(0, json!([0.5, -0.013427734])), item(1, json!([1.0, 2.0]))],
    });
    assert_eq!(answered(call, &came), expected);
    let mut counted = came;
    counted["usageMetadata"] = json!({ "promptTokenCount": 5 });
    let usage = json!({ "prompt_tokens": 5, "total_tokens": 5 });
    assert_eq!(answered(call, &counted)["usage"], usage);
}

#[test]
fn base64_is_what_clients_decode() {
    let body = json!({ "input": "a", "encoding_format": "base64" });
    let (call, sent, _) = asked(Format::Openai, Format::Gemini, &body);
    assert!(sent["requests"][0].get("outputDimensionality").is_none());
    let said = answered(call, &json!({ "embeddings": [{ "values": [1.0, -2.5] }] }));
    assert_eq!(said["data"][0]["embedding"], "AACAPwAAIMA=");
}

#[test]
fn geminis_calls_for_openai_and_back() {
    let content = json!({ "parts": [{ "text": "a" }] });
    let single = json!({ "model": "models/x", "content": content, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 3 });
    let (call, sent, dropped) = asked(Format::Gemini, Format::Openai, &single);
    let expected =
        json!({ "model": "m", "input": ["a"], "encoding_format": "float", "dimensions": 3 });
    assert_eq!((sent, &*dropped), (expected, &["taskType".to_owned()][..]));
    let came = json!({ "data": [{ "index": 0, "embedding": "AACAPwAAIMA=" }], "usage": { "prompt_tokens": 4 } });
    let expected = json!({ "embedding": { "values": [1.0, -2.5] }, "usageMetadata": { "promptTokenCount": 4 } });
    assert_eq!(answered(call, &came), expected);

    let batch = json!({ "requests": [{ "content": content }, { "content": content }] });
    let (call, sent, _) = asked(Format::Gemini, Format::Openai, &batch);
    assert_eq!(sent["input"], json!(["a", "a"]));
    let came =
        json!({ "data": [{ "index": 1, "embedding": [2] }, { "index": 0, "embedding": [1] }] });
    let expected = json!({ "embeddings": [{ "values": [1.0] }, { "values": [2.0] }] });
    assert_eq!(answered(call, &came), expected, "by their index");
}

#[test]
fn what_cannot_be_asked_is_named() {
    let part = |part: Value| json!({ "content": { "parts": [part] } });
    for (client, body, expected) in [
        (Format::Openai, json!({}), "input"),
        (Format::Openai, json!({ "input": [] }), "input"),
        (Format::Openai, json!({ "input": [1, 2] }), "input"),
        (Format::Openai, json!({ "input": [[1, 2]] }), "input"),
        (Format::Openai, json!({ "input": [true] }), "input"),
        (
            Format::Openai,
            json!({ "input": "a", "encoding_format": "int8" }),
            "encoding_format",
        ),
        (
            Format::Openai,
            json!({ "input": "a", "dimensions": "3" }),
            "dimensions",
        ),
        (Format::Gemini, json!({}), "content"),
        (Format::Gemini, json!({ "content": {} }), "content.parts"),
        (Format::Gemini, json!({ "requests": [] }), "requests"),
        (Format::Gemini, json!({ "requests": [1] }), "requests[0]"),
        (
            Format::Gemini,
            part(json!({ "inlineData": {} })),
            "content.parts[0].text",
        ),
        (
            Format::Gemini,
            json!({ "requests": [part(json!({ "text": "a" })), { "content": { "parts": [{ "text": "a" }] }, "outputDimensionality": 3 }] }),
            "requests[1].outputDimensionality",
        ),
    ] {
        let other = match client {
            Format::Openai => Format::Gemini,
            Format::Gemini | Format::Argo => Format::Openai,
        };
        let error = request(client, other, body.to_string().as_bytes(), "m").unwrap_err();
        match error {
            TranslateError::Unsupported { field, .. } | TranslateError::Invalid { field, .. } => {
                assert_eq!(field, expected, "{body}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let (call, ..) = asked(Format::Openai, Format::Gemini, &json!({ "input": "a" }));
    for body in [
        json!({}),
        json!({ "embeddings": [] }),
        json!({ "embeddings": [{ "values": ["x"] }] }),
        json!({ "embeddings": [{ "values": [1] }, { "values": [1] }] }),
        json!({ "error": { "code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED" } }),
    ] {
        assert!(
            answer(call, body.to_string().as_bytes(), &facts()).is_err(),
            "{body}"
        );
    }
    let content = json!({ "content": { "parts": [{ "text": "a" }] } });
    let (call, ..) = asked(Format::Gemini, Format::Openai, &content);
    for wrong in [json!("AAA="), json!("AADAfw=="), json!([null]), json!(5)] {
        let body = json!({ "data": [{ "index": 0, "embedding": wrong }] });
        assert!(
            answer(call, body.to_string().as_bytes(), &facts()).is_err(),
            "{body}"
        );
    }
}
