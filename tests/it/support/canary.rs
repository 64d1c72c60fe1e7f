//! Looks for a secret in bytes: as it is, any twelve characters of it, in base64, percent-encoded.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Asserts that nothing of `secret` stands in `bytes`.
#[track_caller]
pub(crate) fn assert_clean(place: &str, bytes: &[u8], secret: &str) {
    for form in forms(secret) {
        let found = memchr::memmem::find(bytes, &form);
        let shown = form.escape_ascii();
        assert!(found.is_none(), "{place} holds {shown} of {secret}");
    }
}

/// The same for every file below a folder. Returns how many bytes were looked at.
#[track_caller]
pub(crate) fn assert_clean_files(folder: &Path, secret: &str, except: &[&str]) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        if except.contains(&name) {
            continue;
        }
        if path.is_dir() {
            seen += assert_clean_files(&path, secret, except);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            assert_clean(name, &bytes, secret);
            seen += bytes.len();
        }
    }
    seen
}

fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut forms: Vec<Vec<u8>> = bytes
        .windows(12.min(bytes.len()))
        .map(<[u8]>::to_vec)
        .collect();
    for shift in 0..3 {
        // At each of the three places that it can have in a longer text; the borders depend on the neighbours.
        let encoded = STANDARD_NO_PAD.encode([&[b'x'; 3][..shift], bytes].concat());
        let inner = encoded
            .as_bytes()
            .get(4..encoded.len() - 4)
            .unwrap_or_default();
        forms.extend(inner.windows(16.min(inner.len())).map(<[u8]>::to_vec));
    }
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    forms.push(percent.to_ascii_lowercase().into_bytes());
    forms.push(percent.into_bytes());
    forms.push(secret.replace('-', "%2D").into_bytes());
    forms
}

#[test]
fn every_form_is_found() {
    let secret = "sk-canary-provider-0123456789abcdef";
    let encoded = STANDARD_NO_PAD.encode(format!("Bearer {secret}"));
    for text in [
        secret,
        secret.get(5..17).expect("a part"),
        &encoded,
        "sk%2Dcanary%2Dprovider%2D0123456789abcdef",
    ] {
        let found = std::panic::catch_unwind(|| assert_clean("text", text.as_bytes(), secret));
        assert!(found.is_err(), "{text}");
    }
    assert_clean("text", b"sk-raw and canary", secret);
}
