//! Looks for a secret in bytes: as it is, any twelve characters of it, in base64, percent-encoded.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Asserts that nothing of `secret` stands in `bytes`.
#[track_caller]
pub(crate) fn assert_clean(place: &str, bytes: &[u8], secret: &str) {
    let found = find(bytes, &forms(secret));
    let shown = found.map(|form| form.escape_ascii().to_string());
    assert_eq!(shown, None, "{place} holds some of {secret}");
}

/// Files below a folder that hold a secret as it is; those with configurations may.
pub(crate) fn files_with(folder: &Path, secret: &[u8]) -> Vec<PathBuf> {
    let mut holding = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            holding.extend(files_with(&path, secret));
        } else if path.extension().is_none_or(|kind| kind != "yaml") {
            // A journal may go while this looks.
            let bytes = std::fs::read(&path).unwrap_or_default();
            holding.extend(memchr::memmem::find(&bytes, secret).map(|_| path));
        }
    }
    holding
}

/// The first of the forms that occurs. Looks at their first two bytes before anything else: it runs over megabytes,
/// without optimisation.
fn find(bytes: &[u8], forms: &[Vec<u8>]) -> Option<Vec<u8>> {
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let mut begins = vec![false; 1 << 16];
    forms.iter().for_each(|form| begins[pair(form)] = true);
    for at in 0..bytes.len().saturating_sub(1) {
        let rest = &bytes[at..];
        if begins[pair(rest)]
            && let Some(form) = forms.iter().find(|form| rest.starts_with(form))
        {
            return Some(form.clone());
        }
    }
    None
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
            // Room that was made ahead.
            let written = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            assert_clean(name, &bytes[..written], secret);
            seen += written;
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
        "nary-provide",
        &encoded,
        "sk%2Dcanary%2Dprovider%2D0123456789abcdef",
    ] {
        let found = std::panic::catch_unwind(|| assert_clean("text", text.as_bytes(), secret));
        assert!(found.is_err(), "{text}");
    }
    assert_clean("text", b"sk-raw and canary", secret);
}
