//! Hostile heads and bodies: injection, path and host tricks, headers that must not travel.

use aiproxy::access_log::record::LogRecord;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::client_faults::assert_error;
use crate::support::canary::assert_clean;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};
use crate::support::raw_client::{RawResponse, exchange, request};
use crate::support::wire::json;

const CHAT: &str = "/v1/chat/completions";

/// Texts that do harm where they reach a statement, a line or a page as code.
const HOSTILE: &[&str] = &[
    "' OR 1=1--",
    "'; DROP TABLE exchanges;--",
    "\" OR \"\"=\"",
    "1); DELETE FROM exchange_bodies;--",
    "%",
    "_%' ESCAPE '",
    "$1",
    "?1 :a @b",
    "\\'; --",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "../../../../etc/passwd",
    "\u{202e}\u{2066}drowssap",
];

fn chat_with(gateway: &TestGateway, headers: &str, body: &str) -> RawResponse {
    let headers = format!("content-type: application/json\r\n{headers}");
    exchange(
        gateway.data,
        request("POST", CHAT, &headers, body.as_bytes()),
    )
}

#[test]
fn s1_hostile_headers_are_stored_as_they_are() {
    let gateway = TestGateway::start();
    for text in HOSTILE {
        let names = [
            "authorization",
            "x-api-key",
            "x-request-id",
            "x-aiproxy-user",
            "x-session-id",
        ];
        let headers: String = names
            .iter()
            .map(|name| format!("{name}: {text}\r\n"))
            .collect();
        let answer = chat_with(&gateway, &headers, &chat_body("mock", ""));
        assert_eq!(answer.status, 200, "{text}");
        let row = gateway.rows().pop().expect("a row").record;
        for stored in [row.client_request_id, row.end_user, row.session_id] {
            assert_eq!(stored.as_deref(), Some(*text));
        }
    }
}

#[test]
fn s1_hostile_model_names_are_stored_as_they_are() {
    let gateway = TestGateway::start();
    let long = "x".repeat(64 << 10);
    let escaped = ["a\u{0}b", "a\nb\r\nc", "\u{1b}[31m", &long];
    for text in HOSTILE.iter().chain(&escaped) {
        let name = serde_json::Value::from(*text);
        let body = format!(r#"{{"model":{name},"messages":[],"user":{name}}}"#);
        let answer = chat_with(&gateway, "", &body);
        assert!(
            matches!(answer.status, 200 | 404),
            "{text}: {}",
            answer.text()
        );
        let row = gateway.rows().pop().expect("a row").record;
        let stored = row.requested_model.expect("a model");
        assert_eq!(
            stored,
            text.replace('\0', "\\u0000"),
            "NUL cannot stand in SQL text, its escape can"
        );
    }
}

#[test]
fn s1_bytes_that_no_header_may_hold_are_refused() {
    let gateway = TestGateway::start();
    for value in ["a\0b", "a\rb", "a\nb c", "\u{1b}[31m", "a\u{7f}"] {
        let answer = exchange(
            gateway.data,
            format!("GET /v1/models HTTP/1.1\r\nHost: x\r\nx-request-id: {value}\r\n\r\n"),
        );
        assert_eq!(answer.status, 400, "{value:?}");
    }
    assert!(gateway.rows().is_empty());
}

#[test]
fn s8_a_provider_that_echoes_its_request_does_not_give_the_key_away() {
    let gateway = TestGateway::start();
    let answers = [
        gateway.chat("mock-echo", ""),
        gateway.chat("mock-echo", r#","stream":true"#),
        gateway.chat("mock-err-400-echo", ""),
        gateway.chat("mock-err-401-echo", ""),
        gateway.chat("mock-err-500-echo", r#","stream":true"#),
    ];
    for answer in answers {
        assert_clean("the head", answer.head.as_bytes(), PROVIDER_KEY);
        if 400 <= answer.status {
            assert_clean("an error body", &answer.body, PROVIDER_KEY);
        }
    }
    for row in gateway.rows() {
        let texts = format!(
            "{:?}",
            LogRecord {
                payload: None,
                ..row.record.clone()
            }
        );
        assert_clean("a row", texts.as_bytes(), PROVIDER_KEY);
        let payload = row.record.payload.expect("bodies");
        let bodies = [payload.response_body, payload.upstream_response_body];
        for body in bodies.into_iter().flatten() {
            let found = memchr::memmem::find(&body.bytes, PROVIDER_KEY.as_bytes());
            assert!(
                found.is_none(),
                "a stream may hold parts of it, in several events"
            );
        }
    }
}

#[test]
fn s25_one_byte_at_a_time_gives_the_same_answer_and_row() {
    let gateway = TestGateway::start();
    for more in ["", r#","stream":true"#] {
        let whole = gateway.chat("mock-bytes1-utf8-s6", more);
        let split = gateway.chat("mock-utf8-bytes1-s6", more);
        let [first, second] = gateway.rows()[..]
            .last_chunk::<2>()
            .expect("two rows")
            .clone();
        let same_text = |row: &aiproxy::access_log::query::Stored| row.record.response_text.clone();
        assert_eq!(same_text(&first), same_text(&second));
        assert!(
            same_text(&first).is_some_and(|text| text.contains('😀') && !text.contains('\u{fffd}'))
        );
        for (answer, row) in [(whole, first), (split, second)] {
            let body = row
                .record
                .payload
                .and_then(|payload| payload.response_body)
                .expect("a body");
            assert_eq!(body.bytes, answer.body);
        }
    }
}

#[test]
fn c3_forwarded_addresses_are_believed_of_trusted_proxies_only() {
    for (trusted, forwarded, expected) in [
        ("", "", "127.0.0.1"),
        ("", "x-forwarded-for: 1.1.1.1\r\n", "127.0.0.1"),
        ("", "x-real-ip: 1.1.1.1\r\n", "127.0.0.1"),
        ("", "forwarded: for=1.1.1.1\r\n", "127.0.0.1"),
        ("10.0.0.0/8", "x-forwarded-for: 1.1.1.1\r\n", "127.0.0.1"),
        ("127.0.0.0/8", "", "127.0.0.1"),
        ("127.0.0.0/8", "x-forwarded-for: 1.1.1.1\r\n", "1.1.1.1"),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 6.6.6.6, 1.1.1.1\r\n",
            "1.1.1.1",
        ),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 1.1.1.1\r\n",
            "1.1.1.1",
        ),
        (
            "127.0.0.0/8, 10.0.0.0/8",
            "x-forwarded-for: 1.1.1.1, 10.1.2.3\r\n",
            "1.1.1.1",
        ),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 1.1.1.1, nonsense\r\n",
            "127.0.0.1",
        ),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 2001:db8::1\r\n",
            "2001:db8::1",
        ),
    ] {
        let yaml = format!("server: {{ port: 0, workers: 1, trusted_proxies: [{trusted}] }}");
        let gateway = TestGateway::configured(&yaml);
        chat_with(&gateway, forwarded, &chat_body("mock", ""));
        assert_eq!(
            gateway.row().record.client_ip.as_deref(),
            Some(expected),
            "{trusted} {forwarded}"
        );
    }
}

/// A text that tries to end the line it stands on.
fn line_breaker() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\nx-evil: 1".to_owned()),
        Just("\nx-evil: 1\n".to_owned()),
        Just("\r\n\r\n<html>".to_owned()),
        Just("\u{85}\u{2028}x-evil: 1".to_owned()),
        "\\PC{0,8}",
        any::<String>(),
        (200_usize..300).prop_map(|count| "m".repeat(count)),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

/// C5: whatever stands in names and messages, each header of the answer and of the upstream request is one that
/// was meant, and ours are short and without control characters.
#[test]
fn c5_no_text_from_outside_makes_a_header() {
    let config = Config {
        cases: 128,
        ..Config::default()
    };
    let open = TestGateway::start();
    let closed = TestGateway::with(Wanted {
        provider: "    models: { allow: [\"gpt-*\"] }\n".to_owned(),
        yaml: "filters: [{ kind: banned_users, users: [mallory], status: 403 }]".to_owned(),
        ..Wanted::default()
    });
    let mock = open.mock.as_ref().expect("a mock");
    let run = |(model, user, is_open): (String, String, bool)| {
        let gateway = if is_open { &open } else { &closed };
        let body = serde_json::json!({ "model": model, "user": user, "messages": [] });
        let answer = chat_with(gateway, "", &body.to_string());
        let lines = answer.head.trim_end().split("\r\n").skip(1);
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header line");
            prop_assert!(
                !name.contains("evil") && !line.contains(['\r', '\n']),
                "{}",
                line
            );
            if name.starts_with("x-aiproxy-") {
                let is_plain = !value.chars().any(|character| character.is_ascii_control());
                prop_assert!(value.len() <= 256 && is_plain, "{}", line);
            }
        }
        if is_open {
            let sent = mock.requests().pop().expect("a request");
            let head = String::from_utf8_lossy(&sent.head).to_lowercase();
            prop_assert!(
                !head.contains("evil") && !head.contains("<html>"),
                "{}",
                head
            );
        } else {
            let error = answer.json();
            let message = error["error"]["message"].as_str().expect("a message");
            prop_assert!(!message.chars().any(char::is_control), "{:?}", message);
        }
        Ok(())
    };
    TestRunner::new(config)
        .run(&(line_breaker(), line_breaker(), any::<bool>()), run)
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn c5_nothing_from_outside_makes_a_header() {
    let gateway = TestGateway::start();
    let long = "m".repeat(300);
    for model in [
        "a\r\nx-evil: 1",
        "a\nx-evil: 1",
        "\r\n\r\n<html>",
        "\0",
        "é\u{202e}",
        "\u{7f}",
        &long,
    ] {
        let name = serde_json::Value::from(model);
        let answer = chat_with(
            &gateway,
            "",
            &format!(r#"{{"model":{name},"messages":[]}}"#),
        );
        assert!(
            answer.header("x-evil").is_none() && !answer.head.contains("<html>"),
            "{}",
            answer.head
        );
        let shown = answer.header("x-aiproxy-model").unwrap_or_default();
        assert!(
            shown.len() <= 256 && !shown.chars().any(char::is_control),
            "{shown:?}"
        );
    }
    let closed = Wanted {
        provider: "    models: { allow: [\"gpt-*\"] }\n".to_owned(),
        ..Wanted::default()
    };
    let gateway = TestGateway::with(closed);
    let answer = chat_with(
        &gateway,
        "",
        r#"{"model":"a\r\nx-evil: 1\u001b[31m","messages":[]}"#,
    );
    assert_error(&answer, 404, "invalid_request_error", "model_not_found");
    let body = answer.json();
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

/// Whatever a model is called, an answer's head is one status line and headers that say what they should.
#[test]
fn c5_any_text_makes_an_orderly_head() {
    let gateway = TestGateway::start();
    let check = |model: String| {
        let name = serde_json::Value::from(model.as_str());
        let body = format!(r#"{{"model":{name},"messages":[]}}"#);
        let answer = chat_with(&gateway, "", &body);
        let lines = answer.head.trim_end().split("\r\n").skip(1);
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header");
            prop_assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            );
            prop_assert!(!value.chars().any(char::is_control), "{line:?}");
        }
        let shown = answer.header("x-aiproxy-model").unwrap_or_default();
        prop_assert!(shown.len() <= 256);
        Ok(())
    };
    let config = Config {
        cases: 64,
        ..Config::default()
    };
    let names = prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,300}"];
    let checked = TestRunner::new(config).run(&names, check);
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn c6_redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let gateway = TestGateway::start();
        let answer = gateway.chat(&format!("mock-redirect-{status}"), "");
        assert_error(&answer, 502, "api_error", "upstream_redirect");
        assert_eq!(answer.header("location"), None);
        let row = gateway.row().record;
        assert_eq!(
            (row.outcome.as_str(), row.upstream_status),
            ("upstream_error", Some(status))
        );
        assert_eq!(gateway.mock.as_ref().expect("a mock").stats().requests, 1);
    }
}

/// A chat in Claude's form is a request of Messages; the key that came with it is of the chat's dialect still.
#[test]
fn s5_another_form_takes_no_key_to_another_vendor() {
    let message = include_str!("../fixtures/anthropic/plain.json");
    let upstream = FakeUpstream::answering(json(200, "", message));
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: claude\n    kind: anthropic\n    base_url: http://{}\n    \
             models: {{ allow: [\"claude-*\"] }}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    let headers =
        "content-type: application/json\r\nauthorization: Bearer sk-client-0123456789\r\n";
    let body = r#"{"model":"claude-x","max_tokens_to_sample":5,"messages":[{"role":"user","content":"a"}]}"#;
    let answer = gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    assert!(sent.starts_with("POST /v1/messages "), "{sent}");
    assert!(!sent.contains("sk-client"), "{sent}");
}
