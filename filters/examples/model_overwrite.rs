//! A request filter as an async closure: whoever asks for an expensive model gets a cheap one.
use aiproxy_filters::testing::run_request;
use aiproxy_filters::{Context, Endpoint, Filter, LlmRequest, RequestVerdict};

fn model_overwrite() -> Filter {
    Filter::named("model_overwrite").on_request(
        async |request: &mut LlmRequest, _: &mut Context<'_>| {
            let is_cheap = request
                .model()
                .is_some_and(|model| model.starts_with("gpt-3.5"));
            if !is_cheap {
                request.set_model("gpt-3.5-turbo")?;
            }
            Ok(RequestVerdict::Continue)
        },
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let body = r#"{"temperature": 1.0, "model": "gpt-4"}"#;
    let done = run_request(Endpoint::ChatCompletions, body, model_overwrite()).await;
    // Only the one value is another; every other byte is as the client sent it.
    assert_eq!(
        done.request.body(),
        r#"{"temperature": 1.0, "model": "gpt-3.5-turbo"}"#
    );
}
