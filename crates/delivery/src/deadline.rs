//! One timer per connection that is rarely touched: a later deadline only moves `due`; the runtime's timer is
//! re-armed when it fires early. So a request costs a comparison instead of two walks of the timer wheel.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    due: Instant,
}

impl Deadline {
    pub(crate) fn new(due: Instant) -> Deadline {
        Deadline {
            sleep: Box::pin(sleep_until(due)),
            due,
        }
    }

    pub(crate) fn set(&mut self, due: Instant) {
        self.due = due;
        if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
        }
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Outside the runtime's budget: a receiver that sends without end uses it up in every step, and the timer
    /// would not be looked at any more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(pin!(unconstrained(self.sleep.as_mut())).poll(cx));
            if self.sleep.deadline() >= self.due {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.due);
        }
    }
}
