//! Google's schemas as JSON schemas: types are words in upper case there, and numbers may be texts.

use serde_json::{Map, Value, json};

/// A schema as others read it. One that is a JSON schema already stays.
pub(super) fn json_schema(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return schema;
    };
    let mut made = Map::new();
    let mut is_nullable = false;
    for (key, value) in members {
        match (&*key, value) {
            ("type", Value::String(word)) => {
                made.insert(key, Value::String(word.to_ascii_lowercase()));
            }
            ("nullable", value) => is_nullable = value == Value::Bool(true),
            ("propertyOrdering" | "property_ordering", _) => {}
            ("items" | "additionalProperties", value) => {
                made.insert(key, json_schema(value));
            }
            ("properties" | "$defs", Value::Object(properties)) => {
                let named = properties.into_iter();
                let named = named.map(|(name, value)| (name, json_schema(value)));
                made.insert(key, Value::Object(named.collect()));
            }
            ("anyOf" | "any_of", Value::Array(schemas)) => {
                let schemas = schemas.into_iter().map(json_schema).collect();
                made.insert("anyOf".to_owned(), schemas);
            }
            (
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
                | "maxProperties",
                Value::String(number),
            ) => {
                let read = number.parse::<u64>().map(Value::from);
                made.insert(key, read.unwrap_or(Value::String(number)));
            }
            (_, value) => {
                made.insert(key, value);
            }
        }
    }
    if is_nullable && let Some(kind) = made.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    Value::Object(made)
}
