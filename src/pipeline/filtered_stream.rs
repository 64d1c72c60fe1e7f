//! An event stream on its way through the stream filters: bytes in, events through the chain, bytes out.

use std::rc::Rc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;

use crate::access_log::guard::RecordGuard;
use crate::filter::{Endpoint, Stop, StreamChain, StreamEnd, StreamEvent, StreamStep};
use crate::pipeline::filtering::note_verdicts;
use crate::wire::sse::SseDecoder;

/// See the module.
pub struct FilteredStream {
    chain: Option<StreamChain>,
    decoder: SseDecoder,
    endpoint: Endpoint,
    spawn: Rc<dyn Fn(LocalBoxFuture<'static, ()>)>,
}

/// What the filters let out.
#[derive(Default)]
pub struct LetOut {
    /// For the client.
    pub bytes: Bytes,
    /// After them, an error event and the end.
    pub cut: Option<Stop>,
}

impl FilteredStream {
    /// A stream before its first byte.
    pub fn new(
        chain: StreamChain,
        endpoint: Endpoint,
        max_event_bytes: usize,
        spawn: Rc<dyn Fn(LocalBoxFuture<'static, ()>)>,
    ) -> Self {
        Self {
            chain: Some(chain),
            decoder: SseDecoder::new(max_event_bytes),
            endpoint,
            spawn,
        }
    }

    /// Passes the next bytes. The scanner before has bounded the events.
    pub async fn pass(&mut self, bytes: &[u8]) -> LetOut {
        let mut events = Vec::new();
        // Events beyond the limit have ended the stream before they come here.
        self.decoder.push(bytes, &mut events).ok();
        let Some(chain) = &mut self.chain else {
            return LetOut::default();
        };
        let mut gathered = Gathered::default();
        for event in events {
            let step = chain
                .push(StreamEvent::from_bytes(self.endpoint, event.raw))
                .await;
            if gathered.take(step) {
                break;
            }
        }
        gathered.let_out()
    }

    /// Lets the filters send what they hold, and puts on record what they did.
    pub async fn end(&mut self, end: StreamEnd, guard: &mut RecordGuard) -> LetOut {
        let mut gathered = Gathered::default();
        if let Some(mut chain) = self.chain.take() {
            gathered.take(chain.end(end).await);
            note(&chain, guard);
        }
        gathered.let_out()
    }

    /// When [`FilteredStream::check_hold`] is due.
    pub fn hold_deadline(&self) -> Option<Instant> {
        self.chain.as_ref().and_then(StreamChain::hold_deadline)
    }

    /// Sees to filters that have held something for too long.
    pub async fn check_hold(&mut self) -> LetOut {
        let mut gathered = Gathered::default();
        if let Some(chain) = &mut self.chain {
            gathered.take(chain.check_hold().await);
        }
        gathered.let_out()
    }
}

impl Drop for FilteredStream {
    /// The client has gone: the filters are told, on a task of its own.
    fn drop(&mut self) {
        if let Some(mut chain) = self.chain.take() {
            (self.spawn)(Box::pin(async move {
                drop(chain.end(StreamEnd::ClientGone).await);
            }));
        }
    }
}

fn note(chain: &StreamChain, guard: &mut RecordGuard) {
    note_verdicts(&chain.verdicts(), guard);
    let times = &mut guard.closed_mut().times;
    let filter_ms = chain.filter_time().as_secs_f64() * 1000.0;
    times.filter_ms = Some(times.filter_ms.unwrap_or(0.0) + filter_ms);
    times.filter_held_ms = Some(chain.held_time().as_secs_f64() * 1000.0);
}

#[derive(Default)]
struct Gathered {
    bytes: BytesMut,
    cut: Option<Stop>,
}

impl Gathered {
    /// Returns whether the stream is cut.
    fn take(&mut self, step: StreamStep) -> bool {
        for event in step.events {
            self.bytes.extend_from_slice(&event.to_bytes());
        }
        self.cut = step.cut;
        self.cut.is_some()
    }

    fn let_out(self) -> LetOut {
        LetOut {
            bytes: self.bytes.freeze(),
            cut: self.cut,
        }
    }
}
