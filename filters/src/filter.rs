//! A filter: a name and any of the three hooks.
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{RequestFilter, ResponseFilter, StreamFilter, WhenStreamed};

mod options;
mod registry;

pub use options::{ConfigError, options};
pub use registry::{FilterFactory, Registry};

/// What happens to an exchange when a filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The client gets an error. For guards.
    Refuse,
    /// The exchange goes on as if the filter had not been there. For decorators.
    Skip,
}

/// A named bundle of hooks. A clone costs a few reference counts.
///
/// ```
/// use aiproxy_filters::{Context, Filter, LlmRequest, OnError, RequestVerdict};
///
/// let filter = Filter::named("hello")
///     .on_request(async |_: &mut LlmRequest, _: &mut Context<'_>| Ok(RequestVerdict::answer("hello")))
///     .default_on_error(OnError::Skip);
/// assert_eq!(filter.name(), "hello");
/// ```
#[derive(Clone)]
pub struct Filter {
    name: Arc<str>,
    pub(crate) request: Option<Arc<dyn RequestFilter>>,
    pub(crate) response: Option<Arc<dyn ResponseFilter>>,
    pub(crate) buffers_streams: bool,
    pub(crate) stream: Option<Arc<dyn StreamFilter>>,
    on_error: OnError,
}

impl Filter {
    /// A filter without hooks. Its error policy is `refuse` unless it names another.
    pub fn named(name: impl AsRef<str>) -> Self {
        Self {
            name: Arc::from(name.as_ref()),
            request: None,
            response: None,
            buffers_streams: false,
            stream: None,
            on_error: OnError::Refuse,
        }
    }

    /// Sets the hook for requests.
    #[must_use]
    pub fn on_request(mut self, hook: impl RequestFilter + 'static) -> Self {
        self.request = Some(Arc::new(hook));
        self
    }

    /// Sets the hook for whole responses, and asks it what it does with streams.
    #[must_use]
    pub fn on_response(mut self, hook: impl ResponseFilter + 'static) -> Self {
        self.buffers_streams = hook.when_streamed() == WhenStreamed::Buffer;
        self.response = Some(Arc::new(hook));
        self
    }

    /// Sets the hook for streams.
    #[must_use]
    pub fn on_stream(mut self, hook: impl StreamFilter + 'static) -> Self {
        self.stream = Some(Arc::new(hook));
        self
    }

    /// Names the error policy that holds where the configuration says nothing.
    #[must_use]
    pub fn default_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// The same filter under another name, as when a kind is configured twice.
    #[must_use]
    pub fn renamed(mut self, name: impl AsRef<str>) -> Self {
        self.name = Arc::from(name.as_ref());
        self
    }

    /// The name that verdicts carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The error policy that holds where the configuration says nothing.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("name", &self.name)
            .field("request", &self.request.is_some())
            .field("response", &self.response.is_some())
            .field("stream", &self.stream.is_some())
            .field("on_error", &self.on_error)
            .finish()
    }
}
