//! Filters before Gemini's API: they answer in its form, see its texts and change them, whole and streamed.

use aiproxy::filter::{
    Context, Filter, FilterError, LlmResponse, ResponseFilter, ResponseVerdict, WhenStreamed,
};
use async_trait::async_trait;

use super::*;
use crate::support::records::tags_of;

#[test]
fn filters_answer_in_geminis_form() {
    let yaml = "filters: [{ kind: canned_answer, text: \"no, \\\"ann\\\"\" }]";
    let gateway = at("http://127.0.0.1:9", yaml);
    let whole = ask(&gateway, WHOLE_PATH, REQUEST).json();
    let candidate = &whole["candidates"][0];
    assert_eq!(
        candidate["content"],
        json!({"parts": [{"text": "no, \"ann\""}], "role": "model"})
    );
    assert_eq!(
        (&candidate["finishReason"], &whole["modelVersion"]),
        (&json!("STOP"), &json!("request_filter"))
    );
    let stream = ask(&gateway, EVENTS_PATH, REQUEST);
    assert_eq!(
        stream.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(
        stream.text().matches("data: {").count(),
        2,
        "{}",
        stream.text()
    );
    let array = ask(&gateway, ARRAY_PATH, REQUEST);
    assert_eq!(array.header("content-type"), Some("application/json"));
    let array = array.json();
    assert_eq!(
        array[0]["candidates"][0]["content"]["parts"][0]["text"],
        "no, \"ann\""
    );
    assert_eq!(array[1]["candidates"][0]["finishReason"], "STOP");
    for row in gateway.rows() {
        assert_eq!(row.record.outcome, "filter_answered");
        assert_eq!(row.record.response_text.as_deref(), Some("no, \"ann\""));
    }
    let refusing = "filters: [{ kind: block_patterns, words: [Paris], message: no, status: 403 }]";
    let answer = ask(&at("http://127.0.0.1:9", refusing), WHOLE_PATH, REQUEST);
    let expected = (
        403,
        "PERMISSION_DENIED".to_owned(),
        "blocked_by_filter".to_owned(),
    );
    assert_eq!(error(&answer), expected);
}

#[test]
fn filters_see_what_functions_gave() {
    let refusing = "filters: [{ kind: block_patterns, words: [launch-code], status: 403 }]";
    let body = json!({ "contents": [{ "role": "user", "parts": [{ "functionResponse": {
        "name": "f", "response": { "output": "the launch-code is 1", "number": 1 },
    } }] }] });
    let gateway = at("http://127.0.0.1:9", refusing);
    let answer = ask(&gateway, WHOLE_PATH, &body.to_string());
    assert_eq!(
        (answer.status, &*error(&answer).2),
        (403, "blocked_by_filter")
    );
    assert_eq!(gateway.row().record.attempts, 0);
}

#[test]
fn filters_see_streams_and_mask_across_events() {
    let split = |stream: &str| {
        stream
            .replace("\"text\": \"Hello\"", "\"text\": \"Hello sec\"")
            .replace("\"text\": \" caf", "\"text\": \"ret caf")
    };
    let yaml = "filters: [{ kind: block_patterns, words: [secret], on: [response], action: mask }]";
    for (wire, path) in [
        (events(&split(STREAM), 30), EVENTS_PATH),
        (in_chunks(ARRAY_HEAD, &split(ARRAY), 30), ARRAY_PATH),
    ] {
        let (answer, row) = answered(wire, yaml, path);
        assert!(!answer.text().contains("\"ret caf"), "{}", answer.text());
        assert_eq!(
            row.response_text.as_deref(),
            Some("Hello *** café 😀!"),
            "{path}"
        );
        assert_eq!(
            (&*row.outcome, row.finish_reason.as_deref()),
            ("ok", Some("stop"))
        );
        assert_eq!(row.completion_tokens, Some(15));
    }
    let yaml = "filters: [{ kind: block_patterns, words: [secret], on: [response], message: \"not that\" }]";
    let (answer, row) = answered(events(&split(STREAM), 30), yaml, EVENTS_PATH);
    let last = answer.text().rsplit_once("data: ").expect("an error").1;
    assert!(
        last.contains("\"message\":\"not that\""),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("finishReason"));
    assert_eq!(row.outcome, "filter_blocked");

    let yaml = "filters: [{ kind: block_patterns, words: [you], on: [response], action: mask }]";
    let (answer, _) = answered(json_answer(200, "", PLAIN), yaml, WHOLE_PATH);
    let masked = PLAIN.replace("you", "***").replace("caf\\u00e9", "café");
    assert_eq!(answer.text(), masked, "but for the text that was changed");
    let yaml = "filters: [{ kind: block_patterns, words: [Paris], action: mask }]";
    let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
    ask(&before(&upstream, yaml), WHOLE_PATH, REQUEST);
    let sent = sent(&upstream);
    assert!(
        sent.contains("Weather in ***?") && sent.contains("Speak of ***."),
        "{sent}"
    );
    assert!(
        sent.contains(r#""args":{"city":"Paris"}"#),
        "an argument is no text: {sent}"
    );
}

/// Makes the whole answer loud, and tells what it saw.
struct Shouts;

#[async_trait(?Send)]
impl ResponseFilter for Shouts {
    async fn on_response(
        &self,
        response: &mut LlmResponse,
        cx: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        let reason = response.finish_reason().unwrap_or_default();
        let saw = format!("{} {reason}", response.text().unwrap_or_default());
        cx.tag("saw", saw);
        response.map_texts(&mut |text| Some(text.to_uppercase()))?;
        Ok(ResponseVerdict::Continue)
    }

    fn when_streamed(&self) -> WhenStreamed {
        WhenStreamed::Buffer
    }
}

#[test]
fn a_filter_that_wants_the_whole_answer_sees_and_changes_a_stream() {
    for (wire, path) in [
        (events(STREAM, 100), EVENTS_PATH),
        (in_chunks(ARRAY_HEAD, ARRAY, 100), ARRAY_PATH),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let filter = Filter::named("shouts").on_response(Shouts);
        let gateway = TestGateway::with(Wanted {
            extend: Some(Box::new(|gateway| gateway.with(filter))),
            ..wanted(&format!("http://{}", upstream.addr()), "")
        });
        ask(&gateway, path, REQUEST);
        let row = gateway.row().record;
        assert_eq!(
            row.response_text.as_deref(),
            Some("HELLO CAFÉ 😀!"),
            "{path}"
        );
        assert_eq!(tags_of(&row)["saw"], "Hello café 😀! STOP");
        assert_eq!((&*row.outcome, row.completion_tokens), ("ok", Some(15)));
    }
}
