//! Waiting in a session for something that another process does: a condition variable in shared memory.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use pgrx::pg_sys;

/// What sessions wait for and another process announces.
pub(crate) struct Signal {
    name: &'static CStr,
    place: AtomicPtr<pg_sys::ConditionVariable>,
}

impl Signal {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            place: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Asks the server for room.
    ///
    /// # Safety
    /// For a hook on shmem_request.
    pub(super) unsafe fn request(&self) {
        let size =
            size_of::<pg_sys::ConditionVariable>().next_multiple_of(pg_sys::PG_CACHE_LINE_SIZE as usize);
        // SAFETY: by the caller.
        unsafe { pg_sys::RequestAddinShmemSpace(size) }
    }

    /// Makes the signal that room was asked for.
    ///
    /// # Safety
    /// For a hook on shmem_startup, after [`Signal::request`].
    pub(super) unsafe fn set_up(&self) {
        let mut found = false;
        // SAFETY: the postmaster runs this alone, before any child exists; the room is of the size of the variable.
        unsafe {
            let size = size_of::<pg_sys::ConditionVariable>();
            let place = pg_sys::ShmemInitStruct(self.name.as_ptr(), size, &raw mut found)
                .cast::<pg_sys::ConditionVariable>();
            pg_sys::ConditionVariableInit(place);
            self.place.store(place, Ordering::SeqCst);
        }
    }

    /// Wakes everybody who waits.
    pub(super) fn announce(&self) {
        let place = self.place.load(Ordering::SeqCst);
        if !place.is_null() {
            // SAFETY: the variable lives in shared memory for as long as the server does.
            unsafe { pg_sys::ConditionVariableBroadcast(place) }
        }
    }

    /// Tries until `attempt` answers, again after each announcement; `None` when that took too long, or there is no shared
    /// memory. A cancel ends it with its error.
    pub(super) fn wait<R>(&self, patience: Duration, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
        let place = self.place.load(Ordering::SeqCst);
        if place.is_null() {
            return None;
        }
        let end = Instant::now() + patience;
        // SAFETY: the variable lives in shared memory for as long as the server does. Whoever prepares to sleep before it looks
        // misses no announcement; on an error the transaction's abort takes this process off the list of those who wait.
        unsafe {
            pg_sys::ConditionVariablePrepareToSleep(place);
            let mut answer = attempt();
            while answer.is_none() {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let milliseconds = i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1);
                pg_sys::ConditionVariableTimedSleep(place, milliseconds as _, pg_sys::PG_WAIT_EXTENSION);
                answer = attempt();
            }
            pg_sys::ConditionVariableCancelSleep();
            answer
        }
    }
}
