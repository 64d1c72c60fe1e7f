//! A request filter with settings of its own: keeps one user out, and asks everyone for a name.
use aiproxy_filters::testing::{ExchangeBuilder, Reply};
use aiproxy_filters::{
    ConfigError, Context, Filter, FilterError, LlmRequest, RequestFilter, RequestVerdict, options,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BannedUser {
    user: String,
}

impl BannedUser {
    /// For `Gateway::builder().filter("banned_user", BannedUser::from_config)`.
    fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        Ok(Filter::named("banned_user").on_request(filter))
    }
}

#[async_trait(?Send)]
impl RequestFilter for BannedUser {
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        _: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        Ok(match request.user() {
            None => RequestVerdict::answer("user is required"),
            Some(user) if user == self.user => RequestVerdict::answer("you can't use this service"),
            Some(_) => RequestVerdict::Continue,
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ConfigError> {
    let filter = BannedUser::from_config(&json!({"user": "mallory"}))?;
    for (body, reply) in [
        (
            json!({"user": "mallory"}),
            Reply::answer("you can't use this service"),
        ),
        (json!({}), Reply::answer("user is required")),
        (json!({"user": "alice"}), Reply::Continue),
    ] {
        let done = ExchangeBuilder::chat(&body).request(filter.clone()).await;
        assert_eq!(done.reply, reply);
    }
    Ok(())
}
