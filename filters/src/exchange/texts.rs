//! Where the texts stand in the bodies and events of every format that has texts. A spot is the
//! range of one JSON string; nothing here decodes or changes one.
use std::ops::Range;

use super::document::{Document, Edit};
use super::{Endpoint, bedrock, gemini, json};

pub(super) mod invoke;

/// One text: which choice it belongs to, and where its JSON string stands.
pub(crate) struct Spot {
    pub(crate) choice: u64,
    range: Range<usize>,
    /// Log probabilities repeat the text token by token: they are emptied with it.
    log_probabilities: Option<(Range<usize>, &'static str)>,
}

/// Collects spots of one text, which all slices given to it must come from.
struct Finder<'a> {
    whole: &'a str,
    spots: Vec<Spot>,
}

/// The prompts of models that one can call by Bedrock's `invoke`: of Llama's, Mistral's and earlier Claudes, of Titan's, of
/// Cohere's with what stands before it, and what its vectors are made of.
const BEDROCK_PROMPTS: [&str; 5] = ["prompt", "inputText", "message", "preamble", "texts"];

/// The prompt texts of a request.
pub(crate) fn in_request(endpoint: Endpoint, whole: &str) -> Vec<Spot> {
    let mut finder = Finder {
        whole,
        spots: Vec::new(),
    };
    let members = json::members(whole).unwrap_or_default();
    for (key, value) in members {
        match endpoint {
            Endpoint::ChatCompletions if json::key_is(key, "messages") => {
                finder.messages(value);
            }
            // As Argo's clients may send them, in the place of messages.
            Endpoint::ChatCompletions
                if json::key_is(key, "system") || json::key_is(key, "prompt") =>
            {
                finder.strings(value);
            }
            Endpoint::Completions if json::key_is(key, "prompt") => finder.strings(value),
            Endpoint::Completions if json::key_is(key, "suffix") => finder.strings(value),
            Endpoint::Embeddings if json::key_is(key, "input") => finder.strings(value),
            Endpoint::Responses if json::key_is(key, "instructions") => finder.strings(value),
            Endpoint::Responses if json::key_is(key, "input") => {
                finder.strings(value);
                finder.messages(value);
            }
            Endpoint::Messages | Endpoint::MessagesCountTokens if json::key_is(key, "system") => {
                finder.blocks(value);
            }
            Endpoint::Messages | Endpoint::MessagesCountTokens if json::key_is(key, "messages") => {
                for message in json::items(value).unwrap_or_default() {
                    finder.blocks(json::member(message, "content").unwrap_or_default());
                }
            }
            Endpoint::BedrockInvoke
                if BEDROCK_PROMPTS.iter().any(|name| json::key_is(key, name)) =>
            {
                finder.strings(value);
            }
            Endpoint::BedrockInvoke if json::key_is(key, "chat_history") => {
                for turn in json::items(value).unwrap_or_default() {
                    finder.push(json::member(turn, "message").unwrap_or_default(), 0, None);
                }
            }
            Endpoint::BedrockInvoke if json::key_is(key, "system") => finder.blocks(value),
            Endpoint::BedrockInvoke if json::key_is(key, "messages") => {
                for message in json::items(value).unwrap_or_default() {
                    finder.blocks(json::member(message, "content").unwrap_or_default());
                }
            }
            Endpoint::ArgoChat if json::key_is(key, "system") || json::key_is(key, "prompt") => {
                finder.strings(value);
            }
            Endpoint::ArgoChat if json::key_is(key, "messages") => finder.messages(value),
            Endpoint::BedrockConverse => {
                for text in bedrock::in_request_member(key, value) {
                    finder.push(text, 0, None);
                }
            }
            Endpoint::GenerateContent | Endpoint::CountTokens | Endpoint::EmbedContent => {
                for text in gemini::in_request_member(key, value) {
                    finder.push(text, 0, None);
                }
            }
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::MessagesCountTokens
            | Endpoint::BedrockInvoke
            | Endpoint::AsksageQuery
            | Endpoint::ArgoChat
            | Endpoint::ArgoEmbed
            | Endpoint::Models
            | Endpoint::Passthrough => {}
        }
    }
    finder.spots
}

/// The answer's texts in a whole response, refusals included; arguments of tool calls are not among them.
pub(crate) fn in_response(endpoint: Endpoint, whole: &str) -> Vec<Spot> {
    let mut finder = Finder {
        whole,
        spots: Vec::new(),
    };
    match endpoint {
        Endpoint::ChatCompletions => finder.choices(whole, &["message"]),
        Endpoint::Completions => finder.choices(whole, &[]),
        Endpoint::Responses => finder.output(whole),
        Endpoint::Messages => finder.answer_blocks(whole),
        Endpoint::BedrockInvoke => {
            finder.invoked(whole);
            finder.answer_blocks(whole);
        }
        Endpoint::BedrockConverse => finder.blocks_of(bedrock::in_answer(whole)),
        Endpoint::GenerateContent => finder.candidates(),
        Endpoint::ArgoChat => {
            let response = json::member(whole, "response").unwrap_or_default();
            finder.content(response, 0, None);
            finder.content(
                json::member(response, "content").unwrap_or_default(),
                0,
                None,
            );
        }
        Endpoint::MessagesCountTokens
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::Embeddings
        | Endpoint::AsksageQuery
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => {}
    }
    finder.spots
}

/// The pieces of text that one stream event adds.
pub(crate) fn in_delta(endpoint: Endpoint, whole: &str) -> Vec<Spot> {
    let mut finder = Finder {
        whole,
        spots: Vec::new(),
    };
    match endpoint {
        Endpoint::ChatCompletions => finder.choices(whole, &["delta"]),
        Endpoint::Completions => finder.choices(whole, &[]),
        Endpoint::Responses => finder.output_delta(),
        Endpoint::Messages => finder.block_delta(),
        Endpoint::BedrockInvoke => {
            finder.invoked(whole);
            finder.block_delta();
        }
        Endpoint::BedrockConverse => finder.blocks_of(bedrock::in_delta(whole)),
        Endpoint::GenerateContent => finder.candidates(),
        Endpoint::MessagesCountTokens
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::Embeddings
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => {}
    }
    finder.spots
}

/// The texts that one stream event repeats as a whole, as those of the Responses API do, and the last of Cohere's.
pub(crate) fn in_repetition(endpoint: Endpoint, whole: &str) -> Vec<Spot> {
    let mut finder = Finder {
        whole,
        spots: Vec::new(),
    };
    if endpoint == Endpoint::BedrockInvoke {
        finder.invoked_again();
    }
    if endpoint != Endpoint::Responses {
        return finder.spots;
    }
    let kind = json::member(whole, "type").and_then(json::string);
    let output_index = index(json::member(whole, "output_index"), 0);
    let content_index = index(json::member(whole, "content_index"), 0);
    match kind.as_deref() {
        Some("response.output_text.done" | "response.refusal.done") => {
            finder.part(whole, output_index, content_index);
        }
        Some("response.content_part.added" | "response.content_part.done") => {
            if let Some(part) = json::member(whole, "part") {
                finder.part(part, output_index, content_index);
            }
        }
        Some("response.output_item.added" | "response.output_item.done") => {
            if let Some(item) = json::member(whole, "item") {
                finder.output_item(item, output_index);
            }
        }
        Some(_) => {
            if let Some(response) = json::member(whole, "response") {
                finder.output(response);
            }
        }
        None => {}
    }
    finder.spots
}

/// Gives each text to `edit` and applies what it returns. True when anything was replaced.
pub(crate) fn map(
    document: &mut Document,
    find: impl Fn(&str) -> Vec<Spot>,
    mut edit: impl FnMut(u64, &str) -> Option<String>,
) -> bool {
    let Some(whole) = document.text() else {
        return false;
    };
    let mut edits = Vec::new();
    for spot in find(whole) {
        let Some(raw) = whole.get(spot.range.clone()) else {
            continue;
        };
        let Some(new) = json::string(raw).and_then(|text| edit(spot.choice, &text)) else {
            continue;
        };
        edits.push(Edit {
            with: json::string_in_place_of(raw, &new),
            range: spot.range,
        });
        if let Some((range, empty)) = spot.log_probabilities
            && !edits.iter().any(|edit| edit.range == range)
        {
            edits.push(Edit {
                range,
                with: empty.to_owned(),
            });
        }
    }
    let changed = !edits.is_empty();
    document.splice(edits);
    changed
}

/// The decoded texts, each with its choice.
pub(crate) fn read(
    document: &Document,
    find: impl Fn(&str) -> Vec<Spot>,
) -> impl Iterator<Item = (u64, String)> {
    let whole = document.text().unwrap_or("");
    find(whole).into_iter().filter_map(move |spot| {
        let text = json::string(whole.get(spot.range)?)?;
        Some((spot.choice, text.into_owned()))
    })
}

/// The texts as they are spelt between the quotes of their JSON strings, each with its choice.
pub(crate) fn read_spelt(
    document: &Document,
    find: impl Fn(&str) -> Vec<Spot>,
) -> impl Iterator<Item = (u64, String)> {
    let whole = document.text().unwrap_or("");
    find(whole).into_iter().filter_map(move |spot| {
        let raw = whole.get(spot.range)?;
        let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
        Some((spot.choice, inner.to_owned()))
    })
}

/// The number of the choice of a part: output in the upper half, content in the lower.
fn choice_of(output_index: u64, content_index: u64) -> u64 {
    (output_index << 32) | (content_index & 0xffff_ffff)
}

fn index(raw: Option<&str>, otherwise: usize) -> u64 {
    raw.and_then(|raw| raw.parse().ok())
        .unwrap_or(otherwise as u64)
}

impl Finder<'_> {
    fn push(&mut self, raw: &str, choice: u64, log_probabilities: Option<(&str, &'static str)>) {
        if raw.starts_with('"') {
            self.spots.push(Spot {
                choice,
                range: json::range_in(self.whole, raw),
                log_probabilities: log_probabilities
                    .filter(|(raw, empty)| raw != empty)
                    .map(|(raw, empty)| (json::range_in(self.whole, raw), empty)),
            });
        }
    }

    /// A string, or a list of strings.
    fn strings(&mut self, raw: &str) {
        self.push(raw, 0, None);
        for item in json::items(raw).unwrap_or_default() {
            self.push(item, 0, None);
        }
    }

    /// A list of messages; also the result of a tool, which the Responses API calls `output`.
    fn messages(&mut self, raw: &str) {
        for message in json::items(raw).unwrap_or_default() {
            for (key, value) in json::members(message).unwrap_or_default() {
                if json::key_is(key, "content") || json::key_is(key, "output") {
                    self.content(value, 0, None);
                } else if json::key_is(key, "text") || json::key_is(key, "refusal") {
                    self.push(value, 0, None);
                }
            }
        }
    }

    /// A string, or a list of parts of which some have a `text` or a `refusal`.
    fn content(&mut self, raw: &str, choice: u64, log: Option<(&str, &'static str)>) {
        self.push(raw, choice, log);
        for part in json::items(raw).unwrap_or_default() {
            for (key, value) in json::members(part).unwrap_or_default() {
                if json::key_is(key, "text") || json::key_is(key, "refusal") {
                    self.push(value, choice, log);
                }
            }
        }
    }

    /// Anthropic's content of a request: a string, or blocks of which some have a text, a result or a text document.
    fn blocks(&mut self, raw: &str) {
        self.push(raw, 0, None);
        for block in json::items(raw).unwrap_or_default() {
            for (key, value) in json::members(block).unwrap_or_default() {
                if json::key_is(key, "text") {
                    self.push(value, 0, None);
                } else if json::key_is(key, "content") {
                    self.blocks(value);
                } else if json::key_is(key, "source") {
                    self.document(value);
                }
            }
        }
    }

    /// The source of a document: its text, or blocks.
    fn document(&mut self, source: &str) {
        let kind = json::member(source, "type").and_then(json::string);
        match kind.as_deref() {
            Some("text") => self.push(json::member(source, "data").unwrap_or_default(), 0, None),
            Some("content") => self.blocks(json::member(source, "content").unwrap_or_default()),
            Some(_) | None => {}
        }
    }

    /// The text blocks of Anthropic's answer, each a choice of its own.
    fn answer_blocks(&mut self, message: &str) {
        let blocks = json::member(message, "content").and_then(json::items);
        for (at, block) in blocks.unwrap_or_default().into_iter().enumerate() {
            self.text_block(block, "text", at as u64);
        }
    }

    fn text_block(&mut self, block: &str, wanted: &str, choice: u64) {
        let Some(members) = json::members(block) else {
            return;
        };
        let kind = json::find(&members, "type").and_then(json::string);
        if kind.as_deref() == Some(wanted)
            && let Some(text) = json::find(&members, "text")
        {
            self.push(text, choice, None);
        }
    }

    /// What an event of Anthropic's adds to a block; a block may begin with a text too.
    fn block_delta(&mut self) {
        let Some(members) = json::members(self.whole) else {
            return;
        };
        let kind = json::find(&members, "type").and_then(json::string);
        let choice = index(json::find(&members, "index"), 0);
        let (part, wanted) = match kind.as_deref() {
            Some("content_block_delta") => (json::find(&members, "delta"), "text_delta"),
            Some("content_block_start") => (json::find(&members, "content_block"), "text"),
            Some(_) | None => return,
        };
        self.text_block(part.unwrap_or_default(), wanted, choice);
    }

    /// The texts of Gemini's candidates.
    fn candidates(&mut self) {
        for (candidate, text) in gemini::in_candidates(self.whole) {
            self.push(text, candidate, None);
        }
    }

    /// The texts of `converse`, each with its block.
    fn blocks_of<'a>(&mut self, texts: impl IntoIterator<Item = (u64, &'a str)>) {
        for (block, text) in texts {
            self.push(text, block, None);
        }
    }

    /// The texts of choices: `content` and `refusal` of the object under the first of `messages` that there is, or else
    /// the `text`. A refusal takes the place of the content, so both are the text of their choice.
    fn choices(&mut self, body: &str, messages: &[&str]) {
        let choices = json::member(body, "choices")
            .and_then(json::items)
            .unwrap_or_default();
        for (at, choice) in choices.into_iter().enumerate() {
            let Some(members) = json::members(choice) else {
                continue;
            };
            let number = index(json::find(&members, "index"), at);
            let log = json::find(&members, "logprobs").map(|raw| (raw, "null"));
            let find = |name: &&str| json::find(&members, name).filter(|raw| *raw != "null");
            let Some(message) = messages.iter().find_map(find) else {
                if let Some(text) = json::find(&members, "text") {
                    self.content(text, number, log);
                }
                continue;
            };
            for (key, value) in json::members(message).unwrap_or_default() {
                if json::key_is(key, "content") || json::key_is(key, "refusal") {
                    self.content(value, number, log);
                }
            }
        }
    }

    fn output(&mut self, response: &str) {
        let output = json::member(response, "output")
            .and_then(json::items)
            .unwrap_or_default();
        for (at, item) in output.into_iter().enumerate() {
            self.output_item(item, at as u64);
        }
    }

    fn output_item(&mut self, item: &str, output_index: u64) {
        let content = json::member(item, "content")
            .and_then(json::items)
            .unwrap_or_default();
        for (at, part) in content.into_iter().enumerate() {
            self.part(part, output_index, at as u64);
        }
    }

    fn part(&mut self, part: &str, output_index: u64, content_index: u64) {
        let Some(members) = json::members(part) else {
            return;
        };
        let kind = json::find(&members, "type").and_then(json::string);
        let key = match kind.as_deref() {
            Some("output_text" | "response.output_text.done") => "text",
            Some("refusal" | "response.refusal.done") => "refusal",
            Some(_) | None => return,
        };
        if let Some(text) = json::find(&members, key) {
            let log = json::find(&members, "logprobs").map(|raw| (raw, "[]"));
            self.push(text, choice_of(output_index, content_index), log);
        }
    }

    fn output_delta(&mut self) {
        let Some(members) = json::members(self.whole) else {
            return;
        };
        let kind = json::find(&members, "type").and_then(json::string);
        let adds_text = matches!(
            kind.as_deref(),
            Some("response.output_text.delta" | "response.refusal.delta")
        );
        if adds_text && let Some(delta) = json::find(&members, "delta") {
            let output_index = index(json::find(&members, "output_index"), 0);
            let content_index = index(json::find(&members, "content_index"), 0);
            let log = json::find(&members, "logprobs").map(|raw| (raw, "[]"));
            self.push(delta, choice_of(output_index, content_index), log);
        }
    }
}
