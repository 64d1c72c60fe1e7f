//! Where each key of a configuration was said, kept for the checks that come after reading.

use std::collections::BTreeMap;

use super::problem::Origin;
use super::section::join;
use super::tree::{Node, Value};

/// The place of every key of a tree, by its path.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub(super) fn of_tree(root: &Node) -> Self {
        let mut origins = Self::default();
        origins.record(root, String::new());
        origins
    }

    fn record(&mut self, node: &Node, path: String) {
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    let below = join(&path, &entry.key);
                    self.record(&entry.node, below.clone());
                    if matches!(entry.node.value, Value::Map(_) | Value::List(_)) {
                        self.0.insert(below, entry.key_origin.clone());
                    }
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.record(item, format!("{path}[{index}]"));
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text { .. }
            | Value::Open { .. } => {}
        }
        self.0.insert(path, node.origin.clone());
    }

    /// The place of the longest part of `path` that somebody said.
    pub(super) fn nearest(&self, path: &str) -> Origin {
        let mut part = path;
        loop {
            if let Some(origin) = self.0.get(part) {
                return origin.clone();
            }
            match part.rfind(['.', '[']).and_then(|end| part.get(..end)) {
                Some(shorter) => part = shorter,
                None => return Origin::Default,
            }
        }
    }
}
