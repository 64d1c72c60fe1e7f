//! Values on their way into and out of a statement, each backend in its own form: times are `timestamptz`
//! on PostgreSQL and fixed-width text on SQLite, JSON is `jsonb` on PostgreSQL and text on SQLite.

use std::borrow::Cow;
use std::sync::Arc;

use sea_orm::sqlx;
use sea_orm::sqlx::encode::IsNull;
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::postgres::types::Oid;
use sea_orm::sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef, Postgres,
};
use sea_orm::sqlx::sqlite::{SqliteArguments, SqliteRow};
use sea_orm::sqlx::{Arguments, AssertSqlSafe, Decode, Encode, Row as _, Type};

use crate::database::{Pool, time_text};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text without NUL.
    Text,
    /// A JSON value: `jsonb` on PostgreSQL, text on SQLite.
    Json,
    /// 32 bits, signed.
    Integer,
    /// 64 bits, signed.
    BigInt,
    /// 64 bits, floating point.
    Double,
    /// True or false.
    Boolean,
    /// Microseconds since the Unix epoch in Rust.
    Time,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// The type in PostgreSQL's words, as in CREATE TABLE and in a cast.
    pub fn postgres(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "jsonb",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Double => "double precision",
            Self::Boolean => "boolean",
            Self::Time => "timestamp with time zone",
            Self::Bytes => "bytea",
        }
    }

    /// The declared type on SQLite.
    pub fn sqlite(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "TEXT",
            Self::Integer => "INTEGER",
            Self::BigInt => "BIGINT",
            Self::Double => "DOUBLE",
            Self::Boolean => "BOOLEAN",
            Self::Time => "DATETIME",
            Self::Bytes => "BLOB",
        }
    }
}

/// A value to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Cell<'a> {
    /// Unknown.
    #[default]
    Null,
    /// Text without NUL, also JSON.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i64),
    /// Floating point.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Microseconds since the Unix epoch.
    Time(i64),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// Unknown.
    Null,
    /// Text, also JSON.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Floating point.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Microseconds since the Unix epoch.
    Time(i64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Adds a value to a SQLite statement. One that the cell owns is moved there, not copied.
///
/// # Errors
/// None that are known: every kind can be encoded.
pub fn bind_sqlite(arguments: &mut SqliteArguments, cell: Cell<'_>) -> Result<(), BoxDynError> {
    match cell {
        Cell::Null => arguments.add(None::<i64>),
        Cell::Text(text) => arguments.add(text),
        Cell::Integer(number) => arguments.add(number),
        Cell::Double(number) => arguments.add(number),
        Cell::Boolean(truth) => arguments.add(truth),
        Cell::Time(us) => arguments.add(time_text::format(us)),
        Cell::Bytes(bytes) => arguments.add(bytes),
    }
}

/// Adds a value to a PostgreSQL statement. The type is the value's own; NULL goes as text.
fn bind_postgres(arguments: &mut PgArguments, cell: Cell<'_>) -> Result<(), BoxDynError> {
    match cell {
        Cell::Null => arguments.add(None::<String>),
        Cell::Text(text) => arguments.add(text),
        Cell::Integer(number) => arguments.add(number),
        Cell::Double(number) => arguments.add(number),
        Cell::Boolean(truth) => arguments.add(truth),
        Cell::Time(us) => arguments.add(Timestamp(us)),
        Cell::Bytes(bytes) => arguments.add(bytes),
    }
}

/// A row of either backend.
#[derive(Debug)]
pub enum Row {
    /// SQLite.
    Sqlite(SqliteRow),
    /// PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// The value at a place, counted from 0.
    ///
    /// # Errors
    /// The column is not there or holds another type.
    pub fn get(&self, index: usize, kind: Kind) -> Result<Datum, sqlx::Error> {
        match self {
            Self::Sqlite(row) => get_sqlite(row, index, kind),
            Self::Postgres(row) => get_postgres(row, index, kind),
        }
    }
}

fn get_sqlite(row: &SqliteRow, index: usize, kind: Kind) -> Result<Datum, sqlx::Error> {
    Ok(match kind {
        Kind::Text | Kind::Json => row
            .try_get_unchecked::<Option<String>, _>(index)?
            .map(Datum::Text),
        Kind::Integer | Kind::BigInt => row
            .try_get_unchecked::<Option<i64>, _>(index)?
            .map(Datum::Integer),
        Kind::Double => row
            .try_get_unchecked::<Option<f64>, _>(index)?
            .map(Datum::Double),
        Kind::Boolean => row
            .try_get_unchecked::<Option<bool>, _>(index)?
            .map(Datum::Boolean),
        Kind::Time => {
            let text = row.try_get_unchecked::<Option<String>, _>(index)?;
            text.and_then(|text| time_text::parse(&text))
                .map(Datum::Time)
        }
        Kind::Bytes => row
            .try_get_unchecked::<Option<Vec<u8>>, _>(index)?
            .map(Datum::Bytes),
    }
    .unwrap_or(Datum::Null))
}

fn get_postgres(row: &PgRow, index: usize, kind: Kind) -> Result<Datum, sqlx::Error> {
    Ok(match kind {
        Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Datum::Text),
        Kind::Json => row
            .try_get::<Option<Jsonb<String>>, _>(index)?
            .map(|json| Datum::Text(json.0)),
        Kind::Integer => row
            .try_get::<Option<i32>, _>(index)?
            .map(|n| Datum::Integer(n.into())),
        Kind::BigInt => row.try_get::<Option<i64>, _>(index)?.map(Datum::Integer),
        Kind::Double => row.try_get::<Option<f64>, _>(index)?.map(Datum::Double),
        Kind::Boolean => row.try_get::<Option<bool>, _>(index)?.map(Datum::Boolean),
        Kind::Time => row
            .try_get::<Option<Timestamp>, _>(index)?
            .map(|time| Datum::Time(time.0)),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(Datum::Bytes),
    }
    .unwrap_or(Datum::Null))
}

/// Runs a statement with `$1`-style places and gives its rows. Both backends take that style.
///
/// # Errors
/// Whatever the database says.
pub async fn fetch(pool: &Pool, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Row>, sqlx::Error> {
    let sql = AssertSqlSafe(Arc::<str>::from(sql));
    match pool {
        Pool::Sqlite(pool) => {
            let query = sqlx::query_with(sql, bound(cells, bind_sqlite)?);
            let rows = query.fetch_all(pool).await?;
            Ok(rows.into_iter().map(Row::Sqlite).collect())
        }
        Pool::Postgres(pool) => {
            let query = sqlx::query_with(sql, bound(cells, bind_postgres)?);
            let rows = query.fetch_all(pool).await?;
            Ok(rows.into_iter().map(Row::Postgres).collect())
        }
    }
}

/// Runs a statement as [`fetch`] does and gives the number of rows it touched.
///
/// # Errors
/// Whatever the database says.
pub async fn execute(pool: &Pool, sql: &str, cells: &[Cell<'_>]) -> Result<u64, sqlx::Error> {
    let sql = AssertSqlSafe(Arc::<str>::from(sql));
    match pool {
        Pool::Sqlite(pool) => {
            let query = sqlx::query_with(sql, bound(cells, bind_sqlite)?);
            Ok(query.execute(pool).await?.rows_affected())
        }
        Pool::Postgres(pool) => {
            let query = sqlx::query_with(sql, bound(cells, bind_postgres)?);
            Ok(query.execute(pool).await?.rows_affected())
        }
    }
}

/// The arguments of a statement.
fn bound<A: Default>(
    cells: &[Cell<'_>],
    bind: impl Fn(&mut A, Cell<'_>) -> Result<(), BoxDynError>,
) -> Result<A, sqlx::Error> {
    let mut arguments = A::default();
    for cell in cells {
        bind(&mut arguments, cell.clone()).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A `timestamptz` as microseconds since the Unix epoch. PostgreSQL's wire form counts from the year 2000.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(pub i64);

const POSTGRES_EPOCH_US: i64 = 10_957 * time_text::DAY_US;
const TIMESTAMPTZ: PgTypeInfo = PgTypeInfo::with_oid(Oid(1184));
const TIMESTAMPTZ_ARRAY: PgTypeInfo = PgTypeInfo::with_oid(Oid(1185));

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        TIMESTAMPTZ
    }
}

impl PgHasArrayType for Timestamp {
    fn array_type_info() -> PgTypeInfo {
        TIMESTAMPTZ_ARRAY
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let us = self.0.saturating_sub(POSTGRES_EPOCH_US);
        buffer.extend_from_slice(&us.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
        Ok(Self(
            i64::from_be_bytes(bytes).saturating_add(POSTGRES_EPOCH_US),
        ))
    }
}

/// A `jsonb` as its text. The wire form is a version byte, 1, before the text.
#[derive(Debug, Clone)]
pub struct Jsonb<T>(pub T);

const JSONB: PgTypeInfo = PgTypeInfo::with_oid(Oid(3802));
const JSONB_ARRAY: PgTypeInfo = PgTypeInfo::with_oid(Oid(3807));

impl<T> Type<Postgres> for Jsonb<T> {
    fn type_info() -> PgTypeInfo {
        JSONB
    }
}

impl<T> PgHasArrayType for Jsonb<T> {
    fn array_type_info() -> PgTypeInfo {
        JSONB_ARRAY
    }
}

impl Encode<'_, Postgres> for Jsonb<&str> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(1);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Jsonb<String> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.as_bytes()?.split_first() {
            Some((1, text)) => Ok(Self(std::str::from_utf8(text)?.to_owned())),
            Some(_) | None => Err("unknown version of jsonb".into()),
        }
    }
}
