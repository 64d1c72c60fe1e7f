//! The state of one worker thread as the newest configuration has it. A request takes it once, when it comes, and keeps
//! it to its end; what no request holds any more is freed.

use std::cell::RefCell;
use std::rc::Rc;

use crate::server::state::DataState;

/// See the module.
pub struct CurrentState {
    state: RefCell<Rc<DataState>>,
    renew: Renew,
}

/// Makes the next state of the one before where there is another configuration. Asked for every request.
type Renew = Box<dyn Fn(&DataState) -> Option<DataState>>;

impl CurrentState {
    /// Begins with a state.
    pub fn new(
        first: DataState,
        renew: impl Fn(&DataState) -> Option<DataState> + 'static,
    ) -> Self {
        Self {
            state: RefCell::new(Rc::new(first)),
            renew: Box::new(renew),
        }
    }

    /// The state for what comes now.
    pub fn get(&self) -> Rc<DataState> {
        self.renew();
        self.state.borrow().clone()
    }

    /// Takes another configuration, if there is one.
    pub fn renew(&self) {
        let next = (self.renew)(&self.state.borrow());
        if let Some(next) = next {
            // What was there goes when it is not borrowed any more.
            drop(self.state.replace(Rc::new(next)));
        }
    }
}
