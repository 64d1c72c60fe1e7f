//! Filters of whole responses.
use async_trait::async_trait;

use crate::{Context, FilterError, LlmResponse, Refusal};

/// What a response filter decides.
#[derive(Debug)]
pub enum ResponseVerdict {
    /// Go on with the response as it is now.
    Continue,
    /// Give the client an error in its place.
    Refuse(Refusal),
}

/// What happens to a response filter when the reply is a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenStreamed {
    /// Streams pass it by; its stream half, if it has one, sees them.
    Skip,
    /// The stream is collected, filtered whole, and sent as one burst. Certain, but the client
    /// waits for the last word before it sees the first; the filter's stream half stays closed.
    /// What the filter makes of the texts goes back into the events; other changes do not. Filters
    /// with a stream half alone see the events at their own place in the order.
    Buffer,
}

/// Sees whole responses before the client does, and may change or refuse them.
///
/// Filters run in the reverse order of the configuration, so that one which masked on the way in
/// can unmask on the way out. Failures are treated as in [`RequestFilter`](crate::RequestFilter).
///
/// ```
/// use aiproxy_filters::{
///     Context, FilterError, LlmResponse, ResponseFilter, ResponseVerdict, WhenStreamed,
/// };
/// use async_trait::async_trait;
///
/// #[derive(Clone)]
/// struct Signature;
///
/// #[async_trait(?Send)]
/// impl ResponseFilter for Signature {
///     fn when_streamed(&self) -> WhenStreamed {
///         WhenStreamed::Skip
///     }
///
///     async fn on_response(
///         &self,
///         response: &mut LlmResponse,
///         _: &mut Context<'_>,
///     ) -> Result<ResponseVerdict, FilterError> {
///         response.map_texts(&mut |text| Some(format!("{text}\n(written by a machine)")))?;
///         Ok(ResponseVerdict::Continue)
///     }
/// }
/// ```
#[async_trait(?Send)]
pub trait ResponseFilter: Send + Sync {
    /// What happens when the reply is a stream. There is no default: the author must decide. Asked
    /// once, when the filter is put together.
    fn when_streamed(&self) -> WhenStreamed;

    /// Looks at one whole response.
    ///
    /// # Errors
    /// When the filter could not do its work; a refusal is not an error.
    async fn on_response(
        &self,
        response: &mut LlmResponse,
        cx: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError>;
}
