//! Bedrock's runtime: `converse` and `invoke`, whole and as frames. `invoke` answers in the form that it is asked in:
//! Claude's Messages, or the completions of earlier Claudes.

use serde_json::{Value, json};

use crate::cli::mock::answer::{INPUT_TOKENS, Said, ToolCall, Turn, split_text};
use crate::cli::mock::behaviour::UsageStyle;
use crate::cli::mock::messages;
use crate::cli::mock::reply::{Body, ContentEvents, EventScript, NUMBER_MARK, Numbered, Reply};
use crate::filter::Endpoint;
use crate::wire::bedrock::frame_of;
use crate::wire::{aws_event_stream, sse};

/// The whole answer of `converse`.
pub(super) fn converse(turn: &Turn<'_>) -> Reply {
    let content: Vec<Value> = match &turn.said {
        Said::Tools(calls) => calls
            .iter()
            .map(|call| {
                let input: Value = serde_json::from_str(call.arguments).unwrap_or_default();
                json!({ "toolUse": { "toolUseId": id(call), "name": call.name, "input": input } })
            })
            .collect(),
        Said::Nothing => Vec::new(),
        Said::Filler { wide } => {
            let text = turn.whole_filler(*wide, 250);
            vec![json!({ "text": text })]
        }
        Said::Text(text) => vec![json!({ "text": text })],
        Said::Refusal(text) => vec![json!({ "text": text })],
    };
    let mut answer = json!({
        "metrics": { "latencyMs": 5 },
        "output": { "message": { "content": content, "role": "assistant" } },
        "stopReason": stop_reason(&turn.said),
    });
    if let Some(usage) = usage(turn) {
        answer["usage"] = usage;
    }
    Reply::json(200, &answer)
}

/// The stream of `converse-stream`.
pub(super) fn converse_stream(turn: &Turn<'_>) -> Reply {
    let has_end = !turn.behaviour.oddities.no_done;
    let last_block = match &turn.said {
        Said::Tools(calls) => calls.len().saturating_sub(1),
        _ => 0,
    };
    let mut after = vec![json!({ "contentBlockStop": { "contentBlockIndex": last_block } })];
    if has_end {
        after.push(json!({ "messageStop": { "stopReason": stop_reason(&turn.said) } }));
        let mut metadata = json!({ "metrics": { "latencyMs": 5 } });
        if let Some(usage) = usage(turn) {
            metadata["usage"] = usage;
        }
        after.push(json!({ "metadata": metadata }));
    }
    let delta = |text: String| json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": text } } });
    let endpoint = Endpoint::BedrockConverse;
    let odd = &turn.behaviour.oddities;
    let content = match &turn.said {
        Said::Tools(calls) => listed(turn, endpoint, &tool_events(calls)),
        // Made once, for frames are no cheap thing.
        Said::Filler { wide } if !odd.bad_crc && !odd.bad_length => {
            let event = delta(format!("{NUMBER_MARK}{}", filler(turn, *wide)));
            let frame = frame_of(endpoint, &event.to_string()).unwrap_or_default();
            ContentEvents::Numbered {
                template: Numbered::new(frame).with_checksum(),
                count: turn.behaviour.chunks,
            }
        }
        said => {
            let deltas = pieces(turn, said).into_iter().map(delta);
            listed(turn, endpoint, &deltas.collect::<Vec<_>>())
        }
    };
    let before = vec![json!({ "messageStart": { "role": "assistant" } })];
    framed(endpoint, &before, content, &after)
}

/// The whole answer of `invoke` to messages.
pub(super) fn message(turn: &Turn<'_>) -> Reply {
    counted(turn, messages::whole(turn))
}

/// The stream of messages.
pub(super) fn message_stream(turn: &Turn<'_>) -> Reply {
    let Body::Stream(script) = messages::stream(turn).body else {
        return Reply::with_body(aws_event_stream::CONTENT_TYPE, Body::Whole(Vec::new()));
    };
    let mut content = Vec::new();
    for index in 0..script.content.count() {
        let mut event = Vec::new();
        script.content.write(index, &mut event);
        content.push(event);
    }
    let values = |events: &[Vec<u8>]| -> Vec<Value> {
        events.iter().filter_map(|event| data(event)).collect()
    };
    let mut after = values(&script.after);
    if !turn.behaviour.oddities.no_done {
        let mut stop = json!({ "type": "message_stop" });
        stop[METRICS] = metrics(turn);
        after.push(stop);
    }
    let endpoint = Endpoint::BedrockInvoke;
    let content = listed(turn, endpoint, &values(&content));
    framed(endpoint, &values(&script.before), content, &after)
}

/// The whole answer of `invoke` to a prompt.
pub(super) fn completion(turn: &Turn<'_>) -> Reply {
    let text = pieces(turn, &turn.said).concat();
    counted(
        turn,
        Reply::json(
            200,
            &json!({ "completion": text, "stop_reason": "stop_sequence", "stop": "\n\nHuman:" }),
        ),
    )
}

/// The stream of completions: Bedrock's numbers are in the last one.
pub(super) fn completion_stream(turn: &Turn<'_>) -> Reply {
    let piece = |text: String| json!({ "completion": text, "stop_reason": null, "stop": null });
    let content: Vec<Value> = pieces(turn, &turn.said).into_iter().map(piece).collect();
    let mut last =
        json!({ "completion": "", "stop_reason": "stop_sequence", "stop": "\n\nHuman:" });
    last[METRICS] = metrics(turn);
    let after = match turn.behaviour.oddities.no_done {
        true => Vec::new(),
        false => vec![last],
    };
    let endpoint = Endpoint::BedrockInvoke;
    let content = listed(turn, endpoint, &content);
    framed(endpoint, &[], content, &after)
}

/// The answer to `count-tokens`.
pub(super) fn count() -> Reply {
    Reply::json(200, &json!({ "inputTokens": INPUT_TOKENS }))
}

/// The exception with which a stream fails.
pub(super) fn exception(endpoint: Endpoint, message: &str) -> Vec<u8> {
    let event = json!({ "serviceUnavailableException": { "message": message } });
    frame_of(endpoint, &event.to_string()).unwrap_or_default()
}

/// The type of an error in the header that has it.
pub(super) fn error_type(status: u16) -> &'static str {
    match status {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

const METRICS: &str = "amazon-bedrock-invocationMetrics";

fn metrics(turn: &Turn<'_>) -> Value {
    json!({
        "inputTokenCount": INPUT_TOKENS, "outputTokenCount": turn.behaviour.chunks,
        "invocationLatency": 5, "firstByteLatency": 3,
    })
}

/// Adds the headers with Bedrock's numbers, as whole answers of `invoke` have them.
fn counted(turn: &Turn<'_>, reply: Reply) -> Reply {
    let reply = reply.header("x-amzn-bedrock-invocation-latency", "5");
    match turn.behaviour.usage {
        UsageStyle::None => reply,
        _ => reply
            .header("x-amzn-bedrock-input-token-count", INPUT_TOKENS.to_string())
            .header(
                "x-amzn-bedrock-output-token-count",
                turn.behaviour.chunks.to_string(),
            ),
    }
}

fn usage(turn: &Turn<'_>) -> Option<Value> {
    let chunks = turn.behaviour.chunks;
    let of =
        |input: Value, output: Value| Some(json!({ "inputTokens": input, "outputTokens": output }));
    match turn.behaviour.usage {
        UsageStyle::None => None,
        UsageStyle::Empty => Some(json!({})),
        UsageStyle::Negative => of(json!(-5), json!(-7)),
        UsageStyle::Huge => of(json!(1_000_000_000_000_000_000_u64), json!(u64::MAX)),
        UsageStyle::Text => of(json!("21"), json!(chunks.to_string())),
        UsageStyle::AsAsked | UsageStyle::First | UsageStyle::Every | UsageStyle::Last => {
            Some(json!({
                "inputTokens": INPUT_TOKENS, "outputTokens": chunks,
                "totalTokens": chunks.saturating_add(INPUT_TOKENS).saturating_add(4),
                "cacheReadInputTokens": 4, "cacheWriteInputTokens": 0,
            }))
        }
    }
}

fn stop_reason(said: &Said) -> &'static str {
    match said {
        Said::Filler { .. } | Said::Text(_) | Said::Nothing => "end_turn",
        Said::Refusal(_) => "content_filtered",
        Said::Tools(_) => "tool_use",
    }
}

/// The text in as many pieces as there are to be chunks.
fn pieces(turn: &Turn<'_>, said: &Said) -> Vec<String> {
    let count = turn.behaviour.chunks;
    match said {
        Said::Filler { wide } => (0..count)
            .map(|number| format!("w{number:06} {}", filler(turn, *wide)))
            .collect(),
        Said::Text(text) => split_text(text, count),
        Said::Refusal(text) => split_text(text, count),
        Said::Nothing | Said::Tools(_) => Vec::new(),
    }
}

/// What stands behind the number of a piece.
fn filler(turn: &Turn<'_>, wide: bool) -> String {
    turn.event_filler(wide, 230)
}

fn tool_events(calls: &[ToolCall]) -> Vec<Value> {
    let mut events = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        if 0 < index {
            events.push(json!({ "contentBlockStop": { "contentBlockIndex": index - 1 } }));
        }
        events.push(json!({ "contentBlockStart": {
            "contentBlockIndex": index,
            "start": { "toolUse": { "toolUseId": id(call), "name": call.name } },
        } }));
        for piece in split_text(call.arguments, 4) {
            events.push(json!({ "contentBlockDelta": {
                "contentBlockIndex": index, "delta": { "toolUse": { "input": piece } },
            } }));
        }
    }
    events
}

fn id(call: &ToolCall) -> String {
    call.id.replacen("call_", "tooluse_", 1)
}

fn frames(endpoint: Endpoint, events: &[Value]) -> Vec<Vec<u8>> {
    let frames = events
        .iter()
        .map(|event| frame_of(endpoint, &event.to_string()));
    frames.map(Option::unwrap_or_default).collect()
}

/// Content as frames, with what is wrong with them.
fn listed(turn: &Turn<'_>, endpoint: Endpoint, content: &[Value]) -> ContentEvents {
    let mut content = frames(endpoint, content);
    let odd = &turn.behaviour.oddities;
    if let Some(first) = content.first_mut() {
        // The checksum of the frame, or that of its lengths.
        if odd.bad_crc
            && let Some(byte) = first.last_mut()
        {
            *byte ^= 1;
        }
        if odd.bad_length
            && let Some(byte) = first.get_mut(11)
        {
            *byte ^= 1;
        }
    }
    ContentEvents::List(content)
}

/// The stream of these events.
fn framed(endpoint: Endpoint, before: &[Value], content: ContentEvents, after: &[Value]) -> Reply {
    let script = EventScript {
        before: frames(endpoint, before),
        content,
        line: None,
        after: frames(endpoint, after),
        error: None,
    };
    Reply::with_body(aws_event_stream::CONTENT_TYPE, Body::Stream(script))
        .header("x-amzn-bedrock-content-type", "application/json")
}

/// The data of an event.
fn data(event: &[u8]) -> Option<Value> {
    let fields = sse::fields(event);
    serde_json::from_slice(&fields.data?).ok()
}
