//! `APIProxy`'s clients: its paths and headers against its `.env` and the rows of its providers.

use serde_json::{Value, json};

use super::{HEADERS, ids, post, post_with, said, switched_from, text};
use crate::support::db::{texts, with_database};
use crate::support::gateway::{get, wait_until};
use crate::support::raw_client::exchange;

const IMPORT: &str = "apiproxy.env --providers apiproxy_sdk.json";

const FIXTURES: [&str; 2] = ["apiproxy.env", "apiproxy_sdk.json"];

/// A key of its own, which nobody asks for here, and the conversation.
const SESSION: &str =
    "content-type: application/json\r\nx-api-key: Y2xpZW50LXRva2Vu\r\nx-session-id: talk-1\r\n";

#[test]
fn apiproxy_readme_examples_work() {
    switched_from(IMPORT, &FIXTURES, |data, mock, folder| {
        let health = exchange(data, get("/health"));
        assert_eq!(
            (health.status, &health.json()["status"]),
            (200, &json!("ok"))
        );
        let models = exchange(data, get("/v1/models")).json();
        assert_eq!(models, exchange(data, get("/models")).json());
        assert!(ids(&models).contains(&"mock"), "{models}");

        let messages = json!([{ "role": "user", "content": "Hello!" }]);
        let chat = json!({ "model": "gpt-4o-mini", "messages": messages });
        let answer = post_with(data, "/v1/chat/completions", SESSION, &chat);
        assert!(said(&answer).is_string(), "{}", answer.text());
        let sent = mock.requests().pop().expect("a request");
        assert_eq!(sent.header("authorization"), Some("Bearer sk-canary-main"));
        assert_eq!(sent.header("x-team"), Some("a"));
        assert_eq!(sent.header("x-session-id"), None);
        assert!(!text(&sent.head).contains("Y2xpZW50"), "{sent:?}");
        let mut stream = chat.clone();
        stream["stream"] = json!(true);
        let answer = post(data, "/v1/chat/completions", &stream);
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );

        let codex = json!({ "model": "mock", "input": "Hello!" });
        let answer = post(data, "/v1/responses", &codex).json();
        assert_eq!(answer["object"], "response");
        let sent = mock.requests().pop().expect("a request");
        assert_eq!(sent.path(), "/v1/responses");

        // The same question to each provider, by the model's name and by the provider's before it.
        for (model, path, key) in [
            ("mock", "/v1/chat/completions", "sk-canary-main"),
            ("main/any", "/v1/chat/completions", "sk-canary-main"),
            ("claude-3-5-sonnet", "/v1/messages", "sk-canary-claude"),
            ("claude/any", "/v1/messages", "sk-canary-claude"),
            (
                "gemini-2.0-flash",
                "/v1beta/models/gemini-2.0-flash:generateContent",
                "canary-google-key",
            ),
            (
                "goog/any",
                "/v1beta/models/any:generateContent",
                "canary-google-key",
            ),
        ] {
            let asked = json!({ "model": model, "messages": messages, "max_tokens": 50 });
            let answer = post(data, "/v1/chat/completions", &asked);
            assert!(said(&answer).is_string(), "{model}: {}", answer.text());
            let sent = mock.requests().pop().expect("a request");
            assert_eq!(sent.path(), path, "{model}");
            assert!(text(&sent.head).contains(key), "{model}: {sent:?}");
            let answer = post(data, "/v1/messages", &asked);
            assert_eq!(
                answer.json()["type"],
                "message",
                "{model}: {}",
                answer.text()
            );
            let sent = mock.requests().pop().expect("a request");
            assert_eq!(sent.path(), path, "{model}");
        }

        // What went wrong there: a client's own mistake was a 502, and a broken stream had no words.
        for (model, status) in [
            ("main/mock-err-400", 400),
            ("main/mock-err-429", 429),
            ("nobody", 404),
        ] {
            let asked = json!({ "model": model, "messages": messages });
            let answer = post(data, "/v1/chat/completions", &asked);
            assert_eq!(answer.status, status, "{model}");
            assert!(answer.json()["error"]["message"].is_string(), "{model}");
            assert!(answer.header("x-aiproxy-request-id").is_some(), "{model}");
        }
        stream["model"] = json!("main/mock-cut");
        let answer = post(data, "/v1/chat/completions", &stream);
        assert!(
            answer.text().contains("data: {\"error\":{"),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("[DONE]"), "{}", answer.text());

        let url = super::records_of(folder);
        wait_until("the conversation is on record", || {
            let sql = "SELECT requested_model FROM exchanges WHERE session_id = 'talk-1'";
            with_database(&url, async |database| texts(database, sql).await) == ["gpt-4o-mini"]
        });
    });
}

/// Where the mock of each provider is asked, by the model.
const ASKED_AT: [(&str, &str); 3] = [
    ("gpt-4o-mini", "/v1/chat/completions"),
    ("claude-3-5-sonnet", "/v1/messages"),
    (
        "gemini-2.0-flash",
        "/v1beta/models/gemini-2.0-flash:generateContent",
    ),
];

const CHAT: &str = "/v1/chat/completions";

#[test]
fn claudes_form_on_the_chats_path_is_answered_in_it() {
    switched_from(IMPORT, &FIXTURES, |data, mock, folder| {
        let content = json!([{ "type": "text", "text": "Hello!" }]);
        for (key, value) in [
            ("anthropic_version", json!("2023-06-01")),
            ("max_tokens_to_sample", json!(50)),
        ] {
            for (model, path) in ASKED_AT {
                let mut asked = json!({ "model": model, "system": "Be brief.",
                    "messages": [{ "role": "user", "content": content }] });
                asked["max_tokens"] = json!(60);
                asked[key] = value.clone();
                let answer = post(data, CHAT, &asked);
                let told = answer.text();
                assert_eq!(answer.json()["type"], "message", "{key} {model}: {told}");
                let sent = mock.requests().pop().expect("a request");
                assert_eq!(sent.path(), path, "{key} {model}");
                let body = text(&sent.body);
                assert!(body.contains("Be brief."), "{key} {model}: {body}");
                assert!(!body.contains(key), "{key} {model}: {body}");
            }
        }
        let streamed = json!({ "model": "claude-3-5-sonnet", "max_tokens_to_sample": 50, "stream": true,
            "messages": [{ "role": "user", "content": "Hello!" }] });
        let answer = post(data, CHAT, &streamed);
        let told = answer.text();
        assert!(told.contains("event: message_stop"), "{told}");
        let sent = mock.requests().pop().expect("a request");
        assert!(text(&sent.body).contains("\"max_tokens\":50"), "{sent:?}");

        let url = super::records_of(folder);
        wait_until("they are on record as what they are", || {
            let sql = "SELECT DISTINCT endpoint || ' ' || dialect || ' ' || request_text FROM exchanges \
                       WHERE (SELECT COUNT(*) FROM exchanges) = 7";
            let kinds = with_database(&url, async |database| texts(database, sql).await);
            kinds == ["messages anthropic Hello!"]
        });
    });
}

#[test]
fn geminis_input_on_the_chats_path_is_a_chat() {
    switched_from(IMPORT, &FIXTURES, |data, mock, folder| {
        let input = json!([
            { "role": "system", "content": "Be brief." },
            { "content": [{ "type": "input_text", "text": "Hel" }, { "text": "lo!" }] },
        ]);
        for (model, path) in [ASKED_AT[2], ("main/gemini-pro", CHAT)] {
            let mut asked = json!({ "model": model, "input": input, "temperature": 0.5 });
            let answer = post(data, CHAT, &asked);
            assert!(said(&answer).is_string(), "{model}: {}", answer.text());
            let sent = mock.requests().pop().expect("a request");
            assert_eq!(sent.path(), path, "{model}");
            let body = text(&sent.body);
            assert!(
                body.contains("Hello!") && body.contains("Be brief."),
                "{body}"
            );
            assert!(!body.contains("input"), "{model}: {body}");
            asked["stream"] = json!(true);
            let answer = post(data, CHAT, &asked);
            let told = answer.text();
            assert!(told.ends_with("data: [DONE]\n\n"), "{model}: {told}");
        }
        let url = super::records_of(folder);
        wait_until("what was said last is on record", || {
            let sql = "SELECT DISTINCT endpoint || ' ' || request_text FROM exchanges \
                       WHERE (SELECT COUNT(*) FROM exchanges) = 4";
            let kinds = with_database(&url, async |database| texts(database, sql).await);
            kinds == ["chat.completions Hel\nlo!"]
        });
    });
}

#[test]
fn forms_that_are_not_read_name_the_path_for_them() {
    let hello = json!([{ "role": "user", "content": "Hello!" }]);
    let parts = json!([{ "parts": [{ "text": "Hello!" }] }]);
    switched_from(IMPORT, &FIXTURES, |data, mock, _| {
        for (asked, named) in [
            (
                json!({ "model": "gpt-4o-mini", "max_tokens_to_sample": 5, "prompt": "\n\nHuman: Hello!" }),
                "/v1/messages",
            ),
            (
                json!({ "model": "claude-3-5-sonnet", "system": "Be brief.", "messages": hello }),
                "/v1/messages",
            ),
            (
                json!({ "model": "gemini-2.0-flash", "contents": parts }),
                ":generateContent",
            ),
            (
                json!({ "model": "gemini-2.0-flash", "input": [{ "content": [{ "image": "a" }] }] }),
                ":generateContent",
            ),
        ] {
            let answer = post(data, CHAT, &asked);
            assert_eq!(answer.status, 400, "{asked}");
            let told = answer.json();
            let message = told["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains(named), "{asked}: {told}");
        }
        assert_eq!(mock.requests().len(), 0);
    });
}

/// A provider's own API does not look at the header either.
#[test]
fn accept_alone_asks_for_no_stream() {
    switched_from(IMPORT, &FIXTURES, |data, mock, _| {
        let headers = HEADERS.replace("*/*", "text/event-stream");
        // An `input` beside messages, or for another model, is the provider's to judge.
        for more in [json!({}), json!({ "input": "x" })] {
            let mut asked = json!({ "model": "gpt-4o-mini", "messages": [{ "role": "user", "content": "Hello!" }] });
            asked
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().cloned().unwrap_or_default());
            let answer = post_with(data, CHAT, &headers, &asked);
            assert_eq!(answer.json()["object"], "chat.completion");
            let sent = mock.requests().pop().expect("a request");
            assert_eq!(sent.header("accept"), Some("text/event-stream"));
            assert_eq!(text(&sent.body), asked.to_string());
        }
        let other = json!({ "model": "gpt-4o-mini", "input": [{ "content": "Hello!" }] });
        post(data, CHAT, &other);
        let sent = mock.requests().pop().expect("a request");
        let sent: Value = serde_json::from_slice(&sent.body).expect("JSON");
        assert_eq!(sent, other);
    });
}
