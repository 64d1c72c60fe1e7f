//! `banned_users`: keeps listed users out.
use std::collections::HashSet;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::reply;
use crate::{
    ConfigError, Context, Filter, FilterError, LlmRequest, RequestFilter, RequestVerdict, options,
};

/// A listed user gets `message` as a normal answer, or a refusal when `status` is set.
///
/// A user is who the header `x-aiproxy-user` or the body names; either being listed is enough.
/// Names are compared exactly.
///
/// ```yaml
/// kind: banned_users
/// users: [mallory]
/// message: you may not use this service
/// status: 403        # without it, the message is a normal answer
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BannedUsers {
    users: HashSet<String>,
    #[serde(default = "default_message")]
    message: String,
    status: Option<u16>,
}

fn default_message() -> String {
    "this user may not use this service".to_owned()
}

impl BannedUsers {
    /// Makes the filter from its options.
    ///
    /// # Errors
    /// When an option is unknown, missing or wrong.
    pub fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        reply::check_status(filter.status)?;
        reply::check_text("message", &filter.message)?;
        if filter.users.is_empty() {
            return Err(ConfigError::option("users", "names nobody"));
        }
        Ok(Filter::named("banned_users").on_request(filter))
    }
}

#[async_trait(?Send)]
impl RequestFilter for BannedUsers {
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        cx: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        let named = [cx.caller().end_user.as_deref(), request.user()];
        let is_banned = named
            .into_iter()
            .flatten()
            .any(|user| self.users.contains(user));
        Ok(match is_banned {
            true => reply::verdict(&self.message, self.status, "the user is banned"),
            false => RequestVerdict::Continue,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ExchangeBuilder, Reply, build_error};

    #[tokio::test]
    async fn listed_users_are_kept_out() {
        let answers = json!({"users": ["mallory"], "message": "no"});
        let refuses = json!({"users": ["mallory"], "message": "no", "status": 403});
        for (options, body, expected) in [
            (&answers, json!({"user": "alice"}), Reply::Continue),
            (&answers, json!({"user": "mallory"}), Reply::answer("no")),
            (
                &answers,
                json!({"metadata": {"user_id": "mallory"}}),
                Reply::answer("no"),
            ),
            (&answers, json!({}), Reply::Continue),
            (
                &refuses,
                json!({"user": "mallory"}),
                Reply::refusal(403, "no"),
            ),
        ] {
            let filter = BannedUsers::from_config(options).unwrap();
            let reply = ExchangeBuilder::chat(&body).request(filter).await.reply;
            assert_eq!(reply, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn the_header_counts_as_well() {
        let filter = BannedUsers::from_config(&json!({"users": ["mallory"]})).unwrap();
        let exchange = ExchangeBuilder::chat(&json!({"user": "alice"})).end_user("mallory");
        let reply = exchange.request(filter).await.reply;
        assert_eq!(reply, Reply::answer("this user may not use this service"));
    }

    #[test]
    fn wrong_options() {
        for (options, expected) in [
            (json!({}), "missing field `users`"),
            (json!({"users": []}), "`users`: names nobody"),
            (
                json!({"users": ["a"], "status": 200}),
                "`status`: 200 is not between 400 and 599",
            ),
            (
                json!({"users": ["a"], "message": ""}),
                "`message`: must not be empty",
            ),
            (
                json!({"users": ["a"], "user": 1}),
                "`user`: unknown field `user`, expected one of `users`, `message`, `status`",
            ),
        ] {
            assert_eq!(build_error("banned_users", &options), expected);
        }
    }
}
