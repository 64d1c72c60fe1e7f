//! When a filter is asked.
use serde::{Deserialize, Serialize};

use crate::Endpoint;

/// A pattern for names: `*` stands for any run, `?` for one character, case counts.
///
/// ```
/// use aiproxy_filters::Glob;
///
/// assert!(Glob::new("gpt-?o*").matches("gpt-4o-mini"));
/// assert!(!Glob::new("gpt-*").matches("GPT-4o"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// Whether it matches every text.
    pub fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    /// Any text is a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole name fits. Time grows with pattern length times name length at most.
    pub fn matches(&self, name: &str) -> bool {
        let mut pattern = self.0.chars();
        let mut name = name.chars();
        let mut last_star = None;
        loop {
            let here = (pattern.clone(), name.clone());
            match (pattern.next(), name.next()) {
                (Some('*'), _) => {
                    last_star = Some((pattern.clone(), here.1.clone()));
                    name = here.1;
                }
                (None, None) => return true,
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(given)) if wanted == given => {}
                (_, _) => {
                    let Some((after_star, mut from)) = last_star.take() else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    last_star = Some((after_star.clone(), from.clone()));
                    (pattern, name) = (after_star, from);
                }
            }
        }
    }
}

/// Which exchanges a filter is asked for. An empty list stands for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The APIs called.
    pub endpoints: Vec<Endpoint>,
    /// The models asked for. A request that names no model matches none.
    pub models: Vec<Glob>,
    /// The names of callers' keys.
    pub keys: Vec<String>,
}

impl When {
    pub(crate) fn matches(
        &self,
        endpoint: Endpoint,
        model: Option<&str>,
        key: Option<&str>,
    ) -> bool {
        let fits_model = |model| self.models.iter().any(|glob| glob.matches(model));
        let fits_key = |key: &str| self.keys.iter().any(|listed| listed == key);
        (self.endpoints.is_empty() || self.endpoints.contains(&endpoint))
            && (self.models.is_empty() || model.is_some_and(fits_model))
            && (self.keys.is_empty() || key.is_some_and(fits_key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*b*b", "abab", true),
            ("*b?", "abbé", true),
            ("?", "é", true),
            ("?", "", false),
            ("gpt-3.5*", "gpt-3x5", false),
            ("**a", "bba", true),
            ("a*", "b", false),
            ("gpt-*", "my-gpt-4o", false),
            ("*mini*2024", "gpt-4o-mini-2024-mini-2024", true),
            ("*mini*2024", "gpt-4o-mini-2024-x", false),
            ("[ab]", "a", false),
            ("gpt-4", "gpt-4o", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        assert!(!Glob::new("*a".repeat(40) + "b").matches(&"a".repeat(4000)));
    }

    #[test]
    fn an_empty_list_stands_for_all() {
        let chat = Endpoint::ChatCompletions;
        assert!(When::default().matches(chat, None, None));
        let when = When {
            endpoints: vec![chat],
            models: vec![Glob::new("gpt-*")],
            keys: vec!["team".to_owned()],
        };
        assert!(when.matches(chat, Some("gpt-4"), Some("team")));
        assert!(!when.matches(Endpoint::Embeddings, Some("gpt-4"), Some("team")));
        assert!(!when.matches(chat, None, Some("team")));
        assert!(!when.matches(chat, Some("gpt-4"), None));
    }

    #[test]
    fn unknown_conditions_are_refused() {
        let read = |text| serde_json::from_str::<When>(text);
        assert!(read(r#"{"models":["a*"],"endpoints":["chat.completions"]}"#).is_ok());
        assert!(read(r#"{"users":["a"]}"#).is_err());
        assert!(read(r#"{"endpoints":["chat"]}"#).is_err());
    }
}
