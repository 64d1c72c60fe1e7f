//! How a field of the record becomes a value, and back.

use std::borrow::Cow;

use serde_json::Value;

use crate::database::value::{Cell, Datum, Kind};

/// A field of the record.
pub(super) trait Field {
    /// Its value.
    fn cell(&self, kind: Kind) -> Cell<'_>;
    /// Takes a value that was read. One of another kind, which the schema excludes, leaves the field.
    fn set(&mut self, value: Datum);
}

/// Texts hold no NUL in SQL: PostgreSQL refuses it, SQLite stops reading at it.
fn text(text: &str) -> Cow<'_, str> {
    match memchr::memchr(0, text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace('\0', "\u{fffd}")),
    }
}

/// JSON that `jsonb` takes too. It refuses the escapes of NUL and of lone surrogates; nearly no text has an
/// escape of that form, so nearly no text is parsed.
fn json(json: &str) -> Cow<'_, str> {
    if memchr::memmem::find(json.as_bytes(), b"\\u").is_none() {
        return text(json);
    }
    match serde_json::from_str::<Value>(json) {
        Ok(value) => Cow::Owned(without_nul(value).to_string()),
        Err(_) => Cow::Owned(Value::String(json.to_owned()).to_string()),
    }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(inner) => Value::String(text(&inner).into_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (text(&name).into_owned(), without_nul(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

impl Field for String {
    fn cell(&self, kind: Kind) -> Cell<'_> {
        Cell::Text(if kind == Kind::Json {
            json(self)
        } else {
            text(self)
        })
    }

    fn set(&mut self, value: Datum) {
        if let Datum::Text(text) = value {
            *self = text;
        }
    }
}

impl Field for i64 {
    fn cell(&self, kind: Kind) -> Cell<'_> {
        if kind == Kind::Time {
            Cell::Time(*self)
        } else {
            Cell::Integer(*self)
        }
    }

    fn set(&mut self, value: Datum) {
        if let Datum::Integer(number) | Datum::Time(number) = value {
            *self = number;
        }
    }
}

impl Field for i32 {
    fn cell(&self, _: Kind) -> Cell<'_> {
        Cell::Integer((*self).into())
    }

    fn set(&mut self, value: Datum) {
        if let Datum::Integer(number) = value {
            *self = i32::try_from(number).unwrap_or_default();
        }
    }
}

impl Field for u16 {
    fn cell(&self, _: Kind) -> Cell<'_> {
        Cell::Integer((*self).into())
    }

    fn set(&mut self, value: Datum) {
        if let Datum::Integer(number) = value {
            *self = u16::try_from(number).unwrap_or_default();
        }
    }
}

impl Field for f64 {
    fn cell(&self, _: Kind) -> Cell<'_> {
        Cell::Double(*self)
    }

    fn set(&mut self, value: Datum) {
        if let Datum::Double(number) = value {
            *self = number;
        }
    }
}

impl Field for bool {
    fn cell(&self, _: Kind) -> Cell<'_> {
        Cell::Boolean(*self)
    }

    fn set(&mut self, value: Datum) {
        if let Datum::Boolean(truth) = value {
            *self = truth;
        }
    }
}

impl<T: Field + Default> Field for Option<T> {
    fn cell(&self, kind: Kind) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, |value| value.cell(kind))
    }

    fn set(&mut self, value: Datum) {
        *self = match value {
            Datum::Null => None,
            value => {
                let mut inner = T::default();
                inner.set(value);
                Some(inner)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_their_nul() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        assert_eq!(text("ab"), "ab");
    }

    #[test]
    fn json_is_what_jsonb_takes() {
        for (given, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
            (r#"{"a":"x\u0000y"}"#, "{\"a\":\"x\u{fffd}y\"}"),
            (r#"{"a":"\\u0000\u0000"}"#, "{\"a\":\"\\\\u0000\u{fffd}\"}"),
            (r#"{"a":"\u00e4"}"#, r#"{"a":"ä"}"#),
            (r#"{"a":"\ud800"}"#, r#""{\"a\":\"\\ud800\"}""#),
        ] {
            assert_eq!(json(given), expected);
        }
    }
}
