//! The subsets of JSON schema that providers take for an answer's form.

use serde_json::{Map, Value, json};

use super::canonical::Schema;
use super::{Dropped, TranslateError};

/// Keywords that `strict` knows with OpenAI and with Azure, which knows fewer. (Their pages on structured outputs name
/// more: what not both are sure to take makes a schema one that is not strict.)
const STRICT: &[&str] = &[
    "$schema",
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "definitions",
    "description",
    "enum",
    "items",
    "properties",
    "required",
    "title",
    "type",
];

/// Whether a schema keeps OpenAI's rules for `strict`: an object that is no choice of several, each object closed with
/// all its properties required, no other keywords.
pub(super) fn is_strict(schema: &Value) -> bool {
    is_object(schema) && schema.get("anyOf").is_none() && keeps_rules(schema)
}

fn keeps_rules(schema: &Value) -> bool {
    let Value::Object(members) = schema else {
        return false;
    };
    let knows = |key: &String| STRICT.contains(&key.as_str());
    let says = ["type", "anyOf", "$ref"]
        .iter()
        .any(|key| members.contains_key(*key));
    let is_whole = !is_object(schema) || {
        let required = schema["required"].as_array().map(Vec::as_slice);
        let required = required.unwrap_or_default();
        let names = schema["properties"].as_object();
        let mut names = names.into_iter().flat_map(Map::keys);
        schema["additionalProperties"] == false
            && names.all(|name| required.iter().any(|required| required == name))
    };
    let inside = members
        .iter()
        .all(|(key, value)| match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                named.values().all(keeps_rules)
            }
            ("anyOf", Value::Array(schemas)) => schemas.iter().all(keeps_rules),
            ("items", schema) => keeps_rules(schema),
            _ => true,
        });
    members.keys().all(knows) && says && is_whole && inside
}

fn is_object(schema: &Value) -> bool {
    match &schema["type"] {
        Value::String(word) => word == "object",
        Value::Array(words) => words.iter().any(|word| word == "object"),
        _ => schema.get("properties").is_some(),
    }
}

/// The schema with its objects closed, which Anthropic and Bedrock want of each. An answer that keeps the closed one keeps
/// the open one.
///
/// # Errors
/// [`TranslateError`] when an object's properties are not named: closed, it could only be empty.
pub(super) fn closed(schema: Schema, dropped: &mut Dropped) -> Result<Value, TranslateError> {
    let Schema {
        schema: mut value,
        path,
        ..
    } = schema;
    close(&mut value, &path, dropped)?;
    Ok(value)
}

fn close(schema: &mut Value, path: &str, dropped: &mut Dropped) -> Result<(), TranslateError> {
    let is_object = is_object(schema);
    let Value::Object(members) = schema else {
        return Ok(());
    };
    if is_object && members.get("additionalProperties") != Some(&Value::Bool(false)) {
        let named = members.get("properties").and_then(Value::as_object);
        // What these say of it is not looked into.
        let says_more = ["allOf", "anyOf", "oneOf", "$ref"]
            .iter()
            .any(|key| members.contains_key(*key));
        if named.is_none_or(Map::is_empty) && !says_more {
            return Err(TranslateError::Unsupported {
                field: path.to_owned(),
                reason: "an object must name its properties",
            });
        }
        if !says_more {
            let given = members.insert("additionalProperties".to_owned(), json!(false));
            if given.is_some() {
                dropped.add(format!("{path}.additionalProperties"));
            }
        }
    }
    for (key, value) in members {
        let path = format!("{path}.{key}");
        match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                for (name, schema) in named {
                    close(schema, &format!("{path}.{name}"), dropped)?;
                }
            }
            ("anyOf", Value::Array(schemas)) => {
                for (at, schema) in schemas.iter_mut().enumerate() {
                    close(schema, &format!("{path}[{at}]"), dropped)?;
                }
            }
            ("items", schema) => close(schema, &path, dropped)?,
            _ => {}
        }
    }
    Ok(())
}
