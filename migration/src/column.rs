//! Column types as both databases write them.

use sea_orm_migration::sea_orm::DbBackend;

/// What a column holds.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Text,
    /// `jsonb` on PostgreSQL, text on SQLite.
    Json,
    Integer,
    BigInt,
    Double,
    Boolean,
    /// `timestamptz` on PostgreSQL, fixed-width text on SQLite.
    Time,
    Bytes,
}

/// One column: its name, its type, whether it may be NULL.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Type, pub(crate) Null);

/// Whether a column may be NULL.
#[derive(Clone, Copy)]
pub(crate) enum Null {
    Yes,
    No,
}

impl Column {
    /// The column as it stands in CREATE TABLE.
    pub(crate) fn sql(&self, backend: DbBackend) -> String {
        let Self(name, kind, null) = self;
        let null = match null {
            Null::Yes => "",
            Null::No => " NOT NULL",
        };
        format!("{name} {}{null}", kind.sql(backend))
    }
}

impl Type {
    fn sql(self, backend: DbBackend) -> &'static str {
        let postgres = backend == DbBackend::Postgres;
        match self {
            Self::Text if postgres => "text",
            Self::Text => "TEXT",
            Self::Json if postgres => "jsonb",
            Self::Json => "TEXT",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Double if postgres => "double precision",
            Self::Double => "DOUBLE",
            Self::Boolean => "boolean",
            Self::Time if postgres => "timestamptz",
            // The name that SQLAlchemy and Superset take for a time; what stands in it is text.
            Self::Time => "DATETIME",
            Self::Bytes if postgres => "bytea",
            Self::Bytes => "BLOB",
        }
    }
}

/// The columns of a CREATE TABLE, separated by commas.
pub(crate) fn list(columns: &[Column], backend: DbBackend) -> String {
    let lines: Vec<String> = columns.iter().map(|column| column.sql(backend)).collect();
    lines.join(",\n  ")
}
