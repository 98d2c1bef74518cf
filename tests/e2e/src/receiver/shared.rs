//! What the receiver's thread and the test's threads share: the record, the behaviour, and the bell between them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::behaviour::{Behaviour, Choice};
use super::http::Request;
use super::record::{Record, Seen};

/// Looks at every recorded request before it is answered.
pub type Observer = Arc<dyn Fn(&Request<'_>) + Send + Sync>;

pub(super) struct Shared {
    state: Mutex<State>,
    bell: Condvar,
    /// Paths that begin with the prefix are answered by the choice and are not recorded.
    control: Option<(String, Choice)>,
    observer: Option<Observer>,
}

struct State {
    seen: Seen,
    behaviour: Behaviour,
    waiting: usize,
    /// The bell has been rung and no waiter has looked since: ringing again would only cost a system call.
    rung: bool,
}

impl Shared {
    pub(super) fn new(
        record: Record,
        behaviour: Behaviour,
        control: Option<(String, Choice)>,
        observer: Option<Observer>,
    ) -> Self {
        let state = State {
            seen: Seen::new(record),
            behaviour,
            waiting: 0,
            rung: false,
        };
        Self {
            state: Mutex::new(state),
            bell: Condvar::new(),
            control,
            observer,
        }
    }

    /// Records a request and says what to do with it, and whether it counts as in flight.
    pub(super) fn arrived(&self, mut request: Request<'_>) -> (Behaviour, bool) {
        if let Some((prefix, choice)) = &self.control
            && request.path.starts_with(prefix.as_str())
        {
            return (choice(&request), false);
        }
        if let Some(observer) = &self.observer {
            observer(&request);
        }
        let mut behaviour = {
            let mut state = self.lock();
            request.attempt = state.seen.arrived(&request);
            self.ring(&mut state);
            state.behaviour.clone()
        };
        // Decided without the lock: a choice may ask the receiver what it has seen.
        while let Behaviour::Choose(choice) = behaviour {
            behaviour = choice(&request);
        }
        (behaviour, true)
    }

    /// These requests have been answered, or never will be.
    pub(super) fn answered(&self, requests: usize) {
        let mut state = self.lock();
        state.seen.answered(requests);
        self.ring(&mut state);
    }

    pub(super) fn set_behaviour(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    pub(super) fn reset(&self) {
        self.lock().seen.reset();
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.lock().seen)
    }

    /// Waits until the condition holds; false when it did not in time.
    pub(super) fn wait_until(&self, deadline: Duration, condition: &mut dyn FnMut(&Seen) -> bool) -> bool {
        let end = Instant::now() + deadline;
        let mut state = self.lock();
        loop {
            state.rung = false;
            if condition(&state.seen) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state.waiting += 1;
            state = self
                .bell
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.waiting -= 1;
        }
    }

    fn ring(&self, state: &mut State) {
        if state.waiting > 0 && !state.rung {
            state.rung = true;
            self.bell.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that asserts inside a look poisons the lock; the state itself is never left half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
