//! Columns of one's own: real SQL columns, from the configuration and from Rust.

use aiproxy::access_log::columns::{ColumnType, CustomColumn};
use aiproxy::access_log::draft::ColumnValue;

use crate::support::gateway::{TestGateway, Wanted};

fn column(name: &str, kind: ColumnType) -> CustomColumn {
    CustomColumn {
        name: name.to_owned(),
        kind,
        index: false,
    }
}

#[test]
fn configured_columns_are_filled_from_where_they_say() {
    let gateway = TestGateway::configured(
        "log:\n  spool_dir: $DIR/spool\n  columns:\n    \
         team: { from: tag.team, type: text, index: true }\n    \
         temperature: { from: request.body.temperature, type: float }\n    \
         agent: { from: request.header.x-agent, type: text }\n    \
         first: { from: response.body.choices.0.index, type: integer }\n    \
         absent: { from: request.header.x-absent, type: text }",
    );
    let body = r#"{"model":"mock","temperature":0.25,"messages":[]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-aiproxy-tags: team=blue\r\nx-agent: test\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    crate::support::raw_client::exchange(gateway.data, request);
    let columns = [
        column("team", ColumnType::Text),
        column("temperature", ColumnType::Float),
        column("agent", ColumnType::Text),
        column("first", ColumnType::Integer),
        column("absent", ColumnType::Text),
    ];
    let row = gateway.rows_with(&columns).remove(0);
    let expected = [
        ("team", ColumnValue::Text("blue".to_owned())),
        ("temperature", ColumnValue::Float(0.25)),
        ("agent", ColumnValue::Text("test".to_owned())),
        ("first", ColumnValue::Integer(0)),
    ];
    assert_eq!(
        row.record.columns,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn a_program_adds_columns_by_functions() {
    let gateway = TestGateway::with(Wanted {
        extend: Some(Box::new(|gateway| {
            gateway
                .column("asker", |exchange| {
                    exchange.request().user().map(str::to_owned)
                })
                .column_number("heat", |exchange| exchange.request().number("temperature"))
        })),
        ..Wanted::default()
    });
    gateway.chat("mock", r#","user":"ann","temperature":1.5"#);
    let columns = [
        column("asker", ColumnType::Text),
        column("heat", ColumnType::Float),
    ];
    let row = gateway.rows_with(&columns).remove(0);
    let expected = [
        ("asker", ColumnValue::Text("ann".to_owned())),
        ("heat", ColumnValue::Float(1.5)),
    ];
    assert_eq!(
        row.record.columns,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn a_function_that_panics_costs_its_value_and_no_row() {
    let gateway = TestGateway::with(Wanted {
        extend: Some(Box::new(|gateway| {
            gateway
                .column("broken", |exchange| match exchange.request().user() {
                    Some(user) => panic!("{user} has no place here"),
                    None => Some("nobody".to_owned()),
                })
                .column_number("heat", |exchange| exchange.request().number("temperature"))
        })),
        ..Wanted::default()
    });
    gateway.chat("mock", r#","user":"ann","temperature":1.5"#);
    gateway.chat("mock", "");
    let columns = [
        column("broken", ColumnType::Text),
        column("heat", ColumnType::Float),
    ];
    let mut found: Vec<_> = gateway
        .rows_with(&columns)
        .into_iter()
        .map(|row| row.record.columns)
        .collect();
    found.sort_by_key(|values| values[0].0.clone());
    let (text, number) = (
        ColumnValue::Text("nobody".to_owned()),
        ColumnValue::Float(1.5),
    );
    let expected = [
        vec![("broken".to_owned(), text)],
        vec![("heat".to_owned(), number)],
    ];
    assert_eq!(found, expected);
}
