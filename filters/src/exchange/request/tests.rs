use proptest::prelude::*;
use serde_json::json;

use super::*;

fn request(endpoint: Endpoint, body: &str) -> LlmRequest {
    LlmRequest::new(endpoint, Bytes::copy_from_slice(body.as_bytes()))
}

#[track_caller]
fn check_text(endpoint: Endpoint, body: &str, expected: Option<&str>) {
    assert_eq!(
        request(endpoint, body).text().as_deref(),
        expected,
        "{body}"
    );
}

#[track_caller]
fn check_mask(endpoint: Endpoint, before: &str, after: &str) {
    let mut request = request(endpoint, before);
    let mut mask = |text: &str| text.contains("bad").then(|| text.replace("bad", "***"));
    assert!(request.map_texts(&mut mask).unwrap());
    assert_eq!(request.body(), after);
    assert_eq!(request.revision(), 1);
}

#[test]
fn neutral_readers() {
    let request = request(
        Endpoint::ChatCompletions,
        r#"{"model":"gpt\u002d4","metadata":{"user_id":"u1","n":2},"stream":true,"temperature":0.70,
            "max_completion_tokens":9,"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}]}"#,
    );
    assert_eq!(request.model(), Some("gpt-4"));
    assert_eq!(request.user(), Some("u1"));
    assert!(request.stream());
    assert_eq!(request.number("temperature"), Some(0.7));
    assert_eq!(request.get("temperature"), Some("0.70"));
    assert_eq!(request.number("metadata.n"), Some(2.0));
    assert_eq!(request.string("metadata.user_id").as_deref(), Some("u1"));
    assert_eq!(request.max_tokens(), Some(9));
    assert_eq!(request.messages().len(), 2);
    assert_eq!(request.messages()[0].role().as_deref(), Some("system"));
}

#[test]
fn text_of_the_last_message() {
    let chat = Endpoint::ChatCompletions;
    check_text(
        chat,
        r#"{"messages":[{"content":"a"},{"content":"b"}]}"#,
        Some("b"),
    );
    check_text(
        chat,
        r#"{"messages":[{"content":[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]}]}"#,
        Some("a\nb"),
    );
    check_text(
        chat,
        r#"{"messages":[{"content":[{"type":"image_url"}]}]}"#,
        Some(r#"[{"type":"image_url"}]"#),
    );
    check_text(chat, r#"{"messages":[{"content":null}]}"#, None);
    check_text(
        chat,
        r#"{"messages":[{"content":"a"},{"tool_calls":[]}]}"#,
        None,
    );
    check_text(chat, r#"{"messages":[]}"#, None);
    check_text(chat, r#"{"prompt":"p","system":"s"}"#, Some("p"));
    check_text(
        chat,
        r#"{"messages":null,"prompt":["p","q"]}"#,
        Some("p\nq"),
    );
    check_text(chat, r#"{"messages":[],"prompt":"p"}"#, None);
    check_text(chat, r#"{"messages":7}"#, None);
    check_text(Endpoint::Completions, r#"{"prompt":"p"}"#, Some("p"));
    check_text(
        Endpoint::Completions,
        r#"{"prompt":["p","q"]}"#,
        Some("p\nq"),
    );
    check_text(Endpoint::Embeddings, r#"{"input":[1,2]}"#, Some("[1,2]"));
    check_text(Endpoint::Responses, r#"{"input":"i"}"#, Some("i"));
    check_text(
        Endpoint::Responses,
        r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"i"}]},{"type":"item_reference","id":"x"}]}"#,
        Some("i"),
    );
    check_text(Endpoint::Passthrough, r#"{"input":"i"}"#, None);
}

#[test]
fn map_texts_edits_texts_and_nothing_else() {
    check_mask(
        Endpoint::ChatCompletions,
        r#"{ "n":1.0, "messages":[{"role":"bad","content":"a bad é"}, {"content":[{"type":"text","text":"bad"},{"type":"image_url","image_url":{"url":"bad"}}]}],"user":"bad"}"#,
        r#"{ "n":1.0, "messages":[{"role":"bad","content":"a *** é"}, {"content":[{"type":"text","text":"***"},{"type":"image_url","image_url":{"url":"bad"}}]}],"user":"bad"}"#,
    );
    check_mask(
        Endpoint::ChatCompletions,
        r#"{"messages":[{"content":"ok","content":"\ud800 bad"}]}"#,
        r#"{"messages":[{"content":"ok","content":"\ud800 ***"}]}"#,
    );
    check_mask(
        Endpoint::ChatCompletions,
        r#"{"messages":[{"role":"assistant","refusal":"bad"},{"content":[{"type":"refusal","refusal":"bad"}]}]}"#,
        r#"{"messages":[{"role":"assistant","refusal":"***"},{"content":[{"type":"refusal","refusal":"***"}]}]}"#,
    );
    check_mask(
        Endpoint::ChatCompletions,
        r#"{"prompt":["bad","ok"],"system":"bad","messages":null}"#,
        r#"{"prompt":["***","ok"],"system":"***","messages":null}"#,
    );
    check_mask(
        Endpoint::Completions,
        r#"{"prompt":["bad","ok"],"suffix":"bad"}"#,
        r#"{"prompt":["***","ok"],"suffix":"***"}"#,
    );
    check_mask(
        Endpoint::Embeddings,
        r#"{"input":"bad"}"#,
        r#"{"input":"***"}"#,
    );
    check_mask(
        Endpoint::Responses,
        r#"{"instructions":"bad","input":[{"content":"bad"},{"type":"function_call_output","output":"bad"},{"content":[{"type":"input_text","text":"bad"}]}]}"#,
        r#"{"instructions":"***","input":[{"content":"***"},{"type":"function_call_output","output":"***"},{"content":[{"type":"input_text","text":"***"}]}]}"#,
    );
    check_mask(
        Endpoint::Responses,
        r#"{"input":"bad"}"#,
        r#"{"input":"***"}"#,
    );
}

#[test]
fn setters_are_seen_by_readers() {
    let mut request = request(Endpoint::ChatCompletions, r#"{"model":"a","user":"u"}"#);
    assert_eq!((request.model(), request.user()), (Some("a"), Some("u")));
    request.set_model("b").unwrap();
    request.set_model("b").unwrap();
    request.set("user", &json!("v")).unwrap();
    assert_eq!((request.model(), request.user()), (Some("b"), Some("v")));
    assert_eq!(request.revision(), 2);
    assert!(request.remove("user").unwrap());
    assert_eq!(request.body(), r#"{"model":"b"}"#);
}

#[test]
fn a_body_that_is_not_json_exists() {
    let mut request = request(Endpoint::Passthrough, "--boundary");
    assert_eq!(
        (request.model(), request.user(), request.text()),
        (None, None, None)
    );
    assert_eq!(request.set_model("x"), Err(BodyError::NotAnObject));
    assert_eq!(request.remove("x"), Err(BodyError::NotAnObject));
    assert_eq!(request.map_texts(&mut |_| None), Ok(false));
    assert_eq!(request.into_body(), "--boundary");
    let mut chat = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"[]"));
    assert_eq!(chat.map_texts(&mut |_| None), Err(BodyError::NotAnObject));
}

proptest! {
    #[test]
    fn an_edited_text_leaves_all_other_bytes(
        texts in proptest::collection::vec(r#"([a-zé ]|\\\\u00e9|\\\\ud800|\\\\n|\\\\/){0,6}"#, 1..5),
        pick in any::<prop::sample::Index>(),
        blank in "[ \n]{0,2}",
    ) {
        let picked = pick.index(texts.len());
        let write = |raw: &str| {
            let message = |(at, text): (usize, &String)| {
                let quoted = format!("\"{text}\"");
                let content = if at == picked { raw } else { &quoted };
                format!("{{{blank}\"content\":{blank}[{{\"text\":{content}}}],\"n\":1.50}}")
            };
            let messages: Vec<String> = texts.iter().enumerate().map(message).collect();
            format!("{{\"messages\":[{}{blank}]}}", messages.join(","))
        };
        let mut request = request(Endpoint::ChatCompletions, &write("\"the picked one\""));
        let mut edit = |text: &str| (text == "the picked one").then(|| "\"new\"".to_owned());
        prop_assert!(request.map_texts(&mut edit).unwrap());
        let expected = write(r#""\"new\"""#);
        prop_assert_eq!(request.body(), &expected);
    }
}

#[test]
fn anthropics_requests() {
    let messages = Endpoint::Messages;
    let body = r#"{"system":"s","metadata":{"user_id":"ann"},"max_tokens":7,"stream":true,"messages":[{"role":"user","content":[{"type":"image"},{"type":"text","text":"hi"}]}]}"#;
    check_text(messages, body, Some("hi"));
    let request = request(messages, body);
    assert_eq!(
        (request.user(), request.max_tokens()),
        (Some("ann"), Some(7))
    );
    assert!(request.stream());
    let texts: Vec<String> = request.texts().collect();
    assert_eq!(texts, ["s", "hi"]);
    check_mask(
        Endpoint::MessagesCountTokens,
        r#"{"system":[{"type":"text","text":"bad"}],"messages":[{"content":"bad"},{"content":[{"type":"tool_use","input":{"text":"bad"}},{"type":"thinking","thinking":"bad"}]},{"content":[{"type":"tool_result","content":"bad"},{"type":"tool_result","content":[{"type":"text","text":"bad"}]},{"type":"document","source":{"type":"text","data":"bad"}},{"type":"document","source":{"type":"content","content":[{"type":"text","text":"bad"}]}},{"type":"image","source":{"type":"base64","data":"bad"}}]}]}"#,
        r#"{"system":[{"type":"text","text":"***"}],"messages":[{"content":"***"},{"content":[{"type":"tool_use","input":{"text":"bad"}},{"type":"thinking","thinking":"bad"}]},{"content":[{"type":"tool_result","content":"***"},{"type":"tool_result","content":[{"type":"text","text":"***"}]},{"type":"document","source":{"type":"text","data":"***"}},{"type":"document","source":{"type":"content","content":[{"type":"text","text":"***"}]}},{"type":"image","source":{"type":"base64","data":"bad"}}]}]}"#,
    );
}
