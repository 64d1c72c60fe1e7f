//! A response filter: puts a notice under every whole reply. Streams pass it by, as its
//! `when_streamed` says.
use aiproxy_filters::testing::run_response;
use aiproxy_filters::{
    Context, Endpoint, Filter, FilterError, LlmResponse, ResponseFilter, ResponseVerdict,
    WhenStreamed,
};
use async_trait::async_trait;

#[derive(Clone)]
struct Notice(&'static str);

#[async_trait(?Send)]
impl ResponseFilter for Notice {
    fn when_streamed(&self) -> WhenStreamed {
        WhenStreamed::Skip
    }

    async fn on_response(
        &self,
        response: &mut LlmResponse,
        _: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        response.map_texts(&mut |text| Some(format!("{text}\n\n{}", self.0)))?;
        Ok(ResponseVerdict::Continue)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let filter = Filter::named("notice").on_response(Notice("Check what machines say."));
    let body = r#"{"choices":[{"message":{"role":"assistant","content":"42"}}]}"#;
    let done = run_response(Endpoint::ChatCompletions, body, filter).await;
    assert_eq!(
        done.response.text().as_deref(),
        Some("42\n\nCheck what machines say.")
    );
}
