//! A body written as a straight async function: it yields pieces, the server polls them out one at a time.
//!
//! The future makes progress only while the client takes pieces: that is the back-pressure. Dropping the
//! generator drops the future, and with it whatever guards it holds.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::LocalBoxFuture;

/// The body cannot be completed; the server closes the connection without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer broke off")]
pub struct Aborted;

type Slot = Rc<Cell<Option<Bytes>>>;

/// Where the future puts its pieces.
pub struct Yielder {
    slot: Slot,
}

impl Yielder {
    /// Hands one piece to the client; returns when it has been taken.
    pub async fn send(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.slot.set(Some(piece));
        std::future::poll_fn(|_| {
            let waiting = self.slot.take();
            let taken = waiting.is_none();
            self.slot.set(waiting);
            if taken {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Gives the server one turn, in which it writes out what it was given. Must stand before an abort: the server
/// drops what it has not written yet.
pub async fn let_server_write() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A stream of pieces made by a future.
pub struct Generator {
    slot: Slot,
    future: Option<LocalBoxFuture<'static, Result<(), Aborted>>>,
    detach: Option<Rc<dyn Fn(LocalBoxFuture<'static, ()>)>>,
}

impl Generator {
    /// Starts nothing yet: the future runs when the stream is polled.
    pub fn new<F>(make: impl FnOnce(Yielder) -> F) -> Self
    where
        F: Future<Output = Result<(), Aborted>> + 'static,
    {
        let slot: Slot = Rc::default();
        let future = Box::pin(make(Yielder { slot: slot.clone() }));
        Self {
            slot,
            future: Some(future),
            detach: None,
        }
    }

    /// When the client leaves early, hand the rest of the work to `spawn` instead of dropping it.
    pub fn finish_detached(mut self, spawn: Rc<dyn Fn(LocalBoxFuture<'static, ()>)>) -> Self {
        self.detach = Some(spawn);
        self
    }
}

impl Stream for Generator {
    type Item = Result<Bytes, Aborted>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(future) = &mut this.future else {
            return Poll::Ready(None);
        };
        match future.as_mut().poll(cx) {
            Poll::Pending => match this.slot.take() {
                Some(piece) => Poll::Ready(Some(Ok(piece))),
                None => Poll::Pending,
            },
            Poll::Ready(result) => {
                this.future = None;
                match result {
                    Ok(()) => Poll::Ready(None),
                    Err(aborted) => Poll::Ready(Some(Err(aborted))),
                }
            }
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if let (Some(mut future), Some(spawn)) = (self.future.take(), self.detach.take()) {
            let slot = self.slot.clone();
            spawn(Box::pin(async move {
                std::future::poll_fn(move |cx| {
                    slot.set(None);
                    loop {
                        match future.as_mut().poll(cx) {
                            Poll::Ready(_) => return Poll::Ready(()),
                            // A piece was put out for nobody: take it away and go on.
                            Poll::Pending if slot.take().is_some() => {}
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                })
                .await;
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use std::cell::RefCell;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn pieces_come_in_order_and_the_end_after_them() {
        let generator = Generator::new(|mut out| async move {
            out.send(Bytes::from_static(b"a")).await;
            out.send(Bytes::new()).await;
            out.send(Bytes::from_static(b"b")).await;
            Ok(())
        });
        let got: Vec<_> = block_on(generator.collect());
        assert_eq!(
            got,
            [Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]
        );
    }

    #[test]
    fn an_abort_is_the_last_item() {
        let generator = Generator::new(|mut out| async move {
            out.send(Bytes::from_static(b"a")).await;
            Err(Aborted)
        });
        let got: Vec<_> = block_on(generator.collect());
        assert_eq!(got, [Ok(Bytes::from_static(b"a")), Err(Aborted)]);
    }

    #[test]
    fn nothing_runs_ahead_of_the_reader() {
        let steps = Rc::new(Cell::new(0));
        let seen = steps.clone();
        let mut generator = Generator::new(|mut out| async move {
            for step in 1..=3 {
                seen.set(step);
                out.send(Bytes::from_static(b"x")).await;
            }
            Ok(())
        });
        block_on(generator.next());
        assert_eq!(steps.get(), 1);
    }

    #[test]
    fn a_detached_rest_runs_to_its_end() {
        let finished = Rc::new(Cell::new(false));
        let flag = finished.clone();
        let spawned: Rc<RefCell<Vec<LocalBoxFuture<'static, ()>>>> = Rc::default();
        let sink = spawned.clone();
        let mut generator = Generator::new(|mut out| async move {
            out.send(Bytes::from_static(b"a")).await;
            out.send(Bytes::from_static(b"b")).await;
            flag.set(true);
            Ok(())
        })
        .finish_detached(Rc::new(move |rest| sink.borrow_mut().push(rest)));
        block_on(async move {
            generator.next().await;
            drop(generator);
        });
        let rest = spawned.borrow_mut().pop().unwrap();
        block_on(rest);
        assert!(finished.get());
    }
}
