//! Text of others on one line: what may steer a terminal or forge a line of a log is written as an escape.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every control character, line or paragraph separator and direction mark written as `\n`, `\t` or
/// `\u{1b}`; borrowed when there is none.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !steers(c) {
            escaped.push(c);
        } else if write!(escaped, "{}", c.escape_default()).is_err() {
            // Writing to a String does not fail; a lost escape would still be safe.
            continue;
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character moves the cursor, ends a line, or turns the direction of what follows.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_steers_is_escaped_and_the_rest_is_left() {
        for (text, expected) in [
            ("plain, ünï → ok", "plain, ünï → ok"),
            ("two\nlines\r", "two\\nlines\\r"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\u{202e}b\u{2028}c\u{9b}", "a\\u{202e}b\\u{2028}c\\u{9b}"),
            ("\0\x7f", "\\u{0}\\u{7f}"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}
