//! What models of every maker are asked by `invoke`, and what they answer, is on record.

use super::{MESSAGES, PROMPT, answered};
use crate::support::wire::json as json_answer;

const COUNTS: &str =
    "x-amzn-bedrock-input-token-count: 8\r\nx-amzn-bedrock-output-token-count: 3\r\n";

#[test]
fn invoke_is_on_record_in_each_of_its_forms() {
    let message = r#"{"id":"m","type":"message","role":"assistant","model":"claude-3","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":2}}"#;
    let completion = r#"{"completion":" Hi","stop_reason":"stop_sequence","stop":"\n\nHuman:"}"#;
    let titan = r#"{"inputTextTokenCount":7,"results":[{"tokenCount":2,"outputText":"Hi","completionReason":"FINISHED"}]}"#;
    let llama = r#"{"generation":"Hi","stop_reason":"stop"}"#;
    let nova = r#"{"output":{"message":{"content":[{"text":"Hi"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9}}"#;
    let cohere = r#"{"text":"Hi","finish_reason":"COMPLETE"}"#;
    let chat = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"stop_reason":"stop"}]}"#;
    let messages =
        r#"{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
    for (body, answer, asked, said, tokens) in [
        (MESSAGES, message, Some("And in words?"), Some("Hi"), (7, 2)),
        (
            PROMPT,
            completion,
            Some("And in words?"),
            Some(" Hi"),
            (8, 3),
        ),
        (
            r#"{"inputText":"Hi"}"#,
            titan,
            Some("Hi"),
            Some("Hi"),
            (7, 2),
        ),
        (
            r#"{"prompt":"<s>Hi"}"#,
            llama,
            Some("<s>Hi"),
            Some("Hi"),
            (8, 3),
        ),
        (messages, nova, Some("Hi"), Some("Hi"), (7, 2)),
        (messages, chat, Some("Hi"), Some("Hi"), (8, 3)),
        (
            r#"{"message":"Hi","chat_history":[]}"#,
            cohere,
            Some("Hi"),
            Some("Hi"),
            (8, 3),
        ),
        (
            r#"{"inputText":7}"#,
            r#"{"other":"Hi"}"#,
            Some("7"),
            None,
            (8, 3),
        ),
        (r#"{"other":"Hi"}"#, r#"{"other":"Hi"}"#, None, None, (8, 3)),
    ] {
        let (got, row) = answered(json_answer(200, COUNTS, answer), "", "invoke", body);
        assert_eq!((got.status, got.text()), (200, answer));
        assert_eq!((&*row.endpoint, &*row.outcome), ("bedrock.invoke", "ok"));
        assert_eq!(row.request_text.as_deref(), asked, "{body}");
        assert_eq!(row.response_text.as_deref(), said, "{answer}");
        let counted = (row.prompt_tokens, row.completion_tokens);
        assert_eq!(counted, (Some(tokens.0), Some(tokens.1)), "{answer}");
        assert_eq!(row.usage_source.as_deref(), Some("upstream"));
        assert_eq!(row.finish_reason.as_deref(), said.map(|_| "stop"));
    }
}

#[test]
fn tokens_that_nobody_knows_are_not_zero() {
    let vectors = r#"{"embedding":[0.1],"inputTextTokenCount":5}"#;
    let input = "x-amzn-bedrock-input-token-count: 5\r\n";
    let upstream = (Some(5), None, Some(5), "upstream");
    let estimated = (Some(1), None, None, "estimated");
    for (body, headers, answer, expected) in [
        (r#"{"inputText":"Hi"}"#, "", vectors, upstream),
        (
            r#"{"texts":["Hi"]}"#,
            input,
            r#"{"embeddings":[[0.1]]}"#,
            upstream,
        ),
        (
            r#"{"prompt":"Hi"}"#,
            "",
            r#"{"images":["aGk="]}"#,
            estimated,
        ),
        (
            r#"{"prompt":"Hi"}"#,
            "",
            r#"{"outputs":[{"text":"Hi","stop_reason":"stop"}]}"#,
            (Some(1), Some(1), Some(2), "estimated"),
        ),
        (
            r#"{"prompt":"Hi"}"#,
            "",
            r#"{"outputs":[{"text":"","stop_reason":"stop"}]}"#,
            (Some(1), Some(0), Some(1), "estimated"),
        ),
        (
            r#"{"other":1}"#,
            "",
            r#"{"other":1}"#,
            (None, None, None, "none"),
        ),
    ] {
        let (_, row) = answered(json_answer(200, headers, answer), "", "invoke", body);
        let got = (
            row.prompt_tokens,
            row.completion_tokens,
            row.total_tokens,
            row.usage_source.as_deref().unwrap_or_default(),
        );
        assert_eq!(got, expected, "{answer}");
    }
}
