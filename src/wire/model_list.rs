//! One list of models made of several, in the form of the clients that ask for it.

use std::collections::HashSet;

use aiproxy_filters::Dialect;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::listed_model::ListedModel;

/// Entries as the providers wrote them, or in the same form; of two with one name, the first.
#[derive(Debug)]
pub struct ModelList {
    dialect: Dialect,
    entries: Vec<Entry>,
    names: HashSet<String>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    written: String,
}

/// A list in the form of OpenAI's or Anthropic's API.
#[derive(Deserialize)]
struct Data {
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct OfData {
    id: String,
}

/// A list in the form of Gemini's.
#[derive(Deserialize)]
struct Models {
    models: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct OfModels {
    name: String,
}

/// What stands before Gemini's names.
const PREFIX: &str = "models/";

impl ModelList {
    /// An empty one for these clients.
    pub fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            entries: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Adds those of a list in the clients' own form that its provider takes. What is no list adds none.
    pub fn add_body(&mut self, body: &[u8], takes: impl Fn(&str) -> bool) {
        let entries = match self.dialect {
            Dialect::Gemini => serde_json::from_slice(body).map(|list: Models| list.models),
            _ => serde_json::from_slice(body).map(|list: Data| list.data),
        };
        for entry in entries.unwrap_or_default() {
            let name = match self.dialect {
                Dialect::Gemini => serde_json::from_str(entry.get()).map(|of: OfModels| {
                    let bare = of.name.strip_prefix(PREFIX).map(str::to_owned);
                    bare.unwrap_or(of.name)
                }),
                _ => serde_json::from_str(entry.get()).map(|of: OfData| of.id),
            };
            if let Some(name) = name.ok().filter(|name| takes(name)) {
                self.put(name, || entry.get().to_owned());
            }
        }
    }

    /// Adds these models.
    pub fn add(&mut self, models: &[ListedModel]) {
        let dialect = self.dialect;
        for model in models {
            self.put(model.id.clone(), || written(model, dialect));
        }
    }

    fn put(&mut self, name: String, written: impl FnOnce() -> String) {
        if self.names.insert(name.clone()) {
            let written = written();
            self.entries.push(Entry { name, written });
        }
    }

    /// Keeps the one of this name.
    pub fn keep(&mut self, name: &str) {
        self.entries.retain(|entry| entry.name == name);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first one alone.
    pub fn into_one(self) -> Bytes {
        let first = self.entries.into_iter().next();
        Bytes::from(first.map_or_else(String::new, |entry| entry.written))
    }

    /// The list. It is whole: nothing follows on another page.
    pub fn into_body(self) -> Bytes {
        let name = |entry: Option<&Entry>| json!(entry.map(|entry| &entry.name));
        let (first, last) = (name(self.entries.first()), name(self.entries.last()));
        let entries: Vec<String> = self
            .entries
            .into_iter()
            .map(|entry| entry.written)
            .collect();
        let entries = entries.join(",");
        Bytes::from(match self.dialect {
            Dialect::Gemini => format!(r#"{{"models":[{entries}]}}"#),
            Dialect::Anthropic => {
                format!(
                    r#"{{"data":[{entries}],"has_more":false,"first_id":{first},"last_id":{last}}}"#
                )
            }
            Dialect::Openai | Dialect::Azure | Dialect::Bedrock => {
                format!(r#"{{"object":"list","data":[{entries}]}}"#)
            }
        })
    }
}

/// The entry of a model.
fn written(model: &ListedModel, dialect: Dialect) -> String {
    match dialect {
        Dialect::Openai | Dialect::Azure | Dialect::Bedrock => model.to_json(),
        // "May be set to an epoch value if the release date is unknown." (docs.anthropic.com, Models, read 2026-11.)
        Dialect::Anthropic => {
            let created = jiff::Timestamp::from_second(model.created_s.unwrap_or(0));
            let created = created.unwrap_or_default().to_string();
            json!({ "type": "model", "id": model.id, "display_name": model.id, "created_at": created })
                .to_string()
        }
        Dialect::Gemini => json!({
            "name": format!("{PREFIX}{}", model.id), "displayName": model.id,
            "supportedGenerationMethods": ["generateContent"],
        })
        .to_string(),
    }
}

/// A query for all that a provider has on one page, of what these clients may ask for page by page. (docs.anthropic.com, and
/// ai.google.dev, Models, read 2026-11.)
pub fn whole_query(query: &str, dialect: Dialect) -> String {
    let (of_pages, most): (&[&str], &str) = match dialect {
        Dialect::Openai | Dialect::Azure | Dialect::Bedrock => return query.to_owned(),
        Dialect::Anthropic => (&["limit", "after_id", "before_id"], "limit=1000"),
        Dialect::Gemini => (&["pageSize", "pageToken"], "pageSize=1000"),
    };
    let parameters = query.strip_prefix('?').unwrap_or(query).split('&');
    let kept = parameters.filter(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        !name.is_empty() && !of_pages.contains(&name)
    });
    let kept: Vec<&str> = kept.chain([most]).collect();
    format!("?{}", kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, created_s: Option<i64>) -> ListedModel {
        ListedModel {
            id: id.to_owned(),
            internal_name: None,
            owned_by: "argo".to_owned(),
            created_s,
        }
    }

    #[test]
    fn lists_are_merged_in_the_clients_form() {
        for (dialect, body, expected) in [
            (
                Dialect::Openai,
                r#"{"object":"list","data":[{"id":"a","x":1.0},{"id":"not"},{"id":7},3]}"#,
                r#"{"object":"list","data":[{"id":"a","x":1.0},{"id":"b","object":"model","created":9,"owned_by":"argo"}]}"#,
            ),
            (
                Dialect::Anthropic,
                r#"{"data":[{"type":"model","id":"a","created_at":"2025-01-01T00:00:00Z"}],"has_more":true}"#,
                r#"{"data":[{"type":"model","id":"a","created_at":"2025-01-01T00:00:00Z"},{"type":"model","id":"b","display_name":"b","created_at":"1970-01-01T00:00:09Z"}],"has_more":false,"first_id":"a","last_id":"b"}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"models":[{"name":"models/a","version":"1"},{"name":"models/not"}],"nextPageToken":"x"}"#,
                r#"{"models":[{"name":"models/a","version":"1"},{"name":"models/b","displayName":"b","supportedGenerationMethods":["generateContent"]}]}"#,
            ),
        ] {
            let mut list = ModelList::of(dialect);
            list.add_body(body.as_bytes(), |name| name != "not");
            list.add(&[model("a", None), model("b", Some(9)), model("b", None)]);
            list.add_body(b"<html>", |_| true);
            assert_eq!(list.into_body(), expected);
        }
    }

    #[test]
    fn one_of_a_list_and_none_of_it() {
        let mut list = ModelList::of(Dialect::Gemini);
        list.add(&[model("a", None), model("b", None)]);
        list.keep("b");
        let one = String::from_utf8(list.into_one().to_vec()).unwrap();
        assert!(one.starts_with(r#"{"name":"models/b""#), "{one}");
        let mut list = ModelList::of(Dialect::Anthropic);
        list.add(&[model("a", None)]);
        list.keep("b");
        assert!(list.is_empty());
        let empty = r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#;
        assert_eq!(list.into_body(), empty);
    }

    #[test]
    fn all_is_asked_for_on_one_page() {
        for (dialect, query, expected) in [
            (Dialect::Openai, "?limit=2", "?limit=2"),
            (Dialect::Anthropic, "", "?limit=1000"),
            (
                Dialect::Anthropic,
                "?limit=2&beta=true&after_id=x",
                "?beta=true&limit=1000",
            ),
            (
                Dialect::Gemini,
                "?key=k&pageSize=2&pageToken=t",
                "?key=k&pageSize=1000",
            ),
        ] {
            assert_eq!(whole_query(query, dialect), expected);
        }
    }
}
