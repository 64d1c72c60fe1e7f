//! `tag`: marks rows.
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    ConfigError, Context, Filter, FilterError, LlmRequest, OnError, RequestFilter, RequestVerdict,
    options,
};

/// Adds `tags` to the row of every exchange that `when` selects. A failure skips it.
///
/// ```yaml
/// kind: tag
/// tags: { team: search, trial: true }
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    tags: Map<String, Value>,
}

impl Tag {
    /// Makes the filter from its options.
    ///
    /// # Errors
    /// When an option is unknown, missing or wrong.
    pub fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        if filter.tags.is_empty() {
            return Err(ConfigError::option("tags", "names no tag"));
        }
        let is_nested = |value: &Value| value.is_null() || value.is_array() || value.is_object();
        if let Some((key, _)) = filter.tags.iter().find(|(_, value)| is_nested(value)) {
            let message = format!("`{key}` must be a text, a number, true or false");
            return Err(ConfigError::option("tags", message));
        }
        Ok(Filter::named("tag")
            .on_request(filter)
            .default_on_error(OnError::Skip))
    }
}

#[async_trait(?Send)]
impl RequestFilter for Tag {
    async fn on_request(
        &self,
        _: &mut LlmRequest,
        cx: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        for (key, value) in &self.tags {
            cx.tag(key, value.clone());
        }
        Ok(RequestVerdict::Continue)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ExchangeBuilder, Reply, build_error};

    #[tokio::test]
    async fn tags_are_added() {
        let tags = json!({"team": "search", "trial": true, "n": 1});
        let filter = Tag::from_config(&json!({"tags": tags})).unwrap();
        let done = ExchangeBuilder::chat(&json!({})).request(filter).await;
        assert_eq!(
            (done.reply, Value::from(done.tags)),
            (Reply::Continue, tags)
        );
    }

    #[test]
    fn wrong_options() {
        for (options, expected) in [
            (json!({}), "missing field `tags`"),
            (json!({"tags": {}}), "`tags`: names no tag"),
            (
                json!({"tags": {"a": []}}),
                "`tags`: `a` must be a text, a number, true or false",
            ),
            (
                json!({"tags": ["a"]}),
                "`tags`: invalid type: sequence, expected a map",
            ),
            (
                json!({"tags": {"a": 1}, "x": 1}),
                "`x`: unknown field `x`, expected `tags`",
            ),
        ] {
            assert_eq!(build_error("tag", &options), expected);
        }
    }
}
