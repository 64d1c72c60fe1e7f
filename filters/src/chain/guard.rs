//! Calls one hook: within its time limit, and so that a panic stays inside.
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use super::presence::present;
use super::report::{Failure, FailureKind};
use crate::context::{Clock, MoreTime};

/// A hook call as async traits return it.
pub(super) type HookFuture<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

/// The limits of one call.
pub(super) struct Limits<'a> {
    pub(super) timeout: Duration,
    /// Time that the hook was granted on top, for waiting in the pool's queue.
    pub(super) more_time: &'a MoreTime,
    pub(super) clock: &'a dyn Clock,
}

/// Runs `hook`. A future that panicked or came too late is dropped before this returns.
pub(super) async fn call<'f, T, E: Into<Failure>>(
    limits: Limits<'_>,
    hook: impl FnOnce() -> HookFuture<'f, Result<T, E>>,
) -> Result<T, Failure> {
    let mut running = Running(Some(contain(hook).ok_or_else(panicked)?));
    let mut sleep: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| match running.poll(cx, &limits) {
        Poll::Ready(result) => Poll::Ready(result.and_then(|output| output.map_err(E::into))),
        Poll::Pending => wait(&mut sleep, cx, &limits).map(Err),
    })
    .await
}

/// Runs a hook that is not async, with the time that it took.
pub(super) fn call_at_once<T>(
    timeout: Duration,
    clock: &dyn Clock,
    hook: impl FnOnce() -> T,
) -> (Result<T, Failure>, Duration) {
    let before = clock.now();
    let called = contain(hook);
    let kept = clock.now().saturating_duration_since(before);
    let result = match called {
        None => Err(panicked()),
        Some(output) if kept > timeout => {
            drop_contained(output);
            Err(blocked(kept))
        }
        Some(output) => Ok(output),
    };
    (result, kept)
}

/// Runs something of a filter that is not async; `None` when it panicked.
fn contain<T>(run: impl FnOnce() -> T) -> Option<T> {
    match present(|| catch_unwind(AssertUnwindSafe(run))) {
        Ok(value) => Some(value),
        Err(panic) => {
            drop_contained(panic);
            None
        }
    }
}

/// Drops something of a filter whose `drop` may panic.
pub(super) fn drop_contained<T>(value: T) {
    if let Err(panic) = present(|| catch_unwind(AssertUnwindSafe(|| drop(value)))) {
        std::mem::forget(panic);
    }
}

/// Polls a hook once and gives it up; for an exchange that is being dropped.
pub(super) fn poll_once<'f, T>(hook: impl FnOnce() -> HookFuture<'f, T>) {
    let Some(future) = contain(hook) else { return };
    let mut running = Running(Some(future));
    let mut cx = Context::from_waker(Waker::noop());
    if let Some(future) = running.0.as_mut() {
        // Neither the verdict nor a panic can be of use to anyone.
        contain(|| future.as_mut().poll(&mut cx).map(drop_contained));
    }
}

fn panicked() -> Failure {
    Failure::new(FailureKind::Panic, "the filter panicked")
}

fn blocked(kept: Duration) -> Failure {
    let reason = format!("the filter kept its thread for {} ms", kept.as_millis());
    Failure::new(FailureKind::Blocked, reason)
}

struct Running<'f, T>(Option<HookFuture<'f, T>>);

impl<T> Running<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>, limits: &Limits<'_>) -> Poll<Result<T, Failure>> {
        let Some(future) = self.0.as_mut() else {
            return Poll::Ready(Err(panicked()));
        };
        let before = limits.clock.now();
        let polled = contain(|| future.as_mut().poll(cx));
        let kept = limits.clock.now().saturating_duration_since(before);
        match polled {
            None => Poll::Ready(Err(panicked())),
            Some(_) if kept > limits.timeout => Poll::Ready(Err(blocked(kept))),
            Some(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Some(Poll::Pending) => Poll::Pending,
        }
    }
}

impl<T> Drop for Running<'_, T> {
    fn drop(&mut self) {
        drop_contained(self.0.take());
    }
}

/// Ready when the time is up. The timer is made only for hooks that do not finish at once.
fn wait(
    sleep: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
    limits: &Limits<'_>,
) -> Poll<Failure> {
    let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limits.timeout)));
    loop {
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let more = limits.more_time.take();
        if more.is_zero() {
            let reason = format!("no verdict within {} ms", limits.timeout.as_millis());
            return Poll::Ready(Failure::new(FailureKind::Timeout, reason));
        }
        let later = sleep.deadline() + more;
        sleep.as_mut().reset(later);
    }
}
