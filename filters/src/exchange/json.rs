//! Looking into JSON text without building a tree: members, items and strings as they stand.
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// One member of an object: the key with its quotes, and the value, both as they stand.
pub(crate) type Member<'a> = (&'a str, &'a str);

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push((key.get(), value.get()));
        }
        Ok(members)
    }
}

/// The members of an object in their order, `None` when the text is no valid object.
pub(crate) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(MembersVisitor).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

/// The items of an array, `None` when the text is no valid array.
pub(crate) fn items(text: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// Whether a key as it stands (with quotes) spells `name`.
pub(crate) fn key_is(raw_key: &str, name: &str) -> bool {
    let inner = raw_key
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => inner == name,
        Some(_) => string(raw_key).is_some_and(|key| key == name),
        None => false,
    }
}

/// The value of the first member called `name`.
pub(crate) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    find(&members(text)?, name)
}

/// The value of the first member called `name` in a list of members.
pub(crate) fn find<'a>(members: &[Member<'a>], name: &str) -> Option<&'a str> {
    members
        .iter()
        .find(|(key, _)| key_is(key, name))
        .map(|(_, value)| *value)
}

/// Where `part`, which must be a slice of `whole`, stands in it.
pub(crate) fn range_in(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

/// The decoded text of a JSON string; a lone surrogate escape reads as U+FFFD.
/// `None` when the value is no string.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(_) => Some(Cow::Owned(decode(inner).0)),
    }
}

/// The text that is spelt like this between the quotes of a JSON string; a lone surrogate reads as U+FFFD.
pub fn read_spelling(inner: &str) -> String {
    decode(inner).0
}

/// Writes `text` as the JSON string that takes the place of `before`. Lone surrogate escapes of
/// `before` stay escapes as long as the new text keeps their places (U+FFFD) in number.
pub(crate) fn string_in_place_of(before: &str, text: &str) -> String {
    let encoded = encode(text);
    if !encoded.contains('\u{fffd}') {
        return encoded;
    }
    let inner = before
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or("");
    let marks = decode(inner).1;
    if marks.len() != encoded.matches('\u{fffd}').count() {
        return encoded;
    }
    let mut kept = String::with_capacity(encoded.len() + 6 * marks.len());
    let mut pieces = encoded.split('\u{fffd}');
    kept.push_str(pieces.next().unwrap_or(""));
    for (mark, piece) in marks.iter().zip(pieces) {
        kept.push_str(mark);
        kept.push_str(piece);
    }
    kept
}

/// `text` as a JSON string with its quotes.
pub(crate) fn encode(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Decodes the inside of a JSON string leniently. Beside the text: for every U+FFFD in it, in
/// order, how it was spelt (a lone surrogate's escape, or the character itself).
fn decode(inner: &str) -> (String, Vec<&str>) {
    let mut text = String::with_capacity(inner.len());
    let mut marks = Vec::new();
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        let (character, length) = match first {
            '\\' => unescape(rest),
            plain => (plain, plain.len_utf8()),
        };
        let (spelt, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if character == '\u{fffd}' {
            marks.push(spelt);
        }
        text.push(character);
        rest = after;
    }
    (text, marks)
}

/// The character that the escape at the start of `rest` stands for, and the escape's length.
fn unescape(rest: &str) -> (char, usize) {
    let bytes = rest.as_bytes();
    let plain = |character| (character, 2);
    match bytes.get(1) {
        Some(b'n') => plain('\n'),
        Some(b't') => plain('\t'),
        Some(b'r') => plain('\r'),
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(b'u') => unescape_unicode(rest),
        Some(other) => plain(char::from(*other)),
        None => ('\\', 1),
    }
}

fn unescape_unicode(rest: &str) -> (char, usize) {
    let unit = |at: usize| {
        let hex = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(hex, 16).ok()
    };
    let units = [unit(0).unwrap_or(0xfffd), unit(6).unwrap_or(0)];
    match char::decode_utf16(units).next() {
        Some(Ok(character)) => (character, 6 * character.len_utf16()),
        Some(Err(_)) | None => ('\u{fffd}', 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_order_and_spelling() {
        let text = r#" { "a" : 1.50 , "b\u0063":[ 1 , 2 ], "\ud800":"x" } "#;
        let found = members(text).unwrap();
        assert_eq!(
            found,
            [
                (r#""a""#, "1.50"),
                (r#""b\u0063""#, "[ 1 , 2 ]"),
                (r#""\ud800""#, "\"x\"")
            ]
        );
        assert_eq!(find(&found, "bc"), Some("[ 1 , 2 ]"));
        let range = range_in(text, found[1].1);
        assert_eq!(text.get(range), Some("[ 1 , 2 ]"));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "[]", "1", "{", "{}x", r#"{"a":}"#, r#"{"a":NaN}"#] {
            assert!(members(text).is_none(), "{text}");
        }
    }

    #[test]
    fn strings_are_decoded() {
        for (raw, expected) in [
            (r#""plain""#, "plain"),
            (r#""a\n\"\u00e9\ud83d\ude00""#, "a\n\"é😀"),
            (r#""a\ud800b""#, "a\u{fffd}b"),
            (r#""\ud800\n\/""#, "\u{fffd}\n/"),
            (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
        ] {
            assert_eq!(string(raw).as_deref(), Some(expected), "{raw}");
        }
        assert_eq!(string("12"), None);
    }

    #[test]
    fn lone_surrogates_stay_escapes_in_an_edited_text() {
        let edited =
            string_in_place_of(r#""bad \ud800 bad \uDFFF�""#, "*** \u{fffd} *** \u{fffd}�");
        assert_eq!(edited, r#""*** \ud800 *** \uDFFF�""#);
        assert_eq!(string_in_place_of(r#""\ud800""#, "gone"), r#""gone""#);
    }
}
