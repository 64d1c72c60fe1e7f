//! Fills the columns of one's own: from the configuration (a header, a path in a body, a tag) or by a function of
//! the program. Runs on the writer's side.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::access_log::columns::{ColumnType, CustomColumn};
use crate::access_log::draft::{Captured, ColumnValue, Finished};
use crate::config::{ColumnConfig, ColumnKind, ColumnSource};
use crate::filter::{LlmRequest, LlmResponse};

/// A column and where its value comes from.
pub struct OwnColumn {
    column: CustomColumn,
    source: Source,
}

type TextSource = Box<dyn Fn(&ColumnView) -> Option<String> + Send>;
type NumberSource = Box<dyn Fn(&ColumnView) -> Option<f64> + Send>;

enum Source {
    Configured(ColumnSource),
    Text(TextSource),
    Number(NumberSource),
}

/// What a program's function sees of a finished exchange: the client's request and the answer that it got.
pub struct ColumnView {
    request: LlmRequest,
    response: LlmResponse,
}

impl ColumnView {
    /// The request as the client sent it.
    pub fn request(&self) -> &LlmRequest {
        &self.request
    }

    /// The answer as the client got it; of a stream, its bytes are no JSON and every reader gives `None`.
    pub fn response(&self) -> &LlmResponse {
        &self.response
    }
}

impl OwnColumn {
    /// A column of the configuration.
    pub fn configured(config: &ColumnConfig) -> Self {
        let kind = match config.kind {
            ColumnKind::Text => ColumnType::Text,
            ColumnKind::Integer => ColumnType::Integer,
            ColumnKind::Float => ColumnType::Float,
            ColumnKind::Boolean => ColumnType::Boolean,
        };
        let column = CustomColumn {
            name: config.name.clone(),
            kind,
            index: config.index,
        };
        Self {
            column,
            source: Source::Configured(config.from.clone()),
        }
    }

    /// A text column of the program.
    pub fn text(
        name: impl Into<String>,
        value: impl Fn(&ColumnView) -> Option<String> + Send + 'static,
    ) -> Self {
        let column = CustomColumn {
            name: name.into(),
            kind: ColumnType::Text,
            index: false,
        };
        Self {
            column,
            source: Source::Text(Box::new(value)),
        }
    }

    /// A number column of the program.
    pub fn number(
        name: impl Into<String>,
        value: impl Fn(&ColumnView) -> Option<f64> + Send + 'static,
    ) -> Self {
        let column = CustomColumn {
            name: name.into(),
            kind: ColumnType::Float,
            index: false,
        };
        Self {
            column,
            source: Source::Number(Box::new(value)),
        }
    }

    /// The SQL column.
    pub fn column(&self) -> &CustomColumn {
        &self.column
    }

    /// What a function of the program gives. One that panics costs its own value, not the row.
    fn ask<T>(&self, value: impl FnOnce() -> Option<T>) -> Option<T> {
        catch_unwind(AssertUnwindSafe(value)).unwrap_or_else(|_| {
            tracing::error!(
                log.column = self.column.name,
                "the function of a log column panicked"
            );
            None
        })
    }
}

/// The values of an exchange; a column without one is NULL, and so is one whose function panics.
pub fn values(columns: &[OwnColumn], finished: &Finished) -> Vec<(String, ColumnValue)> {
    if columns.is_empty() {
        return Vec::new();
    }
    let seen = Seen::new(finished);
    columns
        .iter()
        .filter_map(|own| {
            let value = match &own.source {
                Source::Configured(source) => typed(own.column.kind, seen.find(source)?),
                Source::Text(value) => own.ask(|| value(&seen.view)).map(ColumnValue::Text),
                Source::Number(value) => own
                    .ask(|| value(&seen.view))
                    .filter(|number| number.is_finite())
                    .map(ColumnValue::Float),
            };
            Some((own.column.name.clone(), value?))
        })
        .collect()
}

/// An exchange, decoded once for all columns.
struct Seen<'a> {
    finished: &'a Finished,
    request_headers: Value,
    response_headers: Value,
    request_body: Value,
    response_body: Value,
    view: ColumnView,
}

impl<'a> Seen<'a> {
    fn new(finished: &'a Finished) -> Self {
        let request = bytes_of(finished.bodies.request.as_ref());
        let response = bytes_of(finished.bodies.response.as_ref());
        let endpoint = finished.opened.endpoint;
        let closed = finished.closed.as_ref();
        let parse = |text: Option<&str>| {
            text.and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or(Value::Null)
        };
        Self {
            request_headers: parse(finished.opened.request_headers.as_deref()),
            response_headers: parse(closed.and_then(|closed| closed.response_headers.as_deref())),
            request_body: serde_json::from_slice(&request).unwrap_or(Value::Null),
            response_body: serde_json::from_slice(&response).unwrap_or(Value::Null),
            view: ColumnView {
                request: LlmRequest::new(endpoint, request),
                response: LlmResponse::from_body(
                    endpoint,
                    closed.map_or(0, |closed| closed.status_code),
                    response,
                ),
            },
            finished,
        }
    }

    fn find(&self, source: &ColumnSource) -> Option<Value> {
        match source {
            ColumnSource::RequestHeader(name) => self.request_headers.get(name).cloned(),
            ColumnSource::ResponseHeader(name) => self.response_headers.get(name).cloned(),
            ColumnSource::RequestBody(path) => walk(&self.request_body, path),
            ColumnSource::ResponseBody(path) => walk(&self.response_body, path),
            ColumnSource::Tag(name) => {
                let tags = &self.finished.closed.as_ref()?.tags;
                tags.iter()
                    .find(|(tag, _)| tag == name)
                    .map(|(_, value)| Value::String(value.clone()))
            }
        }
    }
}

fn bytes_of(captured: Option<&Captured>) -> bytes::Bytes {
    match captured.map(|captured| captured.pieces.as_slice()) {
        None | Some([]) => bytes::Bytes::new(),
        Some([only]) => only.clone(),
        Some(pieces) => pieces.concat().into(),
    }
}

fn walk(value: &Value, path: &[String]) -> Option<Value> {
    let found = path.iter().try_fold(value, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    });
    found.filter(|value| !value.is_null()).cloned()
}

/// The value in the column's type; one that does not fit is NULL.
fn typed(kind: ColumnType, value: Value) -> Option<ColumnValue> {
    let text = match &value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    match kind {
        ColumnType::Text => Some(ColumnValue::Text(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })),
        ColumnType::Integer => text.parse().ok().map(ColumnValue::Integer),
        ColumnType::Float => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(ColumnValue::Float),
        ColumnType::Boolean => match text.as_str() {
            "true" | "1" => Some(ColumnValue::Integer(1)),
            "false" | "0" => Some(ColumnValue::Integer(0)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_take_the_columns_type_or_are_null() {
        let cases = [
            (
                ColumnType::Text,
                json!("a"),
                Some(ColumnValue::Text("a".to_owned())),
            ),
            (
                ColumnType::Text,
                json!([1]),
                Some(ColumnValue::Text("[1]".to_owned())),
            ),
            (
                ColumnType::Integer,
                json!("7"),
                Some(ColumnValue::Integer(7)),
            ),
            (ColumnType::Integer, json!(0.5), None),
            (ColumnType::Float, json!(0.5), Some(ColumnValue::Float(0.5))),
            (ColumnType::Float, json!("warm"), None),
            (
                ColumnType::Boolean,
                json!(true),
                Some(ColumnValue::Integer(1)),
            ),
            (ColumnType::Boolean, json!("maybe"), None),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(typed(kind, value.clone()), expected, "{kind:?} {value}");
        }
    }

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let body = json!({ "a": [{ "b": 1 }], "c": null });
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(walk(&body, &path("a.0.b")), Some(json!(1)));
        for none in ["a.1.b", "a.x", "c", "d"] {
            assert_eq!(walk(&body, &path(none)), None, "{none}");
        }
    }
}
