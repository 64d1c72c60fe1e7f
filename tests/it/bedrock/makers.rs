//! Filters see and change what models of every maker answer to `invoke`, whole and streamed.

use aiproxy::filter::Endpoint;
use aiproxy::wire;

use super::filters::exception;
use super::{answered, ask, error, frames, streamed, wanted};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::records::tags_of;
use crate::support::shouts::shouts;
use crate::support::wire::json as json_answer;

const ENDPOINT: Endpoint = Endpoint::BedrockInvoke;
const WHOLE: &str = "invoke";
const STREAM: &str = "invoke-with-response-stream";

/// What is asked, and the answer, whole and as events. It says `a secret b`; the secret comes apart between two events.
const MAKERS: &[(&str, &str, &str)] = &[
    // Titan.
    (
        r#"{"inputText":"Hi"}"#,
        r#"{"inputTextTokenCount":5,"results":[{"tokenCount":3,"outputText":"a secret b","completionReason":"FINISH"}]}"#,
        r#"{"index":0,"inputTextTokenCount":5,"totalOutputTextTokenCount":null,"outputText":"a sec","completionReason":null}
{"index":1,"inputTextTokenCount":null,"totalOutputTextTokenCount":3,"outputText":"ret b","completionReason":"FINISH"}"#,
    ),
    // Nova.
    (
        r#"{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
        r#"{"output":{"message":{"content":[{"text":"a secret b"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":5,"outputTokens":3,"totalTokens":8}}"#,
        r#"{"messageStart":{"role":"assistant"}}
{"contentBlockDelta":{"delta":{"text":"a sec"},"contentBlockIndex":0}}
{"contentBlockDelta":{"delta":{"text":"ret b"},"contentBlockIndex":0}}
{"contentBlockStop":{"contentBlockIndex":0}}
{"messageStop":{"stopReason":"end_turn"}}
{"metadata":{"usage":{"inputTokens":5,"outputTokens":3},"metrics":{}}}"#,
    ),
    // Llama.
    (
        r#"{"prompt":"Hi","max_gen_len":9}"#,
        r#"{"generation":"a secret b","prompt_token_count":5,"generation_token_count":3,"stop_reason":"stop"}"#,
        r#"{"generation":"a sec","prompt_token_count":5,"generation_token_count":1,"stop_reason":null}
{"generation":"ret b","prompt_token_count":null,"generation_token_count":3,"stop_reason":null}
{"generation":"","prompt_token_count":null,"generation_token_count":3,"stop_reason":"stop"}"#,
    ),
    // Mistral, older and newer.
    (
        r#"{"prompt":"Hi"}"#,
        r#"{"outputs":[{"text":"a secret b","stop_reason":"stop"}]}"#,
        r#"{"outputs":[{"text":"a sec","stop_reason":null}]}
{"outputs":[{"text":"ret b","stop_reason":"stop"}]}"#,
    ),
    (
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a secret b"},"stop_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a sec"},"stop_reason":null}]}
{"choices":[{"index":0,"message":{"role":"assistant","content":"ret b"},"stop_reason":"stop"}]}"#,
    ),
    // Jamba, gpt-oss, Qwen and others.
    (
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"a secret b"},"finish_reason":"stop"}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"a sec"},"finish_reason":null}]}
{"id":"c","choices":[{"index":0,"delta":{"content":"ret b"},"finish_reason":null}]}
{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ),
    // DeepSeek.
    (
        r#"{"prompt":"Hi"}"#,
        r#"{"choices":[{"text":"a secret b","stop_reason":"stop"}]}"#,
        r#"{"choices":[{"text":"a sec","stop_reason":null}]}
{"choices":[{"text":"ret b","stop_reason":"stop"}]}"#,
    ),
    // Cohere, Command R and its elder.
    (
        r#"{"message":"Hi"}"#,
        r#"{"text":"a secret b","chat_history":[{"role":"USER","message":"Hi"},{"role":"CHATBOT","message":"a secret b"}],"finish_reason":"COMPLETE"}"#,
        r#"{"event_type":"stream-start","is_finished":false,"generation_id":"g"}
{"event_type":"text-generation","is_finished":false,"text":"a sec"}
{"event_type":"text-generation","is_finished":false,"text":"ret b"}
{"event_type":"citation-generation","is_finished":false,"citations":[{"start":2,"end":8,"text":"secret"}]}
{"event_type":"stream-end","is_finished":true,"finish_reason":"COMPLETE","response":{"text":"a secret b","chat_history":[{"role":"USER","message":"Hi"},{"role":"CHATBOT","message":"a secret b"}]}}"#,
    ),
    (
        r#"{"prompt":"Hi"}"#,
        r#"{"id":"r","generations":[{"id":"g","text":"a secret b","finish_reason":"COMPLETE"}],"prompt":"Hi"}"#,
        r#"{"is_finished":false,"text":"a sec"}
{"is_finished":false,"text":"ret b"}
{"is_finished":true,"finish_reason":"COMPLETE"}"#,
    ),
];

fn filter(action: &str) -> String {
    format!("filters: [{{ kind: block_patterns, words: [secret], on: [response], {action} }}]")
}

#[test]
fn a_filter_masks_the_answers_of_every_maker() {
    let mask = filter("action: mask");
    for (body, whole, events) in MAKERS {
        let (answer, row) = answered(json_answer(200, "", whole), &mask, WHOLE, body);
        assert_eq!(answer.text(), whole.replace("secret", "***"));
        assert_eq!(row.response_text.as_deref(), Some("a *** b"), "{whole}");

        let stream = frames(ENDPOINT, events).concat();
        let (answer, row) = answered(streamed(&stream, 30), &mask, STREAM, body);
        let masked = events.replace("secret", "***");
        let masked = masked.replace("a sec", "a ***").replace("ret b", " b");
        let seen = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.body, frames(ENDPOINT, &masked).concat(), "{seen}");
        assert_eq!(row.response_text.as_deref(), Some("a *** b"), "{events}");
        assert_eq!(
            (&*row.outcome, row.finish_reason.as_deref()),
            ("ok", Some("stop"))
        );
    }
}

#[test]
fn a_filter_refuses_the_answers_of_every_maker() {
    let refuse = filter("message: \"not that\"");
    for (body, whole, events) in MAKERS {
        let (answer, row) = answered(json_answer(200, "", whole), &refuse, WHOLE, body);
        let refused = ("ValidationException".to_owned(), "not that".to_owned());
        assert_eq!((answer.status, error(&answer)), (400, refused), "{whole}");
        assert_eq!(row.outcome, "filter_blocked");

        let stream = frames(ENDPOINT, events).concat();
        let (answer, row) = answered(streamed(&stream, 30), &refuse, STREAM, body);
        let refused = ("validationException".to_owned(), "not that".to_owned());
        assert_eq!(exception(&answer.body), refused, "{events}");
        assert_eq!(row.outcome, "filter_blocked");
        assert!(!row.response_text.unwrap_or_default().contains("secret"));
    }
}

#[test]
fn p1_streams_of_every_maker_that_filters_only_look_at_pass_byte_for_byte() {
    let other = "filters: [{ kind: block_patterns, words: [other], on: [response], action: mask }]";
    for (body, whole, events) in MAKERS {
        let (answer, _) = answered(json_answer(200, "", whole), other, WHOLE, body);
        assert_eq!(answer.text(), *whole);
        let stream = frames(ENDPOINT, events).concat();
        let (answer, _) = answered(streamed(&stream, 30), other, STREAM, body);
        assert_eq!(answer.body, stream, "{events}");
    }
}

#[test]
fn a_filter_that_wants_the_whole_answer_sees_and_changes_the_streams_of_every_maker() {
    for (body, _, events) in MAKERS {
        let stream = frames(ENDPOINT, events).concat();
        let upstream = FakeUpstream::answering(streamed(&stream, 100));
        let filter = shouts();
        let gateway = TestGateway::with(Wanted {
            extend: Some(Box::new(|gateway| gateway.with(filter))),
            ..wanted(&format!("http://{}", upstream.addr()), "")
        });
        let answer = ask(&gateway, STREAM, body);
        let seen = wire::decode_stream(ENDPOINT, &answer.body);
        assert_eq!(seen.text.as_deref(), Some("A SECRET B"), "{events}");
        assert_eq!(seen.event_count, events.lines().count() as u64);
        let row = gateway.row().record;
        assert_eq!(row.response_text.as_deref(), Some("A SECRET B"));
        assert_eq!(tags_of(&row)["saw"], "a secret b", "{events}");
    }
}
