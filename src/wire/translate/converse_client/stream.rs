//! A streamed answer of `converse`, written: events as the JSON objects that their frames are shown as.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{metrics, word_of, write_usage};
use crate::wire::translate::canonical::{Stop, Usage};
use crate::wire::translate::piece::Piece;
use crate::wire::translate::signed_id;

/// Writes events.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Writer {
    has_begun: bool,
    /// Number of the next block.
    next: u64,
    /// The block that is open: clients know one at a time.
    open: Option<(Block, u64)>,
    usage: Usage,
    stop: Option<Stop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    /// With the source's number.
    Call(u64),
}

impl Writer {
    pub(in crate::wire::translate) fn write(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { .. } => self.begin(out),
            // There is no place for it.
            Piece::Logprobs(_) => {}
            Piece::Text(text) | Piece::Refusal(text) => {
                let index = self.block(Block::Text, out);
                delta(index, &["{\"text\":\"", text, "\"}"], out);
            }
            Piece::Thinking(text) => self.thought("text", text, out),
            Piece::Signature(signature) => self.thought("signature", signature, out),
            Piece::RedactedThinking(data) => {
                // As in a whole answer: the bytes of the text, in base64.
                let data: String = serde_json::from_str(&format!("\"{data}\"")).unwrap_or_default();
                self.close(out);
                self.thought("redactedContent", &STANDARD.encode(data), out);
                self.close(out);
            }
            Piece::Tool {
                number,
                id,
                name,
                signature,
            } => {
                let most = signed_id::MOST_IN_CONVERSE;
                let signed = match signature {
                    "" => None,
                    signature => signed_id::sign_spelt(id, signature, most),
                };
                self.call(number, signed.as_deref().unwrap_or(id), name, out);
            }
            Piece::Input { number, json } => {
                let is_its = |(open, _): &(Block, u64)| *open == Block::Call(number);
                if let Some((_, index)) = self.open.filter(is_its) {
                    delta(index, &["{\"toolUse\":{\"input\":\"", json, "\"}}"], out);
                }
            }
            Piece::PartEnd { .. } => self.close(out),
            Piece::Usage(usage) => self.usage.update(usage),
            // Frames know no such thing.
            Piece::Ping => out.extend_from_slice(b": ping\n"),
            Piece::Stop { stop, .. } => self.stop = stop,
            Piece::End => self.end(out),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            event("messageStart", &["\"role\":\"assistant\""], out);
        }
    }

    fn next_index(&mut self, out: &mut Vec<u8>) -> u64 {
        self.begin(out);
        self.close(out);
        let index = self.next;
        self.next += 1;
        index
    }

    /// The open block of this kind, perhaps a new one: only calls have an event with which they begin.
    fn block(&mut self, kind: Block, out: &mut Vec<u8>) -> u64 {
        if let Some((_, index)) = self.open.filter(|(open, _)| *open == kind) {
            return index;
        }
        let index = self.next_index(out);
        self.open = Some((kind, index));
        index
    }

    fn thought(&mut self, member: &str, text: &str, out: &mut Vec<u8>) {
        let index = self.block(Block::Thinking, out);
        let begun = ["{\"reasoningContent\":{\"", member, "\":\"", text, "\"}}"];
        delta(index, &begun, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some((_, index)) = self.open.take() {
            stop(index, out);
        }
    }

    fn call(&mut self, number: u64, id: &str, name: &str, out: &mut Vec<u8>) {
        let index = self.next_index(out);
        let block = index.to_string();
        let begun = [
            "\"contentBlockIndex\":",
            &block,
            ",\"start\":{\"toolUse\":{",
        ];
        let named = ["\"toolUseId\":\"", id, "\",\"name\":\"", name, "\"}}"];
        event("contentBlockStart", &[&begun[..], &named].concat(), out);
        self.open = Some((Block::Call(number), index));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let reason = ["\"stopReason\":\"", word_of(self.stop), "\""];
        event("messageStop", &reason, out);
        // Both members are always there, as in a whole answer: clients read them without asking.
        let metadata = json!({ "metrics": metrics(), "usage": write_usage(&self.usage) });
        let metadata = json!({ "metadata": metadata });
        out.extend_from_slice(format!("data: {metadata}\n\n").as_bytes());
    }
}

fn delta(index: u64, delta: &[&str], out: &mut Vec<u8>) {
    let number = index.to_string();
    let head = ["\"contentBlockIndex\":", &number, ",\"delta\":"];
    event("contentBlockDelta", &[head.as_slice(), delta].concat(), out);
}

fn stop(index: u64, out: &mut Vec<u8>) {
    let number = index.to_string();
    event(
        "contentBlockStop",
        &["\"contentBlockIndex\":", &number],
        out,
    );
}

fn event(name: &str, members: &[&str], out: &mut Vec<u8>) {
    let begun = ["data: {\"", name, "\":{"];
    for text in begun.iter().chain(members).chain(&["}}\n\n"]) {
        out.extend_from_slice(text.as_bytes());
    }
}
