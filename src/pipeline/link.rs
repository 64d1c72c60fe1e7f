//! What an exchange knows of its client while it works for it, and of the server's end.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

/// How a client's side of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// A FIN: it sends no more; whether it still reads cannot be known.
    Finished,
    /// A reset: it is gone.
    Reset,
}

/// The client of one exchange.
#[derive(Clone, Default)]
pub struct ClientLink {
    state: Rc<LinkState>,
}

#[derive(Default)]
struct LinkState {
    gone: Cell<bool>,
    whole_answer: Cell<bool>,
    watch: Option<Box<dyn Fn() -> LocalBoxFuture<'static, Leaving>>>,
}

impl ClientLink {
    /// A link that can see the client leave.
    pub fn new(watch: Box<dyn Fn() -> LocalBoxFuture<'static, Leaving>>) -> Self {
        let state = LinkState {
            watch: Some(watch),
            ..LinkState::default()
        };
        Self {
            state: Rc::new(state),
        }
    }

    /// Ends when the client has sent a FIN or a reset; never, when that cannot be seen.
    pub fn leaving(&self) -> LocalBoxFuture<'static, Leaving> {
        match &self.state.watch {
            Some(watch) => watch(),
            None => Box::pin(std::future::pending()),
        }
    }

    /// Says that the client has gone for good.
    pub fn mark_gone(&self) {
        self.state.gone.set(true);
    }

    /// Whether it has.
    pub fn is_gone(&self) -> bool {
        self.state.gone.get()
    }

    /// Says that the answer is a whole one, which is finished even when the client goes.
    pub fn expect_whole_answer(&self) {
        self.state.whole_answer.set(true);
    }

    /// Whether the work goes on without the client.
    pub fn finishes_without_client(&self) -> bool {
        self.state.whole_answer.get()
    }
}

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Running,
    /// It takes no new exchanges; open ones go on.
    Draining,
    /// Open exchanges end now.
    Cutting,
}

/// A view of the server's stage.
#[derive(Clone)]
pub struct Lifecycle {
    stage: watch::Receiver<Stage>,
}

impl Lifecycle {
    /// The view, and the handle that changes it.
    pub fn new() -> (watch::Sender<Stage>, Self) {
        let (sender, stage) = watch::channel(Stage::Running);
        (sender, Self { stage })
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Ends when open exchanges must end.
    pub fn cutting(&self) -> impl Future<Output = ()> + use<> {
        let mut stage = self.stage.clone();
        async move {
            // An error means that the server is gone altogether: nothing more will come.
            if stage
                .wait_for(|stage| *stage == Stage::Cutting)
                .await
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        }
    }
}
