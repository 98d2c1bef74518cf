//! Outcomes on their way back to the owner, and the decision when the owner is woken for them.
//!
//! Waking the owner costs more than sending a request (5 to 14 microseconds were measured), so a busy thread
//! wakes it at most once per `completion_delay` or per full batch. A thread with nothing else in flight, or that
//! has not signalled for that long, does so at once: a lone event waits for nobody.

use crate::job::Completion;
use crate::os::Event;
use crate::sync::lock;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What all threads share with the owner. The descriptor is readable while something waits, or once a thread died.
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    event: Event,
    alive: AtomicBool,
}

struct Inner {
    waiting: Vec<Completion>,
    raised: bool,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Mailbox> {
        Ok(Mailbox {
            inner: Mutex::new(Inner {
                waiting: Vec::new(),
                raised: false,
            }),
            event: Event::new()?,
            alive: AtomicBool::new(true),
        })
    }

    /// Moves everything out of `from`; one write to the descriptor at most, none while the last is not cleared.
    pub(crate) fn deliver(&self, from: &mut Vec<Completion>) {
        if from.is_empty() {
            return;
        }
        let mut inner = lock(&self.inner);
        inner.waiting.append(from);
        if !inner.raised {
            inner.raised = true;
            self.event.raise();
        }
    }

    pub(crate) fn drain(&self, into: &mut Vec<Completion>) {
        let mut inner = lock(&self.inner);
        into.append(&mut inner.waiting);
        self.lower(&mut inner);
    }

    /// Lowers the descriptor unless something waits: harmless before, after and without `drain`.
    pub(crate) fn clear(&self) {
        let mut inner = lock(&self.inner);
        if inner.waiting.is_empty() {
            self.lower(&mut inner);
        }
    }

    fn lower(&self, inner: &mut Inner) {
        if inner.raised && self.is_alive() {
            inner.raised = false;
            self.event.lower();
        }
    }

    /// A thread ended that should not have: the owner must see it, so the descriptor stays readable from here on.
    pub(crate) fn die(&self) {
        let mut inner = lock(&self.inner);
        self.alive.store(false, Ordering::Release);
        inner.raised = true;
        self.event.raise();
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.event.fd()
    }

    pub(crate) fn borrowed_fd(&self) -> BorrowedFd<'_> {
        self.event.borrowed_fd()
    }
}

/// Outcomes of one thread that the owner has not been told of.
pub(crate) struct Outbox {
    mailbox: Arc<Mailbox>,
    held: Mutex<Held>,
    in_flight: AtomicUsize,
    timer: Notify,
    batch: usize,
    delay: Duration,
}

struct Held {
    list: Vec<Completion>,
    last_signal: Option<Instant>,
    timer_armed: bool,
}

impl Outbox {
    pub(crate) fn new(mailbox: Arc<Mailbox>, batch: usize, delay: Duration) -> Outbox {
        Outbox {
            mailbox,
            held: Mutex::new(Held {
                list: Vec::new(),
                last_signal: None,
                timer_armed: false,
            }),
            in_flight: AtomicUsize::new(0),
            timer: Notify::new(),
            batch: batch.max(1),
            delay,
        }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// A job has left its queue.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// The job has its outcome. [`Outbox::settle`] must follow, after the next job was looked for.
    pub(crate) fn finish(&self, completion: Completion) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        lock(&self.held).list.push(completion);
    }

    /// Decides whether the owner is told now or later.
    pub(crate) fn settle(&self) {
        let mut held = lock(&self.held);
        if held.list.is_empty() {
            return;
        }
        let now = Instant::now();
        let idle = self.in_flight.load(Ordering::Relaxed) == 0;
        let due = held.last_signal.is_none_or(|last| now >= last + self.delay);
        if idle || due || held.list.len() >= self.batch {
            self.signal(&mut held, now);
        } else if !held.timer_armed {
            held.timer_armed = true;
            self.timer.notify_one();
        }
    }

    fn signal(&self, held: &mut Held, now: Instant) {
        held.last_signal = Some(now);
        self.mailbox.deliver(&mut held.list);
    }

    /// The timer behind [`Outbox::settle`]; runs as a task of the thread for ever.
    pub(crate) async fn signal_late(self: Arc<Self>) {
        loop {
            self.timer.notified().await;
            let last = lock(&self.held).last_signal;
            if let Some(last) = last {
                sleep_until(last + self.delay).await;
            }
            let mut held = lock(&self.held);
            held.timer_armed = false;
            if !held.list.is_empty() {
                self.signal(&mut held, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mailbox, Outbox};
    use crate::job::Completion;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};
    use tms_domain::failure::Failure;

    const NEVER: Duration = Duration::from_secs(3600);

    fn completion(key: u64) -> Completion {
        let result = Err(Failure::Closed(String::new()));
        Completion {
            key,
            target: 1,
            result,
            duration: Duration::ZERO,
            started: SystemTime::UNIX_EPOCH,
            sent: false,
        }
    }

    fn waiting(mailbox: &Mailbox) -> usize {
        let mut all = Vec::new();
        mailbox.drain(&mut all);
        all.len()
    }

    fn outbox(batch: usize, delay: Duration) -> (Arc<Mailbox>, Arc<Outbox>) {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        (Arc::clone(&mailbox), Arc::new(Outbox::new(mailbox, batch, delay)))
    }

    fn outcome(outbox: &Outbox, next_too: bool) {
        outbox.finish(completion(1));
        if next_too {
            outbox.begin();
        }
        outbox.settle();
    }

    #[test]
    fn the_event_is_raised_once_until_it_is_cleared() {
        let mailbox = Mailbox::new().unwrap();
        for key in 0..5 {
            mailbox.deliver(&mut vec![completion(key)]);
        }
        assert_eq!(mailbox.event.0.read(), Ok(1), "one write for five deliveries");
        assert_eq!(waiting(&mailbox), 5);
        mailbox.deliver(&mut Vec::new());
        assert!(mailbox.event.0.read().is_err(), "nothing is no reason");
        mailbox.deliver(&mut vec![completion(6)]);
        assert_eq!(waiting(&mailbox), 1);
        assert!(mailbox.event.0.read().is_err(), "drain lowers it");
    }

    #[test]
    fn death_stays_visible() {
        let mailbox = Mailbox::new().unwrap();
        mailbox.die();
        assert!(!mailbox.is_alive());
        assert_eq!(waiting(&mailbox), 0);
        mailbox.clear();
        assert_eq!(mailbox.event.0.read(), Ok(1));
    }

    #[test]
    fn the_first_outcome_is_told_at_once_and_the_next_as_a_batch() {
        let (mailbox, outbox) = outbox(3, NEVER);
        (0..4).for_each(|_| outbox.begin());
        outcome(&outbox, true);
        assert_eq!(waiting(&mailbox), 1);
        for expected in [0, 0, 3, 0, 0, 3] {
            outcome(&outbox, true);
            assert_eq!(waiting(&mailbox), expected);
        }
    }

    #[test]
    fn the_last_outcome_takes_all_with_it() {
        let (mailbox, outbox) = outbox(100, NEVER);
        (0..4).for_each(|_| outbox.begin());
        for expected in [1, 0, 0, 3] {
            outcome(&outbox, false);
            assert_eq!(waiting(&mailbox), expected);
        }
    }

    #[test]
    fn a_delay_that_is_over_tells_without_a_timer() {
        let (mailbox, outbox) = outbox(100, Duration::ZERO);
        outbox.begin();
        for _ in 0..3 {
            outcome(&outbox, true);
            assert_eq!(waiting(&mailbox), 1);
        }
    }

    #[test]
    fn the_timer_tells_what_nobody_else_does() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let (mailbox, outbox) = outbox(100, Duration::from_millis(20));
        runtime.block_on(async {
            tokio::spawn(Arc::clone(&outbox).signal_late());
            (0..3).for_each(|_| outbox.begin());
            outcome(&outbox, true);
            assert_eq!(waiting(&mailbox), 1);
            outcome(&outbox, true);
            outcome(&outbox, true);
            let told = async {
                let mut total = 0;
                while total < 2 {
                    total += waiting(&mailbox);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
        });
    }
}
