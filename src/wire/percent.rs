//! Percent signs in paths and queries (RFC 3986, section 2.1).

/// A piece of a target with its percent signs resolved; `None` where they are none, or give no text.
pub fn decoded(piece: &str) -> Option<String> {
    let mut bytes = piece.bytes();
    let mut decoded = Vec::with_capacity(piece.len());
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| char::from(byte.unwrap_or(b'x')).to_digit(16);
        match byte {
            b'%' => decoded.push(u8::try_from(hex(bytes.next())? * 16 + hex(bytes.next())?).ok()?),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

/// Adds a name as one segment of a path.
pub fn push_encoded(url: &mut String, name: &str) {
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut encoded = String::new();
        push_encoded(&mut encoded, "a/b é");
        assert_eq!(encoded, "a%2Fb%20%C3%A9");
        assert_eq!(decoded(&encoded).as_deref(), Some("a/b é"));
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
