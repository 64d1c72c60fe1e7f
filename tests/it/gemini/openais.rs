//! OpenAI's clients on the path that Google serves for them.

use super::*;

const CHAT: &str = "/v1beta/openai/chat/completions";
const ASKED: &str =
    r#"{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"say launch-code"}]}"#;
const CHATTED: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gemini-2.5-flash","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

fn post(gateway: &TestGateway, path: &str, body: &str) -> RawResponse {
    let headers =
        format!("authorization: Bearer {CLIENT_KEY}\r\ncontent-type: application/json\r\n");
    gateway.send("POST", path, &headers, body.as_bytes())
}

#[test]
fn a_chat_passes_byte_for_byte_and_is_read() {
    for path in [CHAT, &format!("/googleaistudio{CHAT}")] {
        let upstream = FakeUpstream::answering(json_answer(200, "", CHATTED));
        let gateway = before(&upstream, "");
        let answer = post(&gateway, path, ASKED);
        assert_eq!((answer.status, answer.text()), (200, CHATTED));
        let sent = sent(&upstream);
        assert!(
            sent.starts_with(&format!("POST {CHAT} HTTP/1.1\r\n")),
            "{sent}"
        );
        assert!(
            sent.contains(&format!("authorization: Bearer {KEY}\r\n")),
            "{sent}"
        );
        assert!(
            !sent.contains("x-goog-api-key") && !sent.contains(CLIENT_KEY),
            "{sent}"
        );
        assert!(sent.ends_with(&format!("\r\n\r\n{ASKED}")), "{sent}");
        let row = gateway.row().record;
        let facts = (
            &*row.endpoint,
            &*row.dialect,
            row.provider.as_deref(),
            &*row.outcome,
        );
        assert_eq!(facts, ("chat.completions", "openai", Some("gem"), "ok"));
        assert_eq!(row.request_text.as_deref(), Some("say launch-code"));
        assert_eq!(row.response_text.as_deref(), Some("Hi"));
        let tokens = (
            row.prompt_tokens,
            row.completion_tokens,
            row.usage_source.as_deref(),
        );
        assert_eq!(tokens, (Some(7), Some(2), Some("upstream")));
    }
}

#[test]
fn filters_and_errors_are_openais() {
    let yaml = "filters: [{ kind: block_patterns, words: [launch-code], message: no }]";
    let gateway = at("http://127.0.0.1:9", yaml);
    let refused = post(&gateway, CHAT, ASKED);
    assert_eq!(
        (refused.status, &refused.json()["error"]["message"]),
        (400, &json!("no"))
    );
    assert_eq!(refused.json()["error"]["type"], "request_filter_error");
    for (path, body, status, code) in [
        (CHAT, "{", 400, "invalid_json"),
        (
            CHAT,
            r#"{"model":"gemini-2.5-flash","messages":[]}"#,
            502,
            "upstream_unreachable",
        ),
    ] {
        let answer = post(&gateway, path, body);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code))
        );
    }
    for row in gateway.rows() {
        assert_eq!(row.record.dialect, "openai");
    }
}

#[test]
fn embeddings_and_models_are_googles_too() {
    for (method, path, endpoint) in [
        ("POST", "/v1beta/openai/embeddings", "embeddings"),
        ("GET", "/v1beta/openai/models", "models"),
        ("GET", "/v1beta/openai/models/gemini-2.5-flash", "models"),
        ("POST", "/v1beta/openai/images/generations", "passthrough"),
    ] {
        let upstream =
            FakeUpstream::answering(json_answer(200, "", r#"{"object":"list","data":[]}"#));
        let gateway = before(&upstream, "");
        let body = match method {
            "POST" => r#"{"model":"models/text-embedding-004","input":"a"}"#,
            _ => "",
        };
        let headers = "content-type: application/json\r\n";
        let answer = gateway.send(method, path, headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let sent = sent(&upstream);
        assert!(
            sent.starts_with(&format!("{method} {path} HTTP/1.1\r\n")),
            "{sent}"
        );
        assert!(sent.ends_with(body), "{sent}");
        let row = gateway.row().record;
        assert_eq!(
            (&*row.endpoint, &*row.dialect),
            (endpoint, "openai"),
            "{path}"
        );
        assert_eq!(row.provider.as_deref(), Some("gem"));
    }
}

/// The mock stands for OpenAI, in front of which the path is OpenAI's own.
#[test]
fn another_providers_model_goes_there() {
    let upstream = FakeUpstream::answering(json_answer(200, "connection: close\r\n", CHATTED));
    let gateway = before(&upstream, "");
    let asked = |model: &str| {
        let body = ASKED.replace("gemini-2.5-flash", model);
        post(&gateway, CHAT, &body)
    };
    let elsewhere = asked("openai/mock");
    assert_eq!(
        (elsewhere.status, &elsewhere.json()["model"]),
        (200, &json!("mock"))
    );
    assert_eq!(upstream.connections(), 0);
    assert_eq!(asked("gem/gemini-2.5-flash").text(), CHATTED);
    assert!(sent(&upstream).ends_with(ASKED), "{}", sent(&upstream));
    let providers: Vec<_> = gateway
        .rows()
        .into_iter()
        .map(|row| row.record.provider)
        .collect();
    assert_eq!(
        providers,
        [Some("openai".to_owned()), Some("gem".to_owned())]
    );

    let without = TestGateway::start();
    assert_eq!(
        post(&without, CHAT, &ASKED.replace("gemini-2.5-flash", "mock")).status,
        200
    );
    assert_eq!(without.row().record.provider.as_deref(), Some("openai"));
}
