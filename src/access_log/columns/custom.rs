//! Columns of the user's own: what they may be called, and how a value of a record fits their type.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::access_log::columns::TABLES;
use crate::access_log::draft::ColumnValue;
use crate::access_log::record::LogRecord;
use crate::database::value::{Cell, Kind};

/// Most configured columns.
pub const MAX_CUSTOM_COLUMNS: usize = 60;

/// Names that the databases keep for themselves on every table.
const SYSTEM: [&str; 10] = [
    "id", "oid", "rowid", "_rowid_", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid",
];

/// A configured column of `exchanges`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomColumn {
    /// Its name: `[a-z][a-z0-9_]{0,62}`, none of the built-in ones.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
    /// Whether to index it together with the time.
    pub index: bool,
}

/// What a configured column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// 64 bits, signed.
    Integer,
    /// Floating point.
    Float,
    /// True or false.
    Boolean,
}

/// Why the configured columns cannot be had: a wrong configuration, exit 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// Not of the form `[a-z][a-z0-9_]{0,62}`.
    #[error("log column `{0}`: a name is a lower-case letter and up to 62 letters, digits or _")]
    Name(String),
    /// Taken by us or by the database.
    #[error("log column `{0}`: this name is built in")]
    BuiltIn(String),
    /// Twice in the configuration.
    #[error("log column `{0}`: named twice")]
    Twice(String),
    /// More than [`MAX_CUSTOM_COLUMNS`].
    #[error("{0} log columns: at most {MAX_CUSTOM_COLUMNS} can be configured")]
    TooMany(usize),
    /// The database has it with another type.
    #[error("log column `{name}`: the database has it as {found}, the configuration says {wanted}")]
    OtherType {
        /// The column.
        name: String,
        /// The type in the database.
        found: String,
        /// The type in the configuration.
        wanted: &'static str,
    },
}

impl ColumnType {
    /// What it is in SQL.
    pub fn kind(self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Integer => Kind::BigInt,
            Self::Float => Kind::Double,
            Self::Boolean => Kind::Boolean,
        }
    }

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
        }
    }
}

impl CustomColumn {
    /// Checks the names of all configured columns.
    ///
    /// # Errors
    /// The first that cannot be had.
    pub fn check_all(columns: &[Self]) -> Result<(), ColumnError> {
        if columns.len() > MAX_CUSTOM_COLUMNS {
            return Err(ColumnError::TooMany(columns.len()));
        }
        let mut seen = BTreeSet::new();
        for column in columns {
            let name = column.name.as_str();
            let mut bytes = name.bytes();
            let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
            let rest = bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            if !first || !rest || name.len() > 63 {
                return Err(ColumnError::Name(name.to_owned()));
            }
            if SYSTEM.contains(&name)
                || TABLES[0]
                    .columns
                    .iter()
                    .any(|built_in| built_in.name == name)
            {
                return Err(ColumnError::BuiltIn(name.to_owned()));
            }
            if !seen.insert(name) {
                return Err(ColumnError::Twice(name.to_owned()));
            }
        }
        Ok(())
    }

    /// The record's value for this column; NULL when it has none or one that does not fit the type.
    pub fn cell<'a>(&self, record: &'a LogRecord) -> Cell<'a> {
        let value = record.columns.iter().find(|(name, _)| *name == self.name);
        value.map_or(Cell::Null, |(_, value)| fit(self.kind, value))
    }
}

fn fit(kind: ColumnType, value: &ColumnValue) -> Cell<'_> {
    match (kind, value) {
        (ColumnType::Text, ColumnValue::Text(text)) if !text.contains('\0') => {
            Cell::Text(Cow::Borrowed(text))
        }
        (ColumnType::Text, ColumnValue::Text(text)) => {
            Cell::Text(Cow::Owned(text.replace('\0', "\u{fffd}")))
        }
        (ColumnType::Text, ColumnValue::Integer(number)) => {
            Cell::Text(Cow::Owned(number.to_string()))
        }
        (ColumnType::Text, ColumnValue::Float(number)) => {
            Cell::Text(Cow::Owned(number.to_string()))
        }
        (ColumnType::Integer, ColumnValue::Integer(number)) => Cell::Integer(*number),
        (ColumnType::Integer, ColumnValue::Float(_)) => Cell::Null,
        (ColumnType::Integer, ColumnValue::Text(text)) => {
            text.trim().parse().map_or(Cell::Null, Cell::Integer)
        }
        (ColumnType::Float, ColumnValue::Integer(number)) => Cell::Double(*number as f64),
        (ColumnType::Float, ColumnValue::Float(number)) => Cell::Double(*number),
        (ColumnType::Float, ColumnValue::Text(text)) => {
            text.trim().parse().map_or(Cell::Null, Cell::Double)
        }
        (ColumnType::Boolean, ColumnValue::Integer(0)) => Cell::Boolean(false),
        (ColumnType::Boolean, ColumnValue::Integer(1)) => Cell::Boolean(true),
        (ColumnType::Boolean, ColumnValue::Integer(_) | ColumnValue::Float(_)) => Cell::Null,
        (ColumnType::Boolean, ColumnValue::Text(text)) => {
            text.trim().parse().map_or(Cell::Null, Cell::Boolean)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> CustomColumn {
        CustomColumn {
            name: name.to_owned(),
            kind: ColumnType::Text,
            index: false,
        }
    }

    #[test]
    fn names() {
        for name in ["team", "a", "user", "order", "t_1", &"x".repeat(63)] {
            assert_eq!(CustomColumn::check_all(&[column(name)]), Ok(()), "{name}");
        }
        for name in [
            "",
            "Team",
            "1a",
            "_a",
            "a-b",
            "a b",
            "ä",
            "a\"",
            &"x".repeat(64),
        ] {
            assert_eq!(
                CustomColumn::check_all(&[column(name)]),
                Err(ColumnError::Name(name.into()))
            );
        }
        for name in ["id", "model", "request_id", "xmin", "rowid"] {
            assert_eq!(
                CustomColumn::check_all(&[column(name)]),
                Err(ColumnError::BuiltIn(name.into()))
            );
        }
        assert_eq!(
            CustomColumn::check_all(&[column("a"), column("a")]),
            Err(ColumnError::Twice("a".into()))
        );
        let many: Vec<_> = (0..61)
            .map(|number| column(&format!("c{number}")))
            .collect();
        assert_eq!(
            CustomColumn::check_all(&many),
            Err(ColumnError::TooMany(61))
        );
    }

    #[test]
    fn values_fit_or_are_null() {
        let text = |text: &str| ColumnValue::Text(text.to_owned());
        for (kind, value, expected) in [
            (
                ColumnType::Text,
                text("a\0"),
                Cell::Text("a\u{fffd}".into()),
            ),
            (
                ColumnType::Text,
                ColumnValue::Integer(3),
                Cell::Text("3".into()),
            ),
            (ColumnType::Integer, text(" 7 "), Cell::Integer(7)),
            (ColumnType::Integer, text("x"), Cell::Null),
            (ColumnType::Integer, ColumnValue::Float(1.5), Cell::Null),
            (
                ColumnType::Float,
                ColumnValue::Integer(1),
                Cell::Double(1.0),
            ),
            (ColumnType::Float, text("0.5"), Cell::Double(0.5)),
            (ColumnType::Boolean, text("true"), Cell::Boolean(true)),
            (
                ColumnType::Boolean,
                ColumnValue::Integer(0),
                Cell::Boolean(false),
            ),
            (ColumnType::Boolean, ColumnValue::Integer(2), Cell::Null),
        ] {
            assert_eq!(fit(kind, &value), expected, "{kind:?} {value:?}");
        }
    }
}
