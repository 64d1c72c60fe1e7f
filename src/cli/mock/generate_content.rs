//! Gemini's `generateContent`: whole, as events, and as one array in pieces; and what else its clients call.

use serde_json::{Value, json};

use crate::cli::mock::answer::{INPUT_TOKENS, Said, Turn, split_text};
use crate::cli::mock::behaviour::UsageStyle;
use crate::cli::mock::reply::{
    Body, ContentEvents, EventScript, Filler, NUMBER_MARK, Numbered, Reply,
};

/// Tokens of thoughts in every usage that is not odd.
const THOUGHTS: u32 = 2;

/// The answer to `countTokens`.
pub(super) fn count() -> Reply {
    Reply::json(200, &json!({ "totalTokens": INPUT_TOKENS }))
}

/// The answer to `embedContent`, or to a batch of as many.
pub(super) fn embeddings(body: &[u8]) -> Reply {
    let ask: Value = serde_json::from_slice(body).unwrap_or_default();
    let one = json!({ "values": [0.25, -0.5, 0.125] });
    Reply::json(
        200,
        &match ask["requests"].as_array() {
            Some(requests) => json!({ "embeddings": vec![one; requests.len()] }),
            None => json!({ "embedding": one }),
        },
    )
}

/// The list of models.
pub(super) fn models() -> Reply {
    Reply::json(
        200,
        &json!({ "models": [described("mock"), described("mock-tools")] }),
    )
}

/// One model.
pub(super) fn model(name: &str) -> Reply {
    Reply::json(200, &described(name))
}

fn described(name: &str) -> Value {
    json!({
        "name": format!("models/{name}"), "version": "001", "displayName": name,
        "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    })
}

/// The whole answer.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    let reason = Some(finish_reason(&turn.said));
    let text = |text: &str| chunk(turn, &text_part(text), reason, true);
    let body = match &turn.said {
        Said::Filler { wide } => {
            let filler = turn.whole_filler(*wide, text("\"\"").len());
            text(&format!("\"{filler}\""))
        }
        Said::Text(said) => text(&quoted(said)),
        Said::Refusal(said) => text(&quoted(said)),
        Said::Nothing => chunk(turn, "", reason, true),
        Said::Tools(_) => chunk(turn, &calls(turn).join(","), reason, true),
    };
    Reply::whole(200, "application/json; charset=UTF-8", body.into_bytes())
}

/// The stream as events. The last one has the reason, and nothing follows it.
pub(super) fn events(turn: &Turn<'_>) -> Reply {
    let frame = |chunk: &str| format!("data: {chunk}\r\n\r\n").into_bytes();
    let script = script(turn, Vec::new(), &frame);
    Reply::with_body("text/event-stream", Body::Stream(script))
}

/// The stream as an array: its end comes by itself.
pub(super) fn array(turn: &Turn<'_>) -> Reply {
    let frame = |chunk: &str| format!(",\r\n{chunk}").into_bytes();
    let first = format!("[{}", chunk(turn, &text_part("\"\""), None, false));
    let script = script(turn, vec![first.into_bytes()], &frame);
    Reply::with_body("application/json; charset=UTF-8", Body::Stream(script))
}

fn script(turn: &Turn<'_>, before: Vec<Vec<u8>>, frame: &dyn Fn(&str) -> Vec<u8>) -> EventScript {
    let every = turn.behaviour.usage == UsageStyle::Every;
    let text = |text: &str| frame(&chunk(turn, &text_part(text), None, every));
    let count = turn.behaviour.chunks;
    let pieces = |said: &str| {
        let pieces = split_text(said, count);
        ContentEvents::List(pieces.iter().map(|piece| text(&quoted(piece))).collect())
    };
    let content = match &turn.said {
        Said::Filler { wide } => {
            let bytes = text(&format!("\"{NUMBER_MARK}\"")).len();
            let filler = turn.event_filler(*wide, bytes);
            let template = Numbered::new(text(&format!("\"{NUMBER_MARK}{filler}\"")));
            ContentEvents::Numbered { template, count }
        }
        Said::Text(said) => pieces(said),
        Said::Refusal(said) => pieces(said),
        Said::Nothing => ContentEvents::List(Vec::new()),
        Said::Tools(_) => {
            let calls = calls(turn);
            let calls = calls
                .iter()
                .map(|call| frame(&chunk(turn, call, None, every)));
            ContentEvents::List(calls.collect())
        }
    };
    let reason = Some(finish_reason(&turn.said)).filter(|_| !turn.behaviour.oddities.no_done);
    let line = turn.behaviour.line_bytes;
    EventScript {
        before,
        content,
        line: line.map(|bytes| Filler::inside(&text("\"\""), "\"text\":\"", bytes)),
        after: vec![frame(&chunk(turn, &text_part("\"\""), reason, true))],
        error: None,
    }
}

/// Calls as Gemini makes them: whole, each a part.
fn calls(turn: &Turn<'_>) -> Vec<String> {
    let Said::Tools(calls) = &turn.said else {
        return Vec::new();
    };
    let calls = calls.iter().map(|call| {
        let name = quoted(&call.name);
        format!(
            r#"{{"functionCall":{{"name":{name},"args":{}}}}}"#,
            call.arguments
        )
    });
    calls.collect()
}

fn finish_reason(said: &Said) -> &'static str {
    match said {
        Said::Refusal(_) => "SAFETY",
        Said::Filler { .. } | Said::Text(_) | Said::Nothing | Said::Tools(_) => "STOP",
    }
}

/// `text` is a JSON string.
fn text_part(text: &str) -> String {
    format!(r#"{{"text":{text}}}"#)
}

fn chunk(turn: &Turn<'_>, parts: &str, reason: Option<&str>, with_usage: bool) -> String {
    let reason = reason.map_or(String::new(), |reason| {
        format!(r#","finishReason":"{reason}""#)
    });
    let usage = usage(turn).filter(|_| with_usage);
    let usage = usage.map_or(String::new(), |usage| {
        format!(r#","usageMetadata":{usage}"#)
    });
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}}{reason},"index":0}}]{usage},"modelVersion":{},"responseId":"mock_{:010}"}}"#,
        turn.model_json, turn.number,
    )
}

fn usage(turn: &Turn<'_>) -> Option<String> {
    let chunks = turn.behaviour.chunks;
    let of = |prompt: &str, answer: &str| {
        Some(format!(
            r#"{{"promptTokenCount":{prompt},"candidatesTokenCount":{answer}}}"#
        ))
    };
    match turn.behaviour.usage {
        UsageStyle::None => None,
        UsageStyle::Empty => Some("{}".to_owned()),
        UsageStyle::Negative => of("-5", "-7"),
        UsageStyle::Huge => of("1000000000000000000", "9223372036854775807"),
        UsageStyle::Text => of("\"21\"", &format!("\"{chunks}\"")),
        UsageStyle::AsAsked | UsageStyle::First | UsageStyle::Every | UsageStyle::Last => {
            let total = chunks.saturating_add(INPUT_TOKENS + THOUGHTS);
            Some(format!(
                r#"{{"promptTokenCount":{INPUT_TOKENS},"candidatesTokenCount":{chunks},"totalTokenCount":{total},"cachedContentTokenCount":4,"thoughtsTokenCount":{THOUGHTS}}}"#
            ))
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
