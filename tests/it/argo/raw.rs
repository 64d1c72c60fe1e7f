//! Argo's own calls: its clients' bodies go up, its answers pass as they are, its notice is still no answer.

use serde_json::json;

use super::{
    NOTICE, answering, chat, check_error, last, sent, stored, streamed, text_stream, wanted,
};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::RawResponse;
use crate::support::shouts::shouts;
use crate::support::signal::Signal;
use crate::support::wire::{LAST_CHUNK, json as json_answer};

const ASKED: &str = r#"{"model":"argo:gpt-4o","user":"bob","system":"Be terse.","prompt":["Hello?"],"temperature":1.0e0}"#;

fn ask(gateway: &TestGateway, path: &str, body: &str) -> RawResponse {
    let headers = "content-type: application/json\r\nauthorization: Bearer bob\r\n";
    gateway.send("POST", path, headers, body.as_bytes())
}

#[test]
fn p1_a_whole_answer_passes_byte_for_byte() {
    let said = "{ \"response\" : \"H\\u00e4llo\", \"more\": 1.0 }\n";
    for path in ["/v1/chat", "/chat", "/argo/v1/chat", "/argo/chat"] {
        let (upstream, gateway) = answering(json_answer(200, "", said));
        let answer = ask(&gateway, path, ASKED);
        assert_eq!((answer.status, answer.text()), (200, said), "{path}");
        let (head, body) = sent(&upstream);
        assert!(
            head.starts_with("POST /argoapi/api/v1/resource/chat/ "),
            "{head}"
        );
        assert!(!head.contains("bob"), "{head}");
        let expected = json!({ "user": "alice", "model": "gpt4o", "system": "Be terse.",
            "prompt": ["Hello?"], "temperature": 1.0 });
        assert_eq!(body, expected);

        let row = last(&gateway);
        let facts = (&*row.endpoint, &*row.outcome, row.stream, &*row.path);
        assert_eq!(facts, ("argo.chat", "ok", Some(false), path));
        assert_eq!(row.requested_model.as_deref(), Some("argo:gpt-4o"));
        assert_eq!(row.request_text.as_deref(), Some("Hello?"));
        assert_eq!(row.response_text.as_deref(), Some("Hällo"));
        assert_eq!(row.end_user.as_deref(), Some("bob"));
        assert_eq!(row.provider.as_deref(), Some("argo"));
        assert_eq!(row.usage_source.as_deref(), Some("counted"));
        let counted = row.prompt_tokens.zip(row.completion_tokens);
        assert!(counted.is_some_and(|(prompt, said)| 0 < prompt && 0 < said));
    }
}

/// A stream that is not at its end.
fn begun(pieces: &[&[u8]]) -> Vec<u8> {
    let mut wire = text_stream(pieces);
    wire.truncate(wire.len() - LAST_CHUNK.len());
    wire
}

#[test]
fn p1_a_stream_is_text_as_it_comes() {
    let signal = Signal::default();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(begun(&[b"Hal\xc3", b"\xa4"])),
        Step::Wait(signal.clone()),
        Step::Send(b"2\r\nlo\r\n0\r\n\r\n".to_vec()),
        Step::ReadToEnd,
    ]]);
    let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
    let mut client = gateway.connect();
    client.send(crate::support::raw_client::post(
        "/v1/chat",
        &streamed(ASKED),
    ));
    let head = client.read_until(b"Hal");
    client.read_until(b"\xa4");
    assert!(String::from_utf8_lossy(&head).contains("content-type: text/plain; charset=utf-8"));
    signal.fire();
    client.read_until(b"\r\n0\r\n\r\n");
    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /argoapi/api/v1/resource/streamchat/ "),
        "{head}"
    );
    assert_eq!(body.get("stream"), None, "{body}");
    let row = last(&gateway);
    let facts = (
        &*row.endpoint,
        &*row.outcome,
        row.stream,
        row.response_complete,
    );
    assert_eq!(facts, ("argo.chat", "ok", Some(true), Some(true)));
    assert_eq!(row.response_text.as_deref(), Some("Halälo"));
    assert!(row.first_token_ms.is_some() && row.completion_tokens.is_some());
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.response_body), "Halälo");
}

#[test]
fn a_provider_before_the_models_name_is_left_out() {
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"a"}"#));
    let body = ASKED.replace("argo:gpt-4o", "argo/gpt41");
    assert_eq!(ask(&gateway, "/v1/chat", &body).status, 200);
    assert_eq!(sent(&upstream).1["model"], "gpt41");
    let row = last(&gateway);
    assert_eq!(row.requested_model.as_deref(), Some("argo/gpt41"));
    assert_eq!(row.model.as_deref(), Some("gpt41"));
}

#[test]
fn the_notice_is_no_answer_to_it_either() {
    let in_json = json!({ "response": NOTICE }).to_string();
    let (head, rest) = NOTICE.as_bytes().split_at(11);
    for (wire, body) in [
        (json_answer(200, "", &in_json), ASKED.to_owned()),
        (json_answer(200, "", &in_json), streamed(ASKED)),
        (text_stream(&[head, rest]), ASKED.to_owned()),
        (text_stream(&[head, rest]), streamed(ASKED)),
    ] {
        let (_upstream, gateway) = answering(wire);
        let answer = ask(&gateway, "/v1/chat", &body);
        let row = last(&gateway);
        check_error(&answer, &row, 403, "upstream_auth");
        let payload = row.payload.expect("bodies");
        assert!(stored(&payload.upstream_response_body).contains("NOTICE"));
    }
}

#[test]
fn what_is_wrong_is_told() {
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"a"}"#));
    for (body, status, code) in [
        ("", 400, "invalid_json"),
        ("{", 400, "invalid_json"),
        ("[]", 400, "invalid_json"),
        (r#"{"prompt":["a"]}"#, 400, "unsupported_parameter"),
        (r#"{"model":7}"#, 400, "unsupported_parameter"),
        (r#"{"model":"nobody"}"#, 404, "model_not_found"),
        (
            r#"{"model":"argo:gpt-4o","timeout":0}"#,
            400,
            "unsupported_parameter",
        ),
        (
            r#"{"model":"argo:gpt-4o","timeout":"5"}"#,
            400,
            "unsupported_parameter",
        ),
    ] {
        let answer = ask(&gateway, "/v1/chat", body);
        let told = answer.json()["error"]["code"].clone();
        assert_eq!((answer.status, told), (status, json!(code)), "{body}");
    }
    assert_eq!(upstream.requests(), 0);
    for (wire, status, code) in [
        (json_answer(500, "", r#"{"error":"no"}"#), 500, json!(null)),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"
                .to_vec(),
            502,
            json!("upstream_bad_content_type"),
        ),
    ] {
        let (_upstream, gateway) = answering(wire);
        let answer = ask(&gateway, "/v1/chat", ASKED);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], code);
    }
    // A stream that breaks off is an error, or ends without its end once its head is out.
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(begun(&[b"Hal"])),
        Step::Fin,
    ]]);
    let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
    let answer = ask(&gateway, "/v1/chat", &streamed(ASKED));
    assert!(answer.status == 502 || !answer.complete, "{answer:?}");
    let row = last(&gateway);
    assert_eq!(
        (&*row.outcome, row.response_complete),
        ("upstream_truncated", Some(false))
    );
}

#[test]
fn a_requests_own_timeout_bounds_it_and_does_not_travel() {
    let with_timeout = |body: &str| body.replacen('{', r#"{"timeout":0.2,"#, 1);
    for body in [ASKED.to_owned(), streamed(ASKED)] {
        let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
        let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
        let answer = ask(&gateway, "/v1/chat", &with_timeout(&body));
        check_late(&answer, &gateway);
        assert_eq!(sent(&upstream).1.get("timeout"), None);
    }
    let body = with_timeout(super::CHAT);
    for path in ["/v1/chat/completions", "/v1/chat"] {
        let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
        let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
        check_late(&ask(&gateway, path, &body), &gateway);
    }
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"a"}"#));
    let body = super::CHAT.replacen('{', r#"{"timeout":60,"#, 1);
    assert_eq!(chat(&gateway, &body).status, 200);
    assert_eq!(sent(&upstream).1.get("timeout"), None);
    let row = last(&gateway);
    let dropped = row.dropped.unwrap_or_default();
    assert!(!dropped.contains("timeout"), "{dropped}");
}

#[track_caller]
fn check_late(answer: &RawResponse, gateway: &TestGateway) {
    let told = answer.json()["error"]["code"].clone();
    assert_eq!((answer.status, told), (504, json!("upstream_timeout")));
    assert_eq!(last(gateway).outcome, "upstream_timeout");
}

#[test]
fn filters_see_it_and_answer_in_its_form() {
    let upstream = FakeUpstream::start(vec![
        vec![
            Step::ReadRequest,
            Step::Send(json_answer(
                200,
                "connection: close\r\n",
                r#"{"response":"quiet"}"#,
            )),
            Step::Fin,
        ],
        vec![
            Step::ReadRequest,
            Step::Send(text_stream(&[b"qui", b"et"])),
            Step::Fin,
        ],
        vec![
            Step::ReadRequest,
            Step::Send(text_stream(&[b"\xff"])),
            Step::Fin,
        ],
    ]);
    let filters = "filters:\n  - { kind: block_patterns, words: [secret], on: [request] }\n  \
                   - { kind: banned_users, users: [mallory], message: no }\n";
    let gateway = TestGateway::with(Wanted {
        yaml: filters.to_owned(),
        extend: Some(Box::new(|gateway| gateway.with(shouts()))),
        ..wanted(&upstream, "    user: alice\n")
    });
    let answer = ask(&gateway, "/v1/chat", ASKED);
    assert_eq!(answer.text(), r#"{"response":"QUIET"}"#);
    let answer = ask(&gateway, "/v1/chat", &streamed(ASKED));
    assert_eq!(answer.text(), "QUIET");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(last(&gateway).response_text.as_deref(), Some("QUIET"));

    let mallory = ASKED.replace("bob", "mallory");
    let answer = ask(&gateway, "/v1/chat", &mallory);
    assert_eq!(answer.json(), json!({ "response": "no" }));
    let answer = ask(&gateway, "/v1/chat", &streamed(&mallory));
    assert_eq!(answer.text(), "no");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    for said in [
        r#""prompt":["a secret"]"#,
        r#""system":"a secret""#,
        r#""messages":[{"role":"user","content":"a secret"}]"#,
    ] {
        let body = format!(r#"{{"model":"argo:gpt-4o",{said}}}"#);
        let answer = ask(&gateway, "/v1/chat", &body);
        assert_eq!(
            answer.json()["error"]["code"],
            "blocked_by_filter",
            "{said}"
        );
    }
    assert_eq!(upstream.requests(), 2);
    let answer = ask(&gateway, "/v1/chat", &streamed(ASKED));
    check_error(&answer, &last(&gateway), 502, "upstream_protocol");
}

#[test]
fn its_status_asks_no_model() {
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"a"}"#));
    for path in ["/v1/status", "/argo/v1/status"] {
        let status = gateway.get(path).json();
        assert_eq!(status["status"], "ok");
        assert_eq!(status["object"], "chat.completion");
        assert!(
            status["choices"][0]["message"]["content"].is_string(),
            "{status}"
        );
    }
    assert_eq!((upstream.requests(), gateway.rows().len()), (0, 0));
}

#[test]
fn without_such_a_provider_the_paths_pass_through() {
    let gateway = TestGateway::start();
    for (method, path) in [("POST", "/v1/chat"), ("GET", "/v1/status")] {
        gateway.send(method, path, "content-type: application/json\r\n", b"");
        assert_eq!(gateway.last_request().path(), path);
        assert_eq!(last(&gateway).endpoint, "passthrough");
    }
}
