//! The routing of the newest configuration, for those who show it: whoever routes holds one to the request's end.

use std::sync::{Arc, PoisonError, RwLock};

use crate::routing::Routing;

/// See the module. Clones show the same.
#[derive(Debug, Clone)]
pub struct CurrentRouting(Arc<RwLock<Arc<Routing>>>);

impl CurrentRouting {
    /// Begins with one.
    pub fn new(routing: Arc<Routing>) -> Self {
        Self(Arc::new(RwLock::new(routing)))
    }

    /// The newest one.
    pub fn now(&self) -> Arc<Routing> {
        let routing = self.0.read().unwrap_or_else(PoisonError::into_inner);
        routing.clone()
    }

    /// Takes a newer one.
    pub fn replace(&self, routing: Arc<Routing>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = routing;
    }
}
