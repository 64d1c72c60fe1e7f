//! What an exchange knows of its client while it works for it, and of the server's end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

use crate::pipeline::{StreamCount, StreamSlot};

/// How a client's side of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// A FIN: it sends no more; whether it still reads cannot be known.
    Finished,
    /// A reset: it is gone.
    Reset,
}

/// The client's end of a connection, as far as it can be watched.
pub trait Peer {
    /// Ends when the client has sent a FIN or a reset.
    fn leaving(&self) -> LocalBoxFuture<'static, Leaving>;

    /// Ends when the connection was reset, also after a FIN.
    fn reset(&self) -> LocalBoxFuture<'static, ()>;
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
    peer: Option<Box<dyn Peer>>,
    /// Held while the exchange goes on without its client.
    alone: RefCell<Option<StreamSlot>>,
}

impl ClientLink {
    /// A link that can see the client leave.
    pub fn new(peer: Box<dyn Peer>) -> Self {
        let state = LinkState {
            peer: Some(peer),
            ..LinkState::default()
        };
        Self {
            state: Rc::new(state),
        }
    }

    /// Ends when the client has sent a FIN or a reset; never, when that cannot be seen.
    pub fn leaving(&self) -> LocalBoxFuture<'static, Leaving> {
        match &self.state.peer {
            Some(peer) => peer.leaving(),
            None => Box::pin(std::future::pending()),
        }
    }

    /// Ends when the connection was reset, also after a FIN; never, when that cannot be seen.
    pub fn reset(&self) -> LocalBoxFuture<'static, ()> {
        match &self.state.peer {
            Some(peer) => peer.reset(),
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

    /// Whether the work goes on without the client: for a whole answer, as long as few others do the same.
    /// Counted until the last clone of this link is dropped.
    pub fn finishes_without_client(&self, others: &StreamCount) -> bool {
        if !self.state.whole_answer.get() {
            return false;
        }
        let mut alone = self.state.alone.borrow_mut();
        if alone.is_none() && others.has_room() {
            *alone = Some(others.take_slot());
        }
        alone.is_some()
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
