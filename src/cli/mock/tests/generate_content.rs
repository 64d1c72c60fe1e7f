//! Gemini's `generateContent`.

use super::*;

fn path(model: &str, verb: &str) -> String {
    format!("/v1beta/models/{model}:{verb}")
}

fn said() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

fn content(model: &str) -> Seen {
    post(&path(model, "generateContent"), &said())
}

fn events(model: &str) -> Seen {
    post(&path(model, "streamGenerateContent?alt=sse"), &said())
}

fn array(model: &str) -> Seen {
    post(&path(model, "streamGenerateContent"), &said())
}

#[test]
fn plain_answer() {
    let seen = content("mock");
    assert_eq!(
        (seen.status(), seen.body.len(), seen.whole),
        (200, 670, true)
    );
    let body = seen.json();
    assert_eq!(body["candidates"][0]["finishReason"], "STOP");
    assert_eq!(body["modelVersion"], "mock");
    let usage = json!({"promptTokenCount": 21, "candidatesTokenCount": 10, "totalTokenCount": 33,
        "cachedContentTokenCount": 4, "thoughtsTokenCount": 2});
    assert_eq!(body["usageMetadata"], usage);
    assert_eq!(seen.header("x-request-id"), None);
    let v1 = post("/v1/models/mock:generateContent", &said());
    assert_eq!(v1.json()["modelVersion"], "mock");
    assert_eq!(content("mock-b4k").body.len(), 4_096);
    assert_eq!(content("mock-big-1m").body.len(), 1 << 20);
}

#[test]
fn contents() {
    let parts = |model: &str| content(model).json()["candidates"][0]["content"]["parts"].clone();
    assert_eq!(parts("mock-json")[0]["text"], r#"{"name":"Ada","age":36}"#);
    assert_eq!(parts("mock-null"), json!([]));
    assert_eq!(
        parts("mock-tools")[1]["functionCall"],
        json!({"name": "get_weather", "args": {"city": "Oslo"}})
    );
    let refused = content("mock-refusal").json();
    assert_eq!(refused["candidates"][0]["finishReason"], "SAFETY");
    let image = json!({"contents": [{"parts": [{"inlineData": {"data": "abcd"}}]}]});
    let seen = post(&path("mock-vision", "generateContent"), &image).json();
    let text = &seen["candidates"][0]["content"]["parts"][0]["text"];
    assert_eq!(text, "images: 1, url bytes: [4]");
}

#[test]
fn streams_are_events_or_an_array() {
    let seen = events("mock-s2");
    let found = seen.events();
    assert_eq!((found.len(), seen.whole), (3, true));
    assert_eq!(found[2]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(found[2]["usageMetadata"]["candidatesTokenCount"], 2);
    assert_eq!(found[0]["usageMetadata"], Value::Null);
    assert!(!seen.text().contains("[DONE]"));
    let seen = array("mock-s2");
    assert_eq!(
        seen.header("content-type"),
        Some("application/json; charset=UTF-8")
    );
    let items = seen.json();
    assert_eq!(items.as_array().map(Vec::len), Some(4));
    assert_eq!(items[3]["candidates"][0]["finishReason"], "STOP");
    assert!(1 < seen.chunks.len(), "in pieces");
}

#[test]
fn streams_that_end_badly() {
    for seen in [events("mock-s4-cut-2"), array("mock-s4-cut-2")] {
        assert!(!seen.whole && !seen.text().contains("finishReason"));
    }
    let early = array("mock-s4-eof");
    assert!(early.whole && !early.text().contains(']') || !early.text().ends_with("]\n"));
    let error = events("mock-s4-errevent").events().pop().expect("an event");
    assert_eq!(error["error"]["status"], "UNAVAILABLE");
    let error = array("mock-s4-errevent").json();
    let last = error.as_array().and_then(|items| items.last());
    assert_eq!(last.map(|last| &last["error"]["code"]), Some(&json!(503)));
    let unended = events("mock-s2-nodone");
    assert!(!unended.text().contains("finishReason"));
}

#[test]
fn errors_have_geminis_shape() {
    for (model, status, word) in [
        ("mock-err-400", 400, "INVALID_ARGUMENT"),
        ("mock-err-401", 401, "UNAUTHENTICATED"),
        ("mock-err-429", 429, "RESOURCE_EXHAUSTED"),
        ("mock-err-500", 500, "INTERNAL"),
        ("mock-err-503", 503, "UNAVAILABLE"),
        ("mock-nonsense", 404, "NOT_FOUND"),
    ] {
        let seen = content(model);
        let error = seen.json()["error"].clone();
        assert_eq!(
            (seen.status(), &error["code"]),
            (status, &json!(status)),
            "{model}"
        );
        assert_eq!(error["status"], word, "{model}");
    }
    let wrong = post(&path("mock", "generateContent"), &json!(5));
    assert_eq!(wrong.status(), 400);
}

#[test]
fn what_else_its_clients_call() {
    let count = post(&path("mock", "countTokens"), &said());
    assert_eq!(count.json(), json!({"totalTokens": 21}));
    let one = post(&path("mock", "embedContent"), &json!({"content": {}}));
    assert_eq!(one.json()["embedding"]["values"][0], 0.25);
    let two = post(
        &path("mock", "batchEmbedContents"),
        &json!({"requests": [{}, {}]}),
    );
    assert_eq!(two.json()["embeddings"].as_array().map(Vec::len), Some(2));
    let mock = start();
    assert_eq!(
        get(&mock, "/v1beta/models").json()["models"][0]["name"],
        "models/mock"
    );
    assert_eq!(
        get(&mock, "/v1beta/models/mock-s5").json()["name"],
        "models/mock-s5"
    );
}
