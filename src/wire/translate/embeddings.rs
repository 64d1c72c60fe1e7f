//! Embeddings between formats: texts in, a vector for each out. Their own small exchange, for nothing of a conversation
//! is in it.

mod argo;
mod gemini;
mod openai;
#[cfg(test)]
mod tests;

use aiproxy_filters::Endpoint;
use serde_json::Number;

use super::fields::parse;
use super::{AnswerFacts, Dropped, TranslateError};

/// The format of bodies that ask for embeddings or give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenAI's `embeddings`.
    Openai,
    /// Gemini's `embedContent` and `batchEmbedContents`.
    Gemini,
    /// Argo's `embed`, which has no clients of its own.
    Argo,
}

impl Format {
    /// The format of an endpoint's bodies. `None` where they are no embeddings.
    pub fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::Embeddings => Some(Self::Openai),
            Endpoint::EmbedContent => Some(Self::Gemini),
            Endpoint::ArgoEmbed => Some(Self::Argo),
            _ => None,
        }
    }
}

/// A call that was asked: what its answer must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    client: Format,
    provider: Format,
    /// How many texts were asked about.
    texts: usize,
    shape: Shape,
}

/// How the client wants its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As lists of numbers.
    Lists,
    /// As base64 of 32-bit floats, the lowest byte first.
    Base64,
    /// As the one that it is.
    Single,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    texts: Vec<String>,
    dimensions: Option<Number>,
    shape: Shape,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Default)]
struct Answer {
    model: Option<String>,
    /// In the order of the texts.
    vectors: Vec<Vec<f64>>,
    /// Tokens of the texts. `None` where the provider does not say.
    tokens: Option<u64>,
}

/// Writes a request in another format, for a model of that side.
///
/// # Errors
/// [`TranslateError`] when it asks for what the other format cannot say, or is not what its own format has.
pub fn request(
    client: Format,
    provider: Format,
    body: &[u8],
    model: &str,
) -> Result<(Call, Vec<u8>, Dropped), TranslateError> {
    let mut dropped = Dropped::default();
    let body = parse(body)?;
    let asked = match client {
        Format::Openai => openai::read_request(body, &mut dropped)?,
        Format::Gemini => gemini::read_request(body, &mut dropped)?,
        Format::Argo => return Err(TranslateError::Malformed("nobody asks so".to_owned())),
    };
    let call = Call {
        client,
        provider,
        texts: asked.texts.len(),
        shape: asked.shape,
    };
    let written = match provider {
        Format::Openai => openai::write_request(asked, model),
        Format::Gemini => gemini::write_request(asked, model),
        Format::Argo => argo::write_request(asked, model, &mut dropped),
    };
    Ok((call, written.to_string().into_bytes(), dropped))
}

/// Writes an answer in the client's format.
///
/// # Errors
/// [`TranslateError`] when it is not what its format has, or has not a vector for each text.
pub fn answer(
    call: Call,
    body: &[u8],
    facts: &AnswerFacts,
) -> Result<(Vec<u8>, Dropped), TranslateError> {
    let mut dropped = Dropped::default();
    let body = parse(body)?;
    let answer = match call.provider {
        Format::Openai => openai::read_answer(body, &mut dropped)?,
        Format::Gemini => gemini::read_answer(body, &mut dropped)?,
        Format::Argo => argo::read_answer(body, &mut dropped)?,
    };
    if answer.vectors.len() != call.texts {
        let (got, wanted) = (answer.vectors.len(), call.texts);
        let wrong = format!("{got} embeddings for {wanted} texts");
        return Err(TranslateError::Malformed(wrong));
    }
    let written = match call.client {
        Format::Openai | Format::Argo => openai::write_answer(answer, call.shape, facts),
        Format::Gemini => gemini::write_answer(answer, call.shape),
    };
    Ok((written.to_string().into_bytes(), dropped))
}
