//! For tests of filters: runs one filter the way the program does, without the program.
//!
//! ```
//! use aiproxy_filters::testing::{Reply, run_request};
//! use aiproxy_filters::{Context, Endpoint, Filter, LlmRequest, RequestVerdict};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let filter = Filter::named("pin").on_request(async |request: &mut LlmRequest, _: &mut Context<'_>| {
//!     request.set_model("small")?;
//!     Ok(RequestVerdict::Continue)
//! });
//! let done = run_request(Endpoint::ChatCompletions, r#"{"model":"large"}"#, filter).await;
//! assert_eq!(done.reply, Reply::Continue);
//! assert_eq!(done.request.body(), r#"{"model":"small"}"#);
//! # });
//! ```
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    Caller, Chain, ChainRun, Endpoint, Entry, ExchangeInfo, Filter, FilterVerdict, Headers,
    LlmRequest, LlmResponse, Registry, RequestOutcome, ResponseOutcome, Stop, StopCause, StreamEnd,
    StreamEvent, StreamStep,
};

mod fakes;

pub use fakes::{FakeClock, SameThreadPool, WordCounter, capabilities};

/// What a client would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What the upstream says.
    Continue,
    /// A filter's answer.
    Answer(String),
    /// A filter's refusal.
    Refusal {
        /// The HTTP status, when the filter names one.
        status: Option<u16>,
        /// The message for the client.
        message: String,
    },
    /// An error, for a filter failed; the word of its [`FailureKind`](crate::FailureKind).
    Failure(&'static str),
    /// An error, for the request is malformed.
    Malformed,
}

impl Reply {
    /// An answer with this text.
    pub fn answer(text: &str) -> Self {
        Self::Answer(text.to_owned())
    }

    /// A refusal with a status.
    pub fn refusal(status: u16, message: &str) -> Self {
        Self::Refusal {
            status: Some(status),
            message: message.to_owned(),
        }
    }
}

impl From<&Stop> for Reply {
    fn from(stop: &Stop) -> Self {
        match &stop.cause {
            StopCause::Refused(refusal) => {
                let message = refusal.message().to_owned();
                Self::Refusal {
                    status: refusal.status(),
                    message,
                }
            }
            StopCause::Failed(failure) => Self::Failure(failure.kind.as_str()),
        }
    }
}

/// A request that went through filters.
#[derive(Debug)]
pub struct RequestDone {
    /// What the client would get.
    pub reply: Reply,
    /// The request as it would go on.
    pub request: LlmRequest,
    /// What each filter did.
    pub verdicts: Vec<FilterVerdict>,
    /// The tags set.
    pub tags: Map<String, Value>,
}

/// A response that went through filters.
#[derive(Debug)]
pub struct ResponseDone {
    /// What the client would get.
    pub reply: Reply,
    /// The response as it would go on.
    pub response: LlmResponse,
    /// What each filter did.
    pub verdicts: Vec<FilterVerdict>,
}

/// A stream that went through filters.
#[derive(Debug)]
pub struct StreamDone {
    /// What the client would get after the events.
    pub reply: Reply,
    /// The bytes of the events sent.
    pub sent: String,
    /// The events sent.
    pub events: Vec<StreamEvent>,
    /// What each filter did.
    pub verdicts: Vec<FilterVerdict>,
}

/// Sends one request through a filter.
pub async fn run_request(
    endpoint: Endpoint,
    body: impl Into<Bytes>,
    filter: Filter,
) -> RequestDone {
    ExchangeBuilder::new(endpoint, body).request(filter).await
}

/// Sends one whole response through a filter.
pub async fn run_response(
    endpoint: Endpoint,
    body: impl Into<Bytes>,
    filter: Filter,
) -> ResponseDone {
    let mut response = LlmResponse::from_body(endpoint, 200, body.into());
    let exchange = ExchangeBuilder::new(endpoint, Bytes::new());
    let Some(mut run) = exchange.run(vec![Entry::new(filter)], FakeClock::new()) else {
        return ResponseDone {
            reply: Reply::Continue,
            response,
            verdicts: Vec::new(),
        };
    };
    let reply = match run.response(&mut response).await {
        ResponseOutcome::Continue => Reply::Continue,
        ResponseOutcome::Stopped(stop) => Reply::from(&stop),
    };
    ResponseDone {
        reply,
        response,
        verdicts: run.verdicts().to_vec(),
    }
}

/// Sends a stream through a filter: each item is the bytes of one event.
pub async fn run_stream<E: AsRef<[u8]>>(
    endpoint: Endpoint,
    events: impl IntoIterator<Item = E>,
    filter: Filter,
) -> StreamDone {
    let mut done = StreamDone {
        reply: Reply::Continue,
        sent: String::new(),
        events: Vec::new(),
        verdicts: Vec::new(),
    };
    let events = events
        .into_iter()
        .map(|raw| StreamEvent::from_bytes(endpoint, Bytes::copy_from_slice(raw.as_ref())));
    let exchange = ExchangeBuilder::new(endpoint, Bytes::new());
    let run = exchange.run(vec![Entry::new(filter)], FakeClock::new());
    let opened = run.map(|mut run| run.open_stream());
    let mut stream = match opened {
        Some(Ok(Some(stream))) => stream,
        Some(Ok(None)) | None => {
            events.for_each(|event| done.take(event));
            return done;
        }
        Some(Err(stop)) => {
            done.reply = Reply::from(&stop);
            return done;
        }
    };
    for event in events {
        done.take_step(stream.push(event).await);
    }
    done.take_step(stream.end(StreamEnd::Finished).await);
    done.verdicts = stream.verdicts();
    done
}

impl StreamDone {
    fn take(&mut self, event: StreamEvent) {
        self.sent
            .push_str(std::str::from_utf8(&event.to_bytes()).unwrap_or("(not UTF-8)"));
        self.events.push(event);
    }

    fn take_step(&mut self, step: StreamStep) {
        step.events.into_iter().for_each(|event| self.take(event));
        if let Some(stop) = step.cut {
            self.reply = Reply::from(&stop);
        }
    }
}

/// One exchange to be run through filters.
#[derive(Debug, Clone)]
pub struct ExchangeBuilder {
    request: LlmRequest,
    info: ExchangeInfo,
}

impl ExchangeBuilder {
    /// An exchange of an API with this request body.
    pub fn new(endpoint: Endpoint, body: impl Into<Bytes>) -> Self {
        let info = ExchangeInfo {
            request_id: "00000000-0000-7000-8000-000000000001".to_owned(),
            endpoint,
            caller: Caller::default(),
            headers: Headers::default(),
            deadline: None,
        };
        Self {
            request: LlmRequest::new(endpoint, body.into()),
            info,
        }
    }

    /// A chat with this request.
    pub fn chat(body: &Value) -> Self {
        Self::chat_text(&body.to_string())
    }

    /// A chat with this request body, byte for byte.
    pub fn chat_text(body: &str) -> Self {
        Self::new(Endpoint::ChatCompletions, body.to_owned())
    }

    /// Names the end user, as the header `x-aiproxy-user` does.
    #[must_use]
    pub fn end_user(mut self, user: &str) -> Self {
        self.info.caller.end_user = Some(user.to_owned());
        self
    }

    /// Says who calls.
    #[must_use]
    pub fn caller(mut self, caller: Caller) -> Self {
        self.info.caller = caller;
        self
    }

    /// Sets the client's headers.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.info.headers = headers;
        self
    }

    /// Sends the request through a filter.
    pub async fn request(self, filter: Filter) -> RequestDone {
        self.request_through(vec![Entry::new(filter)]).await
    }

    /// Sends the request through a chain.
    pub async fn request_through(mut self, entries: Vec<Entry>) -> RequestDone {
        let Some(mut run) = self.run(entries, FakeClock::new()) else {
            return RequestDone {
                reply: Reply::Continue,
                request: self.request,
                verdicts: Vec::new(),
                tags: Map::new(),
            };
        };
        let reply = match run.request(&mut self.request).await {
            RequestOutcome::Continue => Reply::Continue,
            RequestOutcome::Answered { response, .. } => {
                Reply::Answer(response.text().unwrap_or_default())
            }
            RequestOutcome::Stopped(stop) => Reply::from(&stop),
            RequestOutcome::Malformed(_) => Reply::Malformed,
        };
        let (verdicts, tags) = (run.verdicts().to_vec(), run.tags());
        RequestDone {
            reply,
            request: self.request,
            verdicts,
            tags,
        }
    }

    /// The chain's run for this exchange, `None` when no filter is selected.
    pub fn run(&self, entries: Vec<Entry>, clock: Arc<FakeClock>) -> Option<ChainRun> {
        let chain = Arc::new(Chain::new(entries));
        let key = self.info.caller.key_name.as_deref();
        let selection = chain.select(self.info.endpoint, self.request.model(), key)?;
        Some(ChainRun::new(
            chain,
            selection,
            self.info.clone(),
            capabilities(clock),
        ))
    }
}

/// The message of the error that a stock filter's options give; empty when they are right.
pub fn build_error(kind: &str, options: &Value) -> String {
    match Registry::with_stock().build(kind, options) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}
