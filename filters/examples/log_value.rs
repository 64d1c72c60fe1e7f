//! A value of one's own in the log: it lands under its name in the row's `tags`. (A real column
//! is one line with the program's builder: `.column("asker", …)`.)
use aiproxy_filters::testing::run_request;
use aiproxy_filters::{Context, Endpoint, Filter, LlmRequest, OnError, RequestVerdict};
use serde_json::{Value, json};

fn log_value() -> Filter {
    Filter::named("log_value")
        .on_request(async |request: &mut LlmRequest, cx: &mut Context<'_>| {
            cx.tag("asker", request.user());
            cx.tag("temperature", request.number("temperature"));
            Ok(RequestVerdict::Continue)
        })
        .default_on_error(OnError::Skip)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let body = r#"{"user":"alice","temperature":0.5}"#;
    let done = run_request(Endpoint::ChatCompletions, body, log_value()).await;
    assert_eq!(
        Value::from(done.tags),
        json!({"asker": "alice", "temperature": 0.5})
    );
}
