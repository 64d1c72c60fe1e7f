//! A streamed answer of Gemini's, written. A call stands in one piece, so its input waits until it is whole.

use serde_json::{Value, value::RawValue};

use super::write_answer::{reason_of, write_usage};
use crate::wire::translate::canonical::{Logprob, Stop, Usage};
use crate::wire::translate::piece::{Piece, spelt};
use crate::wire::translate::{AnswerFacts, TranslateError, logprobs};

/// Longest inputs that wait, in bytes.
const MOST_INPUT_BYTES: usize = 16 * 1024 * 1024;

/// Writes chunks.
#[derive(Debug)]
pub(in crate::wire::translate) struct Writer {
    /// Spelt as in JSON.
    id: String,
    model: String,
    calls: Vec<Call>,
    /// Of the text that comes next.
    logprobs: Vec<Logprob>,
    usage: Usage,
    stop: Option<Stop>,
    /// Calls that have ended and whose input is not the JSON of an object: why the answer stops says whether it may be so.
    unreadable: Vec<u64>,
    cut: Vec<u64>,
    failure: Option<TranslateError>,
}

/// A call whose input is not whole; all texts as they are spelt.
#[derive(Debug)]
struct Call {
    number: u64,
    id: String,
    name: String,
    signature: String,
    input: String,
}

impl Writer {
    pub(in crate::wire::translate) fn new(facts: &AnswerFacts) -> Self {
        Self {
            id: spelt(&facts.request_id),
            model: spelt(&facts.model),
            calls: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage::default(),
            stop: None,
            unreadable: Vec::new(),
            cut: Vec::new(),
            failure: None,
        }
    }

    /// Why the stream cannot go on.
    pub(in crate::wire::translate) fn take_failure(&mut self) -> Option<TranslateError> {
        self.failure.take()
    }

    /// The calls that are left out, because the answer's longest length cut their input.
    pub(in crate::wire::translate) fn take_cut(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.cut)
    }

    pub(in crate::wire::translate) fn write(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { model } => {
                if let Some(model) = model {
                    model.clone_into(&mut self.model);
                }
            }
            Piece::Logprobs(logprobs) => {
                // Those of one event wait, and no more.
                let waiting = self.take_logprobs();
                if !waiting.is_empty() {
                    self.chunk(&[], &waiting, false, out);
                }
                self.logprobs = logprobs.to_vec();
            }
            Piece::Text(text) | Piece::Refusal(text) => {
                let logprobs = self.take_logprobs();
                self.chunk(&["{\"text\":\"", text, "\"}"], &logprobs, false, out);
            }
            Piece::Thinking(text) => {
                self.part(&["{\"text\":\"", text, "\",\"thought\":true}"], out);
            }
            Piece::Signature(signature) => {
                let begun = "{\"text\":\"\",\"thought\":true,\"thoughtSignature\":\"";
                self.part(&[begun, signature, "\"}"], out);
            }
            // Gemini has no such thing.
            Piece::RedactedThinking(_) => {}
            Piece::Tool {
                number,
                id,
                name,
                signature,
            } => self.calls.push(Call {
                number,
                id: id.to_owned(),
                name: name.to_owned(),
                signature: signature.to_owned(),
                input: String::new(),
            }),
            Piece::Input { number, json } => {
                let waiting: usize = self.calls.iter().map(|call| call.input.len()).sum();
                if MOST_INPUT_BYTES < waiting + json.len() {
                    let why = "the input of a call is too long".to_owned();
                    self.failure = Some(TranslateError::Malformed(why));
                } else if let Some(call) = self.calls.iter_mut().find(|call| call.number == number)
                {
                    call.input.push_str(json);
                }
            }
            Piece::PartEnd { number } => {
                let place = self.calls.iter().position(|call| call.number == number);
                if let Some(place) = place {
                    let call = self.calls.remove(place);
                    self.call(&call, out);
                }
            }
            Piece::Usage(usage) => self.usage.update(usage),
            // A chunk without parts: Google's client for Python takes a comment for broken JSON.
            Piece::Ping => self.chunk(&[], "", false, out),
            Piece::Stop { stop, .. } => {
                self.rest_of_calls(out);
                self.stop = stop;
                if stop == Some(Stop::Length) {
                    self.cut.append(&mut self.unreadable);
                }
                self.check_inputs();
            }
            Piece::End => {
                self.rest_of_calls(out);
                self.check_inputs();
                if self.failure.is_none() {
                    self.end(out);
                }
            }
        }
    }

    fn rest_of_calls(&mut self, out: &mut Vec<u8>) {
        for call in std::mem::take(&mut self.calls) {
            self.call(&call, out);
        }
    }

    fn check_inputs(&mut self) {
        if !self.unreadable.is_empty() {
            let why = "the input of a call is not the JSON of an object".to_owned();
            self.failure = Some(TranslateError::Malformed(why));
        }
    }

    fn call(&mut self, call: &Call, out: &mut Vec<u8>) {
        let Some(input) = whole_input(&call.input) else {
            self.unreadable.push(call.number);
            return;
        };
        let begun = ["{\"functionCall\":{\"id\":\"", &call.id, "\",\"name\":\""];
        let rest = [&*call.name, "\",\"args\":", &input, "}"];
        let signed = [",\"thoughtSignature\":\"", &*call.signature, "\""];
        let signed = if call.signature.is_empty() {
            &[][..]
        } else {
            &signed
        };
        self.part(&[&begun, &rest[..], signed, &["}"]].concat(), out);
    }

    fn part(&self, part: &[&str], out: &mut Vec<u8>) {
        self.chunk(part, "", false, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut more = String::new();
        if let Some(stop) = self.stop {
            more = format!(",\"finishReason\":\"{}\"", reason_of(stop));
        }
        more.push_str(&self.take_logprobs());
        self.chunk(&["{\"text\":\"\"}"], &more, self.stop.is_some(), out);
    }

    /// A member of a candidate.
    fn take_logprobs(&mut self) -> String {
        match std::mem::take(&mut self.logprobs).as_slice() {
            [] => String::new(),
            logprobs => format!(",\"logprobsResult\":{}", logprobs::candidate(logprobs)),
        }
    }

    /// What was used is known with the end, and told with it.
    fn chunk(&self, part: &[&str], more: &str, is_last: bool, out: &mut Vec<u8>) {
        let usage = match is_last && self.usage != Usage::default() {
            false => String::new(),
            true => format!(",\"usageMetadata\":{}", write_usage(&self.usage)),
        };
        let begun = ["data: {\"candidates\":[{\"content\":{\"parts\":["];
        let ended = [
            "],\"role\":\"model\"}",
            more,
            ",\"index\":0}]",
            &usage,
            ",\"modelVersion\":\"",
            &self.model,
            "\",\"responseId\":\"",
            &self.id,
            "\"}\n\n",
        ];
        for text in begun.iter().chain(part).chain(&ended) {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// An input from its spelling, on one line and digit by digit as it came. Nothing to pass is an empty object.
fn whole_input(spelling: &str) -> Option<String> {
    let text: String = serde_json::from_str(&format!("\"{spelling}\"")).ok()?;
    let text = text.trim();
    if text.is_empty() {
        return Some("{}".to_owned());
    }
    let is_object = text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    // Outside of texts they are blanks, inside they cannot be.
    let is_value = is_object && serde_json::from_str::<Value>(text).is_ok();
    is_value.then(|| text.replace(['\n', '\r'], " "))
}
