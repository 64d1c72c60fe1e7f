//! `log.columns`: real SQL columns of one's own, filled from a header, a path in a JSON body, or a tag.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::item::Word;
use super::section::Section;

/// A column of one's own in `exchanges`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnConfig {
    /// Its name: `[a-z][a-z0-9_]{0,62}`, none of the built-in ones.
    pub name: String,
    /// Where its value comes from.
    pub from: ColumnSource,
    /// Its SQL type.
    pub kind: ColumnKind,
    /// Whether it has an index.
    pub index: bool,
}

/// Where the value of a column comes from; NULL where there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnSource {
    /// A header of the request, by its lower-case name.
    RequestHeader(String),
    /// A path in the request's JSON body: keys and indexes.
    RequestBody(Vec<String>),
    /// A header of the answer, by its lower-case name.
    ResponseHeader(String),
    /// A path in the answer's JSON body.
    ResponseBody(Vec<String>),
    /// A tag of the exchange.
    Tag(String),
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Text.
    Text,
    /// 64-bit whole number.
    Integer,
    /// Double-precision number.
    Float,
    /// True or false.
    Boolean,
}

impl Word for ColumnKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("float", Self::Float),
        ("boolean", Self::Boolean),
    ];
}

/// Whether `name` may be a column, built-in names aside.
pub fn is_column_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The text names no source of a column.
#[derive(Debug, thiserror::Error)]
#[error("not a source of a column")]
pub struct NotAColumnSource;

/// Makes a source of what follows its prefix.
type Build = fn(&str) -> Option<ColumnSource>;

impl FromStr for ColumnSource {
    type Err = NotAColumnSource;

    fn from_str(text: &str) -> Result<Self, NotAColumnSource> {
        const SOURCES: &[(&str, Build)] = &[
            ("request.header.", |rest| {
                Some(ColumnSource::RequestHeader(header(rest)?))
            }),
            ("request.body.", |rest| {
                Some(ColumnSource::RequestBody(body_path(rest)?))
            }),
            ("response.header.", |rest| {
                Some(ColumnSource::ResponseHeader(header(rest)?))
            }),
            ("response.body.", |rest| {
                Some(ColumnSource::ResponseBody(body_path(rest)?))
            }),
            ("tag.", |rest| {
                (!rest.is_empty()).then(|| ColumnSource::Tag(rest.to_owned()))
            }),
        ];
        SOURCES
            .iter()
            .find_map(|(prefix, build)| build(text.strip_prefix(prefix)?))
            .ok_or(NotAColumnSource)
    }
}

fn header(name: &str) -> Option<String> {
    super::providers::is_header_name(name).then(|| name.to_ascii_lowercase())
}

fn body_path(path: &str) -> Option<Vec<String>> {
    let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
    keys.iter().all(|key| !key.is_empty()).then_some(keys)
}

impl fmt::Display for ColumnSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestHeader(name) => write!(f, "request.header.{name}"),
            Self::RequestBody(path) => write!(f, "request.body.{}", path.join(".")),
            Self::ResponseHeader(name) => write!(f, "response.header.{name}"),
            Self::ResponseBody(path) => write!(f, "response.body.{}", path.join(".")),
            Self::Tag(name) => write!(f, "tag.{name}"),
        }
    }
}

/// For `#[serde(serialize_with)]`: columns by their names, as in the file.
pub(super) fn as_map<S: Serializer>(columns: &[ColumnConfig], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        from: String,
        r#type: ColumnKind,
        index: bool,
    }
    to.collect_map(columns.iter().map(|column| {
        let shown = Shown {
            from: column.from.to_string(),
            r#type: column.kind,
            index: column.index,
        };
        (column.name.as_str(), shown)
    }))
}

/// Reads `log.columns`.
pub(super) fn read_columns(log: &mut Section<'_>) -> Vec<ColumnConfig> {
    const SOURCES: &str = "request.header.NAME, request.body.PATH, response.header.NAME, response.body.PATH or tag.NAME";
    let mut columns = Vec::new();
    for (entry, path) in log.named("columns") {
        let reading = log.reading();
        if !is_column_name(&entry.key) {
            let message =
                "not a column name; allowed: a letter a-z, then at most 62 of a-z, 0-9 and _";
            reading.report(&entry.key_origin, &path, message);
        }
        let mut section = Section::new(&entry.node, path, reading);
        let source = match section.text("from").map(|text| text.parse()) {
            Some(Ok(source)) => Some(source),
            Some(Err(NotAColumnSource)) | None => {
                section.report("from", format!("expected {SOURCES}"));
                None
            }
        };
        let kind = section.word("type", ColumnKind::Text);
        let index = section.flag("index", false);
        section.finish();
        if let Some(from) = source {
            columns.push(ColumnConfig {
                name: entry.key.clone(),
                from,
                kind,
                index,
            });
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written() {
        for (text, expected) in [
            ("request.header.X-Team", Some("request.header.x-team")),
            (
                "request.body.metadata.team",
                Some("request.body.metadata.team"),
            ),
            (
                "response.body.choices.0.index",
                Some("response.body.choices.0.index"),
            ),
            (
                "response.header.openai-version",
                Some("response.header.openai-version"),
            ),
            ("tag.run", Some("tag.run")),
            ("request.header.", None),
            ("request.header.a b", None),
            ("request.body.a..b", None),
            ("tag.", None),
            ("body.a", None),
            ("", None),
        ] {
            let read = text
                .parse::<ColumnSource>()
                .ok()
                .map(|source| source.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn column_names_are_plain() {
        let longest = format!("a{}", "b".repeat(62));
        for (name, fits) in [
            ("team", true),
            ("a_1", true),
            (longest.as_str(), true),
            ("Team", false),
            ("1a", false),
            ("_a", false),
            ("a-b", false),
            ("", false),
            (&format!("{longest}c"), false),
        ] {
            assert_eq!(is_column_name(name), fits, "{name}");
        }
    }
}
