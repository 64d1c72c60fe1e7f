//! Counts of tokens, which are not translated: no number is better than a wrong one.

use super::*;

const MESSAGES: &str = "/v1/messages/count_tokens";
const BODY: &str = r#"{"model":"MODEL","messages":[{"role":"user","content":"Hello?"}]}"#;
const CONTENTS: &str = r#"{"contents":[{"parts":[{"text":"Hello?"}]}]}"#;

fn count(gateway: &TestGateway, path: &str, body: &str) -> RawResponse {
    let headers = match path {
        MESSAGES => "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n",
        _ => "content-type: application/json\r\n",
    };
    gateway.send("POST", path, headers, body.as_bytes())
}

#[test]
fn a_count_for_another_dialects_provider_is_refused_with_those_that_count() {
    let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"input_tokens":3}"#));
    let gateway = before_anthropic(&upstream, None);
    let alone = TestGateway::start();
    let of_gemini = "/v1beta/models/openai%2Fmock:countTokens";
    for (gateway, path, model, kind, counting) in [
        (&gateway, MESSAGES, "mock", "/error/type", "models: claude"),
        (
            &gateway,
            MESSAGES,
            "openai/claude-9",
            "/error/type",
            "models: claude",
        ),
        (
            &alone,
            MESSAGES,
            "mock",
            "/error/type",
            "no provider here counts",
        ),
        (
            &gateway,
            of_gemini,
            "openai/mock",
            "/error/status",
            "no provider here counts",
        ),
    ] {
        let body = match path {
            MESSAGES => BODY.replace("MODEL", model),
            _ => CONTENTS.to_owned(),
        };
        let answer = count(gateway, path, &body);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let json = answer.json();
        let word = json.pointer(kind).and_then(Value::as_str);
        assert!(
            matches!(word, Some("invalid_request_error" | "INVALID_ARGUMENT")),
            "{json}"
        );
        let message = json["error"]["message"].as_str().expect("a message");
        let says = message.contains("not translated") && message.contains(counting);
        assert!(says && message.contains(model), "{message}");
    }
    for row in gateway.rows().into_iter().chain(alone.rows()) {
        let record = row.record;
        assert_eq!((&*record.outcome, record.attempts), ("client_error", 0));
        assert_eq!(
            record.error_code.as_deref(),
            Some("counting_not_translated")
        );
        assert_eq!(record.prompt_tokens, None);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn whoever_understands_the_client_counts_and_nobody_counts_for_unknown_models() {
    let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"input_tokens":3}"#));
    let gateway = before_anthropic(&upstream, None);
    let answer = count(&gateway, MESSAGES, &BODY.replace("MODEL", "claude-9"));
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"input_tokens":3}"#)
    );

    let listed = TestGateway::with(Wanted {
        provider: "    models: { list: [gpt-4o] }\n".to_owned(),
        ..Wanted::default()
    });
    let answer = count(&listed, MESSAGES, &BODY.replace("MODEL", "nothing"));
    assert_eq!(answer.status, 404, "{}", answer.text());
}
