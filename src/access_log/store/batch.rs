//! A batch on its way into SQL: cut to size, and each table's values as one matrix, from which the columns
//! that are NULL in the whole batch are left out.

use std::borrow::Cow;

use crate::access_log::columns::{CustomColumn, INDEXED_MAX_BYTES, TABLES, Table};
use crate::access_log::record::{LogRecord, StoredBody};
use crate::database::value::{Cell, Kind};

/// Most exchanges in one transaction.
pub const MAX_ROWS: usize = 400;
/// Most bytes of texts and bodies in one transaction; a single larger exchange goes alone.
pub const MAX_BYTES: usize = 4 << 20;
/// Most values in one transaction's rows of `exchanges`. SQLite takes 32,766 in a statement.
pub const MAX_BINDS: usize = 30_000;

/// Cuts a batch into what one transaction takes. No piece is empty.
pub(super) fn cut(batch: &[LogRecord], columns: usize) -> impl Iterator<Item = &[LogRecord]> {
    let most = MAX_ROWS.min(MAX_BINDS / columns.max(1)).max(1);
    let mut rest = batch;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let length = rest
            .iter()
            .take(most)
            .take_while(|record| {
                let first = bytes == 0;
                bytes = bytes.saturating_add(size(record).max(1));
                first || bytes <= MAX_BYTES
            })
            .count();
        let (piece, after) = rest.split_at_checked(length)?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Bytes of what is large in a record.
fn size(record: &LogRecord) -> usize {
    let texts = [
        &record.request_text,
        &record.response_text,
        &record.tool_calls,
        &record.error_message,
    ];
    let texts: usize = texts
        .iter()
        .map(|text| text.as_ref().map_or(0, String::len))
        .sum();
    let Some(payload) = &record.payload else {
        return texts;
    };
    let body = |body: &Option<StoredBody>| body.as_ref().map_or(0, |body| body.bytes.len());
    texts
        + body(&payload.request_body)
        + body(&payload.upstream_request_body)
        + body(&payload.response_body)
        + body(&payload.upstream_response_body)
        + payload.chunk_times.as_ref().map_or(0, String::len)
}

/// One column as it stands in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
}

/// The rows of one table, one after the other, every column of the table in each.
pub(super) struct Matrix<'a> {
    pub(super) table: &'static str,
    pub(super) rows: usize,
    width: usize,
    cells: Vec<Cell<'a>>,
    /// One bit a column: whether any row has a value there.
    pub(super) used: u128,
    places: Vec<Place<'a>>,
}

impl<'a> Matrix<'a> {
    /// Every table's rows of some records; a table without rows is left out.
    pub(super) fn all(records: &'a [LogRecord], custom: &'a [CustomColumn]) -> Vec<Self> {
        TABLES
            .iter()
            .map(|table| Self::of(table, records, custom))
            .filter(|matrix| matrix.rows > 0)
            .collect()
    }

    /// One table's rows of some records.
    pub(super) fn of(
        table: &'static Table,
        records: &'a [LogRecord],
        custom: &'a [CustomColumn],
    ) -> Self {
        let custom = if table.name == "exchanges" {
            custom
        } else {
            &[]
        };
        let rows = records.iter().map(table.rows).sum();
        let width = table.columns.len() + custom.len();
        let mut cells = Vec::with_capacity(rows * width);
        let mut used = 0_u128;
        for record in records {
            for index in 0..(table.rows)(record) {
                let own = custom.iter().map(|column| {
                    let cell = column.cell(record);
                    if column.index { capped(cell) } else { cell }
                });
                let built_in = table.columns.iter().map(|column| {
                    let cell = (column.get)(record, index);
                    if column.indexed { capped(cell) } else { cell }
                });
                for (place, cell) in built_in.chain(own).enumerate() {
                    used |= u128::from(cell != Cell::Null) << place;
                    cells.push(cell);
                }
            }
        }
        let built_in = table.columns.iter().map(|column| Place {
            name: column.name,
            kind: column.kind,
        });
        let own = custom.iter().map(|column| Place {
            name: &column.name,
            kind: column.kind.kind(),
        });
        Self {
            table: table.name,
            rows,
            width,
            cells,
            used,
            places: built_in.chain(own).collect(),
        }
    }

    /// The columns that any row fills, by their places in a row.
    pub(super) fn used(&self) -> impl Iterator<Item = (usize, Place<'a>)> {
        let used = self.used;
        self.places
            .iter()
            .copied()
            .enumerate()
            .filter(move |(place, _)| used >> place & 1 == 1)
    }

    /// Some of the rows, each with every column of the table; for their values to be taken.
    pub(super) fn rows_mut(
        &mut self,
        from: usize,
        count: usize,
    ) -> impl Iterator<Item = &mut [Cell<'a>]> {
        let rows = self.cells.chunks_mut(self.width.max(1));
        rows.skip(from).take(count)
    }

    /// Puts another value in a column of the only row.
    pub(super) fn put(&mut self, name: &str, cell: Cell<'a>) {
        let place = self.places.iter().position(|place| place.name == name);
        if let Some(place) = place
            && let Some(slot) = self.cells.get_mut(place)
        {
            self.used &= !(1 << place);
            self.used |= u128::from(cell != Cell::Null) << place;
            *slot = cell;
        }
    }

    /// The values of one column, by its place in a row.
    pub(super) fn column(&self, place: usize) -> impl Iterator<Item = &Cell<'a>> {
        self.cells.iter().skip(place).step_by(self.width.max(1))
    }
}

/// A text that fits an index entry: cut on a character's border.
fn capped(cell: Cell<'_>) -> Cell<'_> {
    match cell {
        Cell::Text(text) if text.len() > INDEXED_MAX_BYTES => {
            let (head, _) = text.split_at(text.floor_char_boundary(INDEXED_MAX_BYTES));
            Cell::Text(Cow::Owned(head.to_owned()))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::record::Payload;

    fn of_size(bytes: usize) -> LogRecord {
        let body = StoredBody {
            bytes: vec![b'a'; bytes].into(),
            ..StoredBody::default()
        };
        let payload = Payload {
            request_body: Some(body),
            ..Payload::default()
        };
        LogRecord {
            payload: Some(payload),
            ..LogRecord::default()
        }
    }

    #[track_caller]
    fn check_cut(sizes: &[usize], columns: usize, expected: &[usize]) {
        let batch: Vec<LogRecord> = sizes.iter().map(|size| of_size(*size)).collect();
        let lengths: Vec<usize> = cut(&batch, columns).map(<[LogRecord]>::len).collect();
        assert_eq!(lengths, expected);
    }

    #[test]
    fn batches_are_cut_by_rows_bytes_and_binds() {
        check_cut(&[], 60, &[]);
        check_cut(&[0; 400], 60, &[400]);
        check_cut(&[0; 401], 60, &[400, 1]);
        check_cut(&[0; 250], 150, &[200, 50]);
        check_cut(&[3 << 20, 1 << 20, 1, 9 << 20, 1], 60, &[2, 1, 1, 1]);
    }

    #[test]
    fn indexed_texts_are_cut_on_a_border() {
        let long = "ä".repeat(400);
        let Cell::Text(text) = capped(Cell::Text(long.into())) else {
            panic!("no text")
        };
        assert_eq!(text.len(), INDEXED_MAX_BYTES);
        let Cell::Text(text) = capped(Cell::Text(format!("a{}", "ä".repeat(400)).into())) else {
            panic!("no text")
        };
        assert_eq!(text.len(), INDEXED_MAX_BYTES - 1);
        assert_eq!(capped(Cell::Text("x".into())), Cell::Text("x".into()));
    }

    #[test]
    fn columns_without_any_value_are_left_out() {
        let records = [
            LogRecord::default(),
            LogRecord {
                model: Some("m".into()),
                ..LogRecord::default()
            },
        ];
        let matrices = Matrix::all(&records, &[]);
        let names: Vec<_> = matrices
            .iter()
            .map(|matrix| (matrix.table, matrix.rows))
            .collect();
        assert_eq!(names, [("exchanges", 2)]);
        let used: Vec<&str> = matrices[0].used().map(|(_, place)| place.name).collect();
        assert!(
            used.contains(&"model") && used.contains(&"request_id") && !used.contains(&"provider")
        );
        let (place, _) = matrices[0]
            .used()
            .find(|(_, place)| place.name == "model")
            .unwrap();
        assert_eq!(
            matrices[0].column(place).collect::<Vec<_>>(),
            [&Cell::Null, &Cell::Text("m".into())]
        );
    }
}
