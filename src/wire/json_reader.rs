//! A pull reader for JSON text: one pass, no tree, no copies, no recursion without a bound. It validates what it
//! steps over (RFC 8259), asks nothing about shapes, and leaves every string as its raw text until somebody wants it.
//! It does not build values and it never allocates, save for a text with escapes that is asked for.

use std::borrow::Cow;

use super::json_text;

pub use super::json_error::JsonError;

/// Deepest nesting that is read; the same for requests and answers.
pub const MAX_DEPTH: u32 = 128;

/// Most keys of one object, unless set otherwise.
pub const MAX_KEYS: u32 = 10_000;

/// What a value is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// The inside of a JSON string, quotes left out, escapes still in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawStr<'a> {
    /// As written.
    pub raw: &'a str,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The text. Lone surrogate escapes and `\u0000` stay escapes: nothing can hold what they mean.
    pub fn text(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(json_text::unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Whether the text equals `other`, also in another spelling (`mod\u0065l`).
    pub fn is(self, other: &str) -> bool {
        if self.escaped {
            self.text() == other
        } else {
            self.raw == other
        }
    }
}

/// Reads one JSON text.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    max_keys: u32,
}

type Step = Result<(), JsonError>;

impl<'a> Reader<'a> {
    /// Stands before the first value of `text`.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            max_keys: MAX_KEYS,
        }
    }

    /// With another limit for the keys of one object.
    pub fn with_max_keys(mut self, max_keys: u32) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Byte offset of what is read next.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// What was read since `start`, an earlier [`Reader::offset`].
    pub fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Kind of the next value; nothing is read but white space.
    ///
    /// # Errors
    /// When no value begins here.
    pub fn peek(&mut self) -> Result<Kind, JsonError> {
        match self.token() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.invalid("a value must stand here")),
            None => Err(self.invalid("the text ends where a value must stand")),
        }
    }

    /// Reads an object, calling `on_key` before each value; `on_key` must read exactly that value. Another kind of
    /// value is stepped over, and the answer is `false`.
    ///
    /// # Errors
    /// When the text is not JSON, too deep, or has too many keys.
    pub fn object(
        &mut self,
        mut on_key: impl FnMut(RawStr<'a>, &mut Self) -> Step,
    ) -> Result<bool, JsonError> {
        if self.peek()? != Kind::Object {
            self.skip()?;
            return Ok(false);
        }
        self.enter()?;
        if self.token() == Some(b'}') {
            self.leave();
            return Ok(true);
        }
        let mut keys = 0;
        loop {
            if self.token() != Some(b'"') {
                return Err(self.invalid("a key in quotes must stand here"));
            }
            keys += 1;
            if keys > self.max_keys {
                return Err(JsonError::TooManyKeys {
                    offset: self.at,
                    limit: self.max_keys,
                });
            }
            let key = self.quoted()?;
            if self.token() != Some(b':') {
                return Err(self.invalid("`:` must follow a key"));
            }
            self.at += 1;
            on_key(key, self)?;
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.invalid("`,` or `}` must stand here")),
            }
        }
        self.leave();
        Ok(true)
    }

    /// Reads an array, calling `on_item` before each value; `on_item` must read exactly that value. Another kind of
    /// value is stepped over, and the answer is `false`.
    ///
    /// # Errors
    /// When the text is not JSON or too deep.
    pub fn array(&mut self, mut on_item: impl FnMut(&mut Self) -> Step) -> Result<bool, JsonError> {
        if self.peek()? != Kind::Array {
            self.skip()?;
            return Ok(false);
        }
        self.enter()?;
        if self.token() == Some(b']') {
            self.leave();
            return Ok(true);
        }
        loop {
            on_item(self)?;
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.invalid("`,` or `]` must stand here")),
            }
        }
        self.leave();
        Ok(true)
    }

    /// Reads a string; another kind of value is stepped over and gives `None`.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn string(&mut self) -> Result<Option<RawStr<'a>>, JsonError> {
        if self.peek()? == Kind::String {
            return self.quoted().map(Some);
        }
        self.skip()?;
        Ok(None)
    }

    /// Reads `true` or `false`; another kind of value is stepped over and gives `None`.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn boolean(&mut self) -> Result<Option<bool>, JsonError> {
        let raw = self.raw()?;
        Ok(match raw {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// Reads any value and gives its text as written.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn raw(&mut self) -> Result<&'a str, JsonError> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        Ok(self.since(start))
    }

    /// Steps over any value, validating it.
    ///
    /// # Errors
    /// When the text is not JSON, too deep, or has too many keys.
    pub fn skip(&mut self) -> Step {
        match self.peek()? {
            // At most `MAX_DEPTH` calls deep: `enter` refuses more.
            Kind::Object => self.object(|_, reader| reader.skip()).map(|_| ()),
            Kind::Array => self.array(Self::skip).map(|_| ()),
            Kind::String => self.quoted().map(|_| ()),
            Kind::Number => self.number(),
            Kind::Bool if self.byte(0) == Some(b't') => self.word(b"true"),
            Kind::Bool => self.word(b"false"),
            Kind::Null => self.word(b"null"),
        }
    }

    /// Nothing but white space may follow.
    ///
    /// # Errors
    /// When something does.
    pub fn end(&mut self) -> Step {
        match self.token() {
            None => Ok(()),
            Some(_) => Err(self.invalid("something follows the end of the value")),
        }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Steps over white space; the byte that follows.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn invalid(&self, reason: &'static str) -> JsonError {
        JsonError::Invalid {
            offset: self.at,
            reason,
        }
    }

    fn enter(&mut self) -> Step {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep {
                offset: self.at,
                limit: MAX_DEPTH,
            });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn word(&mut self, word: &'static [u8]) -> Step {
        if !self
            .text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            return Err(self.invalid("`true`, `false` or `null` must stand here"));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Step {
        let start = self.at;
        while matches!(self.byte(0), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.invalid("a digit must stand here"))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Step {
        if self.byte(0) == Some(b'-') {
            self.at += 1;
        }
        if self.byte(0) == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte(0) == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// A string, from its opening quote.
    fn quoted(&mut self) -> Result<RawStr<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = json_text::plain_end(bytes, at);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    let Some(length) =
                        json_text::escape_length(bytes.get(at..).unwrap_or_default())
                    else {
                        self.at = at;
                        return Err(self.invalid("no such escape"));
                    };
                    at += length;
                }
                Some(_) => {
                    self.at = at;
                    return Err(self.invalid("a control character must be escaped"));
                }
                None => {
                    self.at = at;
                    return Err(self.invalid("the text ends inside a string"));
                }
            }
        }
        self.at = at + 1;
        Ok(RawStr {
            raw: self.text.get(start..at).unwrap_or_default(),
            escaped,
        })
    }
}

#[cfg(test)]
mod tests;
