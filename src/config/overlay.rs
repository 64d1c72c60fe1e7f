//! Values from the environment (`AIPROXY__SERVER__PORT=9000`, lists by index) and from flags, laid over the tree
//! of the file. Later layers win: file, environment, flags.

use super::environment::Environment;
use super::problem::{Origin, Problem};
use super::section::join;
use super::tree::{Entry, Node, Value};

/// What the names of our own environment variables begin with.
const PREFIX: &str = "AIPROXY__";

/// A value that a flag sets; it may be a credential, so there is no `Debug`.
#[derive(Clone)]
pub struct Override {
    /// The keys from the root, such as `["server", "port"]`.
    pub path: &'static [&'static str],
    /// The flag as it is written, for messages.
    pub flag: &'static str,
    /// The value as it was given.
    pub value: String,
}

/// Lays `AIPROXY__…` variables over `root`. Names are read without regard to case.
pub(super) fn overlay_environment(
    root: &mut Node,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) {
    for name in environment.names_with(PREFIX) {
        let base = name.strip_suffix("_FILE").unwrap_or(name);
        if base != name && environment.has(base) {
            continue; // The lookup of the base name reports the two.
        }
        let text = match environment.lookup(base) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let lower = base.strip_prefix(PREFIX).unwrap_or(base).to_lowercase();
        let keys: Vec<&str> = lower.split("__").collect();
        let origin = Origin::Environment(name.to_owned());
        if let Err(problem) = place(root, &keys, text, &origin) {
            problems.push(problem);
        }
    }
}

/// Lays the values of flags over `root`.
pub(super) fn overlay_flags(root: &mut Node, overrides: &[Override], problems: &mut Vec<Problem>) {
    for one in overrides {
        let origin = Origin::Flag(one.flag);
        if let Err(problem) = place(root, one.path, one.value.clone(), &origin) {
            problems.push(problem);
        }
    }
}

pub(super) fn place(
    root: &mut Node,
    keys: &[&str],
    text: String,
    origin: &Origin,
) -> Result<(), Problem> {
    let mut node = root;
    let mut path = String::new();
    for key in keys {
        if matches!(node.value, Value::Null) {
            node.value = if key.parse::<usize>().is_ok() {
                Value::List(Vec::new())
            } else {
                Value::Map(Vec::new())
            };
            node.origin = origin.clone();
        }
        node = match &mut node.value {
            Value::Map(entries) => {
                path = join(&path, key);
                child(entries, key, origin)
            }
            Value::List(items) => {
                let count = items.len();
                let index = key.parse::<usize>().ok().filter(|index| *index <= count);
                let Some(index) = index else {
                    let message =
                        format!("`{key}` is no index of this list; allowed: 0 to {count}");
                    return Err(Problem {
                        origin: origin.clone(),
                        path,
                        message,
                    });
                };
                path = format!("{path}[{index}]");
                if index == count {
                    items.push(Node {
                        value: Value::Null,
                        origin: origin.clone(),
                    });
                }
                let Some(item) = items.get_mut(index) else {
                    return Ok(());
                };
                item
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text { .. }
            | Value::Open { .. } => {
                let message = format!("has no key `{key}`: it is not a section");
                return Err(Problem {
                    origin: origin.clone(),
                    path,
                    message,
                });
            }
        };
    }
    *node = Node {
        value: Value::Open {
            text,
            quoted: false,
        },
        origin: origin.clone(),
    };
    Ok(())
}

/// The entry of that name, without regard to case where none is exact; a new one where there is none.
fn child<'a>(entries: &'a mut Vec<Entry>, key: &str, origin: &Origin) -> &'a mut Node {
    let index = entries
        .iter()
        .position(|entry| entry.key == key)
        .or_else(|| {
            entries
                .iter()
                .position(|entry| entry.key.eq_ignore_ascii_case(key))
        })
        .unwrap_or_else(|| {
            entries.push(Entry {
                key: key.to_owned(),
                key_origin: origin.clone(),
                node: Node {
                    value: Value::Null,
                    origin: origin.clone(),
                },
            });
            entries.len() - 1
        });
    &mut entries[index].node
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::tree::parse;

    fn laid(yaml: &str, variables: &[(&str, &str)]) -> (serde_json::Value, Vec<String>) {
        let mut root = parse(&Arc::from("a.yaml"), yaml).expect("valid YAML");
        let mut problems = Vec::new();
        let environment: Environment = variables.iter().copied().collect();
        overlay_environment(&mut root, &environment, &mut problems);
        (
            root.to_json(),
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn variables_win_over_the_file_and_lists_are_reached_by_index() {
        let (tree, problems) = laid(
            "server: { port: 1, host: h }\nlist: [{ a: 1 }]\nheaders: { X-Team: a }\n",
            &[
                ("AIPROXY__SERVER__PORT", "2"),
                ("AIPROXY__LIST__0__A", "two"),
                ("AIPROXY__LIST__1__A", "three"),
                ("AIPROXY__NEW__0", "x"),
                ("AIPROXY__HEADERS__X-TEAM", "b"),
                ("AIPROXY_OTHER", "no"),
            ],
        );
        assert_eq!(problems, Vec::<String>::new());
        let expected = serde_json::json!({
            "server": {"port": 2, "host": "h"}, "list": [{"a": "two"}, {"a": "three"}],
            "headers": {"X-Team": "b"}, "new": ["x"]
        });
        assert_eq!(tree, expected);
    }

    #[test]
    fn what_leads_nowhere_is_a_problem() {
        let (_, problems) = laid(
            "server: { port: 1 }\nlist: []\n",
            &[
                ("AIPROXY__LIST__3", "x"),
                ("AIPROXY__LIST__A", "x"),
                ("AIPROXY__SERVER__PORT__X", "x"),
                ("AIPROXY__SERVER__HOST", "a"),
                ("AIPROXY__SERVER__HOST_FILE", "b"),
            ],
        );
        insta::assert_snapshot!(problems.join("\n"));
    }
}
