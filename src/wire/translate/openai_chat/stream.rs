//! A streamed chat, read and written.

use serde_json::Value;

use super::answer::{stop_of, usage, word_of, write_usage};
use super::chunk::{Chunk, SoFar};
use super::old_call::{self, OldCall};
use crate::wire::translate::canonical::{Logprob, Stop, Usage};
use crate::wire::translate::piece::{Give, Piece, spelt};
use crate::wire::translate::{AnswerFacts, Dropped, TranslateError, fields, logprobs};

/// Reads chunks.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    has_begun: bool,
    said: SoFar,
    /// Whether the one call of the old form has begun.
    has_old_call: bool,
}

impl Reader {
    pub(in crate::wire::translate) fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        if data.trim() == "[DONE]" {
            give(Piece::End);
            return Ok(());
        }
        let chunk = Chunk::read(data, &mut self.said, dropped)?;
        if chunk.error.is_some_and(|error| error != "null") {
            let error = serde_json::from_str(data).map(|body: Value| fields::error(&body));
            return Err(TranslateError::Reported(error.unwrap_or_default()));
        }
        // Azure begins with a chunk that has no choice and no model.
        if !self.has_begun && !chunk.says_nothing() {
            self.has_begun = true;
            give(Piece::Start {
                model: chunk.model.filter(|model| !model.is_empty()),
            });
        }
        if chunk.has_other_choices {
            dropped.add_pieces(&["choices[1]"]);
        }
        if let Some(said) = chunk.logprobs {
            let read = logprobs::of_choice(fields::parse(said.as_bytes())?, dropped);
            if !read.is_empty() {
                give(Piece::Logprobs(&read));
            }
        }
        chunk.pieces.into_iter().for_each(&mut *give);
        for (number, object) in chunk.objects {
            let json = &spelt(object);
            give(Piece::Input { number, json });
        }
        if let Some(call) = chunk.old_call {
            self.old_call(call, dropped, give)?;
        }
        let usage = chunk.usage.and_then(|raw| serde_json::from_str(raw).ok());
        if let Some(usage) = usage.filter(Value::is_object).as_ref().map(self::usage) {
            give(Piece::Usage(usage));
        }
        if let Some(word) = chunk.finish {
            let has_calls = self.has_old_call || !self.said.calls.is_empty();
            let stop = match stop_of(word) {
                // Some servers say `stop` of calls too.
                Some(Stop::End) if has_calls => Some(Stop::ToolUse),
                stop => stop,
            };
            give(Piece::Stop {
                stop,
                word,
                sequence: None,
            });
        }
        Ok(())
    }

    /// A fragment of the one call of the old form.
    fn old_call(
        &mut self,
        call: OldCall<'_>,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        if !self.said.calls.is_empty() {
            dropped.add_pieces(&[old_call::PATH]);
            return Ok(());
        }
        let number = old_call::NUMBER;
        if !self.has_old_call {
            let name = call.name.ok_or_else(old_call::without_name)?;
            self.has_old_call = true;
            give(Piece::Tool {
                number,
                id: "",
                name,
                signature: "",
            });
        }
        if !call.arguments.is_empty() {
            let json = call.arguments;
            give(Piece::Input { number, json });
        }
        Ok(())
    }
}

/// Writes chunks.
#[derive(Debug)]
pub(in crate::wire::translate) struct Writer {
    /// What each chunk begins with, up to its model.
    head: String,
    /// Spelt as in JSON.
    model: String,
    include_usage: bool,
    has_begun: bool,
    /// The calls in their order: the source's number, and whether any input came.
    calls: Vec<(u64, bool)>,
    /// What was thought since the last signature.
    thought: String,
    /// How many blocks of thinking went out.
    thoughts: u64,
    /// Of the text that comes next.
    logprobs: Vec<Logprob>,
    usage: Usage,
}

impl Writer {
    pub(in crate::wire::translate) fn new(facts: &AnswerFacts) -> Self {
        let id = spelt(&facts.request_id);
        let created = facts.created_s;
        Self {
            head: format!(
                "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":\""
            ),
            model: spelt(&facts.model),
            include_usage: facts.include_usage,
            has_begun: false,
            calls: Vec::new(),
            thought: String::new(),
            thoughts: 0,
            logprobs: Vec::new(),
            usage: Usage::default(),
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
            Piece::Logprobs(logprobs) => {
                let waiting = std::mem::replace(&mut self.logprobs, logprobs.to_vec());
                // Those of one event wait, and no more.
                if !waiting.is_empty() {
                    self.chunk(out, &[], &waiting, "null");
                }
            }
            Piece::Text(text) => {
                self.begin(out);
                let logprobs = std::mem::take(&mut self.logprobs);
                let content = ["\"content\":\"", text, "\""];
                self.chunk(out, &content, &logprobs, "null");
            }
            Piece::Refusal(text) => self.delta(out, &["\"refusal\":\"", text, "\""]),
            Piece::Thinking(text) => {
                self.thought.push_str(text);
                self.delta(out, &["\"reasoning_content\":\"", text, "\""]);
            }
            Piece::Signature(signature) => {
                let thought = std::mem::take(&mut self.thought);
                let index = self.next_thought();
                let begun = ["\"thinking_blocks\":[{\"index\":", &index];
                let kind = ",\"type\":\"thinking\",\"thinking\":\"";
                let rest = [kind, &thought, "\",\"signature\":\"", signature, "\"}]"];
                self.delta(out, &[begun.as_slice(), &rest].concat());
            }
            Piece::RedactedThinking(data) => {
                let index = self.next_thought();
                let begun = ["\"thinking_blocks\":[{\"index\":", &index];
                let kind = ",\"type\":\"redacted_thinking\",\"data\":\"";
                self.delta(out, &[begun.as_slice(), &[kind, data, "\"}]"]].concat());
            }
            Piece::Tool {
                number,
                id,
                name,
                signature,
            } => {
                let index = self.calls.len().to_string();
                self.calls.push((number, false));
                let begun = ["\"tool_calls\":[{\"index\":", &index, ",\"id\":\"", id];
                let named = ["\",\"type\":\"function\",\"function\":{\"name\":\"", name];
                let signed = [
                    ",\"extra_content\":{\"google\":{\"thought_signature\":\"",
                    signature,
                    "\"}}",
                ];
                let extra = if signature.is_empty() {
                    &[][..]
                } else {
                    &signed
                };
                let rest = ["\",\"arguments\":\"\"}"];
                let call = [begun.as_slice(), &named, &rest, extra, &["}]"]].concat();
                self.delta(out, &call);
            }
            Piece::Input { number, json } => self.input(number, json, out),
            Piece::PartEnd { number } => {
                let mut calls = self.calls.iter();
                if calls.any(|(call, has_input)| *call == number && !has_input) {
                    // Nothing to pass is an empty object, which clients parse.
                    self.input(number, "{}", out);
                }
            }
            Piece::Usage(usage) => self.usage.update(usage),
            // A comment. One line end only: with two, some clients see an empty event.
            Piece::Ping => out.extend_from_slice(b": ping\n"),
            Piece::Stop { stop, .. } => {
                let reason =
                    stop.map_or("null".to_owned(), |stop| format!("\"{}\"", word_of(stop)));
                let logprobs = std::mem::take(&mut self.logprobs);
                self.chunk(out, &[], &logprobs, &reason);
            }
            Piece::End => self.end(out),
        }
    }

    /// How many bytes of what was said are kept.
    pub(in crate::wire::translate) fn kept_bytes(&self) -> usize {
        self.thought.len()
    }

    /// Clients that put lists of a stream together go by the index.
    fn next_thought(&mut self) -> String {
        let index = self.thoughts.to_string();
        self.thoughts += 1;
        index
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            // Whether there will be a text is not known yet.
            self.chunk(out, &["\"role\":\"assistant\""], &[], "null");
        }
    }

    fn input(&mut self, number: u64, json: &str, out: &mut Vec<u8>) {
        let Some(index) = self.calls.iter().position(|(call, _)| *call == number) else {
            return;
        };
        if json.is_empty() {
            return;
        }
        if let Some((_, has_input)) = self.calls.get_mut(index) {
            *has_input = true;
        }
        let index = index.to_string();
        let begun = ["\"tool_calls\":[{\"index\":", &index];
        let rest = [",\"function\":{\"arguments\":\"", json, "\"}}]"];
        self.delta(out, &[begun.as_slice(), &rest].concat());
    }

    fn delta(&mut self, out: &mut Vec<u8>, delta: &[&str]) {
        self.begin(out);
        self.chunk(out, delta, &[], "null");
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: &[&str], logprobs: &[Logprob], finish_reason: &str) {
        let logprobs = logprobs::choice(logprobs);
        let usage = match self.include_usage {
            true => ",\"usage\":null",
            false => "",
        };
        let begun = [
            &*self.head,
            &self.model,
            "\",\"choices\":[{\"index\":0,\"delta\":{",
        ];
        let ended = [
            "},\"logprobs\":",
            &logprobs,
            ",\"finish_reason\":",
            finish_reason,
            "}]",
            usage,
            "}\n\n",
        ];
        for text in begun.iter().chain(delta).chain(&ended) {
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        if self.include_usage && self.usage != Usage::default() {
            let usage = write_usage(&self.usage).to_string();
            let chunk = [
                &*self.head,
                &self.model,
                "\",\"choices\":[],\"usage\":",
                &usage,
                "}\n\n",
            ];
            out.extend_from_slice(chunk.concat().as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
