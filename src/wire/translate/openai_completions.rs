//! OpenAI's older completions, the side of its clients: one prompt in, its continuation out. A model that chats is asked
//! with the prompt as what its user says. (platform.openai.com, API reference, Completions.)

use serde_json::{Value, json};

use super::canonical::{Answer, Message, Part, Request, Role, Stop, Usage};
use super::fields::Fields;
use super::openai_chat::{stop_words, word_of, write_usage};
use super::piece::{Piece, spelt};
use super::{AnswerFacts, Dropped, TranslateError};

/// What changes the answer so much that it cannot be left out.
const REFUSED: &[(&str, &str)] = &[
    ("echo", "the prompt is not given back"),
    ("suffix", "what comes behind the answer cannot be said"),
];

pub(super) fn read_request(body: Value, dropped: &mut Dropped) -> Result<Request, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    fields.refuse(REFUSED)?;
    let is_one = |count: serde_json::Number| count.as_f64() == Some(1.0);
    if !fields.number("n")?.is_none_or(is_one) {
        return Err(fields.unsupported("n", "there is one answer to a request"));
    }
    // The best of several is one, of whom fewer were asked.
    if !fields.number("best_of")?.is_none_or(is_one) {
        dropped.add("best_of");
    }
    let request = Request {
        model: fields.text("model")?.unwrap_or_default(),
        messages: vec![Message {
            role: Role::User,
            parts: vec![Part::Text(prompt(&mut fields)?)],
            path: "prompt".to_owned(),
        }],
        max_tokens: fields.number("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        // Not OpenAI's own, but of many compatible servers.
        top_k: fields.number("top_k")?,
        seed: fields.number("seed")?,
        presence_penalty: fields.penalty("presence_penalty")?,
        frequency_penalty: fields.penalty("frequency_penalty")?,
        stop: stop_words(&mut fields)?,
        stream: fields.truth("stream")?.unwrap_or(false),
        user: fields.text("user")?,
        ..Request::default()
    };
    // The stream's usage is the translation's own affair.
    fields.take("stream_options");
    fields.drop_rest(dropped);
    Ok(request)
}

/// A text, also as the only one of a list.
fn prompt(fields: &mut Fields) -> Result<String, TranslateError> {
    let one = |texts: &[Value]| match texts {
        [Value::String(text)] => Some(text.clone()),
        _ => None,
    };
    match fields.take("prompt") {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(texts)) => one(&texts).ok_or_else(|| {
            fields.unsupported(
                "prompt",
                "there is one prompt to a request, and it is a text",
            )
        }),
        _ => Err(fields.invalid("prompt", "a text")),
    }
}

pub(super) fn write_answer(answer: Answer, facts: &AnswerFacts, dropped: &mut Dropped) -> Value {
    if !answer.logprobs.is_empty() {
        dropped.add("logprobs");
    }
    let mut text = String::new();
    for part in answer.parts {
        match part {
            Part::Text(piece) | Part::Refusal(piece) => text.push_str(&piece),
            Part::Thinking { .. } | Part::RedactedThinking(_) => dropped.add("thinking"),
            // No tools were offered.
            Part::ToolUse { .. } => dropped.add("tool_calls"),
            // No answer has them.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => {}
        }
    }
    let mut written = json!({
        "id": format!("cmpl-{}", facts.request_id), "object": "text_completion",
        "created": facts.created_s, "model": answer.model.as_ref().unwrap_or(&facts.model),
        "choices": [{
            "text": text, "index": 0, "logprobs": null, "finish_reason": answer.stop.map(word),
        }],
    });
    if let Some(usage) = &answer.usage {
        written["usage"] = write_usage(usage);
    }
    written
}

fn word(stop: Stop) -> &'static str {
    match stop {
        // It has no word for calls.
        Stop::ToolUse => "stop",
        stop => word_of(stop),
    }
}

/// What there is no place for in a stream.
pub(super) fn unsaid(piece: Piece<'_>) -> Option<&'static str> {
    match piece {
        Piece::Thinking(_) | Piece::RedactedThinking(_) => Some("thinking"),
        Piece::Tool { .. } => Some("tool_calls"),
        Piece::Logprobs(_) => Some("logprobs"),
        Piece::Start { .. }
        | Piece::Text(_)
        | Piece::Refusal(_)
        | Piece::Signature(_)
        | Piece::Input { .. }
        | Piece::PartEnd { .. }
        | Piece::Usage(_)
        | Piece::Ping
        | Piece::Stop { .. }
        | Piece::End => None,
    }
}

/// Writes chunks.
pub(super) struct Writer {
    /// A chunk up to the model's name.
    head: String,
    /// Spelt as in JSON.
    model: String,
    include_usage: bool,
    usage: Usage,
}

impl Writer {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        let id = spelt(&facts.request_id);
        let created = facts.created_s;
        Self {
            head: format!(
                "data: {{\"id\":\"cmpl-{id}\",\"object\":\"text_completion\",\"created\":{created},\"model\":\""
            ),
            model: spelt(&facts.model),
            include_usage: facts.include_usage,
            usage: Usage::default(),
        }
    }

    pub(super) fn write(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { model } => {
                if let Some(model) = model {
                    model.clone_into(&mut self.model);
                }
            }
            Piece::Text(text) | Piece::Refusal(text) => self.choice(text, "null", out),
            Piece::Usage(usage) => self.usage.update(usage),
            // A comment. One line end only: with two, some clients see an empty event.
            Piece::Ping => out.extend_from_slice(b": ping\n"),
            Piece::Stop { stop, .. } => {
                let word = stop.map_or("null".to_owned(), |stop| format!("\"{}\"", word(stop)));
                self.choice("", &word, out);
            }
            Piece::End => self.end(out),
            // There is no place for them.
            Piece::Thinking(_)
            | Piece::Signature(_)
            | Piece::RedactedThinking(_)
            | Piece::Tool { .. }
            | Piece::Input { .. }
            | Piece::Logprobs(_)
            | Piece::PartEnd { .. } => {}
        }
    }

    fn choice(&self, text: &str, finish_reason: &str, out: &mut Vec<u8>) {
        let usage = match self.include_usage {
            true => ",\"usage\":null",
            false => "",
        };
        let begun = ["\",\"choices\":[{\"text\":\"", text];
        let ended = [
            "\",\"index\":0,\"logprobs\":null,\"finish_reason\":",
            finish_reason,
            "}]",
        ];
        self.chunk(&[begun.as_slice(), &ended, &[usage]].concat(), out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.include_usage && self.usage != Usage::default() {
            let usage = write_usage(&self.usage).to_string();
            self.chunk(&["\",\"choices\":[],\"usage\":", &usage], out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, rest: &[&str], out: &mut Vec<u8>) {
        for text in [&*self.head, &*self.model]
            .iter()
            .chain(rest)
            .chain(&["}\n\n"])
        {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
