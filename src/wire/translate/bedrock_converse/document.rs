//! Images and documents as blocks: their bytes stand in the request, their format is one of a list.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::wire::translate::TranslateError;
use crate::wire::translate::canonical::Media;

/// Images that models see. (`ImageBlock`.)
const IMAGES: &[(&str, &str)] = &[
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/jpg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
];

/// Documents that models read. (`DocumentBlock`.)
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("application/vnd.ms-excel", "xls"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
];

/// Longest name of a document, in letters.
const MOST_LETTERS: usize = 200;

pub(super) fn image(media: Media, path: &str) -> Result<Value, TranslateError> {
    let (format, data) = held(media, IMAGES, path)?;
    Ok(json!({ "image": { "format": format, "source": { "bytes": data } } }))
}

/// `names`: of the request's documents before it; no two may have the same.
pub(super) fn document(
    media: Media,
    name: Option<&str>,
    names: &mut Vec<String>,
    path: &str,
) -> Result<Value, TranslateError> {
    let (format, data) = held(media, DOCUMENTS, path)?;
    let name = new_name(name.unwrap_or_default(), names);
    Ok(json!({ "document": { "format": format, "name": name, "source": { "bytes": data } } }))
}

/// Its format and its bytes in base64.
fn held(
    media: Media,
    known: &[(&str, &'static str)],
    path: &str,
) -> Result<(&'static str, String), TranslateError> {
    let unsupported = |path, reason| TranslateError::Unsupported {
        field: path,
        reason,
    };
    let (media_type, data, path) = match media {
        Media::Base64 {
            media_type,
            data,
            path,
        } => (media_type, data, path),
        Media::Plain(text) => (
            "text/plain".to_owned(),
            STANDARD.encode(text),
            path.to_owned(),
        ),
        Media::Url { path, .. } => {
            let reason = "images and documents must be in the request, not at a URL";
            return Err(unsupported(path, reason));
        }
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let format = known
        .iter()
        .find(|(name, _)| essence.eq_ignore_ascii_case(name));
    match format {
        Some((_, format)) => Ok((format, data)),
        None => Err(unsupported(
            path,
            "models there do not take this type of file",
        )),
    }
}

/// A name as it may be here, and that none before it has: letters, digits, single blanks, hyphens, parentheses and
/// brackets.
fn new_name(name: &str, names: &mut Vec<String>) -> String {
    let mut permitted = String::new();
    for letter in name.chars().take(MOST_LETTERS) {
        let is_blank = letter.is_whitespace();
        match letter {
            _ if is_blank && permitted.ends_with(' ') => {}
            _ if is_blank => permitted.push(' '),
            _ if letter.is_ascii_alphanumeric() || "-()[]".contains(letter) => {
                permitted.push(letter);
            }
            _ => permitted.push('-'),
        }
    }
    let permitted = match permitted.trim() {
        "" => "document",
        name => name,
    };
    let mut name = permitted.to_owned();
    let mut number = 1;
    while names.contains(&name) {
        number += 1;
        let kept = permitted.floor_char_boundary(MOST_LETTERS - 8);
        let (kept, _) = permitted.split_at(kept);
        name = format!("{} ({number})", kept.trim_end());
    }
    names.push(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_and_told_apart() {
        let mut names = Vec::new();
        for (name, expected) in [
            ("report.pdf", "report-pdf"),
            ("report_pdf", "report-pdf (2)"),
            ("a\t \u{3000}b [1] (x)-", "a b [1] (x)-"),
            ("Übersicht", "-bersicht"),
            ("", "document"),
            (" ", "document (2)"),
        ] {
            assert_eq!(new_name(name, &mut names), expected);
        }
        let long = "x".repeat(500);
        for length in [200, 196, 196] {
            assert_eq!(new_name(&long, &mut names).len(), length);
        }
    }
}
