use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{ExchangeBuilder, Reply, StreamDone, build_error, run_response, run_stream};
use crate::{Endpoint, StreamEvent};

fn filter(options: &Value) -> Filter {
    BlockPatterns::from_config(options).unwrap()
}

fn masks(words: &[&str], patterns: &[&str]) -> Filter {
    filter(&json!({"words": words, "patterns": patterns, "action": "mask"}))
}

fn delta(choice: u64, text: &str) -> String {
    let chunk = json!({"choices": [{"index": choice, "delta": {"content": text}}]});
    format!("data: {chunk}\n\n")
}

fn finish(choice: u64) -> String {
    let chunk = json!({"choices": [{"index": choice, "delta": {}, "finish_reason": "stop"}]});
    format!("data: {chunk}\n\n")
}

fn text_of(events: &[StreamEvent], choice: u64) -> String {
    let deltas = events.iter().flat_map(StreamEvent::text_delta);
    deltas
        .filter(|(number, _)| *number == choice)
        .map(|(_, text)| text)
        .collect()
}

async fn stream(filter: Filter, events: &[String]) -> StreamDone {
    run_stream(Endpoint::ChatCompletions, events, filter).await
}

#[track_caller]
fn check_wrong(options: &Value, expected: &str) {
    let error = build_error("block_patterns", options);
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn refusals_are_looked_at_whole_and_streamed() {
    let body = r#"{"choices":[{"message":{"content":null,"refusal":"a secret"}}]}"#;
    let refuses = filter(&json!({"words": ["secret"], "message": "no"}));
    let done = run_response(Endpoint::ChatCompletions, body, refuses.clone()).await;
    assert_eq!(done.reply, Reply::refusal(400, "no"));
    let refusal = |text: &str| {
        let chunk = json!({"choices": [{"index": 0, "delta": {"refusal": text}}]});
        format!("data: {chunk}\n\n")
    };
    let events = [refusal("a sec"), refusal("ret"), finish(0)];
    let done = stream(masks(&["secret"], &[]), &events).await;
    assert_eq!(text_of(&done.events, 0), "a ***");
    assert_eq!(
        stream(refuses, &events).await.reply,
        Reply::refusal(400, "no")
    );
}

#[tokio::test]
async fn prompts_are_refused_or_masked() {
    let body = json!({"messages": [{"content": "a Secret"}, {"content": "fine"}]});
    let refuses = filter(&json!({"words": ["secret"], "message": "no", "status": 422}));
    let done = ExchangeBuilder::chat(&body).request(refuses).await;
    assert_eq!(done.reply, Reply::refusal(422, "no"));
    assert_eq!(done.verdicts[0].detail.as_deref(), Some("word 1"));
    let done = ExchangeBuilder::chat(&body)
        .request(masks(&["secret"], &[]))
        .await;
    assert_eq!(
        done.request.body(),
        r#"{"messages":[{"content":"a ***"},{"content":"fine"}]}"#
    );
}

#[tokio::test]
async fn whole_replies_are_refused_or_masked() {
    let body = r#"{"choices":[{"message":{"content":"the secret"}}]}"#;
    let chat = Endpoint::ChatCompletions;
    let done = run_response(chat, body, filter(&json!({"words": ["secret"]}))).await;
    assert_eq!(
        done.reply,
        Reply::refusal(400, "the text holds something that may not pass")
    );
    let done = run_response(chat, body, masks(&[], &["sec?"])).await;
    assert_eq!(done.response.text().as_deref(), Some("the ***ret"));
    let done = run_response(Endpoint::Passthrough, "no json", masks(&[], &["json"])).await;
    assert_eq!(done.reply, Reply::Continue);
    let done = run_response(chat, "no json", masks(&[], &["json"])).await;
    assert_eq!(done.reply, Reply::Failure("error"));
}

#[tokio::test]
async fn only_the_named_side_is_looked_at() {
    let options = json!({"words": ["secret"], "on": ["response"]});
    let body = json!({"messages": [{"content": "secret"}]});
    assert_eq!(
        ExchangeBuilder::chat(&body)
            .request(filter(&options))
            .await
            .reply,
        Reply::Continue
    );
    let options = json!({"words": ["secret"], "on": ["request"]});
    let done = stream(filter(&options), &[delta(0, "secret "), finish(0)]).await;
    assert_eq!(done.reply, Reply::Continue);
}

#[tokio::test]
async fn a_match_over_chunks_is_masked_once() {
    let events = [
        delta(0, "the se"),
        delta(0, "cr"),
        delta(0, "et is"),
        finish(0),
    ];
    let done = stream(masks(&["secret"], &[]), &events).await;
    assert_eq!(text_of(&done.events, 0), "the *** is");
    assert_eq!(
        done.sent,
        [
            delta(0, "the ***"),
            delta(0, ""),
            delta(0, " is"),
            finish(0)
        ]
        .concat()
    );
}

#[tokio::test]
async fn untouched_events_leave_as_they_came() {
    let odd =
        "data:{\"choices\":[{\"delta\":{\"content\":\"\\u0061 \\ud800\"}, \"x\":1.0}]}\r\n\r\n";
    let events = [
        odd.to_owned(),
        ": ping\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ];
    let done = stream(masks(&["secret"], &["a.*b"]), &events).await;
    assert_eq!(done.sent, events.concat());
}

#[tokio::test]
async fn choices_are_kept_apart() {
    let events = [
        delta(0, "sec"),
        delta(1, "ret "),
        delta(0, "ret "),
        delta(1, "secret"),
        finish(0),
        finish(1),
    ];
    let done = stream(masks(&["secret"], &[]), &events).await;
    assert_eq!(
        (
            text_of(&done.events, 0).as_str(),
            text_of(&done.events, 1).as_str()
        ),
        ("*** ", "ret ***")
    );
}

#[tokio::test]
async fn a_refused_match_cuts_before_it_is_sent() {
    let events = [
        delta(0, "all is "),
        delta(0, "sec"),
        delta(0, "ret"),
        delta(0, "!"),
    ];
    let done = stream(
        filter(&json!({"words": ["secret"], "message": "no"})),
        &events,
    )
    .await;
    assert_eq!(done.reply, Reply::refusal(400, "no"));
    assert_eq!(done.sent, delta(0, "all is "));
    assert_eq!(done.verdicts[0].detail.as_deref(), Some("word 1"));
}

#[tokio::test]
async fn what_stands_before_a_match_counts() {
    let refuses = filter(&json!({"patterns": [r"\Bcret\b"]}));
    let events = [
        delta(0, "long before, "),
        delta(0, "se"),
        delta(0, "cret"),
        finish(0),
    ];
    let done = stream(refuses, &events).await;
    assert_eq!(done.verdicts[0].detail.as_deref(), Some("pattern 1"));
}

#[tokio::test]
async fn repeated_whole_texts_are_masked_as_well() {
    let delta = |text: &str| {
        let data = json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text});
        format!("event: response.output_text.delta\ndata: {data}\n\n")
    };
    let done = |text: &str| {
        let data = json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": text});
        format!("data: {data}\n\n")
    };
    let events = [delta("a sec"), delta("ret"), done("a secret")];
    let run = run_stream(Endpoint::Responses, &events, masks(&["secret"], &[])).await;
    assert_eq!(
        run.sent,
        [delta("a ***"), delta(""), done("a ***")].concat()
    );
    let refuses = filter(&json!({"patterns": ["secret"]}));
    let run = run_stream(Endpoint::Responses, [done("a secret")], refuses).await;
    assert_eq!(
        (
            run.sent.as_str(),
            matches!(run.reply, Reply::Refusal { .. })
        ),
        ("", true)
    );
}

#[tokio::test]
async fn a_pattern_without_a_bound_holds_a_window_at_most() {
    let text = format!("a{}b", "x".repeat(9000));
    let mut events: Vec<String> = text
        .as_bytes()
        .chunks(1000)
        .map(|piece| delta(0, std::str::from_utf8(piece).unwrap()))
        .collect();
    events.push(finish(0));
    let done = stream(masks(&[], &["a.*b"]), &events).await;
    assert_eq!(text_of(&done.events, 0), text);
    let done = stream(masks(&[], &["x+"]), &events).await;
    assert!(!text_of(&done.events, 0).contains('x'));
}

#[test]
fn wrong_options() {
    check_wrong(
        &json!({}),
        "`words`: `words` or `patterns` must name something",
    );
    check_wrong(
        &json!({"words": [" "]}),
        "`words`: an empty word is everywhere",
    );
    check_wrong(
        &json!({"patterns": ["("]}),
        "`patterns`: number 1 cannot be read: unclosed group",
    );
    check_wrong(
        &json!({"words": ["a"], "patterns": ["b", "c*"]}),
        "`patterns`: number 2 matches the empty text",
    );
    check_wrong(&json!({"words": ["a"], "on": []}), "`on`: must name");
    check_wrong(
        &json!({"words": ["a"], "on": ["stream"]}),
        "`on`: unknown variant `stream`, expected `request` or `response`",
    );
    check_wrong(
        &json!({"words": ["a"], "action": "drop"}),
        "`action`: unknown variant `drop`, expected `refuse` or `mask`",
    );
    check_wrong(
        &json!({"words": ["a"], "status": 200}),
        "`status`: 200 is not between",
    );
    check_wrong(&json!({"words": "a"}), "`words`: invalid type");
    check_wrong(
        &json!({"words": ["a"], "word": 1}),
        "`word`: unknown field `word`, expected one of",
    );
    check_wrong(&json!({"patterns": ["\\w{1000}{1000}"]}), "`patterns`: ");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_masked_whole(
        text in "([abc é]|ab|ba |BA ){0,24}",
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        finished in any::<bool>(),
    ) {
        let words = ["ba".to_owned(), "é".to_owned()];
        let patterns = ["ab{2,3}", "a[^c]*c", "c$", "^a b", r"\bb\b.", r"\Ba\B", "bé|béa", "caa?b?"].map(str::to_owned);
        let whole = Matcher::new(&words, &patterns).unwrap();
        let expected = whole.mask(&text, "*").unwrap_or(text.clone());
        let mut places: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let mut events: Vec<String> = places.windows(2).map(|pair| delta(0, text.get(pair[0]..pair[1]).unwrap())).collect();
        if finished {
            events.push(finish(0));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let options = json!({"words": words, "patterns": patterns, "action": "mask", "mask": "*"});
        let done = block_on(stream(filter(&options), &events));
        prop_assert_eq!(text_of(&done.events, 0), expected);
        prop_assert_eq!(done.events.len(), events.len());
    }
}
