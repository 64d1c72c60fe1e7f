//! A filter that wants an answer whole, tags what it saw, and makes it loud.

use aiproxy::filter::{
    Context, Filter, FilterError, LlmResponse, ResponseFilter, ResponseVerdict, WhenStreamed,
};
use async_trait::async_trait;

/// It, by the name `shouts`; the tag is `saw`.
pub(crate) fn shouts() -> Filter {
    Filter::named("shouts").on_response(Shouts)
}

struct Shouts;

#[async_trait(?Send)]
impl ResponseFilter for Shouts {
    fn when_streamed(&self) -> WhenStreamed {
        WhenStreamed::Buffer
    }

    async fn on_response(
        &self,
        response: &mut LlmResponse,
        cx: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        cx.tag("saw", response.text());
        response.map_texts(&mut |text| Some(text.to_uppercase()))?;
        Ok(ResponseVerdict::Continue)
    }
}
