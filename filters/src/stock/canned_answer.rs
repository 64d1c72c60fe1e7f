//! `canned_answer`: the same answer to everything.
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::reply;
use crate::{
    ConfigError, Context, Filter, FilterError, LlmRequest, RequestFilter, RequestVerdict, options,
};

/// Answers with `text` whatever `when` selects; the upstream is not asked.
///
/// ```yaml
/// kind: canned_answer
/// text: the service is closed for maintenance
/// when: { models: ["gpt-4*"] }
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannedAnswer {
    text: String,
}

impl CannedAnswer {
    /// Makes the filter from its options.
    ///
    /// # Errors
    /// When an option is unknown, missing or wrong.
    pub fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        reply::check_text("text", &filter.text)?;
        Ok(Filter::named("canned_answer").on_request(filter))
    }
}

#[async_trait(?Send)]
impl RequestFilter for CannedAnswer {
    async fn on_request(
        &self,
        _: &mut LlmRequest,
        _: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        Ok(RequestVerdict::answer(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ExchangeBuilder, Reply, build_error};

    #[tokio::test]
    async fn everything_is_answered() {
        let filter = CannedAnswer::from_config(&json!({"text": "closed"})).unwrap();
        let done = ExchangeBuilder::chat(&json!({})).request(filter).await;
        assert_eq!(done.reply, Reply::answer("closed"));
    }

    #[test]
    fn wrong_options() {
        for (options, expected) in [
            (json!(null), "missing field `text`"),
            (json!({"text": ""}), "`text`: must not be empty"),
            (
                json!({"text": "a", "status": 1}),
                "`status`: unknown field `status`, expected `text`",
            ),
        ] {
            assert_eq!(build_error("canned_answer", &options), expected);
        }
    }
}
