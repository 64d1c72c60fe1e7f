//! `model_override`: asks for another model.
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::reply;
use crate::{
    ConfigError, Context, Filter, FilterError, Glob, LlmRequest, RequestFilter, RequestVerdict,
    options,
};

/// Asks for `model` instead, unless the asked model matches one of `unless`. A request that names
/// no model gets one; a body that is no JSON object is left alone.
///
/// ```yaml
/// kind: model_override
/// model: gpt-4o-mini
/// unless: ["gpt-4o*"]
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOverride {
    model: String,
    #[serde(default)]
    unless: Vec<Glob>,
}

impl ModelOverride {
    /// Makes the filter from its options.
    ///
    /// # Errors
    /// When an option is unknown, missing or wrong.
    pub fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        reply::check_text("model", &filter.model)?;
        Ok(Filter::named("model_override").on_request(filter))
    }
}

#[async_trait(?Send)]
impl RequestFilter for ModelOverride {
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        _: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        let stays = |model| self.unless.iter().any(|glob| glob.matches(model));
        if request.check().is_ok() && !request.model().is_some_and(stays) {
            request.set_model(&self.model)?;
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
    async fn the_model_is_replaced_and_nothing_else() {
        let options = json!({"model": "small", "unless": ["gpt-3.5*"]});
        for (before, after) in [
            (
                r#"{"model": "gpt-4" , "n":1.0}"#,
                r#"{"model": "small" , "n":1.0}"#,
            ),
            (
                r#"{"model":"gpt-3.5-turbo"}"#,
                r#"{"model":"gpt-3.5-turbo"}"#,
            ),
            (r#"{"n":1}"#, r#"{"n":1,"model":"small"}"#),
            ("no json", "no json"),
        ] {
            let filter = ModelOverride::from_config(&options).unwrap();
            let done = ExchangeBuilder::chat_text(before).request(filter).await;
            assert_eq!(
                (done.reply, done.request.body().as_ref()),
                (Reply::Continue, after.as_bytes())
            );
        }
    }

    #[test]
    fn wrong_options() {
        for (options, expected) in [
            (json!({}), "missing field `model`"),
            (json!({"model": ""}), "`model`: must not be empty"),
            (
                json!({"model": "a", "unless": "b"}),
                "`unless`: invalid type: string \"b\", expected a sequence",
            ),
            (
                json!({"model": "a", "only": []}),
                "`only`: unknown field `only`, expected `model` or `unless`",
            ),
        ] {
            assert_eq!(build_error("model_override", &options), expected);
        }
    }
}
