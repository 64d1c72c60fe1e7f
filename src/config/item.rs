//! One value of the tree, read as the type that its key has. Text of the environment and of flags reads as any
//! type; what stands in the file must be of it already.

use std::str::FromStr;

use super::section::Reading;
use super::tree::{Node, Value};

/// A set of words that a key may have as its value.
pub(super) trait Word: Copy + 'static {
    /// Every word with what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// A value with its place.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Node,
    pub(super) reading: &'a Reading<'a>,
}

impl Item<'_> {
    pub(super) fn report(&self, path: &str, message: impl Into<String>) {
        self.reading.report(&self.node.origin, path, message);
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        let value = &self.node.value;
        if let Value::Text { text, .. } | Value::Open { text, .. } = value {
            return Some(text.clone());
        }
        let is_word = matches!(value, Value::Bool(_) | Value::Integer(_) | Value::Float(_));
        let quotes = if is_word { "; put it in quotes" } else { "" };
        self.report(
            path,
            format!("expected text, found {}{quotes}", value.kind()),
        );
        None
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        let value = if let Value::Bool(value) = self.node.value {
            Some(value)
        } else {
            self.open_as()
        };
        if value.is_none() {
            let found = self.node.value.kind();
            self.report(path, format!("expected true or false, found {found}"));
        }
        value
    }

    pub(super) fn integer(&self) -> Option<i128> {
        if let Value::Integer(value) = self.node.value {
            Some(value)
        } else {
            self.open_as()
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        if let Value::Float(value) = self.node.value {
            Some(value)
        } else if let Value::Integer(value) = self.node.value {
            // There is no conversion without `as`; the text has one, to the nearest.
            value.to_string().parse().ok()
        } else {
            self.open_as()
        }
    }

    /// What text of the environment or of a flag reads as.
    fn open_as<T: FromStr>(&self) -> Option<T> {
        if let Value::Open { text, .. } = &self.node.value {
            text.trim().to_ascii_lowercase().parse().ok()
        } else {
            None
        }
    }

    pub(super) fn word<T: Word>(&self, path: &str) -> Option<T> {
        let text = if let Value::Text { text, .. } | Value::Open { text, .. } = &self.node.value {
            text.as_str()
        } else {
            ""
        };
        let found = T::WORDS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
            // Text of the environment is not shown: it may be a credential that went astray.
            let shown = if matches!(self.node.value, Value::Text { .. }) {
                format!("`{text}` is not allowed; ")
            } else {
                String::new()
            };
            self.report(path, format!("{shown}allowed: {}", words.join(", ")));
        }
        found
    }
}
