//! A gateway with a filter kind of its own, a filter that is always there, and two SQL columns.
//!
//! ```yaml
//! filters:
//!   - kind: office_hours
//!     from: 8
//!     to: 18
//! ```
//!
//! ```sh
//! cargo run --example own_filter -- aiproxy.yaml
//! ```

use aiproxy::Gateway;
use aiproxy::filter::{
    ConfigError, Context, Filter, FilterError, LlmRequest, OnError, Refusal, RequestFilter,
    RequestVerdict, options,
};
use async_trait::async_trait;
use serde_json::Value;

/// Keeps the service shut outside certain hours, UTC.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficeHours {
    from: u64,
    to: u64,
}

impl OfficeHours {
    fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let filter: Self = options(value)?;
        if filter.to <= filter.from || 24 < filter.to {
            return Err(ConfigError::option(
                "to",
                "must be after `from`, at most 24",
            ));
        }
        Ok(Filter::named("office_hours").on_request(filter))
    }
}

#[async_trait(?Send)]
impl RequestFilter for OfficeHours {
    async fn on_request(
        &self,
        _: &mut LlmRequest,
        cx: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        let hour = cx.clock().unix_time().as_secs() / 3600 % 24;
        if (self.from..self.to).contains(&hour) {
            return Ok(RequestVerdict::Continue);
        }
        let refusal = Refusal::new("come back in office hours").with_status(403);
        Ok(RequestVerdict::Refuse(refusal))
    }
}

/// Puts a value into the row's `tags`. Not worth an error to anyone, so a failure skips it.
fn note_length() -> Filter {
    Filter::named("note_length")
        .on_request(async |request: &mut LlmRequest, cx: &mut Context<'_>| {
            cx.tag("body_bytes", request.body().len());
            Ok(RequestVerdict::Continue)
        })
        .default_on_error(OnError::Skip)
}

fn main() -> aiproxy::Result<()> {
    let mut gateway = Gateway::builder()
        .filter("office_hours", OfficeHours::from_config)
        .with(note_length())
        .column("asker", |exchange| {
            exchange.request().user().map(str::to_owned)
        })
        .column_number("temperature", |exchange| {
            exchange.request().number("temperature")
        });
    if let Some(file) = std::env::args().nth(1) {
        gateway = gateway.config_file(file);
    }
    gateway.run()
}
