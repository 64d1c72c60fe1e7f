//! Rows with a heading (RFC 4180), as a list of sections: an empty field is nothing, a field that begins as a JSON
//! list or object is read as one.

use std::sync::Arc;

use crate::config::problem::Problem;
use crate::config::tree::{Entry, Node, Value, parse as parse_yaml};

use super::{Text, at};

/// Whether the first line is a heading with this column.
pub(super) fn has_column(text: Text<'_>, column: &str) -> bool {
    let mut fields = text.text.lines().next().unwrap_or_default().split(',');
    fields.any(|field| field.trim().trim_matches('"') == column)
}

/// Reads rows.
pub(super) fn parse(text: Text<'_>) -> Result<Node, Problem> {
    let mut rows = rows(text)?.into_iter();
    let Some((_, heading)) = rows.next() else {
        return Err(super::whole(text, "is empty".to_owned()));
    };
    let mut items = Vec::new();
    for (line, row) in rows {
        let origin = at(text, line, 1);
        if row.len() != heading.len() {
            return Err(Problem {
                origin,
                path: String::new(),
                message: format!("expected {} fields, found {}", heading.len(), row.len()),
            });
        }
        let mut entries = Vec::new();
        for (key, field) in heading.iter().zip(row) {
            let mut value = Value::Null;
            if field.starts_with(['[', '{']) {
                value = parse_yaml(&Arc::from(text.file), &field)
                    .map_err(|_| Problem {
                        origin: origin.clone(),
                        path: key.clone(),
                        message: "begins as JSON and is none".to_owned(),
                    })?
                    .value;
            } else if !field.is_empty() {
                value = Value::Open {
                    text: field,
                    quoted: false,
                };
            }
            entries.push(Entry {
                key: key.clone(),
                key_origin: origin.clone(),
                node: Node {
                    value,
                    origin: origin.clone(),
                },
            });
        }
        items.push(Node {
            value: Value::Map(entries),
            origin,
        });
    }
    Ok(Node {
        value: Value::List(items),
        origin: at(text, 0, 0),
    })
}

/// Every row that is not empty, with the line where it begins.
fn rows(text: Text<'_>) -> Result<Vec<(u64, Vec<String>)>, Problem> {
    let mut rows = Vec::new();
    let (mut line, mut begin) = (1_u64, 1_u64);
    let (mut row, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                if row.iter().any(|field| !field.is_empty()) {
                    rows.push((begin, std::mem::take(&mut row)));
                }
                row.clear();
                line += 1;
                begin = line;
            }
            c => {
                line += u64::from(c == '\n');
                field.push(c);
            }
        }
    }
    if quoted {
        return Err(Problem {
            origin: at(text, begin, 1),
            path: String::new(),
            message: "a quote is opened and never closed".to_owned(),
        });
    }
    row.push(field);
    if row.iter().any(|field| !field.is_empty()) {
        rows.push((begin, row));
    }
    Ok(rows)
}
