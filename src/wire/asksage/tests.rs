use serde_json::{Value, json};

use super::{decode_whole, failure, models, prompt_pieces};
use crate::wire::translate::TranslateError;

const PLAIN: &str = include_str!("../../../tests/fixtures/asksage/plain.json");
const TOOLS: &str = include_str!("../../../tests/fixtures/asksage/tools.json");
const MODELS: &str = include_str!("../../../tests/fixtures/asksage/models.json");

#[test]
fn an_answer_is_read() {
    let plain = decode_whole(PLAIN);
    assert_eq!(plain.text.as_deref(), Some("Hello \"you\",\n\n\tcafé 😀"));
    let usage = plain.usage.expect("usage");
    assert_eq!(
        (usage.prompt, usage.completion, usage.total),
        (35, Some(12), 47)
    );
    assert!(
        plain
            .usage_raw
            .is_some_and(|raw| raw.contains("asksage_tokens"))
    );
    let tools = decode_whole(TOOLS);
    assert_eq!(tools.text, None);
    assert!(
        tools
            .tool_calls
            .is_some_and(|calls| calls.contains("get_weather"))
    );
    let usage = tools.usage.expect("usage");
    assert_eq!((usage.prompt, usage.completion), (20, Some(9)));
    for (body, text) in [
        (r#"{"message":"","response":{"message":"a"}}"#, Some("a")),
        (r#"{"message":null,"response":{"response":"b"}}"#, Some("b")),
        (r#"{"message":"","response":"OK","usage":null}"#, None),
        (r#"{"message":"cut"#, None),
        ("", None),
        ("null", None),
    ] {
        let read = decode_whole(body);
        assert_eq!((read.text.as_deref(), read.usage), (text, None), "{body}");
    }
}

/// What of an answer is a failure: its status and code.
#[track_caller]
fn check(answer: Value, expected: Option<(u16, &str)>) {
    let got = failure(&answer);
    let got = got.map(|error| (error.status.unwrap_or(0), error.code.unwrap_or_default()));
    let expected = expected.map(|(status, code)| (status, code.to_owned()));
    assert_eq!(got, expected, "{answer}");
}

#[test]
fn failures_under_a_good_status_are_known() {
    for (said, status, code) in [
        (
            "Sorry, this model is no longer available. Please use a more recent version",
            404,
            "model_not_found",
        ),
        (
            "Sorry, the model is overloaded, please try again in a few seconds.",
            503,
            "upstream_overloaded",
        ),
        (
            "You are not authorized to use this model.",
            401,
            "upstream_auth",
        ),
        ("Unauthorized", 401, "upstream_auth"),
        ("  Unauthorized: unknown key\n", 401, "upstream_auth"),
        (
            "Sorry, an error occurred. Please try again.",
            502,
            "upstream_error",
        ),
    ] {
        let answer = json!({ "message": said, "response": "OK", "status": 200, "usage": null });
        check(answer, Some((status, code)));
    }
    check(
        json!({ "error": "bad key", "status": 401, "details": "expired" }),
        Some((401, "")),
    );
    check(
        json!({ "response": "no such dataset", "status": 400 }),
        Some((400, "")),
    );
    check(json!({ "message": "m", "status": 9 }), Some((0, "")));
    let error = failure(&json!({ "error": "bad key", "status": 401, "details": "expired" }));
    assert_eq!(error.expect("one").message, "bad key: expired");
    let error = failure(&json!({ "response": "no such dataset", "status": 400 }));
    assert_eq!(error.expect("one").message, "no such dataset");
}

#[test]
fn a_models_own_words_are_no_failure() {
    let gone = "Sorry, this model is no longer available.";
    check(
        json!({ "message": gone, "usage": { "prompt_tokens": 1, "completion_tokens": 2 } }),
        None,
    );
    check(
        json!({ "message": gone, "tool_calls": [{ "id": "a" }] }),
        None,
    );
    for said in [
        "Unauthorized access is an access that nobody allowed.",
        "The proxy says: Sorry, the model is overloaded",
        "Sorry, I can't help with that.",
        "401 means unauthorized.",
        "",
    ] {
        check(
            json!({ "message": said, "usage": null, "status": 200 }),
            None,
        );
    }
    for nothing in [json!(null), json!(""), json!(false)] {
        check(
            json!({ "message": "m", "error": nothing, "status": 200 }),
            None,
        );
    }
    let long = format!(
        "{gone} {}",
        "And here is a long story about it. ".repeat(20)
    );
    check(json!({ "message": long }), None);
}

#[test]
fn prompts_are_counted() {
    let request = json!({ "system_prompt": "s", "message": [
        { "user": "me", "message": "a" }, { "user": "gpt", "message": "b" }, 3, { "user": "me" } ] });
    let request = request.to_string();
    let pieces = prompt_pieces(&request);
    assert_eq!((pieces.messages, pieces.odd), (3, false));
    assert_eq!(pieces.texts, ["s", "a", "b"]);
    let pieces = prompt_pieces(r#"{"message":"a","tools":[{}]}"#);
    assert!(pieces.odd && pieces.messages == 1);
    assert!(prompt_pieces(r#"{"message":"a"#).broken);
}

#[test]
fn models_of_text_are_listed() {
    let listed = models(MODELS.as_bytes()).expect("a list");
    let ids: Vec<&str> = listed.iter().map(|model| &*model.id).collect();
    assert_eq!(
        ids,
        ["gpt-4.1-gov", "aws-bedrock-claude-45-sonnet-gov", "o3"]
    );
    let created: Vec<_> = listed.iter().map(|model| model.created_s).collect();
    assert_eq!(created, [None, None, Some(1_700_000_000)]);
    assert_eq!(listed[0].owned_by, "organization-owner");
    let entry: Value = serde_json::from_str(&listed[0].to_json()).expect("JSON");
    assert_eq!(entry["created"], 0);
    let names = models(br#"{"response":["a","b","a",""],"status":200}"#).expect("a list");
    assert_eq!(names.len(), 2);
    for body in ["", "[]", "null", r#"{"data":3}"#, "<html>"] {
        assert!(
            matches!(models(body.as_bytes()), Err(TranslateError::Malformed(_))),
            "{body}"
        );
    }
    let refused = models(br#"{"response":"Token is invalid","status":401}"#);
    assert!(
        matches!(refused, Err(TranslateError::Reported(_))),
        "{refused:?}"
    );
}
