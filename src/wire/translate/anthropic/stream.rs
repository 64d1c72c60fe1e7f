//! A streamed message, read and written.

use serde_json::{Value, json};

use super::answer::{stop_of, usage, word_of, write_metrics, write_usage};
use crate::wire::json_reader::{JsonError, Reader as Json};
use crate::wire::translate::canonical::{Stop, Usage};
use crate::wire::translate::piece::{Give, Piece, spelt};
use crate::wire::translate::{AnswerFacts, Dropped, TranslateError, call_id, fields, signed_id};

/// Reads events.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    usage: Value,
}

/// The members of an event that say something, as they stand.
#[derive(Default)]
struct Event<'a> {
    kind: &'a str,
    index: u64,
    message: Option<&'a str>,
    block: Option<&'a str>,
    delta: Option<&'a str>,
    usage: Option<&'a str>,
}

/// The members of a block or a delta.
#[derive(Default)]
struct Inside<'a> {
    kind: &'a str,
    text: Option<&'a str>,
    id: &'a str,
    name: &'a str,
    stop: Option<&'a str>,
    sequence: Option<&'a str>,
}

impl Reader {
    pub(in crate::wire::translate) fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        let event = event(data)?;
        match event.kind {
            "message_start" => self.begin(event.message.unwrap_or("{}"), give)?,
            "content_block_start" => {
                let block = inside(event.block.unwrap_or("{}"))?;
                let text = block.text.filter(|text| !text.is_empty());
                match block.kind {
                    "tool_use" => give(Piece::Tool {
                        number: event.index,
                        id: block.id,
                        name: block.name,
                        signature: "",
                    }),
                    "text" => text.map(Piece::Text).into_iter().for_each(give),
                    "thinking" => text.map(Piece::Thinking).into_iter().for_each(give),
                    "redacted_thinking" => {
                        text.map(Piece::RedactedThinking).into_iter().for_each(give);
                    }
                    // Such as a search of the provider's own: the answer stands without it.
                    _ => dropped.add(format!("content[{}]", event.index)),
                }
            }
            "content_block_delta" => {
                let delta = inside(event.delta.unwrap_or("{}"))?;
                let text = delta.text.unwrap_or_default();
                match delta.kind {
                    _ if text.is_empty() => {}
                    "text_delta" => give(Piece::Text(text)),
                    "thinking_delta" => give(Piece::Thinking(text)),
                    "signature_delta" => give(Piece::Signature(text)),
                    "input_json_delta" => give(Piece::Input {
                        number: event.index,
                        json: text,
                    }),
                    // Citations have no place elsewhere.
                    _ => dropped.add(format!("content[{}].{}", event.index, delta.kind)),
                }
            }
            "content_block_stop" => give(Piece::PartEnd {
                number: event.index,
            }),
            "message_delta" => {
                self.count(event.usage, give);
                let delta = inside(event.delta.unwrap_or("{}"))?;
                if let Some(word) = delta.stop {
                    give(Piece::Stop {
                        stop: stop_of(word),
                        word,
                        sequence: delta.sequence,
                    });
                }
            }
            "message_stop" => give(Piece::End),
            "error" => {
                let error = serde_json::from_str(data).map(|body: Value| fields::error(&body));
                return Err(TranslateError::Reported(error.unwrap_or_default()));
            }
            "ping" => give(Piece::Ping),
            // What is not known yet.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, message: &str, give: Give<'_>) -> Result<(), JsonError> {
        let (mut model, mut usage) = (None, None);
        Json::new(message).object(|key, json| {
            match key.raw {
                "model" => model = json.string()?.map(|model| model.raw),
                "usage" => usage = Some(json.raw()?),
                _ => json.skip()?,
            }
            Ok(())
        })?;
        give(Piece::Start { model });
        self.count(usage, give);
        Ok(())
    }

    /// Later numbers are of the whole answer; those that are not repeated stand.
    fn count(&mut self, raw: Option<&str>, give: Give<'_>) {
        let Some(Value::Object(counted)) = raw.and_then(|raw| serde_json::from_str(raw).ok())
        else {
            return;
        };
        for (key, value) in counted.into_iter().filter(|(_, value)| !value.is_null()) {
            self.usage[key] = value;
        }
        give(Piece::Usage(usage(&self.usage)));
    }
}

fn event(data: &str) -> Result<Event<'_>, JsonError> {
    let mut event = Event::default();
    Json::new(data).object(|key, json| {
        match key.raw {
            "type" => event.kind = json.string()?.map_or("", |kind| kind.raw),
            "index" => event.index = json.raw()?.parse().unwrap_or_default(),
            "message" => event.message = Some(json.raw()?),
            "content_block" => event.block = Some(json.raw()?),
            "delta" => event.delta = Some(json.raw()?),
            "usage" => event.usage = Some(json.raw()?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(event)
}

fn inside(raw: &str) -> Result<Inside<'_>, JsonError> {
    let mut inside = Inside::default();
    Json::new(raw).object(|key, json| {
        match key.raw {
            "type" => inside.kind = json.string()?.map_or("", |kind| kind.raw),
            "id" => inside.id = json.string()?.map_or("", |id| id.raw),
            "name" => inside.name = json.string()?.map_or("", |name| name.raw),
            "text" | "thinking" | "partial_json" | "data" => {
                inside.text = json.string()?.map(|text| text.raw);
            }
            // Of a delta all there is; a block begins with an empty one.
            "signature" => inside.text = json.string()?.map(|text| text.raw).or(inside.text),
            "stop_reason" => inside.stop = json.string()?.map(|word| word.raw),
            "stop_sequence" => inside.sequence = json.string()?.map(|text| text.raw),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(inside)
}

/// Writes events.
#[derive(Debug)]
pub(in crate::wire::translate) struct Writer {
    /// Spelt as in JSON.
    id: String,
    model: String,
    has_begun: bool,
    /// Number of the next block.
    next: u64,
    /// The block that is open: clients know one at a time.
    open: Option<(Block, u64)>,
    usage: Usage,
    stop: Option<(Option<Stop>, Option<String>)>,
    /// Whether the last event has the numbers that Bedrock adds.
    has_metrics: bool,
}

/// What blocks begin with.
const TEXT: &str = "{\"type\":\"text\",\"text\":\"\"}";
const THINKING: &str = "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    /// With the source's number.
    Call(u64),
}

impl Writer {
    pub(in crate::wire::translate) fn new(facts: &AnswerFacts) -> Self {
        Self {
            id: format!("msg_{}", spelt(&facts.request_id)),
            model: spelt(&facts.model),
            has_begun: false,
            next: 0,
            open: None,
            usage: Usage::default(),
            stop: None,
            has_metrics: false,
        }
    }

    /// For a client of Bedrock's `invoke`.
    pub(in crate::wire::translate) fn of_bedrock(facts: &AnswerFacts) -> Self {
        Self {
            has_metrics: true,
            ..Self::new(facts)
        }
    }

    pub(in crate::wire::translate) fn write(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { model } => {
                if let Some(model) = model {
                    model.clone_into(&mut self.model);
                }
                self.begin(out);
            }
            Piece::Text(text) | Piece::Refusal(text) => {
                let index = self.block(Block::Text, TEXT, out);
                delta(index, &["text_delta\",\"text\":\"", text], out);
            }
            Piece::Thinking(text) => {
                let index = self.block(Block::Thinking, THINKING, out);
                delta(index, &["thinking_delta\",\"thinking\":\"", text], out);
            }
            // Anthropic tells of no such thing.
            Piece::Logprobs(_) => {}
            Piece::Signature(signature) => {
                let index = self.block(Block::Thinking, THINKING, out);
                delta(
                    index,
                    &["signature_delta\",\"signature\":\"", signature],
                    out,
                );
            }
            Piece::RedactedThinking(data) => {
                let block = ["{\"type\":\"redacted_thinking\",\"data\":\"", data, "\"}"];
                let index = self.start_block(&block, out);
                stop_block(index, out);
            }
            Piece::Tool {
                number,
                id,
                name,
                signature,
            } => {
                let id = call_id::permitted_spelt(id);
                let signed = match signature {
                    "" => None,
                    signature => signed_id::sign_spelt(&id, signature, usize::MAX),
                };
                let id = signed.as_deref().unwrap_or(&id);
                let begun = [
                    "{\"type\":\"tool_use\",\"id\":\"",
                    id,
                    "\",\"name\":\"",
                    name,
                ];
                let block = [begun.as_slice(), &["\",\"input\":{}}"]].concat();
                let index = self.start_block(&block, out);
                self.open = Some((Block::Call(number), index));
            }
            Piece::Input { number, json } => {
                let is_its = |(open, _): &(Block, u64)| *open == Block::Call(number);
                if let Some((_, index)) = self.open.filter(is_its) {
                    delta(
                        index,
                        &["input_json_delta\",\"partial_json\":\"", json],
                        out,
                    );
                }
            }
            Piece::PartEnd { .. } => self.close(out),
            Piece::Usage(usage) => self.usage.update(usage),
            // Before the answer begins a comment: who answers is not known yet.
            Piece::Ping => out.extend_from_slice(match self.has_begun {
                true => b"event: ping\ndata: {\"type\":\"ping\"}\n\n".as_slice(),
                false => b": ping\n".as_slice(),
            }),
            Piece::Stop { stop, sequence, .. } => {
                self.stop = Some((stop, sequence.map(str::to_owned)));
            }
            Piece::End => self.end(out),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        // What is not known yet reads 0 here; the true numbers come with the end.
        let usage = write_usage(&self.usage).to_string();
        let message = [
            "\"message\":{\"id\":\"",
            &self.id,
            "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"",
            &self.model,
            "\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":",
            &usage,
            "}",
        ];
        event_of("message_start", &message, out);
    }

    /// The open block of this kind, perhaps a new one. `begun`: what it begins with.
    fn block(&mut self, kind: Block, begun: &str, out: &mut Vec<u8>) -> u64 {
        if let Some((_, index)) = self.open.filter(|(open, _)| *open == kind) {
            return index;
        }
        let index = self.start_block(&[begun], out);
        self.open = Some((kind, index));
        index
    }

    fn start_block(&mut self, block: &[&str], out: &mut Vec<u8>) -> u64 {
        self.begin(out);
        self.close(out);
        let index = self.next;
        self.next += 1;
        let number = index.to_string();
        let head = ["\"index\":", &number, ",\"content_block\":"];
        event_of(
            "content_block_start",
            &[head.as_slice(), block].concat(),
            out,
        );
        index
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some((_, index)) = self.open.take() {
            stop_block(index, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let (stop, sequence) = self.stop.take().unwrap_or_default();
        let reason = json!(stop.map(word_of)).to_string();
        let sequence = sequence.map_or("null".to_owned(), |text| format!("\"{text}\""));
        let usage = write_usage(&self.usage).to_string();
        let end = [
            "\"delta\":{\"stop_reason\":",
            &reason,
            ",\"stop_sequence\":",
            &sequence,
            "},\"usage\":",
            &usage,
        ];
        event_of("message_delta", &end, out);
        let mut last = json!({ "type": "message_stop" });
        if self.has_metrics {
            last["amazon-bedrock-invocationMetrics"] = write_metrics(&self.usage);
        }
        out.extend_from_slice(format!("event: message_stop\ndata: {last}\n\n").as_bytes());
    }
}

fn delta(index: u64, delta: &[&str], out: &mut Vec<u8>) {
    let number = index.to_string();
    let head = ["\"index\":", &number, ",\"delta\":{\"type\":\""];
    event_of(
        "content_block_delta",
        &[head.as_slice(), delta, &["\"}"]].concat(),
        out,
    );
}

fn stop_block(index: u64, out: &mut Vec<u8>) {
    event_of(
        "content_block_stop",
        &["\"index\":", &index.to_string()],
        out,
    );
}

fn event_of(name: &str, members: &[&str], out: &mut Vec<u8>) {
    let begun = ["event: ", name, "\ndata: {\"type\":\"", name, "\","];
    for text in begun.iter().chain(members).chain(&["}\n\n"]) {
        out.extend_from_slice(text.as_bytes());
    }
}
