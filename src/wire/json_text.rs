//! Inside of JSON strings: where the next special byte stands, and escapes undone.

/// Index of the first quote, backslash or control character at or after `from`; the length where there is none.
/// In safe code: eight bytes at a time by arithmetic on words, and in long plain runs as many as the compiler compares at once.
#[inline]
pub fn plain_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        if let Some(found) = special_in(eight) {
            return at + found;
        }
        at = plain_run_end(bytes, at + 8);
    }
    while let Some(byte) = bytes.get(at) {
        if is_special(*byte) {
            return at;
        }
        at += 1;
    }
    at
}

/// As far from `at` as blocks without any special byte go.
fn plain_run_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
        // Without a branch for each byte, so that it becomes vector instructions.
        if block
            .iter()
            .fold(false, |any, byte| any | is_special(*byte))
        {
            break;
        }
        at += 32;
    }
    at
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The place of the first special byte.
fn special_in(eight: &[u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(*eight);
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    // The lowest flagged byte is exact; borrows only disturb the ones above it.
    let special = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    let special = special & HIGHS;
    (special != 0).then(|| (special.trailing_zeros() / 8) as usize)
}

/// Length of the escape that `rest` begins with; `None` when there is no such escape.
pub fn escape_length(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => rest
            .get(2..6)?
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then_some(6),
        _ => None,
    }
}

/// The text of the inside of a valid JSON string. Lone surrogates and `\u0000` stay escapes: a text of Rust cannot
/// hold the first, one of PostgreSQL not the second.
pub fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        text.push_str(plain);
        let Some(length) = escape_length(escape.as_bytes()) else {
            text.push_str(escape);
            return text;
        };
        let (escape, after) = escape.split_at(length);
        rest = after;
        match simple_escape(escape) {
            Some(character) => text.push(character),
            None => rest = push_unicode(&mut text, escape, after),
        }
    }
    text.push_str(rest);
    text
}

fn simple_escape(escape: &str) -> Option<char> {
    Some(match escape.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// Pushes a `\uXXXX`, together with the second half of a pair when `after` begins with it; gives what follows.
fn push_unicode<'a>(text: &mut String, escape: &str, after: &'a str) -> &'a str {
    let Some(unit) = unit(escape) else {
        text.push_str(escape);
        return after;
    };
    if (0xd800..0xdc00).contains(&unit)
        && let Some(low) = after.get(..6).and_then(self::unit)
        && (0xdc00..0xe000).contains(&low)
    {
        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        text.extend(char::from_u32(code));
        return after.get(6..).unwrap_or_default();
    }
    match char::from_u32(unit) {
        Some(character) if unit != 0 => text.push(character),
        _ => text.push_str(escape),
    }
    after
}

fn unit(escape: &str) -> Option<u32> {
    u32::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        assert_eq!(unescape(raw), expected, "{raw}");
    }

    #[test]
    fn escapes_are_undone() {
        check("plain", "plain");
        check(r#"a\"b\\c\/d\b\f\n\r\t"#, "a\"b\\c/d\u{8}\u{c}\n\r\t");
        check(r"\u00e9\u20AC", "é€");
        check(r"\ud83d\ude00!", "😀!");
    }

    #[test]
    fn what_no_text_can_hold_stays_an_escape() {
        check(r"\ud800", r"\ud800");
        check(r"a\ud800b", r"a\ud800b");
        check(r"\udc00\ud800", r"\udc00\ud800");
        check(r"\ud800\ud83d\ude00", r"\ud800😀");
        check(r"\ud83d\u0041", r"\ud83dA");
        check(r"\u0000", r"\u0000");
    }

    #[test]
    fn the_first_special_byte_is_found() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for place in 0..40 {
                let mut bytes = vec![b'x'; 40];
                bytes[place] = special;
                assert_eq!(plain_end(&bytes, 0), place);
            }
        }
        for plain in 0x20..=0xff_u8 {
            let expected = if matches!(plain, b'"' | b'\\') { 0 } else { 17 };
            assert_eq!(plain_end(&[plain; 17], 0), expected, "{plain:#x}");
        }
    }
}
