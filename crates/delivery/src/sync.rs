//! One way to take a lock. A poisoned lock means that a thread panicked; the engine is marked dead for that, and
//! the data behind our locks is valid at every step, so the guard is taken all the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
