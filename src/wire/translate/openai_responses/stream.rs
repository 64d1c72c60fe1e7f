//! A response, written: as a stream, and whole as that stream's last event has it. Over 400 lines: items begin,
//! grow and end in one place, so that what is said once more at the end is what was said.

use serde_json::Value;

use super::events::{Events, Kind, Place, Said, message, thought, word};
use super::response::{Frame, Status};
use super::{REDACTED, SIGNED};
use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::piece::{Piece, spelt};
use crate::wire::translate::{AnswerFacts, logprobs};

/// A whole answer.
pub(in crate::wire::translate) fn write_answer(answer: Answer, facts: &AnswerFacts) -> Value {
    let mut writer = Writer::new(facts);
    let mut unsent = Vec::new();
    let mut give = |piece: Piece<'_>| {
        writer.write(piece, &mut unsent);
        unsent.clear();
    };
    let model = answer.model.as_deref().map(spelt);
    give(Piece::Start {
        model: model.as_deref(),
    });
    give(Piece::Logprobs(&answer.logprobs));
    let parts = u64::try_from(answer.parts.len()).unwrap_or(u64::MAX);
    for (number, part) in (0..).zip(answer.parts) {
        match part {
            Part::Text(text) => give(Piece::Text(&spelt(&text))),
            Part::Refusal(text) => give(Piece::Refusal(&spelt(&text))),
            Part::Thinking { text, signature } => {
                give(Piece::Thinking(&spelt(&text)));
                if let Some(signature) = signature {
                    give(Piece::Signature(&spelt(&signature)));
                }
                give(Piece::PartEnd { number });
            }
            Part::RedactedThinking(data) => give(Piece::RedactedThinking(&spelt(&data))),
            Part::ToolUse {
                id,
                name,
                input,
                signature,
            } => {
                give(Piece::Tool {
                    number,
                    id: &spelt(&id),
                    name: &spelt(&name),
                    signature: &spelt(&signature.unwrap_or_default()),
                });
                let json = spelt(&input.to_string());
                give(Piece::Input {
                    number,
                    json: &json,
                });
                give(Piece::PartEnd { number });
            }
            // No answer has them.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => {}
        }
    }
    for (number, cut) in (parts..).zip(answer.cut_calls) {
        give(Piece::Tool {
            number,
            id: &spelt(&cut.id),
            name: &spelt(&cut.name),
            signature: &spelt(&cut.signature.unwrap_or_default()),
        });
        let json = spelt(&cut.input);
        give(Piece::Input {
            number,
            json: &json,
        });
        give(Piece::PartEnd { number });
    }
    writer.usage = answer.usage.unwrap_or_default();
    writer.stop = answer.stop;
    let (_, object) = writer.finish(&mut unsent);
    serde_json::from_str(&object).unwrap_or_default()
}

/// Writes events. Texts are kept as they are spelt, for what is done is said once more, whole.
#[derive(Debug)]
pub(in crate::wire::translate) struct Writer {
    frame: Frame,
    events: Events,
    has_begun: bool,
    open: Option<Open>,
    /// The call that is the last item: clients know one item at a time.
    call: Option<Call>,
    /// What is done, by its index; empty where it is not.
    items: Vec<String>,
    kept_bytes: usize,
    /// Elements of the list of the text that comes next.
    logprobs: String,
    usage: Usage,
    stop: Option<Stop>,
}

/// The thought or the message that goes on.
#[derive(Debug)]
enum Open {
    Thought {
        place: Place,
        text: String,
        signature: String,
    },
    Message {
        place: Place,
        said: Said,
        /// Parts before this one.
        done: Vec<String>,
    },
}

#[derive(Debug)]
struct Call {
    number: u64,
    place: Place,
    /// Members of its item.
    named: String,
    input: String,
}

impl Writer {
    pub(in crate::wire::translate) fn new(facts: &AnswerFacts) -> Self {
        Self {
            frame: Frame::new(facts),
            events: Events::default(),
            has_begun: false,
            open: None,
            call: None,
            items: Vec::new(),
            kept_bytes: 0,
            logprobs: String::new(),
            usage: Usage::default(),
            stop: None,
        }
    }

    /// How much of what was said is kept.
    pub(in crate::wire::translate) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    pub(in crate::wire::translate) fn write(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { model } => {
                if let Some(model) = model {
                    model.clone_into(&mut self.frame.model);
                }
                self.begin(out);
            }
            Piece::Logprobs(logprobs) => {
                let elements = logprobs::elements(logprobs);
                self.kept_bytes += elements.len();
                add(&mut self.logprobs, &elements);
            }
            Piece::Text(text) => self.say(Kind::Text, text, out),
            Piece::Refusal(text) => self.say(Kind::Refusal, text, out),
            Piece::Thinking(text) => self.think(text, "", out),
            Piece::Signature(signature) => self.think("", signature, out),
            Piece::RedactedThinking(data) => {
                let place = self.place("rs", data.len(), out);
                self.events.item(
                    "response.output_item.added",
                    &place,
                    &thought(&place, "", ""),
                    out,
                );
                let item = thought(&place, "", &[REDACTED, data].concat());
                self.done(&place, item, out);
            }
            Piece::Tool {
                number,
                id,
                name,
                signature,
            } => self.call(number, id, name, signature, out),
            Piece::Input { number, json } => self.input(number, json, out),
            // How the last message or call ends is known with the end.
            Piece::PartEnd { .. } => {
                if matches!(self.open, Some(Open::Thought { .. })) {
                    self.close(Status::Completed, out);
                }
            }
            Piece::Usage(usage) => self.usage.update(usage),
            // A comment. One line end only: with two, some clients see an empty event.
            Piece::Ping => out.extend_from_slice(b": ping\n"),
            Piece::Stop { stop, .. } => self.stop = stop,
            Piece::End => {
                let (status, object) = self.finish(out);
                let name = match status {
                    Status::Completed => "response.completed",
                    Status::Incomplete(_) => "response.incomplete",
                };
                self.events.add(name, &["\"response\":", &object], out);
            }
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let object = self.frame.object(None, &[], &self.usage);
        for name in ["response.created", "response.in_progress"] {
            self.events.add(name, &["\"response\":", &object], out);
        }
    }

    /// The place of a new item, behind which what has ended is closed.
    fn place(&mut self, prefix: &str, bytes: usize, out: &mut Vec<u8>) -> Place {
        self.begin(out);
        self.close(Status::Completed, out);
        let index = self.items.len();
        self.items.push(String::new());
        self.kept_bytes += bytes;
        let id = format!("{prefix}_{}_{index}", self.frame.id);
        Place {
            index,
            members: format!("\"item_id\":\"{id}\",\"output_index\":{index},"),
            id,
        }
    }

    fn done(&mut self, place: &Place, item: String, out: &mut Vec<u8>) {
        self.events
            .item("response.output_item.done", place, &item, out);
        if let Some(kept) = self.items.get_mut(place.index) {
            *kept = item;
        }
    }

    fn think(&mut self, more: &str, sign: &str, out: &mut Vec<u8>) {
        let goes_on = match &self.open {
            // What is said behind a signature is another thought.
            Some(Open::Thought { signature, .. }) => more.is_empty() || signature.is_empty(),
            Some(Open::Message { .. }) | None => false,
        };
        if !goes_on {
            let place = self.place("rs", 0, out);
            self.events.item(
                "response.output_item.added",
                &place,
                &thought(&place, "", ""),
                out,
            );
            self.open = Some(Open::Thought {
                place,
                text: String::new(),
                signature: String::new(),
            });
        }
        let Some(Open::Thought {
            place,
            text,
            signature,
        }) = &mut self.open
        else {
            return;
        };
        self.kept_bytes += more.len() + sign.len();
        signature.push_str(sign);
        if more.is_empty() {
            return;
        }
        let members = [&*place.members, "\"summary_index\":0,"];
        if text.is_empty() {
            let part = "\"part\":{\"type\":\"summary_text\",\"text\":\"\"}";
            let added = [members.as_slice(), &[part]].concat();
            self.events
                .add("response.reasoning_summary_part.added", &added, out);
        }
        text.push_str(more);
        let delta = [members.as_slice(), &["\"delta\":\"", more, "\""]].concat();
        self.events
            .add("response.reasoning_summary_text.delta", &delta, out);
    }

    fn say(&mut self, kind: Kind, more: &str, out: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        match &mut self.open {
            Some(Open::Message { said, .. }) if said.kind == kind => {}
            Some(Open::Message { place, said, done }) => {
                done.push(said.end(place, done.len(), &mut self.events, out));
                *said = Said::begin(kind, place, done.len(), &mut self.events, out);
            }
            Some(Open::Thought { .. }) | None => {
                let place = self.place("msg", 0, out);
                let item = message(&place, "in_progress", &[]);
                self.events
                    .item("response.output_item.added", &place, &item, out);
                self.open = Some(Open::Message {
                    said: Said::begin(kind, &place, 0, &mut self.events, out),
                    place,
                    done: Vec::new(),
                });
            }
        }
        let Some(Open::Message { place, said, done }) = &mut self.open else {
            return;
        };
        self.kept_bytes += more.len();
        said.text.push_str(more);
        let logprobs = match kind {
            Kind::Text => std::mem::take(&mut self.logprobs),
            Kind::Refusal => String::new(),
        };
        add(&mut said.logprobs, &logprobs);
        let number = done.len().to_string();
        let members = [&*place.members, "\"content_index\":", &number];
        let rest = kind.rest(&logprobs);
        let delta = [",\"delta\":\"", more, "\"", &rest];
        let name = format!("response.{}.delta", kind.words().0);
        self.events
            .add(&name, &[members.as_slice(), &delta].concat(), out);
    }

    fn call(&mut self, number: u64, id: &str, name: &str, signature: &str, out: &mut Vec<u8>) {
        let bytes = id.len() + name.len() + signature.len();
        let place = self.place("fc", bytes, out);
        let mut named = format!("\"call_id\":\"{id}\",\"name\":\"{name}\"");
        if !signature.is_empty() {
            // As in chats, where Google's own compatible API has it.
            let signed = ",\"extra_content\":{\"google\":{\"thought_signature\":\"";
            named.extend([signed, signature, "\"}}"]);
        }
        let call = Call {
            number,
            place,
            named,
            input: String::new(),
        };
        let item = call.item("in_progress");
        self.events
            .item("response.output_item.added", &call.place, &item, out);
        self.call = Some(call);
    }

    fn input(&mut self, number: u64, json: &str, out: &mut Vec<u8>) {
        let call = self.call.as_mut().filter(|call| call.number == number);
        let Some(call) = call.filter(|_| !json.is_empty()) else {
            return;
        };
        self.kept_bytes += json.len();
        call.input.push_str(json);
        let delta = [&*call.place.members, "\"delta\":\"", json, "\""];
        self.events
            .add("response.function_call_arguments.delta", &delta, out);
    }

    /// Closes the item that is open.
    fn close(&mut self, status: Status, out: &mut Vec<u8>) {
        if let Some(call) = self.call.take() {
            self.close_call(call, status, out);
        }
        match self.open.take() {
            None => {}
            Some(Open::Thought {
                place,
                text,
                signature,
            }) => {
                if !text.is_empty() {
                    let members = [&*place.members, "\"summary_index\":0,"];
                    let said = [members.as_slice(), &["\"text\":\"", &text, "\""]].concat();
                    self.events
                        .add("response.reasoning_summary_text.done", &said, out);
                    let part = [
                        "\"part\":{\"type\":\"summary_text\",\"text\":\"",
                        &text,
                        "\"}",
                    ];
                    let part = [members.as_slice(), &part].concat();
                    self.events
                        .add("response.reasoning_summary_part.done", &part, out);
                }
                let encrypted = match signature.is_empty() {
                    true => String::new(),
                    false => [SIGNED, &signature].concat(),
                };
                self.done(&place, thought(&place, &text, &encrypted), out);
            }
            Some(Open::Message {
                place,
                mut said,
                mut done,
            }) => {
                if said.kind == Kind::Text {
                    add(&mut said.logprobs, &std::mem::take(&mut self.logprobs));
                }
                done.push(said.end(&place, done.len(), &mut self.events, out));
                self.done(&place, message(&place, word(status), &done), out);
            }
        }
    }

    fn close_call(&mut self, mut call: Call, status: Status, out: &mut Vec<u8>) {
        if call.input.is_empty() {
            // Nothing to pass is an empty object, which clients parse.
            call.input.push_str("{}");
        }
        let name = ["\"arguments\":\"", &call.input, "\""];
        let said = [[&*call.place.members].as_slice(), &name].concat();
        self.events
            .add("response.function_call_arguments.done", &said, out);
        let item = call.item(word(status));
        self.done(&call.place, item, out);
    }

    /// Closes everything and gives the whole response.
    fn finish(&mut self, out: &mut Vec<u8>) -> (Status, String) {
        self.begin(out);
        let status = Status::of(self.stop);
        self.close(status, out);
        (
            status,
            self.frame.object(Some(status), &self.items, &self.usage),
        )
    }
}

/// Adds elements to those of a list.
fn add(list: &mut String, elements: &str) {
    if !list.is_empty() && !elements.is_empty() {
        list.push(',');
    }
    list.push_str(elements);
}

impl Call {
    fn item(&self, status: &str) -> String {
        format!(
            "{{\"id\":\"{}\",\"type\":\"function_call\",\"status\":\"{status}\",{},\"arguments\":\"{}\"}}",
            self.place.id, self.named, self.input
        )
    }
}
