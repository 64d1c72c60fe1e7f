//! Filters of requests.
use async_trait::async_trait;

use crate::{Context, FilterError, LlmRequest, LlmResponse, Refusal};

/// What a request filter decides.
#[derive(Debug)]
pub enum RequestVerdict {
    /// Go on with the request as it is now.
    Continue,
    /// Answer in the upstream's place. The answer passes the response filters of those filters
    /// that stand before this one, in reverse.
    Answer(LlmResponse),
    /// Give the client an error.
    Refuse(Refusal),
}

impl RequestVerdict {
    /// Answers with a text, in whatever form the client asked for; where an answer holds no text, as an error's message.
    pub fn answer(text: impl Into<String>) -> Self {
        Self::Answer(LlmResponse::answer(text))
    }
}

/// Sees every selected request before it is routed, and may change, answer or refuse it.
///
/// Filters run in the order of the configuration. After `Answer` and `Refuse` neither later
/// request filters nor the upstream are called. When a hook fails, takes longer than its time
/// limit or panics, the chain applies the filter's error policy; with `skip` the request is put
/// back to what it was before the hook. A filter must not take the `model` out, nor change
/// `stream`: that is a failure too.
///
/// ```
/// use aiproxy_filters::{Context, FilterError, LlmRequest, RequestFilter, RequestVerdict};
/// use async_trait::async_trait;
///
/// #[derive(Clone)]
/// struct AtMost(f64);
///
/// #[async_trait(?Send)]
/// impl RequestFilter for AtMost {
///     async fn on_request(
///         &self,
///         request: &mut LlmRequest,
///         _: &mut Context<'_>,
///     ) -> Result<RequestVerdict, FilterError> {
///         if request.number("temperature").is_some_and(|asked| asked > self.0) {
///             request.set("temperature", &self.0.into())?;
///         }
///         Ok(RequestVerdict::Continue)
///     }
/// }
/// ```
///
/// An async closure is a request filter as well:
///
/// ```
/// use aiproxy_filters::{Context, Filter, LlmRequest, RequestVerdict};
///
/// let filter = Filter::named("pin_model").on_request(
///     async |request: &mut LlmRequest, cx: &mut Context<'_>| {
///         cx.tag("asked_model", request.model());
///         request.set_model("small")?;
///         Ok(RequestVerdict::Continue)
///     },
/// );
/// assert_eq!(filter.name(), "pin_model");
/// ```
#[async_trait(?Send)]
pub trait RequestFilter: Send + Sync {
    /// Looks at one request.
    ///
    /// # Errors
    /// When the filter could not do its work; a refusal is not an error.
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        cx: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError>;
}

#[async_trait(?Send)]
impl<F> RequestFilter for F
where
    F: AsyncFn(&mut LlmRequest, &mut Context<'_>) -> Result<RequestVerdict, FilterError>
        + Send
        + Sync,
{
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        cx: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        self(request, cx).await
    }
}
