//! The prices of the newest configuration, for the writer: a row is priced when it is made.

use std::sync::{Arc, PoisonError, RwLock};

use super::Prices;

/// See the module. The default knows no price.
#[derive(Debug, Clone, Default)]
pub struct SharedPrices(Arc<RwLock<Arc<Prices>>>);

impl SharedPrices {
    /// With these.
    pub fn new(prices: Prices) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(prices))))
    }

    /// Takes others from now on.
    pub fn replace(&self, prices: Prices) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(prices);
    }

    /// Those that hold now.
    pub fn now(&self) -> Arc<Prices> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
