//! The filter contract of aiproxy: views over exchanges, filter traits, the chain that runs
//! filters, and the stock filters. No I/O happens here, and no thread is started.
//!
//! ```text
//!            in the order of the configuration                          ┌──────────┐
//! client ──► request filter 1 ──► request filter 2 ──► … ── routing ──► │          │
//!                  │ Answer, Refuse: nothing later is asked             │ upstream │
//!                  ▼                                                    │          │
//! client ◄── response filter 1 ◄── response filter 2 ◄── … ◄─────────── │          │
//! client ◄── stream filter 1 ◄──── stream filter 2 ◄──── … ◄─────────── └──────────┘
//!            in reverse: the first in is the last out
//! ```
//!
//! A [`Filter`] is a name and up to three hooks: [`RequestFilter`], [`ResponseFilter`] for whole
//! replies, [`StreamFilter`] for streams. What each may decide, and what happens when it fails,
//! takes too long or panics, stands with the traits.
//!
//! ```
//! use aiproxy_filters::{Context, Filter, LlmRequest, RequestVerdict};
//!
//! let filter = Filter::named("banned_user").on_request(
//!     async |request: &mut LlmRequest, _: &mut Context<'_>| match request.user() {
//!         Some("mallory") => Ok(RequestVerdict::answer("you are not welcome here")),
//!         Some(_) | None => Ok(RequestVerdict::Continue),
//!     },
//! );
//! # assert_eq!(filter.name(), "banned_user");
//! ```
#![deny(missing_docs)]

pub mod chain;
pub mod context;
pub mod exchange;
mod filter;
mod refusal;
mod request;
mod response;
pub mod stock;
mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use chain::{
    Chain, ChainRun, Delivery, Entry, Failure, FailureKind, FilterVerdict, Glob, Phase, Presence,
    RequestOutcome, ResponseOutcome, Selection, Stop, StopCause, StreamChain, StreamStep,
    VerdictKind, When, WholeStream,
};
pub use context::{
    BlockingError, BlockingJob, BlockingOutput, BlockingPool, Caller, Capabilities, Clock, Context,
    ExchangeInfo, Target, TokenCount, TokenCounter,
};
pub use exchange::{
    BodyError, Dialect, Endpoint, EventKind, Headers, LlmRequest, LlmResponse, Message, Outcome,
    StreamEvent, Usage, read_spelling,
};
pub use filter::{ConfigError, Filter, FilterFactory, OnError, Registry, options};
pub use refusal::{FilterError, Refusal};
pub use request::{RequestFilter, RequestVerdict};
pub use response::{ResponseFilter, ResponseVerdict, WhenStreamed};
pub use stream::{Outbox, StreamEnd, StreamFilter, StreamRun, StreamVerdict};
