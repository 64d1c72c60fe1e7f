//! The responses API, whole and as a stream of named events.

use serde_json::{Value, json};

use crate::cli::mock::answer::{CREATED, RESPONSES_USAGE, Said, Turn, split_text};
use crate::cli::mock::reply::{
    Body, ContentEvents, EventScript, Filler, NUMBER_MARK, Numbered, Reply, SEQUENCE_MARK,
};

/// The whole answer.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    let finished = |said: &Said| object(turn, "completed", outputs(turn, said)).to_string();
    let body = match &turn.said {
        Said::Filler { wide } => {
            let bare = finished(&Said::Text(String::new()));
            finished(&Said::Text(turn.whole_filler(*wide, bare.len())))
        }
        said @ (Said::Text(_) | Said::Refusal(_) | Said::Nothing | Said::Tools(_)) => {
            finished(said)
        }
    };
    Reply::whole(200, "application/json", body.into_bytes())
}

/// The stream. Its events carry running sequence numbers.
pub(super) fn stream(turn: &Turn<'_>) -> Reply {
    let mut events = Events::default();
    events.add(
        "response.created",
        json!({"response": object(turn, "in_progress", json!([]))}),
    );
    events.add(
        "response.in_progress",
        json!({"response": object(turn, "in_progress", json!([]))}),
    );
    let (before, content, after) = match &turn.said {
        Said::Filler { wide } => filler_events(turn, *wide, events),
        Said::Text(said) => text_events(turn, said, events),
        said @ (Said::Refusal(_) | Said::Nothing | Said::Tools(_)) => {
            item_events(turn, said, events)
        }
    };
    let line = turn.behaviour.line_bytes.map(|bytes| {
        let delta = delta_event(turn, &format!("{SEQUENCE_MARK},"), "");
        Filler::inside(&delta, "\"delta\":\"", bytes)
    });
    let script = EventScript {
        before,
        content,
        line,
        after,
        error: None,
    };
    Reply::with_body("text/event-stream; charset=utf-8", Body::Stream(script))
}

/// What comes before the content, the content, what comes after.
type Parts = (Vec<Vec<u8>>, ContentEvents, Vec<Vec<u8>>);

fn filler_events(turn: &Turn<'_>, wide: bool, mut events: Events) -> Parts {
    begin_message(turn, &mut events);
    let sequence = format!("{SEQUENCE_MARK},");
    let frame = delta_event(turn, &sequence, NUMBER_MARK).len();
    let filler = turn.event_filler(wide, frame);
    let count = turn.behaviour.chunks;
    let event = delta_event(turn, &sequence, &format!("{NUMBER_MARK}{filler}"));
    let template = Numbered::new(event).with_sequence(events.next);
    events.next += count;
    let said: String = (0..count.min(1_000_000))
        .map(|index| format!("w{index:06} {filler}"))
        .collect();
    let before = std::mem::take(&mut events.list);
    end_message(turn, &mut events, &said);
    (
        before,
        ContentEvents::Numbered { template, count },
        events.list,
    )
}

fn text_events(turn: &Turn<'_>, said: &str, mut events: Events) -> Parts {
    begin_message(turn, &mut events);
    let before = std::mem::take(&mut events.list);
    for piece in split_text(said, turn.behaviour.chunks) {
        let place = json!({"item_id": message_id(turn), "output_index": 0, "content_index": 0,
            "delta": piece, "logprobs": []});
        events.add("response.output_text.delta", place);
    }
    let content = std::mem::take(&mut events.list);
    end_message(turn, &mut events, said);
    (before, ContentEvents::List(content), events.list)
}

/// Items other than text: each as it begins, what grows in it, and as it ends.
fn item_events(turn: &Turn<'_>, said: &Said, mut events: Events) -> Parts {
    let before = std::mem::take(&mut events.list);
    let items = outputs(turn, said);
    for (index, item) in items.as_array().into_iter().flatten().enumerate() {
        let mut begun = item.clone();
        begun["status"] = json!("in_progress");
        if let Some(arguments) = item["arguments"].as_str() {
            begun["arguments"] = json!("");
            events.add(
                "response.output_item.added",
                json!({"output_index": index, "item": begun}),
            );
            for piece in split_text(arguments, 4) {
                let place = json!({"item_id": item["id"], "output_index": index, "delta": piece});
                events.add("response.function_call_arguments.delta", place);
            }
            let done = json!({"item_id": item["id"], "output_index": index,
                "name": item["name"], "arguments": arguments});
            events.add("response.function_call_arguments.done", done);
        } else {
            begun["content"] = json!([]);
            events.add(
                "response.output_item.added",
                json!({"output_index": index, "item": begun}),
            );
            let part = &item["content"][0];
            let place = |field: &str, value: &Value| {
                json!({"item_id": item["id"], "output_index": index, "content_index": 0,
                    field: value})
            };
            events.add(
                "response.content_part.added",
                place("part", &json!({"type": "refusal", "refusal": ""})),
            );
            events.add("response.refusal.delta", place("delta", &part["refusal"]));
            events.add("response.refusal.done", place("refusal", &part["refusal"]));
            events.add("response.content_part.done", place("part", part));
        }
        events.add(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
        );
    }
    let content = std::mem::take(&mut events.list);
    events.add(
        "response.completed",
        json!({"response": object(turn, "completed", items)}),
    );
    (before, ContentEvents::List(content), events.list)
}

fn begin_message(turn: &Turn<'_>, events: &mut Events) {
    let item = json!({"id": message_id(turn), "type": "message", "status": "in_progress",
        "role": "assistant", "content": []});
    events.add(
        "response.output_item.added",
        json!({"output_index": 0, "item": item}),
    );
    let part = json!({"item_id": message_id(turn), "output_index": 0, "content_index": 0,
        "part": text_part("")});
    events.add("response.content_part.added", part);
}

fn end_message(turn: &Turn<'_>, events: &mut Events, said: &str) {
    let items = outputs(turn, &Said::Text(said.to_owned()));
    let place = |field: &str, value: Value| json!({"item_id": message_id(turn), "output_index": 0, "content_index": 0, field: value});
    let mut done = place("text", json!(said));
    done["logprobs"] = json!([]);
    events.add("response.output_text.done", done);
    events.add("response.content_part.done", place("part", text_part(said)));
    events.add(
        "response.output_item.done",
        json!({"output_index": 0, "item": items[0]}),
    );
    events.add(
        "response.completed",
        json!({"response": object(turn, "completed", items)}),
    );
}

fn delta_event(turn: &Turn<'_>, sequence: &str, text: &str) -> Vec<u8> {
    format!(
        "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",{sequence}\"item_id\":\"{}\",\"output_index\":0,\"content_index\":0,\"logprobs\":[],\"delta\":\"{text}\"}}\n\n",
        message_id(turn),
    )
    .into_bytes()
}

fn object(turn: &Turn<'_>, status: &str, output: Value) -> Value {
    let usage = turn
        .usage(&RESPONSES_USAGE)
        .filter(|_| status == "completed");
    let usage = usage.and_then(|usage| serde_json::from_str::<Value>(&usage).ok());
    let model = serde_json::from_str::<Value>(&turn.model_json).unwrap_or_default();
    json!({"id": format!("resp_mock_{:010}", turn.number), "object": "response",
        "created_at": CREATED, "status": status, "error": null, "incomplete_details": null,
        "instructions": null, "model": model, "output": output, "parallel_tool_calls": true,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": usage,
        "metadata": {}})
}

fn outputs(turn: &Turn<'_>, said: &Said) -> Value {
    let message = |part: Value| {
        json!([{"id": message_id(turn), "type": "message", "status": "completed",
            "role": "assistant", "content": [part]}])
    };
    match said {
        Said::Text(text) => message(text_part(text)),
        Said::Refusal(refusal) => message(json!({"type": "refusal", "refusal": refusal})),
        Said::Nothing | Said::Filler { .. } => json!([]),
        Said::Tools(calls) => calls
            .iter()
            .map(|call| {
                json!({"id": format!("fc_{}", call.id), "type": "function_call",
                    "status": "completed", "call_id": call.id, "name": call.name,
                    "arguments": call.arguments})
            })
            .collect(),
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message_id(turn: &Turn<'_>) -> String {
    format!("msg_mock_{:010}", turn.number)
}

/// Events with their running number.
#[derive(Default)]
struct Events {
    list: Vec<Vec<u8>>,
    next: u32,
}

impl Events {
    fn add(&mut self, name: &str, fields: Value) {
        let mut data = json!({"type": name, "sequence_number": self.next});
        if let (Value::Object(data), Value::Object(fields)) = (&mut data, fields) {
            data.extend(fields);
        }
        self.next += 1;
        self.list
            .push(format!("event: {name}\ndata: {data}\n\n").into_bytes());
    }
}
