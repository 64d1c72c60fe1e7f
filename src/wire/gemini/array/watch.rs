//! Looks at an array while it passes: whether it came to its end, and whether one of its items is an error. Nothing is
//! held and nothing decoded, so a key that is spelt with escapes is not found.

use memchr::memchr2;

/// The key of an item that tells an error.
const ERROR: &[u8] = b"error";
const ERROR_LENGTH: usize = ERROR.len();

/// How deep the members of items stand.
const IN_ITEM: u32 = 2;

/// Watches an array go by, whatever its pieces.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArrayWatch {
    first: Option<u8>,
    last: Option<u8>,
    depth: u32,
    place: Place,
    has_error: bool,
}

/// Where in the text the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Outside,
    /// In a string of an item, which begins with so many letters of [`ERROR`] and nothing else.
    Word(usize),
    /// In a string that is another.
    Text,
    /// Behind a backslash in such a one.
    Escaped,
    /// Behind the word, which may be a key.
    BehindWord,
    /// Behind its colon.
    BeforeValue,
}

impl ArrayWatch {
    /// Takes the next bytes.
    pub fn see(&mut self, bytes: &[u8]) {
        let inside = bytes.trim_ascii();
        self.first = self.first.or(inside.first().copied());
        self.last = inside.last().copied().or(self.last);
        if self.first != Some(b'[') || self.has_error {
            return;
        }
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            self.place = self.behind(*byte);
            if self.place == Place::Text {
                let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                rest = rest.get(end..).unwrap_or_default();
            }
        }
    }

    fn behind(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::Word(ERROR_LENGTH), b'"') => Place::BehindWord,
            (Place::Word(_) | Place::Text, b'"') => Place::Outside,
            (Place::Word(_) | Place::Text, b'\\') => Place::Escaped,
            (Place::Word(seen), byte) if ERROR.get(seen) == Some(&byte) => Place::Word(seen + 1),
            (Place::Word(_) | Place::Text | Place::Escaped, _) => Place::Text,
            (place, b' ' | b'\t' | b'\r' | b'\n') => place,
            (Place::BehindWord, b':') => Place::BeforeValue,
            (Place::BeforeValue, byte) => {
                self.has_error |= byte != b'n';
                self.outside(byte)
            }
            (Place::Outside | Place::BehindWord, byte) => self.outside(byte),
        }
    }

    fn outside(&mut self, byte: u8) -> Place {
        match byte {
            b'"' if self.depth == IN_ITEM => return Place::Word(0),
            b'"' => return Place::Text,
            b'[' | b'{' => self.depth = self.depth.saturating_add(1),
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Place::Outside
    }

    /// Whether what came is an array's beginning.
    pub fn has_begun(self) -> bool {
        self.first == Some(b'[')
    }

    /// Whether an array has begun and not ended. (A bracket at the end of a piece may be another one; at the end of the
    /// body it is not.)
    pub fn is_open(self) -> bool {
        self.has_begun() && self.last != Some(b']')
    }

    /// Whether an item has an `error` that is not null.
    pub fn has_error(self) -> bool {
        self.has_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(body: &str, bytes: usize) -> ArrayWatch {
        let mut watch = ArrayWatch::default();
        body.as_bytes()
            .chunks(bytes)
            .for_each(|piece| watch.see(piece));
        watch
    }

    #[test]
    fn the_end_of_an_array_is_seen_whatever_its_pieces() {
        for bytes in 1..9 {
            for body in [" [{\"a\":[]},\n", "[{\"a\":1}", "["] {
                assert!(seen(body, bytes).is_open(), "{body}");
            }
            for body in ["[{\"a\":1}\n]\n ", "{\"a\":1}", ""] {
                assert!(!seen(body, bytes).is_open(), "{body}");
            }
        }
    }

    #[test]
    fn an_error_among_the_items_is_seen_whatever_its_pieces() {
        for bytes in 1..9 {
            for body in [
                r#"[{"error":{"code":503}}]"#,
                "[{\"a\":\"x\"}\n,\r\n{\n  \"error\" : {\n \"code\": 503 }}]",
                r#"[{"a":["\"",{}],"error":"gone"}"#,
                r#" [{"a":"\\"},{"error":{}"#,
            ] {
                assert!(seen(body, bytes).has_error(), "{body} by {bytes}");
            }
            for body in [
                r#"{"error":{"code":503}}"#,
                r#"[{"error":null},{"error": null}]"#,
                r#"[{"a":"error"},{"b":"error","c":{}}]"#,
                r#"[{"args":{"error":{"code":1}}}]"#,
                r#"[{"a":"\"error\":{}"}]"#,
                r#"[{"errors":1,"an_error":{},"erro":{},"x\"error":{}}]"#,
                r#"["error",{"a":1}]"#,
                r#"[["error"]]"#,
                "",
            ] {
                assert!(!seen(body, bytes).has_error(), "{body} by {bytes}");
            }
        }
    }
}
