//! Lists of models as providers give them, read for what can be asked for: a reader for each shape, all within the same
//! bounds. What is no list is an error that says what came, never its words, which may hold a key.
//!
//! Sources: the API references of OpenAI, Anthropic, Gemini and Azure OpenAI, each its page on models (read 2026-11); of
//! Argo, Ask Sage and OCF their own files.

mod members;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use super::listed_model::ListedModel;
use super::translate::{TranslateError, error};
use super::{argo, asksage};

use self::members::Entries;
pub(super) use self::members::Members;

/// Most models of a provider.
pub const MOST_MODELS: usize = 50_000;

/// Longest name of a model, in bytes.
pub const NAME_BYTES: usize = 512;

/// Longest other text that is kept of a list, in bytes.
const TEXT_BYTES: usize = 256;

/// Longest error in the place of a list whose word is looked for, in bytes.
const ERROR_BYTES: usize = 64 * 1024;

/// A model that a provider lists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// Its name there.
    pub id: String,
    /// What the provider calls it, where clients write another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_name: Option<String>,
    /// Whose it is; `None` where the list does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    /// When it was made, in seconds since the Unix epoch; `None` where the list does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_s: Option<i64>,
    /// What it runs on, such as `4x NVIDIA GH200 120GB`; `Unknown` where a node does not say, `None` where lists never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How many nodes serve it; 1 where the list knows none.
    pub nodes: u32,
}

/// A list, or a page of one.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The models, as they stand there. Entries without a name that can be used are left out.
    pub models: Vec<Found>,
    /// What the next page is asked for with; `None` on the last one.
    pub next: Option<String>,
}

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Something else came.
    #[error("the answer is {0}, not a list of models")]
    Other(&'static str),
    /// The provider reports an error under a good status.
    #[error("the answer reports an error{0}")]
    Reported(String),
    /// It is too long.
    #[error("the list has more than {MOST_MODELS} entries")]
    TooMany,
    /// It has no model, or none with a name that can be used.
    #[error("the list names no model")]
    Empty,
}

/// A reader of lists.
pub type Read = fn(&[u8]) -> Result<Page, ListError>;

// === impl ListError ===

impl ListError {
    /// Without the word of the provider's where it holds one of these: a key of ours, that it sends back.
    pub fn without<'a>(self, mut secrets: impl Iterator<Item = &'a str>) -> Self {
        match self {
            Self::Reported(word) if secrets.any(|secret| word.contains(secret)) => {
                Self::Reported(String::new())
            }
            other => other,
        }
    }
}

// === impl Found ===

impl Found {
    /// A model of which nothing but the name is known.
    pub fn named(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            internal_name: None,
            owned_by: None,
            created_s: None,
            device: None,
            nodes: 1,
        }
    }

    /// Whether all of it is within the bounds of what is read from lists.
    pub fn is_sound(&self) -> bool {
        let texts = [&self.internal_name, &self.owned_by, &self.device];
        is_name(&self.id) && texts.into_iter().flatten().all(|text| is_text(text))
    }
}

/// Whether a name can be used: not empty, not too long, on one line.
pub fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES && !name.chars().any(char::is_control)
}

fn is_text(text: &str) -> bool {
    is_name(text) && text.len() <= TEXT_BYTES
}

/// OpenAI's list, and what servers that are compatible with it make of it: an array without an object around it, entries
/// that are names alone, times that are none.
///
/// # Errors
/// [`ListError`].
pub fn openai(body: &[u8]) -> Result<Page, ListError> {
    let entries = match first(body)? {
        b'[' => Entries::read(body)?,
        _ => data(&Members::of(body)?)?,
    };
    Ok(Page {
        models: entries.0.iter().filter_map(|entry| named(entry)).collect(),
        next: None,
    })
}

/// Anthropic's list; `next` is the id behind which the next page begins.
///
/// # Errors
/// [`ListError`].
pub fn anthropic(body: &[u8]) -> Result<Page, ListError> {
    let members = Members::of(body)?;
    let entries = data(&members)?;
    let has_more = members.get("has_more").is_some_and(|more| more == "true");
    let last = members.get("last_id").and_then(text);
    Ok(Page {
        models: entries.0.iter().filter_map(|entry| named(entry)).collect(),
        next: last.filter(|_| has_more),
    })
}

/// Gemini's list, without the `models/` before its names; `next` is the token of the next page.
///
/// # Errors
/// [`ListError`].
pub fn gemini(body: &[u8]) -> Result<Page, ListError> {
    let members = Members::of(body)?;
    let entries = list(&members, "models")?;
    let models = entries.0.iter().filter_map(|entry| {
        let entry = Members::of(entry.get().as_bytes()).ok()?;
        let name = entry.get("name").and_then(text)?;
        let name = name.strip_prefix("models/").unwrap_or(&name);
        is_name(name).then(|| Found::named(name))
    });
    let next = members.get("nextPageToken").and_then(text);
    Ok(Page {
        models: models.collect(),
        next: next.filter(|token| !token.is_empty()),
    })
}

/// Azure's list of deployments, whose names are what can be asked for; those that are being made or have failed are none.
/// A list of models is read as well.
///
/// # Errors
/// [`ListError`].
pub fn azure(body: &[u8]) -> Result<Page, ListError> {
    let entries = data(&Members::of(body)?)?;
    let models = entries.0.iter().filter_map(|entry| {
        let stands = Members::of(entry.get().as_bytes());
        let status = stands
            .ok()
            .and_then(|stands| stands.get("status").and_then(text));
        let is_there = status.is_none_or(|status| status == "succeeded");
        named(entry).filter(|_| is_there)
    });
    Ok(Page {
        models: models.collect(),
        next: None,
    })
}

/// Argo's list, by the names that clients write.
///
/// # Errors
/// [`ListError`].
pub fn argo(body: &[u8]) -> Result<Page, ListError> {
    of_listed(body, argo::models)
}

/// Ask Sage's list of models of text.
///
/// # Errors
/// [`ListError`].
pub fn asksage(body: &[u8]) -> Result<Page, ListError> {
    of_listed(body, asksage::models)
}

/// A list that is read for clients already.
fn of_listed(
    body: &[u8],
    read: fn(&[u8]) -> Result<Vec<ListedModel>, TranslateError>,
) -> Result<Page, ListError> {
    first(body)?;
    let listed = read(body).map_err(|error| match error {
        TranslateError::Reported(error) => ListError::Reported(word(error.code.or(error.kind))),
        _ => other(body),
    })?;
    if MOST_MODELS < listed.len() {
        return Err(ListError::TooMany);
    }
    let sound = listed.into_iter().filter(|model| is_name(&model.id));
    let models = sound.map(|model| Found {
        internal_name: model.internal_name.filter(|name| is_text(name)),
        owned_by: Some(model.owned_by).filter(|owner| is_text(owner)),
        created_s: model.created_s,
        ..Found::named(model.id)
    });
    Ok(Page {
        models: models.collect(),
        next: None,
    })
}

/// An entry with an `id`, or one that is a name. What else is in it, of any length, is passed over and not kept.
fn named(entry: &RawValue) -> Option<Found> {
    if let Some(id) = text(entry.get()) {
        return is_name(&id).then(|| Found::named(id));
    }
    let entry = Members::of(entry.get().as_bytes()).ok()?;
    let id = entry.get("id").and_then(text)?;
    let owner = ["owned_by", "owner"].iter();
    let owner = owner.filter_map(|name| entry.get(name).and_then(text));
    let mut owner = owner.filter(|owner| is_text(owner));
    let created = ["created", "created_at"].iter();
    let mut created = created.filter_map(|name| entry.get(name).and_then(seconds));
    is_name(&id).then(|| Found {
        owned_by: owner.next(),
        created_s: created.next(),
        ..Found::named(id)
    })
}

/// A time: seconds as a number or as a text, or a date. `na` is none.
fn seconds(raw: &str) -> Option<i64> {
    if raw.starts_with(['[', '{']) {
        return None;
    }
    match serde_json::from_str(raw).ok()? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(whole_seconds)),
        Value::String(text) => text
            .parse::<i64>()
            .ok()
            .or_else(|| Some(text.parse::<Timestamp>().ok()?.as_second())),
        _ => None,
    }
}

fn whole_seconds(seconds: f64) -> Option<i64> {
    let since = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Some(since.as_secs())
}

/// The first byte of a body that may be JSON.
fn first(body: &[u8]) -> Result<u8, ListError> {
    match body.trim_ascii_start().first() {
        Some(first @ (b'[' | b'{')) => Ok(*first),
        _ => Err(other(body)),
    }
}

/// What a body is that is no list.
fn other(body: &[u8]) -> ListError {
    let begin = body.trim_ascii_start();
    ListError::Other(match begin.first() {
        None => "empty",
        Some(b'<') => "an HTML page",
        Some(b'[' | b'{') if serde_json::from_slice::<&RawValue>(body).is_err() => "broken JSON",
        Some(b'[' | b'{') => "JSON of another shape",
        Some(_) => "a text",
    })
}

/// The list in an object of OpenAI's or Anthropic's.
fn data<'a>(members: &Members<'a>) -> Result<Entries<'a>, ListError> {
    list(members, "data")
}

/// The list in an object, which may report an error instead.
fn list<'a>(members: &Members<'a>, name: &str) -> Result<Entries<'a>, ListError> {
    match members.get(name) {
        Some(list) if list.starts_with('[') => Entries::read(list.as_bytes()),
        _ if members.reports_error() => {
            // A long one is not an error's, and is not made into a tree.
            let body = Some(members.body()).filter(|body| body.len() <= ERROR_BYTES);
            let said = body.map(error);
            let word = word(said.and_then(|said| said.code.or(said.kind)));
            Err(ListError::Reported(word))
        }
        _ => Err(other(members.body())),
    }
}

fn text(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// A word of an error, in brackets, where it is one. Other words may be anything; keys have a hyphen.
fn word(said: Option<String>) -> String {
    let is_word = |said: &String| {
        (1..=64).contains(&said.len())
            && said
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    };
    said.filter(is_word)
        .map_or_else(String::new, |said| format!(" ({said})"))
}

#[cfg(test)]
mod tests;
