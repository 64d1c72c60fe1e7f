//! Filters see Bedrock's requests, answers and frames, and answer in its form.

use aiproxy::filter::Endpoint;
use aiproxy::wire;
use aiproxy::wire::aws_event_stream::frames as read;
use aiproxy::wire::bedrock::text_of;
use serde_json::Value;

use super::{
    ANSWER, CLIENT, MESSAGES, PROMPT, REQUEST, STREAMS, answered, ask, before, before_nobody,
    error, frames, streamed, wanted,
};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::shouts::shouts;
use crate::support::wire::json as json_answer;

/// The last exception of a stream.
pub(super) fn exception(body: &[u8]) -> (String, String) {
    let last = read(body).last().expect("a frame");
    let said: Value = serde_json::from_slice(last.payload()).expect("JSON");
    let word = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (
        word(last.kind().and_then(|kind| kind.exception)),
        word(said["message"].as_str()),
    )
}

#[test]
fn filters_answer_in_bedrocks_form() {
    let yaml = "filters: [{ kind: canned_answer, text: \"no, \\\"you\\\"\" }]";
    let gateway = before_nobody(yaml);
    for (verb, body, endpoint) in [
        ("converse", REQUEST, Endpoint::BedrockConverse),
        ("converse-stream", REQUEST, Endpoint::BedrockConverse),
        ("invoke", MESSAGES, Endpoint::BedrockInvoke),
        (
            "invoke-with-response-stream",
            MESSAGES,
            Endpoint::BedrockInvoke,
        ),
        ("invoke", PROMPT, Endpoint::BedrockInvoke),
        (
            "invoke-with-response-stream",
            PROMPT,
            Endpoint::BedrockInvoke,
        ),
    ] {
        let answer = ask(&gateway, verb, body);
        let is_stream = verb.contains("stream");
        let content_type = match is_stream {
            true => "application/vnd.amazon.eventstream",
            false => "application/json",
        };
        assert_eq!(answer.status, 200, "{verb}: {:?}", answer.text());
        assert_eq!(answer.header("content-type"), Some(content_type));
        let decoded = match is_stream {
            true => wire::decode_stream(endpoint, &answer.body),
            false => wire::decode_whole(endpoint, &answer.body),
        };
        assert_eq!(
            decoded.text.as_deref(),
            Some("no, \"you\""),
            "{verb} {body}"
        );
        assert_eq!(decoded.finish_reason.as_deref(), Some("stop"));
        if body == PROMPT {
            assert!(answer.body.windows(4).any(|word| word == b"comp") || is_stream);
        }
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (&*row.outcome, row.stream),
            ("filter_answered", Some(is_stream))
        );
        assert_eq!(row.response_text.as_deref(), Some("no, \"you\""));
    }
    let refusing =
        "filters: [{ kind: block_patterns, words: [words], on: [request], message: no }]";
    let answer = ask(&before_nobody(refusing), "converse-stream", REQUEST);
    assert_eq!(
        (answer.status, error(&answer)),
        (400, ("ValidationException".to_owned(), "no".to_owned()))
    );
}

/// Each maker's clients read an answer in its form. (The paths are those that `LangChain`'s and AWS's own examples read.)
#[test]
fn filters_answer_in_the_form_of_the_models_maker() {
    let gateway = before_nobody("filters: [{ kind: canned_answer, text: \"no\" }]");
    let ask = |path: &str, body: &str| gateway.send("POST", path, CLIENT, body.as_bytes());
    let prompt = r#"{"prompt":"Hi","max_tokens":5}"#;
    for (model, body, whole, streamed) in [
        (
            "amazon.titan-text-express-v1",
            r#"{"inputText":"Hi"}"#,
            "/results/0/outputText",
            "/outputText",
        ),
        (
            "us.amazon.nova-pro-v1%3A0",
            r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
            "/output/message/content/0/text",
            "/contentBlockDelta/delta/text",
        ),
        (
            "us.meta.llama3-3-70b-instruct-v1%3A0",
            prompt,
            "/generation",
            "/generation",
        ),
        (
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fmistral.mistral-7b-instruct-v0%3A2",
            prompt,
            "/outputs/0/text",
            "/outputs/0/text",
        ),
        (
            "cohere.command-r-v1%3A0",
            r#"{"message":"Hi"}"#,
            "/text",
            "/text",
        ),
        (
            "my-imported",
            r#"{"prompt":"Hi","max_gen_len":5}"#,
            "/generation",
            "/generation",
        ),
    ] {
        let answer = ask(&format!("/model/{model}/invoke"), body);
        let text = answer.json().pointer(whole).cloned();
        assert_eq!((answer.status, text), (200, Some("no".into())), "{model}");
        let answer = ask(&format!("/model/{model}/invoke-with-response-stream"), body);
        let events = read(&answer.body).filter_map(|frame| text_of(&frame).into_text());
        let events = events.map(|event| serde_json::from_str::<Value>(&event).expect("JSON"));
        let texts: Vec<Value> = events
            .filter_map(|event| event.pointer(streamed).cloned())
            .collect();
        assert_eq!(texts.first(), Some(&"no".into()), "{model}");
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(row.response_text.as_deref(), Some("no"), "{model}");
        assert_eq!(row.finish_reason.as_deref(), Some("stop"), "{model}");
    }
    for (model, body) in [
        ("my-imported", prompt),
        ("stability.sd3-5-large-v1%3A0", prompt),
        ("amazon.titan-embed-text-v2%3A0", r#"{"inputText":"Hi"}"#),
    ] {
        for verb in ["invoke", "invoke-with-response-stream"] {
            let answer = ask(&format!("/model/{model}/{verb}"), body);
            let refused = ("ValidationException".to_owned(), "no".to_owned());
            assert_eq!((answer.status, error(&answer)), (400, refused), "{model}");
            let row = gateway.rows().pop().expect("a row").record;
            assert_eq!(row.outcome, "filter_blocked");
        }
    }
}

#[test]
fn filters_see_streams_and_mask_across_events() {
    for (verb, body, endpoint, events) in STREAMS {
        let split = events.replacen("Hello", "Hello sec", 1);
        let split = split.replacen("\" caf", "\"ret caf", 1);
        let stream = frames(endpoint, &split).concat();
        let mask =
            "filters: [{ kind: block_patterns, words: [secret], on: [response], action: mask }]";
        let (answer, row) = answered(streamed(&stream, 30), mask, verb, body);
        let seen = wire::decode_stream(endpoint, &answer.body);
        let text = seen.text.as_deref().map(str::trim_start);
        assert_eq!(text, Some("Hello *** café 😀!"), "{verb}");
        assert_eq!(row.response_text, seen.text);
        assert_eq!((&*row.outcome, row.prompt_tokens), ("ok", Some(32)));
        assert!(read(&answer.body).all(|frame| frame.crc_holds));

        let block = "filters: [{ kind: block_patterns, words: [secret], on: [response], message: \"not that\" }]";
        let (answer, row) = answered(streamed(&stream, 30), block, verb, body);
        let last = exception(&answer.body);
        assert_eq!(
            last,
            ("validationException".to_owned(), "not that".to_owned()),
            "{verb}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("messageStop"));
        assert_eq!(row.outcome, "filter_blocked");
    }
}

#[test]
fn p1_a_stream_that_filters_only_look_at_passes_byte_for_byte() {
    let yaml = "filters: [{ kind: block_patterns, words: [secret], on: [response], action: mask }]";
    for (verb, body, endpoint, events) in STREAMS {
        let stream = frames(endpoint, events).concat();
        let (answer, row) = answered(streamed(&stream, 30), yaml, verb, body);
        assert_eq!(answer.body, stream, "{verb}");
        assert_eq!(row.outcome, "ok");
    }
}

#[test]
fn filters_change_answers_and_requests() {
    let yaml = "filters: [{ kind: block_patterns, words: [you], on: [response], action: mask }]";
    let (answer, _) = answered(json_answer(200, "", ANSWER), yaml, "converse", REQUEST);
    assert_eq!(answer.text(), ANSWER.replace("you", "***"));

    let yaml = "filters: [{ kind: block_patterns, words: [Paris], action: mask }]";
    let upstream = FakeUpstream::answering(json_answer(200, "", ANSWER));
    let gateway = before(&upstream, yaml);
    ask(&gateway, "converse", REQUEST);
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    assert!(
        sent.contains("Weather in ***?") && sent.contains("\"*** is mild.\""),
        "{sent}"
    );
    assert!(
        sent.contains(r#""input":{"city":"Paris"}"#),
        "a tool's input is no text: {sent}"
    );

    let yaml = "filters: [{ kind: model_override, model: \"other:1\" }]";
    let upstream = FakeUpstream::answering(json_answer(200, "", ANSWER));
    let gateway = before(&upstream, yaml);
    ask(&gateway, "converse", REQUEST);
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    assert!(
        sent.starts_with("POST /model/other%3A1/converse HTTP/1.1\r\n"),
        "{sent}"
    );
    assert!(sent.ends_with(REQUEST), "no body names it: {sent}");
    assert_eq!(gateway.row().record.model.as_deref(), Some("other:1"));
}

/// The prompts of Titan's, Llama's, Nova's and Cohere's models, and a body of which nothing is known.
#[test]
fn filters_see_the_prompts_of_other_makers() {
    let masking = "filters: [{ kind: block_patterns, words: [secret], action: mask }]";
    let refusing = "filters: [{ kind: block_patterns, words: [secret], status: 403 }]";
    for body in [
        r#"{"inputText":"a secret","textGenerationConfig":{"maxTokenCount":9}}"#,
        r#"{"prompt":"<|begin_of_text|>a secret","max_gen_len":9}"#,
        r#"{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"a secret"}]}]}"#,
        r#"{"system":[{"text":"a secret"}],"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
        r#"{"message":"a secret","chat_history":[]}"#,
        r#"{"message":"Hi","chat_history":[{"role":"USER","message":"a secret"}]}"#,
        r#"{"message":"Hi","preamble":"a secret"}"#,
        r#"{"texts":["Hi","a secret"],"input_type":"search_query"}"#,
    ] {
        let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
        let answer = ask(&before(&upstream, masking), "invoke", body);
        assert_eq!(answer.status, 200, "{body}");
        let sent = String::from_utf8(upstream.received(0)).expect("text");
        assert!(sent.ends_with(&body.replace("secret", "***")), "{sent}");

        let gateway = before_nobody(refusing);
        assert_eq!(ask(&gateway, "invoke", body).status, 403, "{body}");
        assert_eq!(gateway.row().record.outcome, "filter_blocked");
    }
    let unknown = r#"{"taskType":"secret","inputText":{"a":"secret"}}"#;
    let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
    let answer = ask(&before(&upstream, refusing), "invoke", unknown);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_filter_that_wants_the_whole_answer_sees_and_changes_a_stream() {
    for (verb, body, endpoint, events) in STREAMS {
        let stream = frames(endpoint, events).concat();
        let upstream = FakeUpstream::answering(streamed(&stream, 100));
        let filter = shouts();
        let gateway = TestGateway::with(Wanted {
            extend: Some(Box::new(|gateway| gateway.with(filter))),
            ..wanted(&format!("http://{}", upstream.addr()), "")
        });
        let answer = ask(&gateway, verb, body);
        let seen = wire::decode_stream(endpoint, &answer.body);
        let text = seen.text.as_deref().map(str::trim_start);
        assert_eq!(text, Some("HELLO CAFÉ 😀!"), "{verb}");
        assert_eq!(seen.event_count, events.lines().count() as u64);
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.response_text), ("ok", seen.text));
    }
}
