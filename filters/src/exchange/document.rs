//! A JSON object over received bytes: an ordered list of (key, raw value), found when asked for.
//! An edit replaces one value; every other byte stays. Without an edit the bytes are the received
//! ones, reference count and all.
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::json;

/// Why a body cannot be read or edited by field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// A key stands twice, so that two readers may see two different values.
    #[error("the body names `{0}` more than once")]
    DuplicateKey(String),
    /// There is no such text to replace.
    #[error("there is no text to replace")]
    NoText,
}

/// A new text for a range of the document.
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) with: String,
}

#[derive(Debug, Clone)]
struct Field {
    key: Range<usize>,
    value: Range<usize>,
}

#[derive(Debug, Clone)]
enum Index {
    Fields(Arc<[Field]>),
    Broken(BodyError),
}

/// The bytes and, once asked for, where its members stand.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    bytes: Bytes,
    index: OnceLock<Index>,
    revision: u64,
}

impl Document {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            index: OnceLock::new(),
            revision: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How often the document was edited.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The whole text, `None` when it is not UTF-8.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// # Errors
    /// When the bytes are no JSON object, or one with a key twice.
    pub(crate) fn check(&self) -> Result<(), BodyError> {
        self.fields().map(|_| ())
    }

    /// The raw value of a member.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let fields = self.fields().ok()?;
        let field = fields.iter().find(|field| self.spells(field, key))?;
        self.slice(&field.value)
    }

    /// The raw value at a path of member names with dots between them.
    pub(crate) fn get_path(&self, path: &str) -> Option<&str> {
        let mut names = path.split('.');
        let mut value = self.get(names.next()?)?;
        for name in names {
            value = json::member(value, name)?;
        }
        Some(value)
    }

    /// The decoded string at a path.
    pub(crate) fn string(&self, path: &str) -> Option<Cow<'_, str>> {
        self.get_path(path).and_then(json::string)
    }

    /// The number at a path.
    pub(crate) fn number(&self, path: &str) -> Option<f64> {
        serde_json::from_str(self.get_path(path)?).ok()
    }

    /// Puts a value in the place of a member's, or adds the member at the end. A value that
    /// stands there already is no edit.
    ///
    /// # Errors
    /// See [`check`](Self::check).
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<(), BodyError> {
        let fields = self.fields()?;
        let edit = match fields.iter().find(|field| self.spells(field, key)) {
            Some(field) => {
                let with = value.to_string();
                if self.slice(&field.value) == Some(&with) {
                    return Ok(());
                }
                Edit {
                    range: field.value.clone(),
                    with,
                }
            }
            None => {
                let comma = if fields.is_empty() { "" } else { "," };
                let end = self.closing_brace();
                Edit {
                    range: end..end,
                    with: format!("{comma}{}:{value}", json::encode(key)),
                }
            }
        };
        self.splice(vec![edit]);
        Ok(())
    }

    /// Takes a member out, with the comma that goes with it. True when there was one.
    ///
    /// # Errors
    /// See [`check`](Self::check).
    pub(crate) fn remove(&mut self, key: &str) -> Result<bool, BodyError> {
        let fields = self.fields()?;
        let Some(at) = fields.iter().position(|field| self.spells(field, key)) else {
            return Ok(false);
        };
        let before = at.checked_sub(1).and_then(|at| fields.get(at));
        let range = match (before, fields.get(at), fields.get(at + 1)) {
            (_, Some(field), Some(next)) => field.key.start..next.key.start,
            (Some(before), Some(field), None) => before.value.end..field.value.end,
            (None, Some(field), None) => field.key.start..field.value.end,
            (_, None, _) => return Ok(false),
        };
        self.splice(vec![Edit {
            range,
            with: String::new(),
        }]);
        Ok(true)
    }

    /// Applies edits that do not overlap, and counts one revision when there are any.
    pub(crate) fn splice(&mut self, mut edits: Vec<Edit>) {
        if edits.is_empty() {
            return;
        }
        edits.sort_by_key(|edit| edit.range.start);
        let grown: usize = edits.iter().map(|edit| edit.with.len()).sum();
        let mut out = Vec::with_capacity(self.bytes.len() + grown);
        let mut at = 0;
        for edit in &edits {
            out.extend_from_slice(self.bytes.get(at..edit.range.start).unwrap_or_default());
            out.extend_from_slice(edit.with.as_bytes());
            at = edit.range.end;
        }
        out.extend_from_slice(self.bytes.get(at..).unwrap_or_default());
        self.bytes = Bytes::from(out);
        self.index = OnceLock::new();
        self.revision += 1;
    }

    fn fields(&self) -> Result<Arc<[Field]>, BodyError> {
        match self.index.get_or_init(|| read_index(&self.bytes)) {
            Index::Fields(fields) => Ok(Arc::clone(fields)),
            Index::Broken(error) => Err(error.clone()),
        }
    }

    fn spells(&self, field: &Field, key: &str) -> bool {
        self.slice(&field.key)
            .is_some_and(|raw| json::key_is(raw, key))
    }

    fn slice(&self, range: &Range<usize>) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(range.clone())?).ok()
    }

    fn closing_brace(&self) -> usize {
        self.bytes
            .iter()
            .rposition(|byte| *byte == b'}')
            .unwrap_or(self.bytes.len())
    }
}

fn read_index(bytes: &[u8]) -> Index {
    let members = std::str::from_utf8(bytes).ok().and_then(|text| {
        let members = json::members(text)?;
        let field = |(key, value)| Field {
            key: json::range_in(text, key),
            value: json::range_in(text, value),
        };
        let names: Vec<_> = members.iter().map(|(key, _)| json::string(key)).collect();
        let fields: Arc<[Field]> = members.into_iter().map(field).collect();
        Some((names, fields))
    });
    let Some((mut names, fields)) = members else {
        return Index::Broken(BodyError::NotAnObject);
    };
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => {
            let name = pair.first().cloned().flatten().unwrap_or_default();
            Index::Broken(BodyError::DuplicateKey(name.into_owned()))
        }
        None => Index::Fields(fields),
    }
}

#[cfg(test)]
mod tests;
