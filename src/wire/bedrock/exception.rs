//! Errors of Bedrock's by one name each, whether a head tells them or a frame of a stream that has begun.

/// What an error means to a client of another provider's form, where its own status in a head would mislead or a stream has
/// none: what failed behind the provider is a gateway's error, not the client's. (`InvokeModel` and `ConverseStreamOutput`,
/// errors.)
const STATUSES: &[(&str, u16)] = &[
    ("ValidationException", 400),
    ("ThrottlingException", 429),
    ("ModelNotReadyException", 429),
    ("InternalServerException", 500),
    // Heads have 424.
    ("ModelErrorException", 502),
    ("ModelStreamErrorException", 502),
    ("ServiceUnavailableException", 503),
    // Heads have 408.
    ("ModelTimeoutException", 504),
];

/// The name of an error: frames begin it with a small letter, heads may have a namespace before it and a URL behind.
pub fn error_name(kind: &str) -> String {
    let kind = kind.split(':').next().unwrap_or_default();
    let name = kind.rsplit('#').next().unwrap_or_default().trim();
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The status that an error stands for, by its name. `None` where that of its head says enough.
pub fn error_status(name: &str) -> Option<u16> {
    let known = STATUSES.iter().find(|(known, _)| *known == name);
    known.map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_one_name() {
        for (kind, name) in [
            ("throttlingException", "ThrottlingException"),
            ("ThrottlingException", "ThrottlingException"),
            (
                "ThrottlingException:http://internal.amazon.com/coral/",
                "ThrottlingException",
            ),
            (
                "com.amazon.coral.service#UnrecognizedClientException",
                "UnrecognizedClientException",
            ),
            ("x", "X"),
            ("", ""),
        ] {
            assert_eq!(error_name(kind), name, "{kind}");
        }
    }
}
