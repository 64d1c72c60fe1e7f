//! An event stream on its way through the stream filters: bytes in, events through the chain, bytes out.

use std::rc::Rc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;

use crate::access_log::guard::RecordGuard;
use crate::filter::{EventKind, StreamChain, StreamEnd, StreamEvent, StreamStep};
use crate::pipeline::event_codec::{Decoded, EventCodec};
use crate::pipeline::failure::Failure;
use crate::pipeline::filtering::{self, note_verdicts};
use crate::wire::sse::BOM;

/// See the module.
pub struct FilteredStream {
    /// `None` once the filters were told of the end.
    chain: Option<StreamChain>,
    codec: EventCodec,
    spawn: Rc<dyn Fn(LocalBoxFuture<'static, ()>)>,
}

/// What the filters let out.
#[derive(Default)]
pub struct LetOut {
    /// For the client.
    pub bytes: Bytes,
    /// After them, an error event and the end.
    pub cut: Option<Failure>,
}

impl FilteredStream {
    /// A stream before its first byte.
    pub fn new(
        chain: StreamChain,
        codec: EventCodec,
        spawn: Rc<dyn Fn(LocalBoxFuture<'static, ()>)>,
    ) -> Self {
        Self {
            chain: Some(chain),
            codec,
            spawn,
        }
    }

    /// Passes the next bytes. Behind the end only events go on that carry nothing, `[DONE]` and comments: nobody
    /// looks at them any more.
    pub async fn pass(&mut self, bytes: Bytes) -> LetOut {
        let decoded = self.codec.push(bytes);
        self.pass_events(decoded).await
    }

    /// Lets the filters send what they hold, and puts on record what they did. What stands behind the last empty
    /// line goes through them first, unless nobody is there to get it.
    pub async fn end(&mut self, end: StreamEnd, guard: &mut RecordGuard) -> LetOut {
        let mut gathered = Gathered::default();
        if end != StreamEnd::ClientGone {
            let rest = self.codec.finish();
            let passed = self.pass_events(rest).await;
            gathered.bytes.extend_from_slice(&passed.bytes);
            gathered.cut = passed.cut;
        }
        if let Some(mut chain) = self.chain.take() {
            gathered.take(chain.end(end).await, &mut self.codec);
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
            gathered.take(chain.check_hold().await, &mut self.codec);
        }
        gathered.let_out()
    }

    /// Puts on record what the filters did so far, for a stream that is dropped before its end.
    pub fn note(&self, guard: &mut RecordGuard) {
        if let Some(chain) = &self.chain {
            note(chain, guard);
        }
    }

    /// Events that could be read go on in any case.
    async fn pass_events(&mut self, decoded: Decoded) -> LetOut {
        let mut gathered = Gathered::default();
        if decoded.has_bom {
            gathered.bytes.extend_from_slice(BOM);
        }
        for event in decoded.events {
            match &mut self.chain {
                Some(chain) => gathered.take(chain.push(event).await, &mut self.codec),
                None if carries_nothing(&event) => {
                    gathered.bytes.extend_from_slice(&self.codec.encode(&event));
                }
                None => {}
            }
            if gathered.cut.is_some() {
                return gathered.let_out();
            }
        }
        gathered.cut = decoded.failure;
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

fn carries_nothing(event: &StreamEvent) -> bool {
    matches!(event.kind(), EventKind::Done | EventKind::Comment)
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
    cut: Option<Failure>,
}

impl Gathered {
    fn take(&mut self, step: StreamStep, codec: &mut EventCodec) {
        for event in step.events {
            self.bytes.extend_from_slice(&codec.encode(&event));
        }
        let cut = step.cut.map(filtering::failure);
        self.cut = self.cut.take().or(cut);
    }

    fn let_out(self) -> LetOut {
        LetOut {
            bytes: self.bytes.freeze(),
            cut: self.cut,
        }
    }
}
