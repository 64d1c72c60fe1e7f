//! The exchange between all formats: what can be asked and answered, in no format's own words.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{Dropped, TranslateError, words};

/// A request.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Request {
    pub model: String,
    /// In order; system prompts stand where they were said.
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once; `None`: nothing is said.
    pub parallel_tools: Option<bool>,
    pub max_tokens: Option<Number>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub seed: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub frequency_penalty: Option<Number>,
    pub stop: Vec<String>,
    pub stream: bool,
    /// Who asks, in the client's own naming.
    pub user: Option<String>,
    pub reasoning: Option<Reasoning>,
    /// The tokens that the client itself gives to thinking, which `max_tokens` includes.
    pub thinking_tokens: Option<u64>,
    /// Whether the client itself leaves to the model how much of that it needs.
    pub adaptive: bool,
    /// What the answer must be, if not just a text.
    pub form: Option<Form>,
    /// Whether it is to be told how likely each token was.
    pub logprobs: Option<Logprobs>,
}

/// How likely each token was, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Logprobs {
    /// How many others are to be told with each token; `None`: no others.
    pub top: Option<Number>,
    /// Of the fields that ask.
    pub paths: Vec<String>,
}

impl Logprobs {
    /// For a format without them.
    pub(super) fn drop_into(self, dropped: &mut Dropped) {
        self.paths.into_iter().for_each(|path| dropped.add(path));
    }
}

impl Request {
    /// Names what is asked of OpenAI's and Gemini's models alone.
    pub(super) fn drop_seed_and_penalties(&mut self, dropped: &mut Dropped) {
        for (field, asked) in [
            ("seed", self.seed.take()),
            ("presence_penalty", self.presence_penalty.take()),
            ("frequency_penalty", self.frequency_penalty.take()),
        ] {
            if asked.is_some() {
                dropped.add(field);
            }
        }
    }
}

/// What a tool says that stands for one which the client had once.
const GONE: &str = "Not available any more. Do not call this tool.";

impl Request {
    /// Tools for a history with calls where the client gives no tools, as when it wants a summary: Anthropic and Bedrock refuse
    /// calls in a history without tools beside them. They have the names of that history, so that what is called anyway is a tool
    /// of which the client knows; and they take nothing. Empty where none are wanted.
    pub(super) fn stand_ins(&self) -> Vec<Tool> {
        let (mut tools, mut names) = (Vec::new(), HashSet::new());
        if !self.tools.is_empty() {
            return tools;
        }
        for part in self.messages.iter().flat_map(|message| &message.parts) {
            let Part::ToolUse { name, .. } = part else {
                continue;
            };
            if names.insert(name) {
                tools.push(Tool {
                    name: name.clone(),
                    description: Some(GONE.to_owned()),
                    schema: None,
                    strict: None,
                });
            }
        }
        tools
    }
}

/// Whether a temperature or a share asks for what is the default of every API.
pub(super) fn is_default(number: &Number) -> bool {
    number.as_f64() == Some(1.0)
}

/// One message and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
    /// Its path in the source, such as `messages[2]`.
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
}

/// A part of a message or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Refusal(String),
    Image(Media),
    Document {
        media: Media,
        name: Option<String>,
    },
    Thinking {
        text: String,
        /// Without it the model that thought it does not take it back.
        signature: Option<String>,
    },
    RedactedThinking(String),
    ToolUse {
        /// Empty where an answer tells none, until one is made.
        id: String,
        name: String,
        /// An object.
        input: Value,
        /// Of the thought behind it: some models do not take the call back without.
        signature: Option<String>,
    },
    ToolResult {
        id: String,
        parts: Vec<Part>,
        is_error: bool,
    },
}

/// Where something that is no text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Media {
    Url {
        url: String,
        /// Its path in the source.
        path: String,
    },
    Base64 {
        media_type: String,
        data: String,
        /// Its path in the source.
        path: String,
    },
    /// A document that is plain text.
    Plain(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub schema: Option<Value>,
    pub strict: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Any,
    Named(String),
}

/// How much the model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reasoning {
    Off,
    /// As the model finds right.
    Auto,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Reasoning {
    /// The efforts that every API has.
    pub(super) const COMMON: &[Self] = &[Self::Low, Self::Medium, Self::High];

    /// An effort as it is written where these are known: the highest that is not beyond it. It is named where that is
    /// another one.
    pub(super) fn among(self, known: &[Self], dropped: &mut Dropped) -> Self {
        let nearest = known.iter().filter(|effort| **effort <= self).max();
        let nearest = nearest.copied().unwrap_or(self);
        if nearest != self {
            dropped.add(words::LOWERED);
        }
        nearest
    }
}

/// A form of answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// Any JSON.
    Json {
        /// Of the field that asks.
        path: String,
    },
    Schema(Schema),
}

impl Form {
    /// For a format that knows no other.
    pub(super) fn into_schema(self) -> Result<Schema, TranslateError> {
        match self {
            Self::Schema(schema) => Ok(schema),
            Self::Json { path } => Err(TranslateError::Unsupported {
                field: path,
                reason: "only JSON that has a schema can be asked for",
            }),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schema {
    pub name: Option<String>,
    pub schema: Value,
    /// Whether it must be kept to the letter; `None`: nothing is said, for the client's API knows no other way.
    pub strict: Option<bool>,
    /// Its path in the source.
    pub path: String,
}

/// An answer, or the first of several.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Answer {
    pub model: Option<String>,
    pub parts: Vec<Part>,
    /// `None` for reasons that are its source's own.
    pub stop: Option<Stop>,
    /// The reason in its source's word.
    pub stop_word: Option<String>,
    pub stop_sequence: Option<String>,
    pub usage: Option<Usage>,
    /// Of the texts' tokens, in order; empty where nothing is told.
    pub logprobs: Vec<Logprob>,
    /// Calls behind the parts whose input its longest length cut.
    pub cut_calls: Vec<CutCall>,
}

/// A token and how likely it was.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Logprob {
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: Number,
    /// Of the token, which may be part of a character. `None` where they are not known.
    pub bytes: Option<Vec<u8>>,
    /// The likeliest in its place; they have no others.
    pub top: Vec<Self>,
}

/// A call whose input is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CutCall {
    pub id: String,
    pub name: String,
    /// As far as it came.
    pub input: String,
    pub signature: Option<String>,
    /// The input's path in the source.
    pub path: String,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    End,
    Sequence,
    Length,
    ToolUse,
    Refused,
}

/// Counted tokens. `input` and `output` are the whole, the others parts of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cached: Option<u64>,
    pub cache_write: Option<u64>,
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Takes over what `later` knows.
    pub(super) fn update(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cached = later.cached.or(self.cached);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.reasoning = later.reasoning.or(self.reasoning);
    }
}
