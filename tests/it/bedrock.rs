//! Bedrock's clients before Bedrock's runtime: signed anew, frames as they came, on record in the same columns as the
//! rest.

mod filters;
mod invoke;
mod makers;
mod streams;

use aiproxy::access_log::record::LogRecord;
use aiproxy::filter::Endpoint;
use aiproxy::upstream::sigv4::{Signed, Signer};
use aiproxy::wire::aws_event_stream;
use aiproxy::wire::bedrock::frame_of;
use serde_json::json;

use crate::support::canary::assert_clean_files;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::RawResponse;
use crate::support::wire::{LAST_CHUNK, chunk, json as json_answer};

const SECRET: &str = "canary/Secret+0123456789abcdefABCDEF";
const TOKEN: &str = "canary-token-0123456789abcdef";
/// What boto3 sends of itself, whatever its credentials.
const CLIENT: &str = "authorization: AWS4-HMAC-SHA256 Credential=AKIACLIENT/20261130/us-west-2/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123456789abcdef\r\nx-amz-date: 20261130T000000Z\r\nx-amz-security-token: client-token-0123456789\r\nx-amz-content-sha256: 00\r\namz-sdk-invocation-id: 1\r\n";
const REQUEST: &str = include_str!("../fixtures/bedrock/converse_request.json");
const ANSWER: &str = include_str!("../fixtures/bedrock/converse.json");
const CONVERSE: &str = include_str!("../fixtures/bedrock/converse_stream.jsonl");
const CLAUDE: &str = include_str!("../fixtures/bedrock/claude_stream.jsonl");
const COMPLETION: &str = include_str!("../fixtures/bedrock/completion_stream.jsonl");
const MESSAGES: &str = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"And in words?"}]}"#;
const PROMPT: &str =
    r#"{"prompt":"\n\nHuman: And in words?\n\nAssistant:","max_tokens_to_sample":100}"#;
/// Streams by what asks for them.
const STREAMS: [(&str, &str, Endpoint, &str); 3] = [
    (
        "converse-stream",
        REQUEST,
        Endpoint::BedrockConverse,
        CONVERSE,
    ),
    (
        "invoke-with-response-stream",
        MESSAGES,
        Endpoint::BedrockInvoke,
        CLAUDE,
    ),
    (
        "invoke-with-response-stream",
        PROMPT,
        Endpoint::BedrockInvoke,
        COMPLETION,
    ),
];
const MODEL: &str = "/model/anthropic.claude-v2%3A1";

fn wanted(base_url: &str, yaml: &str) -> Wanted {
    Wanted {
        provider: format!(
            "  - name: aws\n    kind: bedrock\n    base_url: {base_url}\n    region: eu-central-1\n    \
             access_key_id: AKIAOURS0123\n    secret_access_key: {SECRET}\n    session_token: {TOKEN}\n"
        ),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    }
}

fn before(upstream: &FakeUpstream, yaml: &str) -> TestGateway {
    TestGateway::with(wanted(&format!("http://{}", upstream.addr()), yaml))
}

/// Nobody listens there.
fn before_nobody(yaml: &str) -> TestGateway {
    TestGateway::with(wanted("http://127.0.0.1:9", yaml))
}

fn ask(gateway: &TestGateway, verb: &str, body: &str) -> RawResponse {
    gateway.send("POST", &format!("{MODEL}/{verb}"), CLIENT, body.as_bytes())
}

/// One answer to one request, and its row.
#[track_caller]
fn answered(
    wire: impl Into<Vec<u8>>,
    yaml: &str,
    verb: &str,
    body: &str,
) -> (RawResponse, LogRecord) {
    let upstream = FakeUpstream::answering(wire);
    let gateway = before(&upstream, yaml);
    let answer = ask(&gateway, verb, body);
    let row = gateway.row().record;
    (answer, row)
}

/// The frames of a recorded stream, one event a line.
fn frames(endpoint: Endpoint, events: &str) -> Vec<Vec<u8>> {
    let frames = events.lines().map(|event| frame_of(endpoint, event));
    frames.map(|frame| frame.expect("an event")).collect()
}

/// The answer that streams these bytes, in chunks of so many.
fn streamed(frames: &[u8], bytes: usize) -> Vec<u8> {
    let mut wire = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        aws_event_stream::CONTENT_TYPE
    )
    .into_bytes();
    for piece in frames.chunks(bytes) {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

/// The kind and the message of an error.
fn error(answer: &RawResponse) -> (String, String) {
    let kind = answer.header("x-amzn-errortype").unwrap_or_default();
    let body = answer.json();
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(1),
        "{body}"
    );
    let message = body["message"].as_str().unwrap_or_default();
    (kind.to_owned(), message.to_owned())
}

#[test]
fn p1_an_answer_passes_byte_for_byte_and_is_on_record() {
    let wire = json_answer(200, "x-amzn-requestid: r1\r\n", ANSWER);
    let upstream = FakeUpstream::answering(wire);
    let gateway = before(&upstream, "");
    let answer = ask(&gateway, "converse", REQUEST);
    assert_eq!((answer.status, answer.text()), (200, ANSWER));
    assert_eq!(answer.header("x-amzn-requestid"), Some("r1"));
    assert_eq!(answer.header("x-aiproxy-provider"), Some("aws"));

    let row = gateway.row().record;
    let facts = (
        &*row.endpoint,
        &*row.dialect,
        &*row.outcome,
        row.status_code,
        row.stream,
    );
    assert_eq!(
        facts,
        ("bedrock.converse", "bedrock", "ok", 200, Some(false))
    );
    assert_eq!(
        row.requested_model.as_deref(),
        Some("anthropic.claude-v2:1")
    );
    assert_eq!(row.path, format!("{MODEL}/converse"));
    assert_eq!(row.request_text.as_deref(), Some("And in words?"));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.finish_reason.as_deref(), Some("stop"));
    let tokens = (row.prompt_tokens, row.completion_tokens, row.total_tokens);
    assert_eq!(tokens, (Some(35), Some(12), Some(47)));
    assert_eq!(
        (row.cached_tokens, row.cache_write_tokens),
        (Some(20), Some(5))
    );
    assert_eq!(row.usage_source.as_deref(), Some("upstream"));
    assert_eq!(row.provider_key.as_deref(), Some("key-1"));
}

#[test]
fn requests_are_signed_with_our_credentials_and_nobody_elses() {
    let upstream = FakeUpstream::answering(json_answer(200, "", ANSWER));
    let gateway = before(&upstream, "");
    ask(&gateway, "converse", REQUEST);
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    let (head, body) = sent.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, REQUEST);
    let target = format!("POST {MODEL}/converse HTTP/1.1\r\n");
    assert!(head.starts_with(&target), "{head}");
    for theirs in [
        "AKIACLIENT",
        "client-token",
        "20261130T000000Z",
        "x-amz-content-sha256",
    ] {
        assert!(!head.contains(theirs), "{theirs}: {head}");
    }
    assert!(head.contains("amz-sdk-invocation-id: 1"), "{head}");

    let header = |name: &str| {
        let prefix = format!("{name}: ");
        let mut values = head.lines().filter_map(|line| line.strip_prefix(&prefix));
        let value = values.next().expect("the header");
        assert_eq!(values.next(), None, "{name} stands once");
        value
    };
    let signer = Signer::new(
        "AKIAOURS0123".to_owned(),
        SECRET.to_owned().into(),
        Some(TOKEN.to_owned().into()),
        "eu-central-1".to_owned(),
        "bedrock",
    );
    let path = format!("{MODEL}/converse");
    let signed = Signed {
        method: "POST",
        path: &path,
        query: "",
        headers: &[
            ("host", header("host").as_bytes()),
            ("content-type", b"application/json"),
        ],
        body: REQUEST.as_bytes(),
    };
    let at = header("x-amz-date");
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).expect("a time");
    let at = at
        .to_zoned(jiff::tz::TimeZone::UTC)
        .expect("a time")
        .timestamp();
    for (name, value) in signer.sign(&signed, at) {
        assert_eq!(header(name), value);
    }
}

#[test]
fn f29_an_upstreams_own_error_passes() {
    let body = r#"{"message":"Too many requests, please wait before trying again."}"#;
    let kind = "x-amzn-errortype: ThrottlingException:http://internal.amazon.com/coral/\r\n";
    let (answer, row) = answered(json_answer(429, kind, body), "", "converse", REQUEST);
    assert_eq!((answer.status, answer.text()), (429, body));
    assert!(error(&answer).0.starts_with("ThrottlingException"));
    assert_eq!((&*row.outcome, row.status_code), ("rate_limited", 429));
    assert_eq!(row.error_type.as_deref(), Some("ThrottlingException"));
    assert!(
        row.error_message
            .is_some_and(|message| message.starts_with("Too many requests"))
    );

    let refused = "x-amzn-errortype: AccessDeniedException\r\n";
    let body = r#"{"message":"You don't have access to the model with the specified model ID."}"#;
    let (answer, row) = answered(json_answer(403, refused, body), "", "converse", REQUEST);
    assert_eq!((answer.status, answer.text()), (403, body));
    assert_eq!(row.error_type.as_deref(), Some("AccessDeniedException"));
    for (kind, message) in [
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: bedrock:InvokeModel",
        ),
    ] {
        let body = json!({ "message": message }).to_string();
        let kind = format!("x-amzn-errortype: {kind}\r\n");
        let (answer, row) = answered(json_answer(403, &kind, &body), "", "converse", REQUEST);
        assert_eq!(
            (answer.status, &*error(&answer).0),
            (502, "ServiceUnavailableException")
        );
        assert!(!answer.text().contains("arn:aws"), "{}", answer.text());
        assert_eq!(row.error_code.as_deref(), Some("upstream_auth"));
    }
}

#[test]
fn errors_of_ours_have_bedrocks_shape() {
    let gateway = before_nobody("");
    for (path, body, status, kind) in [
        ("/converse", "{", 400, "ValidationException"),
        ("/invoke", "[]", 400, "ValidationException"),
        ("/invoke", "", 400, "ValidationException"),
        (
            "/converse",
            r#"{"a":1,"a":2}"#,
            502,
            "ServiceUnavailableException",
        ),
        (
            "/converse",
            r#"{"model":"a","model":"b"}"#,
            400,
            "ValidationException",
        ),
        (
            "/converse-stream",
            REQUEST,
            502,
            "ServiceUnavailableException",
        ),
        ("/", REQUEST, 404, "ResourceNotFoundException"),
        ("", REQUEST, 404, "ResourceNotFoundException"),
        ("%ff/invoke", REQUEST, 404, "ResourceNotFoundException"),
        ("/../b/invoke", REQUEST, 400, "ValidationException"),
    ] {
        let answer = gateway.send("POST", &format!("{MODEL}{path}"), CLIENT, body.as_bytes());
        let got = (answer.status, error(&answer).0);
        assert_eq!(got, (status, kind.to_owned()), "{path} {body}");
        let id = answer.header("x-aiproxy-request-id");
        assert_eq!(answer.header("x-amzn-requestid"), id);
    }
    let looked_at = gateway.send("GET", &format!("{MODEL}/invoke"), CLIENT, b"");
    assert_eq!(looked_at.status, 404);
    let html =
        b"HTTP/1.1 503 Any\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".to_vec();
    let (answer, row) = answered(html, "", "invoke", MESSAGES);
    assert_eq!(
        (answer.status, &*error(&answer).0),
        (503, "ServiceUnavailableException")
    );
    assert_eq!(
        row.error_type.as_deref(),
        Some("ServiceUnavailableException")
    );
    // Nobody is there who understands it.
    let alone = TestGateway::start();
    let answer = alone.send("POST", &format!("{MODEL}/count-tokens"), "", b"{}");
    assert_eq!(
        (answer.status, &*error(&answer).0),
        (400, "ValidationException")
    );
}

#[test]
fn other_paths_and_names_reach_it() {
    for (path, target, endpoint) in [
        (
            "/bedrock-claude/model/m/invoke",
            "/model/m/invoke",
            "bedrock.invoke",
        ),
        (
            "/aws/model/m/converse",
            "/model/m/converse",
            "bedrock.converse",
        ),
        (
            "/model/aws%2Fm%3A0/invoke",
            "/model/m%3A0/invoke",
            "bedrock.invoke",
        ),
        ("/model/m:0/invoke", "/model/m:0/invoke", "bedrock.invoke"),
        (
            "/model/m/count-tokens",
            "/model/m/count-tokens",
            "passthrough",
        ),
        ("/aws/async-invoke", "/async-invoke", "passthrough"),
    ] {
        let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
        let gateway = before(&upstream, "");
        let answer = gateway.send("POST", path, CLIENT, MESSAGES.as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let sent = String::from_utf8(upstream.received(0)).expect("text");
        assert!(
            sent.starts_with(&format!("POST {target} HTTP/1.1\r\n")),
            "{sent}"
        );
        assert!(
            sent.contains("Credential=AKIAOURS0123/") && sent.ends_with(MESSAGES),
            "{sent}"
        );
        assert_eq!(gateway.row().record.endpoint, endpoint, "{path}");
    }
}

#[test]
fn without_credentials_of_ours_a_key_travels_and_a_signature_does_not() {
    let upstream = FakeUpstream::answering(json_answer(200, "", ANSWER));
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: aws\n    kind: bedrock\n    base_url: http://{}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    let path = format!("{MODEL}/converse");
    let refused = gateway.send("POST", &path, CLIENT, REQUEST.as_bytes());
    let (kind, message) = error(&refused);
    assert_eq!((refused.status, &*kind), (401, "AccessDeniedException"));
    assert!(message.contains("access_key_id"), "{message}");
    assert_eq!(upstream.connections(), 0);
    let key = "authorization: Bearer bedrock-api-key-0123456789";
    let answer = gateway.send("POST", &path, &format!("{key}\r\n"), REQUEST.as_bytes());
    assert_eq!(answer.status, 200);
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    assert!(sent.contains(key) && !sent.contains("x-amz-date"), "{sent}");
    let rows = gateway.rows();
    let codes: Vec<_> = rows
        .iter()
        .map(|row| row.record.error_code.as_deref())
        .collect();
    assert_eq!(codes, [Some("no_credentials"), None]);
}

#[test]
fn p6_no_key_is_in_any_sink_even_when_it_is_echoed() {
    for secret in [SECRET, TOKEN] {
        let said = json!({ "message": secret }).to_string();
        let whole = ANSWER.replace("Hello", secret);
        let stream = frames(
            Endpoint::BedrockConverse,
            &CONVERSE.replace("Hello", secret),
        );
        for (verb, wire) in [
            (
                "converse",
                json_answer(500, "x-amzn-errortype: X\r\n", &said),
            ),
            ("converse", json_answer(200, "", &whole)),
            ("converse-stream", streamed(&stream.concat(), 50)),
        ] {
            let upstream = FakeUpstream::answering(wire);
            let gateway = before(&upstream, "");
            let answer = ask(&gateway, verb, REQUEST);
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(answer.status == 200 || !text.contains(secret), "{text}");
            gateway.settle();
            for secret in [
                SECRET,
                TOKEN,
                "client-token-0123456789",
                "Signature=0123456789abcdef",
            ] {
                let seen = assert_clean_files(gateway.dir.path(), secret, &["aiproxy.yaml"]);
                assert!(1_000 < seen, "there was something to see");
            }
        }
    }
}

#[test]
fn p9_an_exchange_replays_byte_for_byte() {
    let stream = frames(Endpoint::BedrockConverse, CONVERSE).concat();
    for (verb, wire, expected) in [
        (
            "converse",
            json_answer(200, "", ANSWER),
            ANSWER.as_bytes().to_vec(),
        ),
        ("converse-stream", streamed(&stream, 100), stream.clone()),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before(&upstream, "");
        let first = ask(&gateway, verb, REQUEST);
        let id = gateway.row().record.request_id;
        let headers = format!("{CLIENT}x-aiproxy-replay: {id}\r\n");
        let replayed = gateway.send("POST", &format!("{MODEL}/{verb}"), &headers, b"");
        assert_eq!((replayed.status, &replayed.body), (200, &expected));
        assert_eq!(
            replayed.header("content-type"),
            first.header("content-type")
        );
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!((&*row.outcome, row.replay_of), ("replayed", Some(id)));
        let unknown = headers.replace("replay: 0", "replay: f");
        let unknown = gateway.send("POST", &format!("{MODEL}/{verb}"), &unknown, b"");
        assert_eq!(
            (unknown.status, &*error(&unknown).0),
            (404, "ResourceNotFoundException")
        );
    }
}
