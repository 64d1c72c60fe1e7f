//! A streamed message, written.

use serde_json::json;

use super::answer::{word_of, write_metrics, write_usage};
use crate::wire::translate::canonical::{Stop, Usage};
use crate::wire::translate::piece::{Piece, spelt};
use crate::wire::translate::{AnswerFacts, call_id, signed_id};

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
