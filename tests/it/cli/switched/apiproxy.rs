//! `APIProxy`'s clients: its paths and headers against its `.env` and the rows of its providers.

use serde_json::json;

use super::{ids, post, post_with, said, switched_from, text};
use crate::support::db::{texts, with_database};
use crate::support::gateway::{get, wait_until};
use crate::support::raw_client::exchange;

const IMPORT: &str = "apiproxy.env --providers apiproxy_sdk.json";

/// A key of its own, which nobody asks for here, and the conversation.
const SESSION: &str =
    "content-type: application/json\r\nx-api-key: Y2xpZW50LXRva2Vu\r\nx-session-id: talk-1\r\n";

#[test]
fn apiproxy_readme_examples_work() {
    let fixtures = ["apiproxy.env", "apiproxy_sdk.json"];
    switched_from(IMPORT, &fixtures, |data, mock, folder| {
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
