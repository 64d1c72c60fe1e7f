//! YAML as a tree in which every key and value knows its place. It knows nothing of our sections; it is what
//! substitution, environment and flags work on before the sections read it.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::problem::{Origin, Problem};

/// A value and where it was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_origin: Origin,
    pub(super) node: Node,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text {
        text: String,
        quoted: bool,
    },
    /// Text from the environment or a flag: who reads it decides what it is. `quoted` keeps it text where
    /// nobody decides.
    Open {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Value {
    /// What to call it in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text { .. } | Self::Open { .. } => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a section",
        }
    }
}

impl Node {
    /// An empty section.
    pub(super) fn empty(origin: Origin) -> Self {
        Self {
            value: Value::Map(Vec::new()),
            origin,
        }
    }

    /// The value as JSON, for those who read it with their own types.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => i64::try_from(*value)
                .map(serde_json::Value::from)
                .or_else(|_| u64::try_from(*value).map(serde_json::Value::from))
                .unwrap_or_else(|_| value.to_string().into()),
            Value::Float(value) => (*value).into(),
            Value::Text { text, .. } | Value::Open { text, quoted: true } => text.as_str().into(),
            Value::Open {
                text,
                quoted: false,
            } => open_to_json(text),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// Text of the environment where a plain YAML word stood: a number or a truth value if it reads as one.
fn open_to_json(text: &str) -> serde_json::Value {
    match serde_json::from_str(text) {
        Ok(value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => value,
        _ => text.into(),
    }
}

/// Reads one YAML document; an empty one is an empty section.
pub(super) fn parse(file: &Arc<str>, yaml: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    };
    let root: Option<Spanned<Raw>> = serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| syntax_problem(file, &error))?;
    let source = Source { file, yaml };
    Ok(match root {
        None => Node::empty(source.origin(Location::UNKNOWN)),
        Some(root) => source.node(root),
    })
}

fn syntax_problem(file: &Arc<str>, error: &serde_saphyr::Error) -> Problem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let origin = Origin::File {
        file: Arc::clone(file),
        line: location.line(),
        column: location.column(),
    };
    let error = error.without_snippet();
    let text = if matches!(error, serde_saphyr::Error::MultipleDocuments { .. }) {
        "more than one document; only one is allowed".to_owned()
    } else {
        error.to_string()
    };
    // The place stands in front already.
    let text = text.split(" at line ").next().unwrap_or(&text);
    Problem {
        origin,
        path: String::new(),
        message: format!("not valid YAML: {text}"),
    }
}

/// The text that locations point into.
struct Source<'a> {
    file: &'a Arc<str>,
    yaml: &'a str,
}

impl Source<'_> {
    fn origin(&self, location: Location) -> Origin {
        Origin::File {
            file: Arc::clone(self.file),
            line: location.line(),
            column: location.column(),
        }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value),
            Raw::Integer(value) => Value::Integer(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Text(text) => Value::Text {
                text,
                quoted: self.is_quoted(raw.defined),
            },
            Raw::List(items) => {
                Value::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| self.entry(key, value))
                    .collect(),
            ),
        };
        Node {
            value,
            origin: self.origin(raw.referenced),
        }
    }

    fn entry(&self, key: Spanned<String>, value: Spanned<Raw>) -> Entry {
        Entry {
            key_origin: self.origin(key.referenced),
            key: key.value,
            node: self.node(value),
        }
    }

    fn is_quoted(&self, location: Location) -> bool {
        let start = location
            .span()
            .byte_offset()
            .and_then(|offset| usize::try_from(offset).ok());
        let first = start.and_then(|start| self.yaml.as_bytes().get(start));
        matches!(first, Some(b'"' | b'\'' | b'|' | b'>' | b'!'))
    }
}

/// A value as the YAML reader hands it over, its children with their places.
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(yaml: &str) -> Result<Node, Problem> {
        parse(&Arc::from("a.yaml"), yaml)
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let root = parsed("server:\n  port: 80\n  hosts: [a, 'b']\n").expect("valid");
        let Value::Map(entries) = &root.value else {
            panic!("a section")
        };
        let Value::Map(server) = &entries[0].node.value else {
            panic!("a section")
        };
        let at = |origin: &Origin| origin.to_string();
        assert_eq!(at(&entries[0].key_origin), "a.yaml:1:1");
        assert_eq!(at(&server[0].key_origin), "a.yaml:2:3");
        assert_eq!(at(&server[0].node.origin), "a.yaml:2:9");
        let Value::List(hosts) = &server[1].node.value else {
            panic!("a list")
        };
        assert_eq!(at(&hosts[1].origin), "a.yaml:3:14");
        assert_eq!(
            hosts[0].value,
            Value::Text {
                text: "a".into(),
                quoted: false
            }
        );
        assert_eq!(
            hosts[1].value,
            Value::Text {
                text: "b".into(),
                quoted: true
            }
        );
    }

    #[test]
    fn an_alias_repeats_its_value() {
        let root = parsed("a: &x 5\nb: *x\n").expect("valid");
        assert_eq!(root.to_json(), serde_json::json!({"a": 5, "b": 5}));
    }

    #[test]
    fn broken_yaml_has_one_problem_with_its_place() {
        let listing: Vec<String> = [
            "a: [1",
            "a: 1\n  b: 2\n",
            "a: *nowhere",
            "--- 1\n--- 2\n",
            "{a: ${X}}",
        ]
        .iter()
        .map(|yaml| parsed(yaml).expect_err("broken").to_string())
        .collect();
        insta::assert_snapshot!(listing.join("\n"));
    }

    #[test]
    fn nothing_is_an_empty_section() {
        for yaml in ["", "# only words\n", "---\n"] {
            let root = parsed(yaml).expect("valid");
            assert!(
                matches!(root.value, Value::Null | Value::Map(_)),
                "{yaml:?}"
            );
        }
    }
}
