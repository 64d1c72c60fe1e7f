//! The older completions endpoint, whole and as a stream.

use crate::cli::mock::answer::{CHAT_USAGE, CREATED, Said, Turn, split_text};
use crate::cli::mock::reply::{
    Body, ContentEvents, EventScript, Filler, NUMBER_MARK, Numbered, Reply,
};

/// The whole answer.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    let usage = turn.usage(&CHAT_USAGE);
    let frame = |text: &str| object(turn, &choice(text, "\"stop\""), usage.as_deref());
    let text = match &turn.said {
        Said::Filler { wide } => turn.whole_filler(*wide, frame("").len()),
        Said::Text(text) => escaped(text),
        Said::Refusal(_) | Said::Nothing | Said::Tools(_) => String::new(),
    };
    Reply::whole(200, "application/json", frame(&text).into_bytes())
}

/// The stream.
pub(super) fn stream(turn: &Turn<'_>) -> Reply {
    let event = |choices: &str, usage: Option<&str>| {
        format!("data: {}\n\n", object(turn, choices, usage)).into_bytes()
    };
    let text = |text: &str| event(&choice(text, "null"), None);
    let count = turn.behaviour.chunks;
    let content = match &turn.said {
        Said::Filler { wide } => {
            let filler = turn.event_filler(*wide, text(NUMBER_MARK).len());
            let template = Numbered::new(text(&format!("{NUMBER_MARK}{filler}")));
            ContentEvents::Numbered { template, count }
        }
        Said::Text(said) => ContentEvents::List(
            split_text(said, count)
                .iter()
                .map(|piece| text(&escaped(piece)))
                .collect(),
        ),
        Said::Refusal(_) | Said::Nothing | Said::Tools(_) => ContentEvents::List(Vec::new()),
    };
    let mut after = vec![event(&choice("", "\"stop\""), None)];
    let usage = turn.usage(&CHAT_USAGE).filter(|_| turn.include_usage);
    after.extend(usage.map(|usage| event("", Some(&usage))));
    let line = turn
        .behaviour
        .line_bytes
        .map(|bytes| Filler::inside(&text(""), "\"text\":\"", bytes));
    let script = EventScript {
        before: Vec::new(),
        content,
        line,
        after,
        error: None,
    };
    Reply::with_body("text/event-stream; charset=utf-8", Body::Stream(script))
}

fn object(turn: &Turn<'_>, choices: &str, usage: Option<&str>) -> String {
    let usage = usage.map_or(String::new(), |usage| format!(r#","usage":{usage}"#));
    format!(
        r#"{{"id":"cmpl-mock-{:010}","object":"text_completion","created":{CREATED},"model":{},"system_fingerprint":"fp_mock","choices":[{choices}]{usage}}}"#,
        turn.number, turn.model_json,
    )
}

fn choice(text: &str, finish: &str) -> String {
    format!(r#"{{"text":"{text}","index":0,"logprobs":null,"finish_reason":{finish}}}"#)
}

/// A text as it stands inside a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted
        .strip_prefix('"')
        .and_then(|q| q.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}
