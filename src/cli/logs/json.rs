//! Exchanges as JSON, one object a line: the columns by their names, times as RFC 3339 in UTC, and JSON that stands in
//! a column as JSON. Nothing in a line can steer a terminal.

use std::fmt::Write as _;

use base64::Engine;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::access_log::columns::{Column, CustomColumn, TABLES, Table};
use crate::access_log::query::Stored;
use crate::access_log::record::LogRecord;
use crate::config::steers;
use crate::database::value::Cell;

/// Fields in their order.
#[derive(Default)]
struct Object(Vec<(String, Box<RawValue>)>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Object {
    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> serde_json::Result<()> {
        self.0.push((name.to_owned(), to_raw_value(value)?));
        Ok(())
    }

    /// All columns of one row of a table but those that only join it.
    fn add_row(
        &mut self,
        table: &Table,
        record: &LogRecord,
        number: usize,
    ) -> serde_json::Result<()> {
        let is_child = table.name != TABLES[0].name;
        for column in table.columns {
            if !(is_child && matches!(column.name, "request_id" | "created_at")) {
                let value = value(column, (column.get)(record, number))?;
                self.0.push((column.name.to_owned(), value));
            }
        }
        Ok(())
    }
}

/// The row of one exchange, with its line end.
pub(super) fn row(stored: &Stored, own: &[CustomColumn]) -> serde_json::Result<String> {
    line(&exchange(stored, own)?)
}

/// One exchange with its bodies, attempts and verdicts, with its line end.
pub(super) fn whole(stored: &Stored, own: &[CustomColumn]) -> serde_json::Result<String> {
    let mut object = exchange(stored, own)?;
    let [_, bodies, attempts, verdicts] = &TABLES;
    let rows = |table: &Table| -> serde_json::Result<Vec<Object>> {
        let numbers = 0..(table.rows)(&stored.record);
        let row = |number| {
            let mut row = Object::default();
            row.add_row(table, &stored.record, number)?;
            Ok(row)
        };
        numbers.map(row).collect()
    };
    object.add(bodies.name, &rows(bodies)?.pop())?;
    // `attempts` is the number of them, in the row itself.
    object.add("attempt_rows", &rows(attempts)?)?;
    object.add(verdicts.name, &rows(verdicts)?)?;
    line(&object)
}

fn exchange(stored: &Stored, own: &[CustomColumn]) -> serde_json::Result<Object> {
    let mut object = Object::default();
    object.add("id", &stored.id)?;
    object.add_row(&TABLES[0], &stored.record, 0)?;
    for column in own {
        let value = plain(column.cell(&stored.record))?;
        object.0.push((column.name.clone(), value));
    }
    Ok(object)
}

fn value(column: &Column, cell: Cell<'_>) -> serde_json::Result<Box<RawValue>> {
    match cell {
        Cell::Text(text) if column.unit.starts_with("JSON") => embedded(&text),
        cell => plain(cell),
    }
}

/// A JSON text as it stands, numbers too; one that is no JSON, as nothing of ours should be, as a text.
fn embedded(text: &str) -> serde_json::Result<Box<RawValue>> {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        return to_raw_value(text);
    };
    if raw.get().chars().any(steers) {
        // A line end or tab between its tokens would not survive on one line.
        let value: Result<serde_json::Value, _> = serde_json::from_str(text);
        return value.map_or_else(|_| to_raw_value(text), |value| to_raw_value(&value));
    }
    Ok(raw.to_owned())
}

fn plain(cell: Cell<'_>) -> serde_json::Result<Box<RawValue>> {
    match cell {
        Cell::Null => to_raw_value(&()),
        Cell::Text(text) => to_raw_value(&*text),
        Cell::Integer(number) => to_raw_value(&number),
        Cell::Double(number) => to_raw_value(&number),
        Cell::Boolean(truth) => to_raw_value(&truth),
        Cell::Time(time_us) => to_raw_value(&rfc3339(time_us)),
        Cell::Bytes(bytes) => {
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            to_raw_value(&text)
        }
    }
}

/// A time in microseconds since the Unix epoch, as RFC 3339 in UTC, always with six digits of a second. `None` beyond
/// the years that it can write.
fn rfc3339(time_us: i64) -> Option<String> {
    let time = Timestamp::from_microsecond(time_us).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
}

/// The object on one line, what steers escaped as JSON escapes it: such characters stand in texts only, all within the
/// first plane, where one escape is one character (RFC 8259, section 7).
fn line(object: &Object) -> serde_json::Result<String> {
    let json = serde_json::to_string(object)?;
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if !steers(character) {
            line.push(character);
        } else if write!(line, "\\u{:04x}", u32::from(character)).is_err() {
            // Writing to a String does not fail.
            continue;
        }
    }
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::columns::ColumnType;
    use crate::access_log::draft::ColumnValue;
    use crate::access_log::record::{Payload, StoredBody};

    fn stored() -> Stored {
        let body = |bytes: &'static [u8]| StoredBody {
            bytes: bytes::Bytes::from_static(bytes),
            size: bytes.len() as i64,
            sha256: "00".to_owned(),
        };
        let record = LogRecord {
            request_id: "r".to_owned(),
            created_at_us: 1_795_255_200_000_001,
            request_text: Some("a\n\u{1b}\u{9b}\u{202e}".to_owned()),
            tags: Some(r#"{"team":"blue"}"#.to_owned()),
            usage_raw: Some("{\n\t\"n\": 1}".to_owned()),
            tool_calls: Some("no JSON".to_owned()),
            duration_ms: Some(1.5),
            columns: vec![("team".to_owned(), ColumnValue::Text("blue".to_owned()))],
            payload: Some(Payload {
                request_body: Some(body(b"{}")),
                response_body: Some(body(b"\xff")),
                response_headers: Some(r#"{"a":"b"}"#.to_owned()),
                ..Payload::default()
            }),
            ..LogRecord::default()
        };
        Stored { id: 7, record }
    }

    fn own() -> Vec<CustomColumn> {
        let column = |name: &str| CustomColumn {
            name: name.to_owned(),
            kind: ColumnType::Text,
            index: false,
        };
        vec![column("team"), column("other")]
    }

    #[test]
    fn a_row_is_one_line_that_cannot_steer() {
        let line = row(&stored(), &own()).expect("a line");
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        assert!(!line.trim_end().chars().any(steers), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        for (path, expected) in [
            ("/id", "7"),
            ("/created_at", r#""2026-11-21T10:00:00.000001Z""#),
            ("/finished_at", "null"),
            ("/tags/team", r#""blue""#),
            ("/usage_raw/n", "1"),
            ("/tool_calls", r#""no JSON""#),
            ("/duration_ms", "1.5"),
            ("/team", r#""blue""#),
            ("/other", "null"),
        ] {
            let found = value.pointer(path).map(ToString::to_string);
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
        assert_eq!(value["request_text"], "a\n\u{1b}\u{9b}\u{202e}");
        assert!(value.get("exchange_bodies").is_none());
    }

    #[test]
    fn numbers_stay_as_they_were_received() {
        let mut stored = stored();
        stored.record.usage_raw = Some(r#"{"n":100000000000000000000000001}"#.to_owned());
        let line = row(&stored, &[]).expect("a line");
        assert!(
            line.contains(r#"{"n":100000000000000000000000001}"#),
            "{line}"
        );
        stored.record.usage_raw = Some("{\n\"n\":1e400}".to_owned());
        let line = row(&stored, &[]).expect("a line");
        assert!(line.contains(r#""{\n\"n\":1e400}""#), "{line}");
    }

    #[test]
    fn the_whole_has_bodies() {
        let line = whole(&stored(), &own()).expect("a line");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let bodies = &value["exchange_bodies"];
        assert_eq!(bodies["request_body"], "{}");
        assert_eq!(bodies["response_headers"]["a"], "b");
        assert_eq!(bodies["response_body"], serde_json::Value::Null);
        assert_eq!(bodies["response_body_bytes"], "/w==");
        assert!(bodies.get("request_id").is_none());
        assert_eq!(value["attempt_rows"], serde_json::json!([]));
        assert_eq!(value["filter_verdicts"], serde_json::json!([]));
    }
}
