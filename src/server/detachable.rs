//! Keeps an exchange going when the server drops its handler because the client is gone.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{CatchUnwind, LocalBoxFuture};

use crate::access_log::guard::HeadLost;
use crate::pipeline::link::ClientLink;
use crate::pipeline::reply::Reply;
use crate::server::state::DataState;

/// What comes of an exchange: an answer, or what it panicked with.
pub type Ended = Result<Reply, Box<dyn Any + Send>>;

/// An exchange that goes on without its client where a whole answer was asked for.
pub struct Detachable {
    run: Option<CatchUnwind<AssertUnwindSafe<LocalBoxFuture<'static, Reply>>>>,
    link: ClientLink,
    head_lost: HeadLost,
    state: Rc<DataState>,
}

impl Detachable {
    /// Runs `run` for the client behind `link`; a panic stays in it. When this is dropped before the end,
    /// `head_lost` tells the record.
    pub fn new(
        run: LocalBoxFuture<'static, Reply>,
        link: ClientLink,
        head_lost: HeadLost,
        state: Rc<DataState>,
    ) -> Self {
        Self {
            run: Some(AssertUnwindSafe(run).catch_unwind()),
            link,
            head_lost,
            state,
        }
    }
}

impl Future for Detachable {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.run {
            None => Poll::Pending,
            Some(run) => {
                let polled = run.poll_unpin(cx);
                if polled.is_ready() {
                    self.run = None;
                }
                polled
            }
        }
    }
}

impl Drop for Detachable {
    fn drop(&mut self) {
        let Some(run) = self.run.take() else { return };
        self.head_lost.mark();
        self.link.mark_gone();
        if self.link.finishes_without_client(&self.state.worker.alone) {
            let link = self.link.clone();
            // The reply has nobody to go to; dropping it lets its body finish by itself.
            (self.state.worker.spawn)(Box::pin(async move {
                drop(run.await);
                drop(link);
            }));
        }
    }
}
