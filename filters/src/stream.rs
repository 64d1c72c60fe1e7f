//! Filters of streams.
use async_trait::async_trait;

use crate::{Context, FilterError, Refusal, StreamEvent};

/// What a stream filter decides after an event.
#[derive(Debug)]
pub enum StreamVerdict {
    /// Go on.
    Continue,
    /// End the client's stream with an error event and cancel the upstream. What is held back is
    /// dropped. **Text that was sent cannot be taken back.**
    Cut(Refusal),
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The upstream sent its last event.
    Finished,
    /// The upstream broke off.
    UpstreamFailed,
    /// Nobody listens any more: the client has gone, or another filter cut the stream. What is
    /// sent now goes nowhere.
    ClientGone,
}

/// Takes the events that a run lets out.
#[derive(Debug, Default)]
pub struct Outbox {
    events: Vec<StreamEvent>,
}

impl Outbox {
    /// Lets an event out, now or any time later, changed or not; several per input may go.
    pub fn send(&mut self, event: StreamEvent) {
        self.events.push(event);
    }

    pub(crate) fn into_events(self) -> Vec<StreamEvent> {
        self.events
    }
}

/// Opens a run for each stream that it wants to see.
///
/// Filters see a stream in the reverse order of the configuration, like responses. A function
/// from `&mut Context<'_>` to an optional run is a stream filter as well.
///
/// ```
/// use aiproxy_filters::{
///     Context, EventKind, FilterError, Outbox, StreamEvent, StreamFilter, StreamRun, StreamVerdict,
/// };
/// use async_trait::async_trait;
///
/// #[derive(Clone)]
/// struct NoHeartbeats;
/// struct Run;
///
/// impl StreamFilter for NoHeartbeats {
///     fn open(&self, _: &mut Context<'_>) -> Option<Box<dyn StreamRun>> {
///         Some(Box::new(Run))
///     }
/// }
///
/// #[async_trait(?Send)]
/// impl StreamRun for Run {
///     async fn on_event(
///         &mut self,
///         event: StreamEvent,
///         out: &mut Outbox,
///     ) -> Result<StreamVerdict, FilterError> {
///         if event.kind() != EventKind::Comment {
///             out.send(event);
///         }
///         Ok(StreamVerdict::Continue)
///     }
/// }
/// ```
pub trait StreamFilter: Send + Sync {
    /// A run for this stream; `None`: not interested, costs nothing from here on.
    fn open(&self, cx: &mut Context<'_>) -> Option<Box<dyn StreamRun>>;
}

impl<F> StreamFilter for F
where
    F: Fn(&mut Context<'_>) -> Option<Box<dyn StreamRun>> + Send + Sync,
{
    fn open(&self, cx: &mut Context<'_>) -> Option<Box<dyn StreamRun>> {
        self(cx)
    }
}

/// One stream on its way through one filter; its fields are the filter's memory.
///
/// A run that keeps an event is holding it back. The chain limits the bytes held (64 KiB unless
/// configured) and the time since the first of them (5 s); over a limit the error policy decides.
/// With `skip` the events held leave as they came. A run that drops an event takes it out of the
/// stream. Keep events, not copies of their text: copies cannot be limited, measured or put back.
#[async_trait(?Send)]
pub trait StreamRun {
    /// Takes one event.
    ///
    /// # Errors
    /// When the filter could not do its work; a cut is not an error.
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError>;

    /// Runs once when the stream is over, also when the client has gone: the place to let out
    /// what is held. When the exchange itself is dropped, it is polled once and not waited for.
    ///
    /// # Errors
    /// When the filter could not do its work.
    async fn on_end(
        &mut self,
        end: &StreamEnd,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        let (_, _) = (end, out);
        Ok(StreamVerdict::Continue)
    }
}
