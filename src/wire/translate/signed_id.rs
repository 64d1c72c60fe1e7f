//! Signatures of Gemini's calls within the ids that clients of Anthropic's and Bedrock's give back: they know no other
//! place that goes round with a call. Gemini's newer models refuse calls without. Other providers get the bare id.

/// Between the id and the signature.
const MARK: &str = "__thought__";

/// What is named where a signature is not carried.
pub(super) const FIELD: &str = "functionCall.thoughtSignature";

/// Longest id of a call in `converse`. (`ToolUseBlock`.)
pub(super) const MOST_IN_CONVERSE: usize = 64;

/// The id with its signature, in letters that ids may have. `None` where that cannot be, or is too long.
pub(super) fn sign(id: &str, signature: &str, most_bytes: usize) -> Option<String> {
    let mut signed = [id, MARK].concat();
    for letter in signature.trim_end_matches('=').chars() {
        signed.push(match letter {
            '+' => '-',
            '/' => '_',
            letter if letter.is_ascii_alphanumeric() || "-_".contains(letter) => letter,
            _ => return None,
        });
    }
    (signed.len() <= most_bytes).then_some(signed)
}

/// The same of a signature as it is spelt in JSON.
pub(super) fn sign_spelt(id: &str, signature: &str, most_bytes: usize) -> Option<String> {
    let signature: String = serde_json::from_str(&format!("\"{signature}\"")).ok()?;
    sign(id, &signature, most_bytes)
}

/// The bare id, and its signature if there is one.
pub(super) fn read(id: String) -> (String, Option<String>) {
    let Some((bare, signed)) = id.split_once(MARK).filter(|(_, signed)| !signed.is_empty()) else {
        return (id, None);
    };
    let mut signature = signed.replace('-', "+").replace('_', "/");
    while !signature.len().is_multiple_of(4) {
        signature.push('=');
    }
    (bare.to_owned(), Some(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_signatures_there_and_back() {
        for (signature, expected) in [
            ("c2ln", Some("a__thought__c2ln")),
            ("YS+/dw==", Some("a__thought__YS-_dw")),
            ("ab c", None),
            (
                "01234567890123456789012345678901234567890123456789012345",
                None,
            ),
        ] {
            let signed = sign("a", signature, MOST_IN_CONVERSE);
            assert_eq!(signed.as_deref(), expected, "{signature}");
            if let Some(signed) = signed {
                assert_eq!(read(signed), ("a".to_owned(), Some(signature.to_owned())));
            }
        }
        for bare in ["toolu_1", "a__thought__", ""] {
            assert_eq!(read(bare.to_owned()), (bare.to_owned(), None));
        }
    }
}
