//! `require_user`: every request must say for whom it is.
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::reply;
use crate::{
    ConfigError, Context, Filter, FilterError, LlmRequest, RequestFilter, RequestVerdict, options,
};

/// A request that names no user gets `message` as a normal answer, or a refusal when `status` is
/// set. The header `x-aiproxy-user` or the body may name one.
///
/// ```yaml
/// kind: require_user
/// message: user is required    # the default
/// status: 400                  # without it, the message is a normal answer
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequireUser {
    #[serde(default = "default_message")]
    message: String,
    status: Option<u16>,
}

fn default_message() -> String {
    "user is required".to_owned()
}

impl RequireUser {
    /// Makes the filter from its options.
    ///
    /// # Errors
    /// When an option is unknown or wrong.
    pub fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        reply::check_status(filter.status)?;
        reply::check_text("message", &filter.message)?;
        Ok(Filter::named("require_user").on_request(filter))
    }
}

#[async_trait(?Send)]
impl RequestFilter for RequireUser {
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        cx: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        let by_header = cx
            .caller()
            .end_user
            .as_deref()
            .is_some_and(|user| !user.is_empty());
        Ok(match by_header || request.user().is_some() {
            true => RequestVerdict::Continue,
            false => reply::verdict(&self.message, self.status, "no user is named"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ExchangeBuilder, Reply, build_error};

    #[tokio::test]
    async fn a_user_must_be_named() {
        let refusal = Reply::refusal(400, "who?");
        for (options, body, expected) in [
            (json!(null), json!({"user": "a"}), Reply::Continue),
            (json!(null), json!({}), Reply::answer("user is required")),
            (
                json!(null),
                json!({"user": ""}),
                Reply::answer("user is required"),
            ),
            (
                json!(null),
                json!({"user": 7}),
                Reply::answer("user is required"),
            ),
            (
                json!({"message": "who?", "status": 400}),
                json!({}),
                refusal,
            ),
        ] {
            let filter = RequireUser::from_config(&options).unwrap();
            let reply = ExchangeBuilder::chat(&body).request(filter).await.reply;
            assert_eq!(reply, expected, "{body}");
        }
    }

    #[test]
    fn wrong_options() {
        for (options, expected) in [
            (
                json!({"status": 700}),
                "`status`: 700 is not between 400 and 599",
            ),
            (
                json!({"users": []}),
                "`users`: unknown field `users`, expected `message` or `status`",
            ),
        ] {
            assert_eq!(build_error("require_user", &options), expected);
        }
    }
}
