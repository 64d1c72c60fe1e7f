//! `NAME=VALUE` a line, as in a file of variables: comments, `export`, quotes. Nothing is replaced in it.

use std::sync::Arc;

use crate::config::problem::{Origin, Problem};
use crate::config::tree::{Entry, Node, Value};

use super::{Text, at};

/// Reads a file of variables; each value is text that reads as any type.
pub(super) fn parse(text: Text<'_>) -> Result<Node, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    for (line, number) in text.text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |message: &str| Problem {
            origin: at(text, number, 1),
            path: String::new(),
            message: message.to_owned(),
        };
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("expected NAME=VALUE"));
        };
        if !is_name(name) {
            return Err(wrong(
                "expected NAME=VALUE; a name has letters, digits and `_`",
            ));
        }
        let Some(value) = unquoted(value.trim()) else {
            return Err(wrong("a quote is opened and never closed on this line"));
        };
        let origin = Origin::File {
            file: Arc::from(text.file),
            line: number,
            column: 1,
        };
        // The last one counts, as in a shell.
        entries.retain(|entry| entry.key != name);
        entries.push(Entry {
            key: name.to_owned(),
            key_origin: origin.clone(),
            node: Node {
                value: Value::Open {
                    text: value,
                    quoted: false,
                },
                origin,
            },
        });
    }
    Ok(Node {
        value: Value::Map(entries),
        origin: at(text, 0, 0),
    })
}

/// Whether this can be a variable's name.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The value without its quotes, or without a comment behind it. `None` when a quote stays open.
fn unquoted(value: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let (inside, _) = rest.rsplit_once(quote)?;
            return Some(inside.to_owned());
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    Some(value.get(..end)?.trim_end().to_owned())
}
