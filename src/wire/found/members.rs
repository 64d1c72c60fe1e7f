//! The members of an object and the entries of an array as they are written, up to so many: a list is read without a tree
//! of it, and one that has no end in sight is not read on.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ListError, MOST_MODELS, first, other};

/// The entries of an array.
pub(super) struct Entries<'a>(pub(super) Vec<&'a RawValue>);

/// The members of an object, in their order; of two of one name the first is found.
pub(in crate::wire) struct Members<'a> {
    body: &'a [u8],
    members: Vec<(String, &'a RawValue)>,
}

/// What an error says that is about the number of entries.
const TOO_MANY: &str = "too many";

// === impl Entries ===

impl<'a> Entries<'a> {
    /// Reads an array.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ListError> {
        serde_json::from_slice(body).map_err(|error| unread(&error, body))
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(UpToMost).map(Self)
    }
}

// === impl Members ===

impl<'a> Members<'a> {
    /// Reads an object; whatever else came is told.
    pub(in crate::wire) fn of(body: &'a [u8]) -> Result<Self, ListError> {
        if first(body)? != b'{' {
            return Err(other(body));
        }
        let MemberList(members) =
            serde_json::from_slice(body).map_err(|error| unread(&error, body))?;
        Ok(Self { body, members })
    }

    /// All of them.
    pub(in crate::wire) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let members = self.members.iter();
        members.map(|(name, value)| (&**name, *value))
    }

    /// One of them, as it is written.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut found = self.members.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.get())
    }

    /// Whether they are those of an error.
    pub(super) fn reports_error(&self) -> bool {
        let is_told = |name| {
            let said = self.get(name);
            said.is_some_and(|said| !matches!(said, "null" | "false"))
        };
        is_told("error") || self.get("object") == Some("\"error\"")
    }

    /// The object.
    pub(super) fn body(&self) -> &'a [u8] {
        self.body
    }
}

struct MemberList<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for MemberList<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersUpToMost).map(Self)
    }
}

fn unread(error: &serde_json::Error, body: &[u8]) -> ListError {
    match error.to_string().starts_with(TOO_MANY) {
        true => ListError::TooMany,
        false => other(body),
    }
}

/// Collects entries up to so many.
struct UpToMost;

/// Collects members up to so many.
struct MembersUpToMost;

impl<'de> Visitor<'de> for UpToMost {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_element()? {
            if entries.len() == MOST_MODELS {
                return Err(A::Error::custom(TOO_MANY));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<'de> Visitor<'de> for MembersUpToMost {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = from.next_entry()? {
            if members.len() == MOST_MODELS {
                return Err(A::Error::custom(TOO_MANY));
            }
            members.push(member);
        }
        Ok(members)
    }
}
