use serde_json::json;

use super::*;

fn response(endpoint: Endpoint, body: &str) -> LlmResponse {
    LlmResponse::from_body(endpoint, 200, Bytes::copy_from_slice(body.as_bytes()))
}

#[track_caller]
fn check_mask(endpoint: Endpoint, before: &str, after: &str) {
    let mut response = response(endpoint, before);
    let mut mask = |text: &str| text.contains("bad").then(|| text.replace("bad", "***"));
    assert!(response.map_texts(&mut mask).unwrap());
    assert_eq!(response.body().unwrap(), after);
}

#[test]
fn readers() {
    let chat = response(
        Endpoint::ChatCompletions,
        r#"{"model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"},{"index":1,"message":{"content":"ho"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"completion_tokens_details":{"reasoning_tokens":1}}}"#,
    );
    assert_eq!(chat.text().as_deref(), Some("hi"));
    assert_eq!(chat.texts()[1], (1, "ho".to_owned()));
    assert_eq!(chat.finish_reason().as_deref(), Some("stop"));
    assert_eq!(chat.model().as_deref(), Some("m"));
    let usage = chat.usage().unwrap();
    assert_eq!(
        (
            usage.total_tokens,
            usage.reasoning_tokens,
            usage.cached_tokens
        ),
        (Some(3), Some(1), None)
    );
    let responses = response(
        Endpoint::Responses,
        r#"{"status":"completed","output":[{"type":"reasoning"},{"content":[{"type":"output_text","text":"hi"}]}]}"#,
    );
    assert_eq!(responses.texts(), [(1 << 32, "hi".to_owned())]);
    assert_eq!(responses.finish_reason().as_deref(), Some("completed"));
}

#[test]
fn map_texts_leaves_tool_calls_and_neighbours() {
    check_mask(
        Endpoint::ChatCompletions,
        r#"{"x":1.0,"choices":[{"message":{"content":"bad","tool_calls":[{"function":{"arguments":"bad"}}]},"logprobs":{"content":[]}}]}"#,
        r#"{"x":1.0,"choices":[{"message":{"content":"***","tool_calls":[{"function":{"arguments":"bad"}}]},"logprobs":null}]}"#,
    );
    check_mask(
        Endpoint::Completions,
        r#"{"choices":[{"text":"bad"}]}"#,
        r#"{"choices":[{"text":"***"}]}"#,
    );
    check_mask(
        Endpoint::Responses,
        r#"{"output":[{"type":"function_call","arguments":"bad"},{"content":[{"type":"output_text","text":"bad","logprobs":[{"token":"bad"}]}]}]}"#,
        r#"{"output":[{"type":"function_call","arguments":"bad"},{"content":[{"type":"output_text","text":"***","logprobs":[]}]}]}"#,
    );
}

#[test]
fn refusals_are_texts_too() {
    check_mask(
        Endpoint::ChatCompletions,
        r#"{"choices":[{"message":{"content":null,"refusal":"a bad one"}}]}"#,
        r#"{"choices":[{"message":{"content":null,"refusal":"a *** one"}}]}"#,
    );
    check_mask(
        Endpoint::Responses,
        r#"{"output":[{"content":[{"type":"refusal","refusal":"bad"}]}]}"#,
        r#"{"output":[{"content":[{"type":"refusal","refusal":"***"}]}]}"#,
    );
    let refused = response(
        Endpoint::ChatCompletions,
        r#"{"choices":[{"message":{"content":null,"refusal":"no"}}]}"#,
    );
    assert_eq!(refused.text().as_deref(), Some("no"));
}

#[test]
fn an_answer_has_text_and_no_body() {
    let mut answer = LlmResponse::answer("a bad word");
    assert_eq!(
        (answer.answer_text(), answer.body(), answer.status()),
        (Some("a bad word"), None, 200)
    );
    assert_eq!(answer.set("x", &json!(1)), Err(BodyError::NotAnObject));
    assert!(
        answer
            .map_texts(&mut |text| Some(text.replace("bad", "good")))
            .unwrap()
    );
    assert_eq!(
        (answer.text().as_deref(), answer.revision()),
        (Some("a good word"), 1)
    );
}

#[test]
fn setters_replace_one_value() {
    let mut chat = response(Endpoint::ChatCompletions, r#"{"id":"1", "choices":null}"#);
    chat.set("id", &json!("2")).unwrap();
    assert_eq!(chat.body().unwrap(), r#"{"id":"2", "choices":null}"#);
    assert!(chat.remove("id").unwrap());
    assert_eq!(
        (chat.text(), chat.finish_reason(), chat.usage()),
        (None, None, None)
    );
}

#[test]
fn anthropics_answers() {
    let body = r#"{"model":"c","content":[{"type":"thinking","thinking":"bad"},{"type":"text","text":"bad"},{"type":"tool_use","input":{"text":"bad"}}],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":5,"output_tokens":2}}"#;
    let whole = response(Endpoint::Messages, body);
    assert_eq!(whole.texts(), [(1, "bad".to_owned())]);
    assert_eq!(whole.finish_reason().as_deref(), Some("end_turn"));
    let usage = whole.usage().unwrap();
    assert_eq!(
        (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens
        ),
        (Some(12), Some(2), Some(4))
    );
    check_mask(
        Endpoint::Messages,
        body,
        &body.replace(r#""text","text":"bad""#, r#""text","text":"***""#),
    );
}
