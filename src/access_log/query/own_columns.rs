//! Which columns of the user's own a database has: for readers without the configuration that made them.

use sea_orm::DbBackend;

use crate::access_log::columns::{ColumnType, CustomColumn, built_in_names};
use crate::access_log::query::{QueryError, read};
use crate::config::is_column_name;
use crate::database::Database;
use crate::database::value::{Datum, Kind};

const SQLITE: &str = "SELECT name, lower(type) FROM pragma_table_info('exchanges')";

const POSTGRES: &str = "SELECT attname::text, format_type(atttypid, NULL)::text FROM pg_attribute \
     WHERE attrelid = to_regclass('exchanges') AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

/// The columns of `exchanges` that are not built in, also those that are no longer configured. One whose name or type
/// no configuration makes is left out.
///
/// # Errors
/// [`QueryError::Unavailable`].
pub async fn own_columns(database: &Database) -> Result<Vec<CustomColumn>, QueryError> {
    let sql = match database.backend() {
        DbBackend::Postgres => POSTGRES,
        _ => SQLITE,
    };
    let built_in = built_in_names();
    let mut columns = Vec::new();
    for row in read(database, sql, &[]).await? {
        let (Datum::Text(name), Datum::Text(declared)) =
            (row.get(0, Kind::Text)?, row.get(1, Kind::Text)?)
        else {
            continue;
        };
        if built_in.contains(&name.as_str()) || !is_column_name(&name) {
            continue;
        }
        if let Some(kind) = column_type(&declared) {
            columns.push(CustomColumn {
                name,
                kind,
                index: false,
            });
        }
    }
    Ok(columns)
}

/// The type of a column by its lower-case name in either database.
fn column_type(declared: &str) -> Option<ColumnType> {
    [
        ColumnType::Text,
        ColumnType::Integer,
        ColumnType::Float,
        ColumnType::Boolean,
    ]
    .into_iter()
    .find(|column| {
        let kind = column.kind();
        kind.sqlite().eq_ignore_ascii_case(declared) || kind.postgres() == declared
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_their_names_in_both_databases() {
        for (declared, kind) in [
            ("text", Some(ColumnType::Text)),
            ("bigint", Some(ColumnType::Integer)),
            ("double", Some(ColumnType::Float)),
            ("double precision", Some(ColumnType::Float)),
            ("boolean", Some(ColumnType::Boolean)),
            ("jsonb", None),
            ("", None),
        ] {
            assert_eq!(column_type(declared), kind, "{declared}");
        }
    }
}
