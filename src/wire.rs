//! Formats on the wire, as pure functions over bytes: no socket, no clock, no configuration. The request path uses
//! `json_check` and `relay_scanner`; the rest decodes what was recorded, on the writer's side. Nothing here fails on
//! an odd shape: what cannot be read is `None`.

pub mod anthropic;
pub mod argo;
pub mod asksage;
pub mod aws_event_stream;
pub mod bedrock;
pub mod chat_forms;
pub mod content;
pub mod decoded;

pub mod found;
pub mod frame_scanner;
pub mod gemini;
pub mod json_check;
pub mod json_error;
pub mod json_reader;
pub mod json_text;
pub mod listed_model;
pub mod model_list;
pub mod ocf;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_embeddings;
pub mod openai_responses;
pub mod percent;
pub mod relay_scanner;
pub mod request;
pub mod sse;
pub mod stream_scanner;
pub mod translate;
pub mod usage;

use std::borrow::Cow;

use aiproxy_filters::Endpoint;

pub use self::decoded::Decoded;
pub use self::request::RequestFacts;

/// What of a request is counted as prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptPieces<'a> {
    /// Whether the rules of chat hold: so much for each message, each name and the reply.
    pub chat: bool,
    /// Number of messages.
    pub messages: u64,
    /// Number of messages with a name.
    pub names: u64,
    /// Texts to be counted.
    pub texts: Vec<Cow<'a, str>>,
    /// Tokens that the client gave as numbers.
    pub token_numbers: u64,
    /// Whether something is in it that only the upstream can count: images, audio, a stored conversation.
    pub odd: bool,
    /// Whether the body breaks off or is not JSON.
    pub broken: bool,
}

/// Reads a whole answer.
pub fn decode_whole(endpoint: Endpoint, body: &[u8]) -> Decoded {
    let text = valid_prefix(body);
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => openai_chat::decode_whole(text),
        Endpoint::Responses => openai_responses::decode_whole(text),
        Endpoint::Messages | Endpoint::MessagesCountTokens => anthropic::decode_whole(text),
        Endpoint::GenerateContent | Endpoint::CountTokens | Endpoint::EmbedContent => {
            gemini::decode_whole(text)
        }
        Endpoint::BedrockInvoke | Endpoint::BedrockConverse => {
            bedrock::decode_whole(endpoint, text)
        }
        Endpoint::AsksageQuery => asksage::decode_whole(text),
        Endpoint::ArgoChat => argo::decode_whole(text),
        Endpoint::Embeddings | Endpoint::ArgoEmbed | Endpoint::Models | Endpoint::Passthrough => {
            openai_embeddings::decode_whole(text)
        }
    }
}

/// Reads an event stream.
pub fn decode_stream(endpoint: Endpoint, body: &[u8]) -> Decoded {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => openai_chat::decode_stream(body),
        Endpoint::Responses => openai_responses::decode_stream(body),
        Endpoint::Messages => anthropic::decode_stream(body),
        Endpoint::GenerateContent => gemini::decode_stream(body),
        Endpoint::BedrockInvoke | Endpoint::BedrockConverse => {
            bedrock::decode_stream(endpoint, body)
        }
        Endpoint::ArgoChat => argo::decode_stream(body),
        Endpoint::MessagesCountTokens
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::Embeddings
        | Endpoint::AsksageQuery
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => Decoded {
            event_count: sse::events(body).count() as u64,
            ..Decoded::default()
        },
    }
}

/// Reads a request: the text of its last message, if that is wanted, and who asks.
pub fn decode_request(endpoint: Endpoint, body: &[u8], wants_text: bool) -> RequestFacts {
    request::decode(endpoint, valid_prefix(body), wants_text)
}

/// What of a request is counted as prompt. `None` where the endpoint has no such thing.
pub fn prompt_pieces(endpoint: Endpoint, body: &[u8]) -> Option<PromptPieces<'_>> {
    let text = valid_prefix(body);
    match endpoint {
        Endpoint::ChatCompletions => Some(openai_chat::prompt_pieces(text)),
        Endpoint::Completions => Some(openai_completions::prompt_pieces(text, "prompt")),
        Endpoint::Embeddings => Some(openai_completions::prompt_pieces(text, "input")),
        Endpoint::ArgoEmbed => Some(openai_completions::prompt_pieces(text, "prompt")),
        Endpoint::Responses => Some(openai_responses::prompt_pieces(text)),
        Endpoint::Messages => Some(anthropic::prompt_pieces(text)),
        Endpoint::GenerateContent | Endpoint::EmbedContent => Some(gemini::prompt_pieces(text)),
        // Models that make pictures or vectors may be asked in ways that nobody knows.
        Endpoint::BedrockInvoke => Some(bedrock::invoke_prompt_pieces(text))
            .filter(|pieces| 0 < pieces.messages || !pieces.texts.is_empty()),
        Endpoint::BedrockConverse => Some(bedrock::converse_prompt_pieces(text)),
        Endpoint::AsksageQuery => Some(asksage::prompt_pieces(text)),
        Endpoint::ArgoChat => Some(argo::prompt_pieces(text)),
        Endpoint::MessagesCountTokens
        | Endpoint::CountTokens
        | Endpoint::Models
        | Endpoint::Passthrough => None,
    }
}

/// The body as far as it is UTF-8, a BOM left out.
fn valid_prefix(body: &[u8]) -> &str {
    let body = body.strip_prefix(sse::BOM).unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default(),
    }
}
