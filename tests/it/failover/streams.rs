//! Answers that are failures whatever their status says: told in words, told by a mark, told as another type.

use super::{STREAM, answer_of, pair, seen, wire};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::wire::{LAST_CHUNK, chunk, json, stream};

const NOTICE: &str = "*** AUTHENTICATION NOTICE FROM ARGO ***\nwho are you?";
const TEXT_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// A model `fast` that is first of this kind and then OpenAI's; the second one answers.
#[track_caller]
fn second_answers(kind: &str, provider: &str, answer: Vec<u8>, more: &str, reason: &str) {
    let first = FakeUpstream::answering(answer);
    let good = FakeUpstream::answering(match more {
        STREAM => stream(
            [
                crate::support::wire::TEXT,
                crate::support::wire::FINISH,
                crate::support::wire::DONE,
            ]
            .concat(),
        ),
        _ => wire("200 OK", "", &answer_of("m")).into_bytes(),
    });
    let gateway = TestGateway::with(Wanted {
        upstream: Some(good.base_url()),
        provider: format!(
            "  - name: first\n    kind: {kind}\n    base_url: http://{}{provider}",
            first.addr()
        ),
        yaml: "models: { fast: { targets: [{ provider: first, model: m }, { provider: openai, model: m, tier: 1 }] } }\n"
            .to_owned(),
        ..Wanted::default()
    });
    let answer = gateway.chat("fast", more);
    assert_eq!(
        seen(&answer),
        (200, Some("openai"), Some("2")),
        "{kind} {more}"
    );
    let row = gateway.row().record;
    assert_eq!((&*row.outcome, row.tries.len()), ("ok", 2));
    let tried = &row.tries[0];
    assert_eq!(tried.skip_reason.as_deref(), Some(reason), "{kind} {more}");
    assert_eq!((&*tried.provider, tried.status_code), ("first", Some(200)));
    assert_ne!(tried.outcome.as_str(), "ok");
    assert_eq!(first.requests(), 1);
}

#[test]
fn f38_sentences_of_ask_sage_are_failures() {
    let told = |said: &str| {
        serde_json::json!({ "message": said, "response": "OK", "status": 200, "usage": null, "tool_calls": null })
            .to_string()
    };
    let key = "/server\n    api_keys: [{ key: ask-0123456789abcdef0123 }]\n";
    for (said, reason) in [
        (
            "Sorry, the model is overloaded, please try again in a few seconds.",
            "error_status",
        ),
        ("Sorry, an error occurred.", "error_status"),
        ("You are not authorized to use this model.", "key_refused"),
    ] {
        for more in ["", STREAM] {
            second_answers("asksage", key, json(200, "", &told(said)), more, reason);
        }
    }
}

#[test]
fn f38_argos_notice_is_a_failure() {
    let user = "/argoapi\n    user: alice\n";
    let whole = serde_json::json!({ "response": NOTICE }).to_string();
    second_answers("argo", user, json(200, "", &whole), "", "key_refused");
    let text = [TEXT_HEAD.as_bytes(), &chunk(NOTICE), LAST_CHUNK.as_bytes()].concat();
    second_answers("argo", user, text, STREAM, "key_refused");
}

#[test]
fn f38_a_node_that_reaches_nobody_is_a_failure() {
    let key = "\n    api_keys: [{ key: sk-rc-0123456789abcdef }]\n";
    let text = "ERROR: failed to dial: context expired";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    for more in ["", STREAM] {
        second_answers("ocf", key, answer.clone().into_bytes(), more, "broken");
    }
    let event = stream(format!("data: {text}\n\n"));
    second_answers("ocf", key, event, STREAM, "broken");
}

/// It is there: its circuit stays closed, for it has other models.
#[test]
fn a_node_that_reaches_nobody_is_asked_again() {
    let text = "ERROR: failed to dial: context expired";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    let upstream = FakeUpstream::answering(answer);
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - {{ name: node, kind: ocf, base_url: \"http://{}\", api_keys: [{{ key: sk-rc-0123456789abcdef }}] }}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    for _ in 0..7 {
        assert_eq!(gateway.chat("node/m", "").status, 502);
    }
    assert_eq!(upstream.requests(), 7);
}

#[test]
fn f30_what_is_no_answer_is_asked_for_elsewhere() {
    for page in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "nonsense\r\n\r\n",
    ] {
        let first = FakeUpstream::answering(page);
        let second = FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")));
        let gateway = pair(&first, &second, "");
        let answer = gateway.chat("fast", "");
        assert_eq!(seen(&answer), (200, Some("b"), Some("2")), "{page}");
        let row = gateway.row().record;
        assert_eq!(row.tries[0].skip_reason.as_deref(), Some("broken"));
        let payload = row.payload.expect("bodies");
        assert!(payload.upstream_response_body.is_none(), "{page}");
    }
}

/// Before its content a stream may stop as long as it likes within the limit for the first byte; then it is given as it is.
#[test]
fn a_stream_that_is_slow_to_begin_is_given_in_the_end() {
    let go = crate::support::signal::Signal::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let first = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(format!("{head}: ping\n\n").into_bytes()),
        Step::Wait(go.clone()),
        Step::Send([super::CONTENT, super::END].concat().into_bytes()),
        Step::Fin,
        Step::ReadToEnd,
    ]]);
    let second = FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")));
    let gateway = TestGateway::with(Wanted {
        upstream: Some(first.base_url()),
        provider: format!(
            "    timeouts: {{ first_byte_s: 0.3 }}\n  - {{ name: b, kind: openai, base_url: \"{}\" }}\n",
            second.base_url()
        ),
        yaml: "models: { fast: { targets: [{ provider: openai, model: m }, { provider: b, model: m, tier: 1 }] } }\n"
            .to_owned(),
        ..Wanted::default()
    });
    let mut client = gateway.connect();
    let body = crate::support::gateway::chat_body("fast", STREAM);
    client.send(crate::support::raw_client::post(
        "/v1/chat/completions",
        &body,
    ));
    client.read_until(b": ping");
    go.fire();
    client.read_until(b"[DONE]");
    assert_eq!(second.connections(), 0);
    assert_eq!(gateway.row().record.outcome, "ok");
}
