//! Reads what hangs on an exchange: its bodies, attempts and verdicts.

use aiproxy_filters::Outcome;

use crate::access_log::columns::{TABLES, Table};
use crate::access_log::draft::{AttemptDraft, VerdictDraft};
use crate::access_log::query::{QueryError, read};
use crate::access_log::record::{LogRecord, Payload, StoredBody};
use crate::database::Database;
use crate::database::value::{Cell, Datum, Row};

/// Fills a record's payload, tries and verdicts.
pub(super) async fn read_into(
    database: &Database,
    record: &mut LogRecord,
) -> Result<(), QueryError> {
    let [_, bodies, attempts, verdicts] = &TABLES;
    record.payload = rows(database, bodies, record)
        .await?
        .pop()
        .map(|mut row| row.payload());
    record.tries = rows(database, attempts, record)
        .await?
        .iter_mut()
        .map(Fields::attempt)
        .collect::<Result<_, _>>()?;
    record.verdicts = rows(database, verdicts, record)
        .await?
        .iter_mut()
        .map(Fields::verdict)
        .collect();
    Ok(())
}

/// The rows of a child table in their order.
async fn rows(
    database: &Database,
    table: &Table,
    record: &LogRecord,
) -> Result<Vec<Fields>, QueryError> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let order = if names.contains(&"number") {
        " ORDER BY number"
    } else {
        ""
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE request_id = $1 AND created_at = $2{order}",
        names.join(", "),
        table.name
    );
    let cells = [
        Cell::Text(record.request_id.as_str().into()),
        Cell::Time(record.created_at_us),
    ];
    let rows = read(database, &sql, &cells).await?;
    rows.iter().map(|row| Fields::of(table, row)).collect()
}

/// A row of a child table, its values taken by name.
pub(super) struct Fields(Vec<(&'static str, Datum)>);

impl Fields {
    /// All columns of a table, read from a row that holds just them.
    pub(super) fn of(table: &Table, row: &Row) -> Result<Self, QueryError> {
        let mut fields = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            fields.push((column.name, row.get(place, column.kind)?));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, name: &str) -> Datum {
        let field = self.0.iter_mut().find(|(field, _)| *field == name);
        field.map_or(Datum::Null, |(_, value)| {
            std::mem::replace(value, Datum::Null)
        })
    }

    fn text(&mut self, name: &str) -> Option<String> {
        if let Datum::Text(text) = self.take(name) {
            Some(text)
        } else {
            None
        }
    }

    fn integer(&mut self, name: &str) -> Option<i64> {
        if let Datum::Integer(number) | Datum::Time(number) = self.take(name) {
            Some(number)
        } else {
            None
        }
    }

    fn double(&mut self, name: &str) -> Option<f64> {
        if let Datum::Double(number) = self.take(name) {
            Some(number)
        } else {
            None
        }
    }

    fn body(&mut self, name: &str) -> Option<StoredBody> {
        let bytes = match (self.take(name), self.take(&format!("{name}_bytes"))) {
            (Datum::Text(text), _) => text.into_bytes(),
            (_, Datum::Bytes(bytes)) => bytes,
            _ => return None,
        };
        Some(StoredBody {
            bytes: bytes.into(),
            size: self.integer(&format!("{name}_size")).unwrap_or_default(),
            sha256: self.text(&format!("{name}_sha256")).unwrap_or_default(),
        })
    }

    fn payload(&mut self) -> Payload {
        Payload {
            request_headers: self.text("request_headers"),
            request_body: self.body("request_body"),
            upstream_request_body: self.body("upstream_request_body"),
            response_headers: self.text("response_headers"),
            response_body: self.body("response_body"),
            upstream_response_body: self.body("upstream_response_body"),
            chunk_times: self.text("chunk_times"),
        }
    }

    fn attempt(&mut self) -> Result<AttemptDraft, QueryError> {
        Ok(AttemptDraft {
            number: self
                .integer("number")
                .and_then(|n| n.try_into().ok())
                .unwrap_or_default(),
            provider: self.text("provider").unwrap_or_default(),
            model: self.text("model"),
            provider_key: self.text("provider_key"),
            started_at_us: self.integer("started_at").unwrap_or_default(),
            status_code: self
                .integer("status_code")
                .and_then(|status| status.try_into().ok()),
            outcome: outcome(self.text("outcome").unwrap_or_default())?,
            error_message: self.text("error_message"),
            connect_ms: self.double("connect_ms"),
            first_byte_ms: self.double("first_byte_ms"),
            duration_ms: self.double("duration_ms").unwrap_or_default(),
            skip_reason: self.text("skip_reason"),
        })
    }

    fn verdict(&mut self) -> VerdictDraft {
        VerdictDraft {
            filter: self.text("filter").unwrap_or_default(),
            phase: self.text("phase").unwrap_or_default(),
            verdict: self.text("verdict").unwrap_or_default(),
            detail: self.text("detail"),
            duration_us: self
                .integer("duration_us")
                .and_then(|us| us.try_into().ok())
                .unwrap_or_default(),
        }
    }
}

/// The outcome of a word.
fn outcome(word: String) -> Result<Outcome, QueryError> {
    let value = serde_json::Value::String(word);
    serde_json::from_value(value).map_err(|error| QueryError::NotUnderstood(error.to_string()))
}
