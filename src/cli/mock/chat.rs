//! Chat completions, whole and as a stream.

use serde_json::{Value, json};

use crate::cli::mock::answer::{CHAT_USAGE, CREATED, Said, ToolCall, Turn, split_text};
use crate::cli::mock::behaviour::UsageStyle;
use crate::cli::mock::reply::{
    Body, ContentEvents, EventScript, Filler, NUMBER_MARK, Numbered, Reply,
};

/// The whole answer.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    let finish = finish_reason(&turn.said);
    let frame = |message: &str| {
        let usage = turn
            .usage(&CHAT_USAGE)
            .map_or(String::new(), |u| format!(r#","usage":{u}"#));
        format!(
            r#"{{"id":"chatcmpl-mock-{:010}","object":"chat.completion","created":{CREATED},"model":{},"choices":[{{"index":0,"message":{message},"logprobs":null,"finish_reason":"{finish}"}}]{usage},"service_tier":"default","system_fingerprint":"fp_mock"}}"#,
            turn.number, turn.model_json,
        )
    };
    let text = |text: &str| {
        frame(&format!(
            r#"{{"role":"assistant","content":"{text}","refusal":null}}"#
        ))
    };
    let body = match &turn.said {
        Said::Filler { wide } => text(&turn.whole_filler(*wide, text("").len())),
        Said::Text(said) => frame(&message(json!(said), Value::Null, None)),
        Said::Refusal(refusal) => frame(&message(Value::Null, json!(refusal), None)),
        Said::Nothing => frame(&message(Value::Null, Value::Null, None)),
        Said::Tools(calls) => frame(&message(Value::Null, Value::Null, Some(calls))),
    };
    Reply::whole(200, "application/json", body.into_bytes())
}

/// The stream.
pub(super) fn stream(turn: &Turn<'_>) -> Reply {
    let style = turn.behaviour.usage;
    let usage = turn.usage(&CHAT_USAGE);
    let when = |now: bool| {
        usage
            .as_deref()
            .filter(|_| now || style == UsageStyle::Every)
    };
    let event = |delta: &str| chunk(turn, &choice(delta, "null"), when(false));
    let (count, line) = (turn.behaviour.chunks, turn.behaviour.line_bytes);
    let text = |text: &str| event(&format!(r#"{{"content":"{text}"}}"#));
    let content = match &turn.said {
        Said::Filler { wide } => {
            let filler = turn.event_filler(*wide, text(NUMBER_MARK).len());
            let template = Numbered::new(text(&format!("{NUMBER_MARK}{filler}")));
            ContentEvents::Numbered { template, count }
        }
        Said::Text(said) => ContentEvents::List(deltas(said, count, "content", event)),
        Said::Refusal(said) => ContentEvents::List(deltas(said, count, "refusal", event)),
        Said::Nothing => ContentEvents::List(Vec::new()),
        Said::Tools(calls) => ContentEvents::List(tool_events(calls, event)),
    };
    let opening = match &turn.said {
        Said::Filler { .. } | Said::Text(_) => "\"\"",
        Said::Refusal(_) | Said::Nothing | Said::Tools(_) => "null",
    };
    let first = format!(r#"{{"role":"assistant","content":{opening},"refusal":null}}"#);
    let first = choice(&first, "null");
    let last = choice("{}", &format!("\"{}\"", finish_reason(&turn.said)));
    let mut after = vec![chunk(turn, &last, when(style == UsageStyle::Last))];
    if turn.include_usage && usage.is_some() {
        after.push(chunk(turn, "", when(true)));
    }
    let script = EventScript {
        before: vec![chunk(turn, &first, when(style == UsageStyle::First))],
        content,
        line: line.map(|bytes| Filler::inside(&text(""), "\"content\":\"", bytes)),
        after,
        error: None,
    };
    Reply::with_body("text/event-stream; charset=utf-8", Body::Stream(script))
}

fn finish_reason(said: &Said) -> &'static str {
    match said {
        Said::Tools(_) => "tool_calls",
        Said::Filler { .. } | Said::Text(_) | Said::Refusal(_) | Said::Nothing => "stop",
    }
}

fn message(content: Value, refusal: Value, calls: Option<&[ToolCall]>) -> String {
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
    if let Some(calls) = calls {
        message["tool_calls"] = calls
            .iter()
            .map(|call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}})
            })
            .collect();
    }
    message.to_string()
}

/// The content deltas of a text that is known.
fn deltas(said: &str, count: u32, field: &str, event: impl Fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    split_text(said, count)
        .iter()
        .map(|piece| event(&json!({ field: piece }).to_string()))
        .collect()
}

/// Calls in pieces: each even call names its tool first and brings its arguments after, each odd
/// one begins its arguments in the delta that names it.
fn tool_events(calls: &[ToolCall], event: impl Fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let mut pieces = split_text(call.arguments, 4);
        let begun = if index % 2 == 0 {
            String::new()
        } else {
            pieces.remove(0)
        };
        let first = json!({"tool_calls": [{"index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": begun}}]});
        events.push(event(&first.to_string()));
        for piece in pieces {
            let more = json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
            events.push(event(&more.to_string()));
        }
    }
    events
}

fn choice(delta: &str, finish: &str) -> String {
    format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#)
}

/// One event. `usage` is written where given, as `null` where it will come later.
fn chunk(turn: &Turn<'_>, choices: &str, usage: Option<&str>) -> Vec<u8> {
    let usage = match usage {
        Some(usage) => format!(r#","usage":{usage}"#),
        None if turn.include_usage => r#","usage":null"#.to_owned(),
        None => String::new(),
    };
    format!(
        "data: {{\"id\":\"chatcmpl-mock-{:010}\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\"model\":{},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{choices}]{usage}}}\n\n",
        turn.number, turn.model_json,
    )
    .into_bytes()
}
