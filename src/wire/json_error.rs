//! Why a text is not the JSON that was wanted.

/// Why a text could not be read. Offsets are bytes from the start of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON by RFC 8259, or not what had to stand there.
    #[error("invalid JSON at byte {offset}: {reason}")]
    Invalid {
        /// Where.
        offset: usize,
        /// What was expected or is not allowed.
        reason: &'static str,
    },
    /// Nested deeper than the limit.
    #[error("JSON nested deeper than {limit} levels at byte {offset}")]
    TooDeep {
        /// Where the level begins that is too deep.
        offset: usize,
        /// The limit.
        limit: u32,
    },
    /// More keys in one object than the limit.
    #[error("JSON object with more than {limit} keys at byte {offset}")]
    TooManyKeys {
        /// Where the first key too many stands.
        offset: usize,
        /// The limit.
        limit: u32,
    },
    /// A key that decides something stands there twice.
    #[error("duplicate key `{name}` at byte {offset}")]
    DuplicateKey {
        /// Which one.
        name: &'static str,
        /// Where its second occurrence stands.
        offset: usize,
    },
}
