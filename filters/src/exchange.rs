//! The canonical exchange: names that every part of the program shares, and views over the bytes
//! of requests, responses and stream events. No I/O; it does not translate between formats.
mod bedrock;
mod document;
mod event;
mod gemini;
mod headers;
mod json;
mod message;
mod request;
mod response;
mod texts;
mod usage;

pub use document::BodyError;
pub use event::{EventKind, StreamEvent};
pub use headers::Headers;
pub use json::read_spelling;
pub use message::Message;
pub use request::LlmRequest;
pub use response::LlmResponse;
use serde::{Deserialize, Serialize};
pub use usage::Usage;

pub(crate) use event::Ticket;

/// Which API a request calls; its text is the column `endpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`.
    #[serde(rename = "chat.completions")]
    ChatCompletions,
    /// `POST /v1/completions`.
    #[serde(rename = "completions")]
    Completions,
    /// `POST /v1/embeddings`.
    #[serde(rename = "embeddings")]
    Embeddings,
    /// `POST /v1/responses`.
    #[serde(rename = "responses")]
    Responses,
    /// `POST /v1/messages`, Anthropic's.
    #[serde(rename = "messages")]
    Messages,
    /// `POST /v1/messages/count_tokens`, Anthropic's.
    #[serde(rename = "messages.count_tokens")]
    MessagesCountTokens,
    /// `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`, Gemini's.
    #[serde(rename = "generate_content")]
    GenerateContent,
    /// `POST /v1beta/models/{model}:countTokens`, Gemini's.
    #[serde(rename = "count_tokens")]
    CountTokens,
    /// `POST /v1beta/models/{model}:embedContent` and `:batchEmbedContents`, Gemini's.
    #[serde(rename = "embed_content")]
    EmbedContent,
    /// `POST /model/{model}/invoke` and `/invoke-with-response-stream`, Bedrock's: bodies are those of the model's maker.
    #[serde(rename = "bedrock.invoke")]
    BedrockInvoke,
    /// `POST /model/{model}/converse` and `/converse-stream`, Bedrock's.
    #[serde(rename = "bedrock.converse")]
    BedrockConverse,
    /// `POST /server/query`, Ask Sage's: upstream only, no client calls it.
    #[serde(rename = "asksage.query")]
    AsksageQuery,
    /// `POST /v1/chat`: Argo's own `chat` and `streamchat`.
    #[serde(rename = "argo.chat")]
    ArgoChat,
    /// Argo's `POST /api/v1/resource/embed/`: upstream only, no client calls it.
    #[serde(rename = "argo.embed")]
    ArgoEmbed,
    /// `GET /v1/models` and `/v1/models/{id}`.
    #[serde(rename = "models")]
    Models,
    /// Everything else.
    #[serde(rename = "passthrough")]
    Passthrough,
}

impl Endpoint {
    /// Whether its answers are made texts; others are vectors, numbers or lists, and what passes is not known.
    pub fn generates(self) -> bool {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Responses
            | Self::Messages
            | Self::GenerateContent
            | Self::BedrockInvoke
            | Self::BedrockConverse
            | Self::AsksageQuery
            | Self::ArgoChat => true,
            Self::Embeddings
            | Self::MessagesCountTokens
            | Self::CountTokens
            | Self::EmbedContent
            | Self::ArgoEmbed
            | Self::Models
            | Self::Passthrough => false,
        }
    }

    /// The word of the column `endpoint`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat.completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::MessagesCountTokens => "messages.count_tokens",
            Self::GenerateContent => "generate_content",
            Self::CountTokens => "count_tokens",
            Self::EmbedContent => "embed_content",
            Self::BedrockInvoke => "bedrock.invoke",
            Self::BedrockConverse => "bedrock.converse",
            Self::AsksageQuery => "asksage.query",
            Self::ArgoChat => "argo.chat",
            Self::ArgoEmbed => "argo.embed",
            Self::Models => "models",
            Self::Passthrough => "passthrough",
        }
    }

    /// Whether bodies of this API have texts that filters can read and edit.
    pub fn has_texts(self) -> bool {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Embeddings
            | Self::Responses
            | Self::Messages
            | Self::MessagesCountTokens
            | Self::GenerateContent
            | Self::CountTokens
            | Self::EmbedContent
            | Self::BedrockInvoke
            | Self::BedrockConverse
            | Self::ArgoChat => true,
            Self::AsksageQuery | Self::ArgoEmbed | Self::Models | Self::Passthrough => false,
        }
    }
}

/// Which family of clients a request comes from; its text is the column `dialect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI's, and what is compatible with it.
    #[default]
    Openai,
    /// OpenAI's with Azure's paths, which name a deployment.
    Azure,
    /// Anthropic's.
    Anthropic,
    /// Gemini's, as Google AI Studio serves it.
    Gemini,
    /// That of Bedrock's runtime.
    Bedrock,
}

impl Dialect {
    /// The word of the column `dialect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
        }
    }

    /// Whether the path says which model is asked for, and whether for a stream, and no body does.
    pub fn asks_in_path(self) -> bool {
        match self {
            Self::Gemini | Self::Bedrock => true,
            Self::Openai | Self::Azure | Self::Anthropic => false,
        }
    }
}

/// How an exchange ended; its text is the column `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered whole.
    Ok,
    /// A wrong request, found by us.
    ClientError,
    /// Refused by our rules.
    Rejected,
    /// The upstream answered 429.
    RateLimited,
    /// A budget is used up.
    BudgetExceeded,
    /// Too much load.
    Shed,
    /// A filter answered in the upstream's place.
    FilterAnswered,
    /// A filter refused or cut.
    FilterBlocked,
    /// A filter failed.
    FilterError,
    /// The upstream failed or answered with an error.
    UpstreamError,
    /// The upstream was too slow.
    UpstreamTimeout,
    /// The upstream's answer broke off.
    UpstreamTruncated,
    /// The client left.
    ClientDisconnected,
    /// We were shutting down.
    Shutdown,
    /// The process died before the end.
    Crashed,
    /// A defect of ours.
    InternalError,
    /// A recorded answer was served.
    Replayed,
}

impl Outcome {
    /// The word of the column `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::Rejected => "rejected",
            Self::RateLimited => "rate_limited",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Shed => "shed",
            Self::FilterAnswered => "filter_answered",
            Self::FilterBlocked => "filter_blocked",
            Self::FilterError => "filter_error",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamTruncated => "upstream_truncated",
            Self::ClientDisconnected => "client_disconnected",
            Self::Shutdown => "shutdown",
            Self::Crashed => "crashed",
            Self::InternalError => "internal_error",
            Self::Replayed => "replayed",
        }
    }
}
