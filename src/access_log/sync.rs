//! A mutex whose holder panicked is still a mutex: the values kept behind ours are whole after every statement.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a holder panicked.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
