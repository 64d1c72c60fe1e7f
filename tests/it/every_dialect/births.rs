//! Streams that fail before their first content, of every kind of provider: another target answers, in the client's own
//! words, and the row has no trace of the first but its entry.

use aiproxy::filter::Endpoint;
use aiproxy::wire::bedrock::frame_of;

use super::pair::{Pair, Seen, every_pair};
use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted};
use crate::support::wire::{LAST_CHUNK, chunk, json};

/// Two providers of the kind, one after the other; `m-1` is a model of both.
fn gateway(pair: &Pair, first: &FakeUpstream, second: &FakeUpstream) -> TestGateway {
    let kind = pair.kind.name;
    let region = match kind {
        "bedrock" => "region: us-east-1, ",
        _ => "",
    };
    let version = match kind {
        "openai" => "/v1",
        _ => "",
    };
    let providers = [("first", first), ("second", second)].map(|(name, upstream)| {
        format!(
            "  - {{ name: {name}, kind: {kind}, {region}base_url: \"http://{}{version}\", models: {{ list: [m-1] }}, api_keys: [{{ key: {PROVIDER_KEY} }}] }}\n",
            upstream.addr()
        )
    });
    TestGateway::with(Wanted {
        provider: providers.concat(),
        yaml: "models: { m-1: { targets: [{ provider: first, model: m-1 }, { provider: second, model: m-1, tier: 1 }] } }\n"
            .to_owned(),
        ..Wanted::default()
    })
}

/// What the provider says in place of its first event.
fn error(pair: &Pair) -> Vec<u8> {
    match (pair.kind.name, pair.client.name) {
        ("anthropic", _) => b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n".to_vec(),
        ("gemini", _) => b"data: {\"error\":{\"code\":503,\"message\":\"boom\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n".to_vec(),
        ("bedrock", _) => {
            let event = r#"{"serviceUnavailableException":{"message":"boom"}}"#;
            frame_of(Endpoint::BedrockConverse, event).expect("an event")
        }
        (_, "responses") => b"event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":\"server_error\",\"message\":\"boom\",\"param\":null}\n\n".to_vec(),
        _ => b"data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":\"server_error\"}}\n\n".to_vec(),
    }
}

/// The events before the first content.
fn beginning(pair: &Pair) -> Vec<u8> {
    match (pair.kind.name, pair.client.name) {
        ("anthropic", _) => b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_0\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m-1\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n".to_vec(),
        ("bedrock", "invoke") => {
            let event = r#"{"type":"message_start","message":{"id":"msg_0","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":70,"output_tokens":1}}}"#;
            frame_of(Endpoint::BedrockInvoke, event).expect("an event")
        }
        ("bedrock", _) => {
            let event = r#"{"messageStart":{"role":"assistant"}}"#;
            frame_of(Endpoint::BedrockConverse, event).expect("an event")
        }
        (_, "responses") => b"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_0\",\"object\":\"response\",\"created_at\":1,\"status\":\"in_progress\",\"model\":\"m-1\",\"output\":[]}}\n\n".to_vec(),
        _ => b": ping\n\n".to_vec(),
    }
}

/// The same answer, after which its connection ends.
fn closing(answer: Vec<u8>) -> Script {
    let head = memchr::memmem::find(&answer, b"\r\n\r\n").expect("a head");
    let (head, rest) = answer.split_at(head);
    let answer = [head, b"\r\nconnection: close", rest].concat();
    vec![Step::ReadRequest, Step::Send(answer), Step::ReadToEnd]
}

/// A stream of these chunks that ends like this.
fn begun(pair: &Pair, chunks: &[Vec<u8>], is_reset: bool) -> Script {
    let head = [
        pair.kind.stream_head(),
        chunks.iter().flat_map(chunk).collect(),
    ];
    if is_reset {
        return vec![Step::ReadRequest, Step::Send(head.concat()), Step::Rst];
    }
    closing([head.concat(), LAST_CHUNK.into()].concat())
}

/// Requests of one gateway: whether for a stream, how the first target fails, and what the row says of that. No more than
/// three, for then the first target is left alone.
fn check(pair: Pair, cases: Vec<(bool, Script, &str)>) {
    let second = cases.iter().map(|(stream, ..)| match stream {
        true => closing(pair.kind.stream(&pair.client)),
        false => closing(json(200, "", pair.kind.whole(&pair.client))),
    });
    let second = FakeUpstream::start(second.collect());
    let first = FakeUpstream::start(cases.iter().map(|(_, script, _)| script.clone()).collect());
    let gateway = gateway(&pair, &first, &second);
    let send =
        |(stream, ..): &(bool, Script, &str)| pair.send(&gateway, *stream, &pair.body(*stream));
    let answers: Vec<_> = cases.iter().map(send).collect();
    let rows = gateway.rows();
    assert_eq!(rows.len(), cases.len(), "{pair:?}");
    for ((answer, row), (_, _, reason)) in answers.into_iter().zip(rows).zip(cases) {
        let row = row.record;
        let tries = row.tries.iter();
        let tries: Vec<_> = tries
            .map(|tried| (&*tried.provider, tried.skip_reason.as_deref()))
            .collect();
        assert_eq!(
            tries,
            [("first", Some(reason)), ("second", None)],
            "{pair:?}"
        );
        assert_eq!(answer.header("x-aiproxy-attempts"), Some("2"));
        let seen = Seen { pair, answer, row };
        assert!(!seen.text().contains("boom"), "{seen:#?}");
        seen.is_answer();
    }
}

#[test]
fn f28_f38_who_fails_before_the_first_content_is_left_for_another() {
    every_pair(|pair| {
        let refused = json(503, "", r#"{"error":{"message":"boom"}}"#);
        let told = [beginning(&pair), error(&pair)];
        check(
            pair,
            vec![
                (false, closing(refused), "error_status"),
                (true, begun(&pair, &told, false), "error_status"),
                (true, begun(&pair, &[beginning(&pair)], true), "broken"),
            ],
        );
    });
}

#[test]
fn f38_a_stream_of_nothing_is_left_for_another() {
    every_pair(|pair| {
        if pair.is_native() {
            check(
                pair,
                vec![
                    (true, begun(&pair, &[error(&pair)], false), "error_status"),
                    (true, begun(&pair, &[beginning(&pair)], false), "broken"),
                    (true, begun(&pair, &[], false), "broken"),
                ],
            );
        }
    });
}
