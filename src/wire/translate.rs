//! Translation between formats, by way of one canonical exchange: each format has a reader and a writer, no pair has
//! code of its own. Whole bodies are read into trees (`canonical`), streams go piece by piece (`piece`) with their
//! texts as they are spelt in JSON, so that nothing is decoded on the way and no surrogate pair is broken.
//!
//! What a format cannot say is listed; what would make the answer mean something else is refused. Pure: no clock, no
//! identifiers of its own.

mod anthropic;
mod argo;
mod asksage;
mod bedrock_converse;
mod call_id;
mod canonical;
mod conversation;
mod converse_client;
pub mod embeddings;
mod ending;
mod fields;
mod gemini;
mod invoke_client;
mod logprobs;
mod made_stream;
mod numbers;
mod openai_chat;
mod openai_completions;
mod openai_responses;
mod piece;
mod places;
mod schemas;
mod signed_id;
mod stream;
#[cfg(test)]
mod tests;
mod turns;
mod words;

use aiproxy_filters::Endpoint;
use serde_json::{Map, Value};

pub use self::stream::StreamTranslator;

use self::canonical::{Answer, Request, Role};
use self::fields::parse;
use super::argo::prompt;

/// The format of a provider's bodies: requests are written in it and answers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenAI's chat completions.
    OpenaiChat,
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Ask Sage's `query`, which answers whole.
    Asksage,
    /// Argo's own `chat` and `streamchat`.
    Argo,
    /// Bedrock's `converse` and `converse-stream`.
    BedrockConverse,
}

/// The format of a client's bodies: requests are read in it and answers written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFormat {
    /// OpenAI's chat completions.
    OpenaiChat,
    /// Anthropic's Messages.
    Anthropic,
    /// OpenAI's Responses.
    OpenaiResponses,
    /// OpenAI's completions.
    OpenaiCompletions,
    /// Gemini's `generateContent`.
    Gemini,
    /// Bedrock's `converse`.
    BedrockConverse,
    /// Bedrock's `invoke` with Claude's Messages as its body.
    BedrockInvoke,
}

impl ClientFormat {
    /// The format of an endpoint's bodies. `None` where they are not translated.
    pub fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::ChatCompletions => Some(Self::OpenaiChat),
            Endpoint::Messages => Some(Self::Anthropic),
            Endpoint::Responses => Some(Self::OpenaiResponses),
            Endpoint::GenerateContent => Some(Self::Gemini),
            Endpoint::BedrockConverse => Some(Self::BedrockConverse),
            Endpoint::BedrockInvoke => Some(Self::BedrockInvoke),
            Endpoint::Completions => Some(Self::OpenaiCompletions),
            Endpoint::MessagesCountTokens
            | Endpoint::Embeddings
            | Endpoint::CountTokens
            | Endpoint::EmbedContent
            | Endpoint::AsksageQuery
            | Endpoint::ArgoChat
            | Endpoint::ArgoEmbed
            | Endpoint::Models
            | Endpoint::Passthrough => None,
        }
    }

    fn read_request(self, body: Value, dropped: &mut Dropped) -> Result<Request, TranslateError> {
        match self {
            Self::OpenaiChat => openai_chat::read_request(body, dropped),
            Self::Anthropic => anthropic::read_request(body, dropped),
            Self::OpenaiResponses => openai_responses::read_request(body, dropped),
            Self::OpenaiCompletions => openai_completions::read_request(body, dropped),
            Self::Gemini => gemini::read_request(body, dropped),
            Self::BedrockConverse => converse_client::read_request(body, dropped),
            Self::BedrockInvoke => invoke_client::read_request(body, dropped),
        }
    }

    fn write_answer(self, answer: Answer, facts: &AnswerFacts, dropped: &mut Dropped) -> Value {
        match self {
            Self::OpenaiChat => openai_chat::write_answer(answer, facts),
            Self::Anthropic | Self::BedrockInvoke => {
                anthropic::write_answer(answer, facts, dropped)
            }
            Self::OpenaiResponses => openai_responses::write_answer(answer, facts),
            Self::OpenaiCompletions => openai_completions::write_answer(answer, facts, dropped),
            Self::Gemini => gemini::write_answer(answer, facts, dropped),
            Self::BedrockConverse => converse_client::write_answer(answer, dropped),
        }
    }
}

impl Format {
    /// The format of an endpoint's bodies. `None` where they are not translated.
    pub fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::ChatCompletions => Some(Self::OpenaiChat),
            Endpoint::Messages => Some(Self::Anthropic),
            Endpoint::GenerateContent => Some(Self::Gemini),
            Endpoint::AsksageQuery => Some(Self::Asksage),
            Endpoint::ArgoChat => Some(Self::Argo),
            Endpoint::BedrockConverse => Some(Self::BedrockConverse),
            Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::MessagesCountTokens
            | Endpoint::Embeddings
            | Endpoint::CountTokens
            | Endpoint::EmbedContent
            | Endpoint::BedrockInvoke
            | Endpoint::ArgoEmbed
            | Endpoint::Models
            | Endpoint::Passthrough => None,
        }
    }

    /// Whether a body of ours in this format tells of tools in words.
    pub fn tells_tools_in_words(self, body: &[u8]) -> bool {
        match self {
            Self::Argo => argo::is_told(body),
            Self::OpenaiChat
            | Self::Anthropic
            | Self::Gemini
            | Self::Asksage
            | Self::BedrockConverse => false,
        }
    }

    /// Whether the answer to a body of ours in this format can be a stream.
    pub fn streams(self, body: &[u8]) -> bool {
        match self {
            Self::OpenaiChat | Self::Anthropic | Self::Gemini | Self::BedrockConverse => true,
            Self::Asksage => false,
            Self::Argo => argo::streams(body),
        }
    }

    fn write_request(
        self,
        request: Request,
        dropped: &mut Dropped,
    ) -> Result<Value, TranslateError> {
        match self {
            Self::OpenaiChat => openai_chat::write_request(request, dropped),
            Self::Anthropic => anthropic::write_request(request, dropped),
            Self::Gemini => gemini::write_request(request, dropped),
            Self::Asksage => asksage::write_request(request, dropped),
            Self::Argo => argo::write_request(request, dropped),
            Self::BedrockConverse => bedrock_converse::write_request(request, dropped),
        }
    }

    fn read_answer(
        self,
        body: Value,
        facts: &AnswerFacts,
        dropped: &mut Dropped,
    ) -> Result<Answer, TranslateError> {
        match self {
            Self::OpenaiChat => openai_chat::read_answer(body, dropped),
            Self::Anthropic => anthropic::read_answer(body, dropped),
            Self::Gemini => gemini::read_answer(body, dropped),
            Self::Asksage => asksage::read_answer(body, dropped),
            Self::Argo => argo::read_answer(body, facts.tools_in_words, dropped),
            Self::BedrockConverse => bedrock_converse::read_answer(body, dropped),
        }
    }
}

/// What a translation could not carry: paths of fields in the words of the side that said them, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    paths: Vec<String>,
    /// How many of them were taken: they are remembered, so that none is told again.
    told: usize,
}

impl Dropped {
    /// Adds a path.
    pub(crate) fn add(&mut self, path: impl Into<String>) {
        let mut path = path.into();
        if MOST_BYTES < path.len() {
            path.truncate(path.floor_char_boundary(MOST_BYTES));
        }
        if self.paths.len() < MOST_DROPPED && !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    /// Adds a path in pieces. One that is known costs nothing: every event of a stream may say the same.
    pub(crate) fn add_pieces(&mut self, pieces: &[&str]) {
        let is_these = |path: &String| {
            let mut pieces = pieces.iter();
            pieces.try_fold(&**path, |rest, piece| rest.strip_prefix(piece)) == Some("")
        };
        if self.paths.len() < MOST_DROPPED && !self.paths.iter().any(is_these) {
            self.add(pieces.concat());
        }
    }

    /// The paths since the last time.
    fn take_new(&mut self) -> Vec<String> {
        let new = self.paths.get(self.told..).unwrap_or_default().to_vec();
        self.told = self.paths.len();
        new
    }

    /// The paths.
    pub fn into_fields(self) -> Vec<String> {
        self.paths
    }
}

/// Longest path that is listed, in bytes: names of fields come from outside.
const MOST_BYTES: usize = 256;

/// Most paths that are listed: a body may have any number of unknown fields.
pub const MOST_DROPPED: usize = 100;

/// An error as a provider reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderError {
    /// HTTP status that it stands for, where its words tell. `None` for words of other meaning.
    pub status: Option<u16>,
    /// `error.type`.
    pub kind: Option<String>,
    /// `error.code`, a number as its text.
    pub code: Option<String>,
    /// For a person; empty when it says nothing.
    pub message: String,
}

/// Why a body is not translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// The other format has no such thing, and leaving it out would change what is asked.
    #[error("'{field}': {reason}")]
    Unsupported {
        /// Its path.
        field: String,
        /// Why.
        reason: &'static str,
    },
    /// A value is of another kind than its format has there.
    #[error("'{field}' must be {expected}")]
    Invalid {
        /// Its path.
        field: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// The provider reports an error in its answer.
    #[error("the provider reports an error")]
    Reported(ProviderError),
    /// Its stream ends before it says why.
    #[error("the stream broke off")]
    BrokeOff,
    /// The body is not JSON, or not of its format.
    #[error("{0}")]
    Malformed(String),
}

/// What an answer's format says and its source may not.
#[derive(Debug, Clone)]
pub struct AnswerFacts {
    /// Our id of the exchange, from which the answer's id is made.
    pub request_id: String,
    /// The model as it was asked for, where the source names none.
    pub model: String,
    /// When the request came, in seconds since the Unix epoch.
    pub created_s: i64,
    /// Whether the client asked for the usage of its stream.
    pub include_usage: bool,
    /// Whether the model was told of tools in words, so that its text may call them.
    pub tools_in_words: bool,
    /// Fields of the request that the answer repeats (see [`echo`]).
    pub echo: Map<String, Value>,
}

/// The fields of a request that its format's answers repeat; none in most formats.
pub fn echo(from: ClientFormat, body: &[u8]) -> Map<String, Value> {
    match from {
        ClientFormat::OpenaiChat
        | ClientFormat::OpenaiCompletions
        | ClientFormat::Anthropic
        | ClientFormat::Gemini
        | ClientFormat::BedrockConverse
        | ClientFormat::BedrockInvoke => Map::new(),
        ClientFormat::OpenaiResponses => openai_responses::echo(parse(body).unwrap_or_default()),
    }
}

/// Writes a request in another format, for a model of that side. `stream`: whether its path asks for a stream, where that is
/// no matter of the body.
///
/// # Errors
/// [`TranslateError`] when it asks for what the other format cannot say, or is not what its own format has.
pub fn request(
    from: ClientFormat,
    to: Format,
    body: &[u8],
    model: &str,
    stream: bool,
) -> Result<(Vec<u8>, Dropped), TranslateError> {
    let mut dropped = Dropped::default();
    let asked = match (from, to) {
        // Its clients have older forms, too.
        (ClientFormat::OpenaiChat, Format::Argo) => prompt::as_messages(parse(body)?),
        (ClientFormat::OpenaiCompletions, Format::Argo) => prompt::as_one_prompt(parse(body)?),
        _ => parse(body)?,
    };
    let mut request = from.read_request(asked, &mut dropped)?;
    model.clone_into(&mut request.model);
    request.stream |= stream;
    name_prefill(from, to, &request, &mut dropped);
    let mut unsaid = Dropped::default();
    let written = to.write_request(request, &mut unsaid);
    words::drop(from, unsaid, &mut dropped);
    let written = written.map_err(|error| words::refusal(from, error))?;
    Ok((written.to_string().into_bytes(), dropped))
}

/// Names a last turn of the model's that Claude goes on with and others take for a whole one.
fn name_prefill(from: ClientFormat, to: Format, request: &Request, dropped: &mut Dropped) {
    let is_meant = match from {
        ClientFormat::Anthropic | ClientFormat::BedrockInvoke | ClientFormat::BedrockConverse => {
            true
        }
        ClientFormat::OpenaiChat
        | ClientFormat::OpenaiCompletions
        | ClientFormat::OpenaiResponses
        | ClientFormat::Gemini => false,
    };
    let is_ordinary = match to {
        Format::OpenaiChat | Format::Gemini | Format::Asksage | Format::Argo => true,
        Format::Anthropic | Format::BedrockConverse => false,
    };
    let last = request.messages.last();
    let last = last.filter(|message| message.role == Role::Assistant);
    if let Some(last) = last.filter(|_| is_meant && is_ordinary) {
        dropped.add(format!("{} (prefill)", last.path));
    }
}

/// Writes a whole answer in another format.
///
/// # Errors
/// [`TranslateError`] when it is not what its format has.
pub fn answer(
    from: Format,
    to: ClientFormat,
    body: &[u8],
    facts: &AnswerFacts,
) -> Result<(Vec<u8>, Dropped), TranslateError> {
    let mut dropped = Dropped::default();
    let answer = read_answer(from, to, body, facts, &mut dropped)?;
    let written = to.write_answer(answer, facts, &mut dropped);
    Ok((written.to_string().into_bytes(), dropped))
}

/// Reads a whole answer, and settles how it ends.
fn read_answer(
    from: Format,
    to: ClientFormat,
    body: &[u8],
    facts: &AnswerFacts,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    numbers::note(body, dropped);
    let mut answer = from.read_answer(parse(body)?, facts, dropped)?;
    call_id::settle(&mut answer, &facts.request_id)?;
    ending::settle(&mut answer, from, to, dropped)?;
    Ok(answer)
}

/// Writes a whole answer as a stream in another format, for a client that asked for one.
///
/// # Errors
/// [`TranslateError`] when it is not what its format has.
pub fn answer_as_stream(
    from: Format,
    to: ClientFormat,
    body: &[u8],
    facts: &AnswerFacts,
) -> Result<(Vec<u8>, Dropped), TranslateError> {
    let mut dropped = Dropped::default();
    let answer = read_answer(from, to, body, facts, &mut dropped)?;
    let mut writer = stream::Writer::new(to, facts);
    let mut written = Vec::new();
    made_stream::pieces(answer, &mut |piece| {
        writer.write(piece, &mut dropped, &mut written);
    });
    Ok((written, dropped))
}

/// What an error answer says; of a body that says nothing, nothing.
pub fn error(body: &[u8]) -> ProviderError {
    parse(body).map_or_else(|_| ProviderError::default(), |body| error_in(&body))
}

/// The status that a word for a kind of error stands for, or that it is.
pub fn status_of(word: &str) -> Option<u16> {
    let number = word.parse().ok().filter(|code| (400..600).contains(code));
    let word = || fields::status_of(word).or_else(|| super::bedrock::error_status(word));
    number.or_else(word)
}

/// What an error object says, in whichever of the usual shapes.
pub(super) fn error_in(body: &Value) -> ProviderError {
    fields::error(body)
}

/// What an error answer in this format says.
pub fn error_of(from: Format, body: &[u8]) -> ProviderError {
    match from {
        Format::Asksage => parse(body).map_or_else(
            |_| ProviderError::default(),
            |body| super::asksage::error(&body),
        ),
        Format::BedrockConverse => parse(body).map_or_else(
            |_| ProviderError::default(),
            |body| bedrock_converse::error(&body),
        ),
        Format::Argo => super::argo::error(body),
        Format::OpenaiChat | Format::Anthropic | Format::Gemini => error(body),
    }
}
