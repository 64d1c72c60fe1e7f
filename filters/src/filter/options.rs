//! Reading a filter's options from the configuration.
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Why a filter cannot be made from its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nobody registered this kind.
    #[error("unknown filter kind `{kind}`, known are {}", .known.join(", "))]
    UnknownKind {
        /// The kind as configured.
        kind: String,
        /// All kinds there are.
        known: Vec<String>,
    },
    /// The kind is registered already.
    #[error("the filter kind `{0}` exists already")]
    KindExists(String),
    /// An option is unknown, missing or wrong.
    #[error("{}{message}", .option.as_ref().map(|option| format!("`{option}`: ")).unwrap_or_default())]
    Option {
        /// The option, `None` when all of them together are wrong.
        option: Option<String>,
        /// What is wrong with it and what is allowed.
        message: String,
    },
}

impl ConfigError {
    /// An option with a wrong value.
    pub fn option(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Option {
            option: Some(option.into()),
            message: message.into(),
        }
    }
}

/// Reads options into a struct, which should deny unknown fields. Null means no options.
///
/// ```
/// use aiproxy_filters::options;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Options {
///     users: Vec<String>,
/// }
///
/// let error = options::<Options>(&serde_json::json!({"users": "x"})).unwrap_err();
/// assert!(error.to_string().starts_with("`users`: invalid type"));
/// ```
///
/// # Errors
/// The error names the option that is unknown, missing or of another type.
pub fn options<T: DeserializeOwned>(value: &Value) -> Result<T, ConfigError> {
    let given = match value {
        Value::Null => Map::new(),
        Value::Object(given) => given.clone(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let message = "the options must be a mapping".to_owned();
            return Err(ConfigError::Option {
                option: None,
                message,
            });
        }
    };
    let message = match read::<T>(&given) {
        Ok(options) => return Ok(options),
        Err(message) => message,
    };
    let culprit = |key: &&String| {
        let rest = given.iter().filter(|(other, _)| other != key);
        let rest: Map<String, Value> = rest
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        read::<T>(&rest).err().as_ref() != Some(&message)
    };
    let is_missing = message.starts_with("missing field");
    let option = given.keys().find(culprit).filter(|_| !is_missing).cloned();
    Err(ConfigError::Option { option, message })
}

fn read<T: DeserializeOwned>(given: &Map<String, Value>) -> Result<T, String> {
    T::deserialize(Value::Object(given.clone())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Options {
        name: String,
        #[serde(default)]
        status: Option<u16>,
    }

    #[test]
    fn errors_name_the_option() {
        for (given, expected) in [
            (json!(null), "missing field `name`"),
            (json!([]), "the options must be a mapping"),
            (json!({"status": 1}), "missing field `name`"),
            (
                json!({"name": "a", "status": "x"}),
                "`status`: invalid type: string \"x\", expected u16",
            ),
            (
                json!({"name": 1}),
                "`name`: invalid type: integer `1`, expected a string",
            ),
            (
                json!({"name": "a", "nmae": 1}),
                "`nmae`: unknown field `nmae`, expected `name` or `status`",
            ),
        ] {
            assert_eq!(
                options::<Options>(&given).unwrap_err().to_string(),
                expected
            );
        }
    }
}
