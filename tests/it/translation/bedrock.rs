//! Clients of other APIs before Bedrock: its paths, its ways of showing who asks, its frames.

use aiproxy::filter::Endpoint;
use aiproxy::wire::bedrock::frame_of;
use serde_json::json;

use super::{ASKED, CHAT, KEY, chat, check_tokens, message, sent, streamed};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::RawResponse;
use crate::support::wire::{LAST_CHUNK, chunk, code, json as json_answer};

const MODEL: &str = "us.anthropic.claude-x-v1:0";
const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"max_tokens","usage":{"inputTokens":3,"outputTokens":5,"totalTokens":12,"cacheReadInputTokens":4}}"#;
const EVENTS: [&str; 6] = [
    r#"{"messageStart":{"role":"assistant"}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hällo "}}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"you"}}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
    r#"{"messageStop":{"stopReason":"max_tokens"}}"#,
    r#"{"metadata":{"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":12,"cacheReadInputTokens":4}}}"#,
];

/// A gateway with this upstream as Bedrock, which says so who asks.
fn before_bedrock(upstream: &FakeUpstream, credentials: &str) -> TestGateway {
    TestGateway::with(Wanted {
        provider: format!(
            "  - name: aws\n    kind: bedrock\n    region: us-east-1\n    base_url: http://{}\n    \
             models: {{ allow: [\"us.*\"] }}\n    {credentials}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    })
}

fn with_key() -> String {
    format!("api_keys: [{{ key: {KEY} }}]")
}

fn frames(events: &[&str]) -> Vec<Vec<u8>> {
    let frames = events
        .iter()
        .map(|event| frame_of(Endpoint::BedrockConverse, event));
    frames.map(|frame| frame.expect("an event")).collect()
}

fn in_pieces(body: &[u8], bytes: usize) -> Vec<u8> {
    let mut wire = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                     transfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for piece in body.chunks(bytes) {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

fn ask_chat(gateway: &TestGateway) -> RawResponse {
    chat(
        gateway,
        &streamed(CHAT).replacen("claude-sonnet-4-5", MODEL, 1),
    )
}

#[test]
fn a_message_is_answered_by_bedrock() {
    for credentials in [
        with_key(),
        "access_key_id: AKIAEXAMPLE0123456789\n    secret_access_key: secret-0123456789abcdef"
            .to_owned(),
    ] {
        let upstream =
            FakeUpstream::answering(json_answer(200, "x-amzn-requestid: r-1\r\n", ANSWER));
        let gateway = before_bedrock(&upstream, &credentials);
        let answer = message(&gateway, &ASKED.replacen("m-1", MODEL, 1));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-amzn-requestid"), Some("r-1"));
        let said = answer.json();
        assert_eq!(said["content"], json!([{ "type": "text", "text": "Hi" }]));
        assert_eq!(said["stop_reason"], "max_tokens");
        let counted = (
            &said["usage"]["input_tokens"],
            &said["usage"]["cache_read_input_tokens"],
        );
        assert_eq!(counted, (&json!(3), &json!(4)));

        let (head, body) = sent(&upstream);
        let target = "POST /model/us.anthropic.claude-x-v1%3A0/converse HTTP/1.1\r\n";
        assert!(head.starts_with(target), "{head}");
        let shown = match credentials.starts_with("api_keys") {
            true => format!("authorization: Bearer {KEY}"),
            false => "authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE0123456789/".to_owned(),
        };
        assert!(head.contains(&shown), "{head}");
        assert!(
            !head.contains("sk-client") && !head.contains("anthropic-"),
            "{head}"
        );
        let expected = json!({
            "messages": [{ "role": "user", "content": [{ "text": "Hello?" }] }],
            "system": [{ "text": "Be terse." }], "inferenceConfig": { "maxTokens": 20 },
        });
        assert_eq!(body, expected);
        let row = gateway.row().record;
        let facts = (
            &*row.endpoint,
            &*row.outcome,
            row.provider.as_deref(),
            row.model.as_deref(),
        );
        assert_eq!(facts, ("messages", "ok", Some("aws"), Some(MODEL)));
        assert_eq!(row.response_text.as_deref(), Some("Hi"));
        assert_eq!(row.finish_reason.as_deref(), Some("length"));
        check_tokens(&row, 7, 5);
    }
}

#[test]
fn bedrock_streams_to_a_chat_whatever_the_chunks() {
    let stream = frames(&EVENTS).concat();
    for bytes in [1, 50, stream.len()] {
        let upstream = FakeUpstream::answering(in_pieces(&stream, bytes));
        let gateway = before_bedrock(&upstream, &with_key());
        let answer = ask_chat(&gateway);
        let text = answer.text();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let expected = Some("text/event-stream; charset=utf-8");
        assert_eq!(answer.header("content-type"), expected);
        let (head, _) = sent(&upstream);
        assert!(head.contains("/converse-stream HTTP/1.1\r\n"), "{head}");
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
        assert_eq!(row.response_text.as_deref(), Some("Hällo you"));
        assert_eq!(row.finish_reason.as_deref(), Some("length"));
        assert_eq!(row.cached_tokens, Some(4));
        check_tokens(&row, 7, 5);
        let payload = row.payload.expect("bodies");
        let came = payload.upstream_response_body.expect("a body");
        assert_eq!(&*came.bytes, &*stream, "as it came");
    }
}

#[test]
fn a_stream_that_is_not_what_it_should_be_fails() {
    let whole = frames(&EVENTS);
    let ending = |events: &[&str]| frames(&[&EVENTS[..2], events].concat()).concat();
    let throttled = ending(&[r#"{"throttlingException":{"message":"Too many"}}"#]);
    let damaged = |at: usize| {
        let mut stream = whole.concat();
        let first = whole[0].len() + whole[1].len();
        stream[first + at] ^= 1;
        stream
    };
    let within = whole[2].len() - 10;
    for (stream, expected, outcome) in [
        (damaged(within), "upstream_protocol", "upstream_error"),
        (damaged(1), "upstream_protocol", "upstream_error"),
        (throttled.clone(), "ThrottlingException", "rate_limited"),
        (ending(&[]), "upstream_truncated", "upstream_truncated"),
        (
            whole.concat()[..whole[0].len() + whole[1].len() + 20].to_vec(),
            "upstream_truncated",
            "upstream_truncated",
        ),
    ] {
        let upstream = FakeUpstream::answering(in_pieces(&stream, 1_000));
        let gateway = before_bedrock(&upstream, &with_key());
        let answer = ask_chat(&gateway);
        let text = answer.text();
        assert!(text.contains("Hällo "), "{text}");
        assert!(
            !text.contains("you") && !text.contains("finish_reason\":\"length"),
            "{text}"
        );
        assert_eq!(code(&answer.body), expected, "{text}");
        assert_eq!(text.contains("Too many"), stream == throttled, "{text}");
        let row = gateway.row().record;
        let facts = (
            row.error_code.as_deref(),
            &*row.outcome,
            row.response_complete,
        );
        assert_eq!(facts, (Some(expected), outcome, Some(false)), "{text}");
    }
}

#[test]
fn an_error_of_bedrocks_is_told_with_its_status_kind_and_message() {
    for (status, kind, message) in [
        (
            400,
            "ValidationException",
            "The model identifier is invalid.",
        ),
        (429, "ThrottlingException", "Too many tokens, please wait."),
        // Of the model, and not of our key.
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        ),
    ] {
        let header = format!("x-amzn-errortype: {kind}:http://internal/\r\n");
        let body = json!({ "message": message }).to_string();
        let upstream = FakeUpstream::answering(json_answer(status, &header, &body));
        let gateway = before_bedrock(&upstream, &with_key());
        let answer = ask_chat(&gateway);
        let error = &answer.json()["error"];
        let told = (answer.status, &error["code"], &error["message"]);
        assert_eq!(told, (status, &json!(kind), &json!(message)));
        let row = gateway.row().record;
        let facts = (row.error_code.as_deref(), row.error_message.as_deref());
        assert_eq!(facts, (Some(kind), Some(message)));
    }
}

/// Told in a head or in a frame, an error has one name, one status and one outcome.
#[test]
fn errors_of_bedrocks_mean_the_same_in_heads_and_frames() {
    for (name, in_head, meant, kind, outcome) in [
        (
            "ValidationException",
            400,
            400,
            "invalid_request_error",
            "upstream_error",
        ),
        (
            "ThrottlingException",
            429,
            429,
            "rate_limit_error",
            "rate_limited",
        ),
        (
            "InternalServerException",
            500,
            500,
            "api_error",
            "upstream_error",
        ),
        (
            "ModelStreamErrorException",
            424,
            502,
            "api_error",
            "upstream_error",
        ),
        (
            "ServiceUnavailableException",
            503,
            503,
            "api_error",
            "upstream_error",
        ),
        (
            "ModelTimeoutException",
            408,
            504,
            "api_error",
            "upstream_error",
        ),
    ] {
        let body = json!({ "message": "no" }).to_string();
        let header = format!("x-amzn-errortype: {name}:http://internal/\r\n");
        let upstream = FakeUpstream::answering(json_answer(in_head, &header, &body));
        let gateway = before_bedrock(&upstream, &with_key());
        let answer = ask_chat(&gateway);
        let error = &answer.json()["error"];
        let told = (answer.status, &error["code"], &error["type"]);
        assert_eq!(told, (meant, &json!(name), &json!(kind)));
        let head_row = gateway.row().record;

        let (first, rest) = name.split_at(1);
        let in_frame = first.to_ascii_lowercase() + rest;
        let event = json!({ in_frame: { "message": "no" } }).to_string();
        let stream = frames(&[&EVENTS[..2], &[&*event]].concat()).concat();
        let upstream = FakeUpstream::answering(in_pieces(&stream, 1_000));
        let gateway = before_bedrock(&upstream, &with_key());
        let answer = ask_chat(&gateway);
        assert_eq!(code(&answer.body), name, "{}", answer.text());
        let row = gateway.row().record;
        for row in [&head_row, &row] {
            let facts = (
                row.error_code.as_deref(),
                row.error_type.as_deref(),
                row.error_message.as_deref(),
                &*row.outcome,
            );
            assert_eq!(facts, (Some(name), Some(kind), Some("no"), outcome));
        }
    }
}

#[test]
fn a_status_that_blames_the_provider_stays() {
    let header = "x-amzn-errortype: InternalServerException\r\n";
    let body = json!({ "message": "no" }).to_string();
    let upstream = FakeUpstream::answering(json_answer(529, header, &body));
    let gateway = before_bedrock(&upstream, &with_key());
    assert_eq!(ask_chat(&gateway).status, 529);
    assert_eq!(gateway.row().record.status_code, 529);
}
