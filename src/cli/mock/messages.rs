//! Anthropic's Messages, whole and as a stream of named events.

use serde_json::{Value, json};

use crate::cli::mock::answer::{INPUT_TOKENS, Said, ToolCall, Turn, split_text};
use crate::cli::mock::behaviour::UsageStyle;
use crate::cli::mock::reply::{
    Body, ContentEvents, EventScript, Filler, NUMBER_MARK, Numbered, Reply,
};

/// The event that ends a stream.
pub(super) const STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// The answer to `count_tokens`.
pub(super) fn count() -> Reply {
    Reply::json(200, &json!({ "input_tokens": INPUT_TOKENS }))
}

/// The whole answer.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    let usage = usage(turn, turn.behaviour.chunks);
    let frame = |content: &str| {
        message(
            turn,
            content,
            &quoted(stop_reason(&turn.said)),
            usage.as_deref(),
        )
    };
    let text = |text: &str| frame(&format!(r#"[{{"type":"text","text":{text}}}]"#));
    let body = match &turn.said {
        Said::Filler { wide } => {
            let filler = turn.whole_filler(*wide, text("\"\"").len());
            text(&format!("\"{filler}\""))
        }
        Said::Text(said) => text(&quoted(said)),
        Said::Refusal(said) => text(&quoted(said)),
        Said::Nothing => frame("[]"),
        Said::Tools(calls) => {
            let blocks: Vec<Value> = calls.iter().map(|call| block(call, true)).collect();
            frame(&json!(blocks).to_string())
        }
    };
    Reply::whole(200, "application/json", body.into_bytes())
}

/// The stream, but for its last event.
pub(super) fn stream(turn: &Turn<'_>) -> Reply {
    let count = turn.behaviour.chunks;
    let begun = message(turn, "[]", "null", usage(turn, 1).as_deref());
    let mut before = vec![event("message_start", &format!(r#""message":{begun}"#))];
    let text = |text: &str| {
        let delta = format!(r#""index":0,"delta":{{"type":"text_delta","text":{text}}}"#);
        event("content_block_delta", &delta)
    };
    let has_text = matches!(
        turn.said,
        Said::Filler { .. } | Said::Text(_) | Said::Refusal(_)
    );
    if has_text {
        let block = r#""index":0,"content_block":{"type":"text","text":""}"#;
        before.push(event("content_block_start", block));
    }
    before.push(b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec());
    let pieces = |said: &str| {
        let pieces = split_text(said, count);
        ContentEvents::List(pieces.iter().map(|piece| text(&quoted(piece))).collect())
    };
    let content = match &turn.said {
        Said::Filler { wide } => {
            let frame = text(&format!("\"{NUMBER_MARK}\"")).len();
            let filler = turn.event_filler(*wide, frame);
            let template = Numbered::new(text(&format!("\"{NUMBER_MARK}{filler}\"")));
            ContentEvents::Numbered { template, count }
        }
        Said::Text(said) => pieces(said),
        Said::Refusal(said) => pieces(said),
        Said::Nothing => ContentEvents::List(Vec::new()),
        Said::Tools(calls) => ContentEvents::List(tool_events(calls)),
    };
    let mut after = Vec::new();
    if has_text {
        after.push(event("content_block_stop", r#""index":0"#));
    }
    after.push(end(turn));
    let line = turn.behaviour.line_bytes;
    let script = EventScript {
        before,
        content,
        line: line.map(|bytes| Filler::inside(&text("\"\""), "\"text\":\"", bytes)),
        after,
        error: None,
    };
    Reply::with_body("text/event-stream; charset=utf-8", Body::Stream(script))
}

/// What tells the stop reason and the output's tokens.
fn end(turn: &Turn<'_>) -> Vec<u8> {
    let reason = quoted(stop_reason(&turn.said));
    let usage = match turn.behaviour.usage {
        UsageStyle::AsAsked | UsageStyle::First | UsageStyle::Every | UsageStyle::Last => {
            Some(format!(r#"{{"output_tokens":{}}}"#, turn.behaviour.chunks))
        }
        UsageStyle::None
        | UsageStyle::Empty
        | UsageStyle::Negative
        | UsageStyle::Huge
        | UsageStyle::Text => usage(turn, turn.behaviour.chunks),
    };
    let usage = usage.map_or(String::new(), |usage| format!(r#","usage":{usage}"#));
    let delta = format!(r#""delta":{{"stop_reason":{reason},"stop_sequence":null}}{usage}"#);
    event("message_delta", &delta)
}

/// One block after the other: its beginning, its input in pieces, its end.
fn tool_events(calls: &[ToolCall]) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let begun = json!({ "index": index, "content_block": block(call, false) });
        events.push(event("content_block_start", &members(&begun)));
        for piece in split_text(call.arguments, 4) {
            let delta = json!({ "type": "input_json_delta", "partial_json": piece });
            let delta = json!({ "index": index, "delta": delta });
            events.push(event("content_block_delta", &members(&delta)));
        }
        events.push(event(
            "content_block_stop",
            &members(&json!({ "index": index })),
        ));
    }
    events
}

fn block(call: &ToolCall, whole: bool) -> Value {
    let input = serde_json::from_str(call.arguments).ok().filter(|_| whole);
    let id = call.id.replacen("call_", "toolu_", 1);
    let input: Value = input.unwrap_or_else(|| json!({}));
    json!({ "type": "tool_use", "id": id, "name": call.name, "input": input })
}

fn stop_reason(said: &Said) -> &'static str {
    match said {
        Said::Filler { .. } | Said::Text(_) | Said::Nothing => "end_turn",
        Said::Refusal(_) => "refusal",
        Said::Tools(_) => "tool_use",
    }
}

fn message(turn: &Turn<'_>, content: &str, stop_reason: &str, usage: Option<&str>) -> String {
    let usage = usage.map_or(String::new(), |usage| format!(r#","usage":{usage}"#));
    format!(
        r#"{{"id":"msg_mock_{:010}","type":"message","role":"assistant","model":{},"content":{content},"stop_reason":{stop_reason},"stop_sequence":null{usage}}}"#,
        turn.number, turn.model_json,
    )
}

fn usage(turn: &Turn<'_>, output: u32) -> Option<String> {
    let of = |input: &str, output: &str| {
        Some(format!(
            r#"{{"input_tokens":{input},"output_tokens":{output}}}"#
        ))
    };
    match turn.behaviour.usage {
        UsageStyle::None => None,
        UsageStyle::Empty => Some("{}".to_owned()),
        UsageStyle::Negative => of("-5", "-7"),
        UsageStyle::Huge => of("1000000000000000000", "9223372036854775807"),
        UsageStyle::Text => of("\"21\"", &format!("\"{output}\"")),
        UsageStyle::AsAsked | UsageStyle::First | UsageStyle::Every | UsageStyle::Last => {
            Some(format!(
                r#"{{"input_tokens":{INPUT_TOKENS},"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":{output}}}"#
            ))
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// An object without its braces.
fn members(object: &Value) -> String {
    let text = object.to_string();
    text.trim_start_matches('{')
        .strip_suffix('}')
        .unwrap_or_default()
        .to_owned()
}

fn event(name: &str, members: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{members}}}\n\n").into_bytes()
}
