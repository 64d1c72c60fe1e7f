//! Calls one behind the other, for clients that know one open part at a time: what comes while a call goes on and is not of
//! it waits until that call is whole. Whoever says where a call ends, or calls one after the other, waits for nothing.

use std::collections::VecDeque;

use super::piece::{Give, Piece};

/// Brings the pieces of a stream into an order in which no call begins, and nothing is said, before the last one has ended.
#[derive(Debug, Default)]
pub(super) struct Turns {
    open: Option<Open>,
    waiting: VecDeque<Waiting>,
    kept_bytes: usize,
}

/// The call that goes on.
#[derive(Debug)]
struct Open {
    number: u64,
    input: Input,
}

/// What waits; all texts as they are spelt.
#[derive(Debug)]
enum Waiting {
    Call(Call),
    Said(Kind, String),
    PartEnd(u64),
}

#[derive(Debug)]
struct Call {
    number: u64,
    id: String,
    name: String,
    signature: String,
    json: String,
    input: Input,
    has_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    Signature,
    RedactedThinking,
}

impl Turns {
    /// How many bytes wait.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Takes a piece, and gives what can be said by now.
    pub(super) fn piece(&mut self, piece: Piece<'_>, give: Give<'_>) {
        match piece {
            Piece::Tool {
                number,
                id,
                name,
                signature,
            } => {
                if self.must_wait(give) {
                    self.wait(Waiting::Call(Call {
                        number,
                        id: id.to_owned(),
                        name: name.to_owned(),
                        signature: signature.to_owned(),
                        json: String::new(),
                        input: Input::default(),
                        has_ended: false,
                    }));
                } else {
                    let input = Input::default();
                    self.open = Some(Open { number, input });
                    give(piece);
                }
            }
            Piece::Input { number, json } => self.input(number, json, give),
            Piece::PartEnd { number } => self.part_end(number, give),
            Piece::Text(text) => self.say(Kind::Text, text, give),
            Piece::Refusal(text) => self.say(Kind::Refusal, text, give),
            Piece::Thinking(text) => self.say(Kind::Thinking, text, give),
            Piece::Signature(text) => self.say(Kind::Signature, text, give),
            Piece::RedactedThinking(data) => self.say(Kind::RedactedThinking, data, give),
            Piece::Stop { .. } | Piece::End => {
                while self.open.is_some() || !self.waiting.is_empty() {
                    self.end_call(give);
                }
                give(piece);
            }
            Piece::Start { .. } | Piece::Logprobs(_) | Piece::Usage(_) | Piece::Ping => give(piece),
        }
    }

    /// Nothing more comes, and no end has been said: gives what waits. A call behind which nothing waits has no end.
    pub(super) fn give_rest(&mut self, give: Give<'_>) {
        while !self.waiting.is_empty() {
            self.end_call(give);
        }
    }

    /// Whether a call goes on. One whose input is whole does not: not everybody says where it ends.
    fn must_wait(&mut self, give: Give<'_>) -> bool {
        if self.open.as_ref().is_some_and(|open| open.input.is_whole) {
            self.end_call(give);
        }
        self.open.is_some()
    }

    fn wait(&mut self, waiting: Waiting) {
        self.kept_bytes = self.kept_bytes.saturating_add(waiting.bytes());
        self.waiting.push_back(waiting);
    }

    fn waiting_call(&mut self, number: u64) -> Option<&mut Call> {
        let waiting = self.waiting.iter_mut().rev();
        let mut calls = waiting.filter_map(|waiting| match waiting {
            Waiting::Call(call) => Some(call),
            Waiting::Said(..) | Waiting::PartEnd(_) => None,
        });
        calls.find(|call| call.number == number)
    }

    fn input(&mut self, number: u64, json: &str, give: Give<'_>) {
        if let Some(open) = self.open.as_mut().filter(|open| open.number == number) {
            open.input.read(json);
            let is_whole = open.input.is_whole;
            give(Piece::Input { number, json });
            if is_whole && !self.waiting.is_empty() {
                self.end_call(give);
            }
        } else if let Some(call) = self.waiting_call(number) {
            call.input.read(json);
            call.json.push_str(json);
            self.kept_bytes = self.kept_bytes.saturating_add(json.len());
        }
    }

    fn part_end(&mut self, number: u64, give: Give<'_>) {
        if self.open.as_ref().is_some_and(|open| open.number == number) {
            self.end_call(give);
        } else if let Some(call) = self.waiting_call(number) {
            call.has_ended = true;
        } else if self.open.is_some() {
            self.wait(Waiting::PartEnd(number));
        } else {
            give(Piece::PartEnd { number });
        }
    }

    fn say(&mut self, kind: Kind, text: &str, give: Give<'_>) {
        if !self.must_wait(give) {
            give(kind.piece(text));
            return;
        }
        match self.waiting.back_mut() {
            Some(Waiting::Said(last, said)) if *last == kind && kind.goes_on() => {
                said.push_str(text);
                self.kept_bytes = self.kept_bytes.saturating_add(text.len());
            }
            _ => self.wait(Waiting::Said(kind, text.to_owned())),
        }
    }

    /// Ends the call that goes on, and gives what waits for it.
    fn end_call(&mut self, give: Give<'_>) {
        if let Some(Open { number, .. }) = self.open.take() {
            give(Piece::PartEnd { number });
        }
        while self.open.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(next.bytes());
            match next {
                Waiting::Call(call) => self.begin(&call, give),
                Waiting::Said(kind, text) => give(kind.piece(&text)),
                Waiting::PartEnd(number) => give(Piece::PartEnd { number }),
            }
        }
    }

    fn begin(&mut self, call: &Call, give: Give<'_>) {
        let number = call.number;
        give(Piece::Tool {
            number,
            id: &call.id,
            name: &call.name,
            signature: &call.signature,
        });
        if !call.json.is_empty() {
            let json = &call.json;
            give(Piece::Input { number, json });
        }
        if call.has_ended || call.input.is_whole && !self.waiting.is_empty() {
            give(Piece::PartEnd { number });
        } else {
            let input = call.input;
            self.open = Some(Open { number, input });
        }
    }
}

impl Waiting {
    /// With what it takes to keep it, for there may be any number of empty ones.
    fn bytes(&self) -> usize {
        let texts = match self {
            Self::Call(call) => [&call.id, &call.name, &call.signature, &call.json]
                .iter()
                .fold(0, |sum: usize, text| sum.saturating_add(text.len())),
            Self::Said(_, text) => text.len(),
            Self::PartEnd(_) => 0,
        };
        texts.saturating_add(size_of::<Self>())
    }
}

impl Kind {
    fn piece(self, text: &str) -> Piece<'_> {
        match self {
            Self::Text => Piece::Text(text),
            Self::Refusal => Piece::Refusal(text),
            Self::Thinking => Piece::Thinking(text),
            Self::Signature => Piece::Signature(text),
            Self::RedactedThinking => Piece::RedactedThinking(text),
        }
    }

    /// Whether more of it is a part of what was said.
    fn goes_on(self) -> bool {
        match self {
            Self::Text | Self::Refusal | Self::Thinking => true,
            Self::Signature | Self::RedactedThinking => false,
        }
    }
}

/// Follows the input of a call, to see where its object ends.
#[derive(Debug, Clone, Copy, Default)]
struct Input {
    depth: u32,
    is_in_text: bool,
    is_escaped: bool,
    is_whole: bool,
}

impl Input {
    /// Takes a piece, spelt as the inside of a JSON string: no escape goes on in the next.
    fn read(&mut self, spelt: &str) {
        let mut bytes = spelt.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                self.byte(byte);
                continue;
            }
            match bytes.next() {
                Some(b'u') => {
                    let digits = bytes.by_ref().take(4);
                    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
                    let code = digits.fold(0, |code, byte| code * 16 + digit(byte));
                    // What is no byte is of no meaning here, and stands in a text.
                    self.byte(u8::try_from(code).unwrap_or(b'?'));
                }
                Some(quoted @ (b'"' | b'\\')) => self.byte(quoted),
                // Blanks, of some kind.
                Some(_) => self.byte(b' '),
                None => {}
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.is_in_text => self.is_escaped = true,
            b'"' => self.is_in_text = !self.is_in_text,
            _ if self.is_in_text => {}
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_whole |= self.depth == 0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
