//! Filter kinds by name.
use std::collections::BTreeMap;

use serde_json::Value;

use super::{ConfigError, Filter};
use crate::stock;

/// Makes a filter from its options. Functions and closures of this shape are factories.
pub trait FilterFactory: Send + Sync {
    /// Makes a filter.
    ///
    /// # Errors
    /// When an option is unknown, missing or wrong; see [`options`](crate::options).
    fn build(&self, options: &Value) -> Result<Filter, ConfigError>;
}

impl<F: Fn(&Value) -> Result<Filter, ConfigError> + Send + Sync> FilterFactory for F {
    fn build(&self, options: &Value) -> Result<Filter, ConfigError> {
        self(options)
    }
}

/// All kinds that a configuration may name.
///
/// ```
/// use aiproxy_filters::{ConfigError, Filter, Registry};
/// use serde_json::{Value, json};
///
/// fn nothing(_: &Value) -> Result<Filter, ConfigError> {
///     Ok(Filter::named("nothing"))
/// }
///
/// let mut registry = Registry::with_stock();
/// registry.register("nothing", nothing)?;
/// assert!(registry.register("tag", nothing).is_err());
/// assert_eq!(registry.build("tag", &json!({"tags": {"team": "a"}}))?.name(), "tag");
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<String, Box<dyn FilterFactory>>,
}

impl Registry {
    /// A registry without kinds.
    pub fn new() -> Self {
        Self::default()
    }

    /// A registry with the stock filters.
    pub fn with_stock() -> Self {
        let mut registry = Self::new();
        for (kind, build) in stock::KINDS {
            registry.kinds.insert((*kind).to_owned(), Box::new(build));
        }
        registry
    }

    /// Adds a kind.
    ///
    /// # Errors
    /// When the kind exists already.
    pub fn register(
        &mut self,
        kind: impl Into<String>,
        factory: impl FilterFactory + 'static,
    ) -> Result<(), ConfigError> {
        let kind = kind.into();
        if self.kinds.contains_key(&kind) {
            return Err(ConfigError::KindExists(kind));
        }
        self.kinds.insert(kind, Box::new(factory));
        Ok(())
    }

    /// Makes a filter of a kind.
    ///
    /// # Errors
    /// When the kind is unknown, or an option is unknown, missing or wrong.
    pub fn build(&self, kind: &str, options: &Value) -> Result<Filter, ConfigError> {
        match self.kinds.get(kind) {
            Some(factory) => factory.build(options),
            None => Err(ConfigError::UnknownKind {
                kind: kind.to_owned(),
                known: self.kinds().map(str::to_owned).collect(),
            }),
        }
    }

    /// The kinds there are, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_registered_is_unknown() {
        let registry = Registry::with_stock();
        assert_eq!(
            registry.kinds().collect::<Vec<_>>(),
            [
                "banned_users",
                "block_patterns",
                "canned_answer",
                "model_override",
                "require_user",
                "tag"
            ]
        );
        let error = registry
            .build("webhook", &Value::Null)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("unknown filter kind `webhook`, known are banned_users, "),
            "{error}"
        );
    }
}
