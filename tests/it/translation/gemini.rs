//! OpenAI's and Anthropic's clients before Gemini.

use super::{ASKED, CHAT, KEY, chat, check_tokens, in_chunks, message, sent, stored, streamed};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::wire::json as json_answer;

const GEMINI: &str = include_str!("../../fixtures/gemini/plain.json");
const GEMINI_STREAM: &str = include_str!("../../fixtures/gemini/stream.sse");

fn before_gemini(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::with(Wanted {
        provider: format!(
            "  - name: google\n    kind: gemini\n    base_url: http://{}\n    \
             models: {{ allow: [\"gemini-*\"] }}\n    api_keys: [{{ key: {KEY} }}]\n",
            upstream.addr()
        ),
        ..Wanted::default()
    })
}

#[test]
fn gemini_answers_chats_and_messages() {
    for (is_chat, expected) in [(true, "chat.completion"), (false, "message")] {
        let upstream = FakeUpstream::answering(json_answer(200, "", GEMINI));
        let gateway = before_gemini(&upstream);
        let answer = match is_chat {
            true => chat(
                &gateway,
                &CHAT.replacen("claude-sonnet-4-5", "gemini-2.5-flash", 1),
            ),
            false => message(
                &gateway,
                &ASKED.replacen("m-1", "google/gemini-2.5-flash", 1),
            ),
        };
        let said = answer.json();
        assert!(
            said["object"] == expected || said["type"] == expected,
            "{said}"
        );
        let (head, body) = sent(&upstream);
        let target = "POST /v1beta/models/gemini-2.5-flash:generateContent HTTP/1.1\r\n";
        assert!(head.starts_with(target), "{head}");
        assert!(head.contains(&format!("x-goog-api-key: {KEY}")), "{head}");
        assert!(
            !head.contains("sk-client") && !head.contains("anthropic-"),
            "{head}"
        );
        assert_eq!(body["systemInstruction"]["parts"][0]["text"], "Be terse.");
        let row = gateway.row().record;
        assert_eq!(
            (&*row.outcome, row.provider.as_deref()),
            ("ok", Some("google"))
        );
        assert_eq!(row.model.as_deref(), Some("gemini-2.5-flash-001"));
        assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
        check_tokens(&row, 35, 19);
        assert_eq!(
            (row.cached_tokens, row.reasoning_tokens),
            (Some(20), Some(7))
        );
    }
}

#[test]
fn gemini_streams_chats_and_messages_whatever_the_chunks() {
    for bytes in [1, 50, GEMINI_STREAM.len()] {
        for is_chat in [true, false] {
            let upstream = FakeUpstream::answering(in_chunks(GEMINI_STREAM, bytes));
            let gateway = before_gemini(&upstream);
            let answer = match is_chat {
                true => chat(
                    &gateway,
                    &streamed(CHAT).replacen("claude-sonnet-4-5", "gemini-x", 1),
                ),
                false => message(&gateway, &streamed(ASKED).replacen("m-1", "gemini-x", 1)),
            };
            let end = if is_chat {
                "data: [DONE]\n\n"
            } else {
                "{\"type\":\"message_stop\"}\n\n"
            };
            assert!(answer.text().ends_with(end), "{}", answer.text());
            let (head, _) = sent(&upstream);
            assert!(
                head.contains(":streamGenerateContent?alt=sse HTTP/1.1"),
                "{head}"
            );
            let row = gateway.row().record;
            assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
            let payload = row.payload.expect("bodies");
            assert_eq!(stored(&payload.upstream_response_body), GEMINI_STREAM);
        }
    }
}
