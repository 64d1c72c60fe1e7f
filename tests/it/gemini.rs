//! Gemini's clients before Gemini's API: everything as it came, on record in the same columns as the rest. Over 400
//! lines: one dialect, every promise that holds for it.

mod arrays;
mod filters;
mod openais;

use aiproxy::access_log::record::LogRecord;
use serde_json::{Value, json};

use crate::support::canary::assert_clean_files;
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::RawResponse;
use crate::support::wire::{LAST_CHUNK, STREAM_HEAD, chunk, json as json_answer};

const KEY: &str = "AIza-canary-0123456789abcdef";
const CLIENT_KEY: &str = "AIza-client-0123456789";
const REQUEST: &str = include_str!("../fixtures/gemini/request.json");
const PLAIN: &str = include_str!("../fixtures/gemini/plain.json");
const STREAM: &str = include_str!("../fixtures/gemini/stream.sse");
const ARRAY: &str = include_str!("../fixtures/gemini/stream_array.json");
const TOOLS: &str = include_str!("../fixtures/gemini/stream_tools.sse");
const ERROR: &str = include_str!("../fixtures/gemini/stream_error.sse");
const BLOCKED: &str = include_str!("../fixtures/gemini/blocked.json");

const WHOLE_PATH: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const EVENTS_PATH: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
const ARRAY_PATH: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
const ARRAY_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ntransfer-encoding: chunked\r\n\r\n";

fn at(base_url: &str, yaml: &str) -> TestGateway {
    TestGateway::with(wanted(base_url, yaml))
}

fn before(upstream: &FakeUpstream, yaml: &str) -> TestGateway {
    at(&format!("http://{}", upstream.addr()), yaml)
}

/// A gateway with OpenAI's mock first and this upstream as Gemini.
fn wanted(base_url: &str, yaml: &str) -> Wanted {
    Wanted {
        provider: format!(
            "  - name: gem\n    kind: gemini\n    base_url: {base_url}\n    \
             api_keys: [{{ key: {KEY}, name: primary }}]\n"
        ),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    }
}

fn ask(gateway: &TestGateway, path: &str, body: &str) -> RawResponse {
    let headers = format!("x-goog-api-key: {CLIENT_KEY}\r\ncontent-type: application/json\r\n");
    gateway.send("POST", path, &headers, body.as_bytes())
}

/// A body in chunks of so many bytes.
fn in_chunks(head: &str, body: &str, bytes: usize) -> Vec<u8> {
    let mut wire = head.as_bytes().to_vec();
    for piece in body.as_bytes().chunks(bytes) {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

fn events(body: &str, bytes: usize) -> Vec<u8> {
    in_chunks(STREAM_HEAD, body, bytes)
}

/// One answer to one request, and its row.
#[track_caller]
fn answered(wire: impl Into<Vec<u8>>, yaml: &str, path: &str) -> (RawResponse, LogRecord) {
    let upstream = FakeUpstream::answering(wire);
    let gateway = before(&upstream, yaml);
    let answer = ask(&gateway, path, REQUEST);
    let row = gateway.row().record;
    (answer, row)
}

fn sent(upstream: &FakeUpstream) -> String {
    String::from_utf8(upstream.received(0)).expect("text")
}

fn error(answer: &RawResponse) -> (u16, String, String) {
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], answer.status, "{error}");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        answer.status,
        word(&error["status"]),
        word(&error["details"][0]["reason"]),
    )
}

#[test]
fn p1_an_answer_passes_byte_for_byte_and_is_on_record() {
    let upstream = FakeUpstream::answering(json_answer(200, "server-timing: gfet\r\n", PLAIN));
    let gateway = before(&upstream, "");
    let answer = ask(
        &gateway,
        &format!("{WHOLE_PATH}?key={CLIENT_KEY}&a=b"),
        REQUEST,
    );
    assert_eq!((answer.status, answer.text()), (200, PLAIN));
    assert_eq!(answer.header("x-aiproxy-provider"), Some("gem"));
    assert_eq!(answer.header("x-aiproxy-model"), Some("gemini-2.5-flash"));

    let sent = sent(&upstream);
    assert!(
        sent.starts_with(&format!("POST {WHOLE_PATH}?a=b HTTP/1.1\r\n")),
        "{sent}"
    );
    assert!(sent.ends_with(REQUEST), "{sent}");
    assert!(
        sent.contains(&format!("x-goog-api-key: {KEY}\r\n")),
        "{sent}"
    );
    assert!(!sent.contains("AIza-client"), "{sent}");

    let row = gateway.row().record;
    let facts = (
        &*row.endpoint,
        &*row.dialect,
        &*row.outcome,
        row.status_code,
    );
    assert_eq!(facts, ("generate_content", "gemini", "ok", 200));
    assert!(
        row.path.contains("?key=***") && !row.path.contains("AIza"),
        "{}",
        row.path
    );
    assert_eq!(row.requested_model.as_deref(), Some("gemini-2.5-flash"));
    assert_eq!(row.model.as_deref(), Some("gemini-2.5-flash-001"));
    assert_eq!(row.request_text.as_deref(), Some("And in words?"));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.finish_reason.as_deref(), Some("stop"));
    let tokens = (row.prompt_tokens, row.completion_tokens, row.total_tokens);
    assert_eq!(tokens, (Some(35), Some(19), Some(54)));
    assert_eq!(
        (row.cached_tokens, row.reasoning_tokens),
        (Some(20), Some(7))
    );
    assert_eq!(row.usage_source.as_deref(), Some("upstream"));
    assert_eq!(
        (row.stream, row.response_complete),
        (Some(false), Some(true))
    );
}

#[test]
fn f31_streams_pass_byte_for_byte_whatever_their_chunks() {
    for bytes in [1, 7, STREAM.len()] {
        let (answer, row) = answered(events(STREAM, bytes), "", EVENTS_PATH);
        assert_eq!((answer.status, answer.text()), (200, STREAM), "by {bytes}");
        assert!(answer.complete);
        let facts = (&*row.outcome, row.response_complete, row.chunk_count);
        assert_eq!(facts, ("ok", Some(true), Some(4)), "by {bytes}");
        assert_eq!((row.stream, row.repairs), (Some(true), None));
        check_stream_row(
            &row.response_text,
            &row.prompt_tokens,
            &row.completion_tokens,
        );
        assert!(row.first_token_ms.is_some());

        let (answer, row) = answered(in_chunks(ARRAY_HEAD, ARRAY, bytes), "", ARRAY_PATH);
        assert_eq!((answer.status, answer.text()), (200, ARRAY), "by {bytes}");
        let facts = (&*row.outcome, row.response_complete, row.stream);
        assert_eq!(facts, ("ok", Some(true), Some(true)), "by {bytes}");
        check_stream_row(
            &row.response_text,
            &row.prompt_tokens,
            &row.completion_tokens,
        );
    }
}

#[track_caller]
fn check_stream_row(text: &Option<String>, prompt: &Option<i64>, completion: &Option<i64>) {
    assert_eq!(text.as_deref(), Some("Hello café 😀!"));
    assert_eq!((*prompt, *completion), (Some(32), Some(15)));
}

#[test]
fn tool_calls_of_a_stream_are_in_one_column() {
    let (answer, row) = answered(events(TOOLS, 50), "", EVENTS_PATH);
    assert_eq!(answer.text(), TOOLS);
    let calls: Value = serde_json::from_str(row.tool_calls.as_deref().unwrap()).unwrap();
    assert_eq!(calls[0]["function"]["name"], "get_weather");
    assert_eq!(calls[1]["function"]["arguments"], "{}");
    assert_eq!(row.finish_reason.as_deref(), Some("tool_calls"));
}

#[test]
fn a_refused_prompt_has_a_reason_and_no_text() {
    let (answer, row) = answered(json_answer(200, "", BLOCKED), "", WHOLE_PATH);
    assert_eq!(answer.text(), BLOCKED);
    assert_eq!(
        (&*row.outcome, row.finish_reason.as_deref()),
        ("ok", Some("content_filter"))
    );
    assert_eq!((row.response_text, row.completion_tokens), (None, Some(0)));
    let stream = format!("data: {}\n\n", BLOCKED.trim());
    let (answer, row) = answered(events(&stream, 20), "", EVENTS_PATH);
    assert_eq!(answer.text(), stream);
    assert_eq!(
        (&*row.outcome, row.finish_reason.as_deref()),
        ("ok", Some("content_filter"))
    );
}

#[test]
fn f29_an_upstreams_own_error_passes() {
    let body = r#"{"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}"#;
    for body in [body.to_owned(), format!("[{body}]")] {
        let (answer, row) = answered(
            json_answer(503, "retry-after: 3\r\n", &body),
            "",
            ARRAY_PATH,
        );
        assert_eq!((answer.status, answer.text()), (503, &*body));
        assert_eq!(answer.header("retry-after"), Some("3"));
        assert_eq!((&*row.outcome, row.status_code), ("upstream_error", 503));
        let told = (row.error_type.as_deref(), row.error_code.as_deref());
        assert_eq!(told, (Some("UNAVAILABLE"), Some("503")));
        assert_eq!(row.error_message.as_deref(), Some("Overloaded"));
        let (_, row) = answered(json_answer(429, "", &body), "", WHOLE_PATH);
        assert_eq!(row.outcome, "rate_limited");
    }
}

#[test]
fn errors_of_ours_have_geminis_shape() {
    let check = |answer: &RawResponse, status: u16, word: &str, reason: &str| {
        assert_eq!(error(answer), (status, word.to_owned(), reason.to_owned()));
    };
    let refused = r#"{"error":{"code":403,"message":"bad key","status":"PERMISSION_DENIED"}}"#;
    let (answer, row) = answered(json_answer(403, "", refused), "", WHOLE_PATH);
    check(&answer, 502, "UNAVAILABLE", "upstream_auth");
    assert_eq!(row.error_code.as_deref(), Some("upstream_auth"));
    let request_id = answer.header("x-aiproxy-request-id").map(str::to_owned);
    let told = answer.json()["error"]["details"][1]["requestId"].clone();
    assert_eq!(told.as_str(), request_id.as_deref());

    let gateway = at("http://127.0.0.1:9", "");
    for (path, body, status, word, reason) in [
        (WHOLE_PATH, "{", 400, "INVALID_ARGUMENT", "invalid_json"),
        (WHOLE_PATH, "[]", 400, "INVALID_ARGUMENT", "invalid_json"),
        (
            WHOLE_PATH,
            REQUEST,
            502,
            "UNAVAILABLE",
            "upstream_unreachable",
        ),
        (
            "/v1beta/models/%ff:generateContent",
            "{}",
            404,
            "NOT_FOUND",
            "not_found",
        ),
        ("/v1beta/", "{}", 404, "NOT_FOUND", "not_found"),
        (
            "/v1beta/a/../b",
            "{}",
            400,
            "INVALID_ARGUMENT",
            "invalid_target",
        ),
    ] {
        check(&ask(&gateway, path, body), status, word, reason);
    }
    let openai_alone = TestGateway::with(Wanted {
        provider: "    models: { allow: [\"gpt-*\"] }\n".to_owned(),
        ..Wanted::default()
    });
    check(
        &ask(&openai_alone, WHOLE_PATH, REQUEST),
        404,
        "NOT_FOUND",
        "model_not_found",
    );
    let row = openai_alone.row().record;
    assert_eq!((&*row.outcome, row.attempts), ("client_error", 0));
}

#[test]
fn f37_f38_f44_streams_that_end_badly() {
    let (begun, last) = STREAM.split_at(STREAM.rfind("data: ").expect("an end"));
    let event = |message: &str, reason: &str| {
        let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "aiproxy"});
        let error =
            json!({"code": 502, "message": message, "status": "UNAVAILABLE", "details": [info]});
        format!("data: {}\n\n", json!({ "error": error }))
    };
    let truncated = event(
        "the provider's answer ended before its end",
        "upstream_truncated",
    );
    let broken = event(
        "the connection to the provider broke",
        "upstream_disconnected",
    );

    let (answer, row) = answered(events(begun, 64), "", EVENTS_PATH);
    assert_eq!(answer.text(), [begun, &truncated].concat());
    let facts = (
        &*row.outcome,
        row.response_complete,
        row.usage_source.as_deref(),
    );
    assert_eq!(facts, ("upstream_truncated", Some(false), Some("upstream")));
    assert_eq!(row.response_text.as_deref(), Some("Hello café 😀"));

    for stream in [begun, STREAM] {
        let mut wire = STREAM_HEAD.as_bytes().to_vec();
        wire.extend(chunk(stream));
        let reset = [Step::ReadRequest, Step::Send(wire), Step::Fin].to_vec();
        let upstream = FakeUpstream::start(vec![reset]);
        let gateway = before(&upstream, "");
        let answer = ask(&gateway, EVENTS_PATH, REQUEST);
        assert_eq!(answer.text(), [stream, &broken].concat());
        assert_eq!(gateway.row().record.outcome, "upstream_truncated");
    }
    assert!(last.contains("finishReason"));

    let (answer, row) = answered(events(ERROR, 64), "", EVENTS_PATH);
    assert_eq!(answer.text(), ERROR);
    let facts = (
        &*row.outcome,
        row.error_type.as_deref(),
        row.response_complete,
    );
    assert_eq!(facts, ("upstream_error", Some("UNAVAILABLE"), Some(false)));
}

#[test]
fn the_model_that_counts_stands_in_the_path_upstream() {
    let embed = r#"{"requests":[{"model":"models/gem/small","content":{"parts":[{"text":"a"}]}}]}"#;
    let override_it = "filters: [{ kind: model_override, model: large, unless: [small] }]";
    for (yaml, path, body, target, expected) in [
        (
            override_it,
            WHOLE_PATH,
            REQUEST,
            "/v1beta/models/large:generateContent",
            REQUEST,
        ),
        (
            override_it,
            "/v1/models/small:generateContent",
            REQUEST,
            "/v1/models/small:generateContent",
            REQUEST,
        ),
        (
            "",
            "/v1beta/models/gem/small:countTokens",
            REQUEST,
            "/v1beta/models/small:countTokens",
            REQUEST,
        ),
        (
            "",
            "/v1beta/models/gem%2Fsmall:batchEmbedContents",
            embed,
            "/v1beta/models/small:batchEmbedContents",
            r#"{"requests":[{"model":"models/small","content":{"parts":[{"text":"a"}]}}]}"#,
        ),
    ] {
        let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
        let gateway = before(&upstream, yaml);
        assert_eq!(ask(&gateway, path, body).status, 200, "{path}");
        let sent = sent(&upstream);
        assert!(
            sent.starts_with(&format!("POST {target} HTTP/1.1\r\n")),
            "{sent}"
        );
        assert!(sent.ends_with(&format!("\r\n\r\n{expected}")), "{sent}");
    }
}

#[test]
fn p9_an_exchange_replays_byte_for_byte() {
    for (wire, path, expected) in [
        (json_answer(200, "", PLAIN), WHOLE_PATH, PLAIN),
        (events(STREAM, 100), EVENTS_PATH, STREAM),
        (in_chunks(ARRAY_HEAD, ARRAY, 100), ARRAY_PATH, ARRAY),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before(&upstream, "");
        ask(&gateway, path, REQUEST);
        let id = gateway.row().record.request_id;
        let headers = format!("x-aiproxy-replay: {id}\r\n");
        let replayed = gateway.send("POST", path, &headers, b"");
        assert_eq!((replayed.status, replayed.text()), (200, expected));
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!((&*row.outcome, row.replay_of), ("replayed", Some(id)));
    }
}

#[test]
fn p6_no_key_is_in_any_sink_by_whatever_door_it_came() {
    let error = json!({"error": {"code": 400, "message": CLIENT_KEY, "status": KEY}}).to_string();
    for (key, parameter) in [(true, "key"), (true, "k%65y"), (false, "key")] {
        for wire in [
            json_answer(400, "", &error),
            json_answer(200, "", &PLAIN.replace("Hello", CLIENT_KEY)),
        ] {
            let upstream = FakeUpstream::answering(wire);
            let mut wanted = wanted(&format!("http://{}", upstream.addr()), "");
            if !key {
                wanted.provider = wanted.provider.replace(
                    &format!("    api_keys: [{{ key: {KEY}, name: primary }}]\n"),
                    "",
                );
            }
            let gateway = TestGateway::with(wanted);
            let path = format!("{WHOLE_PATH}?{parameter}={CLIENT_KEY}");
            let headers = "content-type: application/json\r\n";
            gateway.send("POST", &path, headers, REQUEST.as_bytes());
            gateway.settle();
            assert_eq!(sent(&upstream).contains(CLIENT_KEY), !key, "{parameter}");
            let row = gateway.row().record;
            assert!(!row.path.contains(CLIENT_KEY), "{}", row.path);
            if !key {
                let seen = assert_clean_files(gateway.dir.path(), CLIENT_KEY, &["aiproxy.yaml"]);
                assert!(1_000 < seen, "there was something to see");
            } else {
                assert_clean_files(gateway.dir.path(), KEY, &["aiproxy.yaml"]);
            }
        }
    }
}

#[test]
fn other_paths_of_geminis_reach_it() {
    let google = "/googleaistudio/v1beta/models/g:generateContent";
    for (method, path, target, endpoint) in [
        ("POST", "/v1beta/models/g:countTokens", "", "count_tokens"),
        ("POST", "/v1/models/g:embedContent", "", "embed_content"),
        ("GET", "/v1beta/models?pageSize=2", "", "models"),
        ("GET", "/v1/models/g", "", "models"),
        ("GET", "/v1beta/files/f_1", "", "passthrough"),
        ("POST", "/v1beta/cachedContents", "", "passthrough"),
        (
            "POST",
            google,
            "/v1beta/models/g:generateContent",
            "generate_content",
        ),
        (
            "POST",
            "/gem/models/g:generateContent",
            "/v1beta/models/g:generateContent",
            "generate_content",
        ),
    ] {
        let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"totalTokens":21}"#));
        let gateway = before(&upstream, "");
        let body = if method == "POST" { REQUEST } else { "" };
        let headers = format!("x-goog-api-key: {CLIENT_KEY}\r\ncontent-type: application/json\r\n");
        let answer = gateway.send(method, path, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let target = if target.is_empty() { path } else { target };
        let sent = sent(&upstream);
        assert!(
            sent.starts_with(&format!("{method} {target} HTTP/1.1\r\n")),
            "{sent}"
        );
        let row = gateway.row().record;
        assert_eq!(
            (&*row.endpoint, &*row.dialect),
            (endpoint, "gemini"),
            "{path}"
        );
    }
}

#[test]
fn without_a_key_of_ours_the_clients_own_travels() {
    let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - kind: gemini\n    base_url: http://{}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    let answer = ask(&gateway, WHOLE_PATH, REQUEST);
    assert_eq!(answer.status, 200);
    assert!(sent(&upstream).contains(&format!("x-goog-api-key: {CLIENT_KEY}\r\n")));
    let row = gateway.row().record;
    assert_eq!(row.provider.as_deref(), Some("gemini"));
    let headers = row.payload.and_then(|payload| payload.request_headers);
    assert!(!headers.unwrap_or_default().contains("AIza"));
}
