//! Says whether a filter is running on a thread, to whoever watches threads from elsewhere.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static HERE: Presence = Presence(Arc::default());
}

/// Whether a filter is running on one thread; it can be read on any.
#[derive(Debug, Clone)]
pub struct Presence(Arc<AtomicBool>);

impl Presence {
    /// That of the calling thread.
    pub fn on_this_thread() -> Self {
        HERE.with(Self::clone)
    }

    /// Whether a filter has the thread now.
    pub fn is_filter(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs something of a filter's, which must not panic. A call within a call is one.
pub(super) fn present<T>(run: impl FnOnce() -> T) -> T {
    let set = |is: bool| HERE.try_with(|here| here.0.swap(is, Ordering::Relaxed));
    // A thread that is ending has none any more, and nobody watches it.
    let before = set(true).unwrap_or_default();
    let made = run();
    set(before).ok();
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_request;
    use crate::{Context, Endpoint, Filter, LlmRequest, RequestVerdict};

    #[test]
    fn a_filter_is_there_while_it_runs_and_on_its_thread_alone() {
        let here = Presence::on_this_thread();
        let other = std::thread::spawn(Presence::on_this_thread).join().unwrap();
        assert!(!here.is_filter());
        present(|| {
            assert!(here.is_filter() && !other.is_filter());
            present(|| ());
            assert!(here.is_filter(), "the outer one goes on");
        });
        assert!(!here.is_filter());
    }

    #[tokio::test]
    async fn it_is_there_while_its_hooks_run() {
        let seen = Arc::new(AtomicBool::new(false));
        let theirs = seen.clone();
        let looks = Filter::named("looks").on_request(
            async move |_: &mut LlmRequest, _: &mut Context<'_>| {
                tokio::task::yield_now().await;
                theirs.store(Presence::on_this_thread().is_filter(), Ordering::Relaxed);
                Ok(RequestVerdict::Continue)
            },
        );
        run_request(Endpoint::ChatCompletions, r#"{"model":"m"}"#, looks).await;
        assert!(seen.load(Ordering::Relaxed));
        assert!(!Presence::on_this_thread().is_filter());
    }
}
