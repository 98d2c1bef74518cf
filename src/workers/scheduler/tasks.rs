//! Tasks by the clock: whose time comes, and whose lease runs out.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::api::tasks::{claim, push};
use crate::pg::shmem::{NEVER, Slot};
use crate::pg::worker::{self, Failed};
use crate::pg::{server, spi};
use crate::store::installation;
use crate::store::tasks::upkeep;

/// After what kept it from being done, such as somebody's lock.
const AGAIN_US: i64 = 1_000_000;
/// Tasks may come in by thousands; who listens looks for all there are.
const BETWEEN_TELLING: Duration = Duration::from_millis(100);

/// What the scheduler knows of tasks.
pub(super) struct Tasks<'a> {
    slot: &'a Slot,
    /// When those who LISTEN may be told again.
    tell_from: Cell<Instant>,
}

impl<'a> Tasks<'a> {
    /// It looks at once: nobody knows what an earlier one has left.
    pub(super) fn of(slot: &'a Slot) -> Self {
        slot.tasks_due.store(0, Ordering::SeqCst);
        Self {
            slot,
            tell_from: Cell::new(Instant::now()),
        }
    }

    /// Whether there may be something to do.
    pub(super) fn are_due(&self) -> bool {
        self.slot.tasks_due.load(Ordering::SeqCst) <= server::now() || self.has_news()
    }

    fn has_news(&self) -> bool {
        self.slot.tasks_news.load(Ordering::SeqCst) && self.tell_from.get() <= Instant::now()
    }

    /// For how long there is nothing, as far as is known.
    pub(super) fn due_in(&self) -> Duration {
        let at = self.slot.tasks_due.load(Ordering::SeqCst);
        let by_clock = Duration::from_micros(u64::try_from(at.saturating_sub(server::now())).unwrap_or(0));
        if self.slot.tasks_news.load(Ordering::SeqCst) {
            by_clock.min(self.tell_from.get().saturating_duration_since(Instant::now()))
        } else {
            by_clock
        }
    }

    /// Moves what is due, and finds out when to look next.
    pub(super) fn see_to(&self) -> Result<(), Failed> {
        if self.has_news() {
            self.tell()?;
        }
        // Before the look: what is committed from now on lowers it again.
        self.slot.tasks_due.store(NEVER, Ordering::SeqCst);
        let next = worker::transaction(|| {
            if installation::is_copy() {
                // A restored copy keeps what it was given until it is adopted.
                return None;
            }
            let now = server::now();
            spi::connect(|session| {
                let has_moved = claim::see_to(session, now);
                if push::send(session) || has_moved {
                    Some(now)
                } else {
                    upkeep::next_change(session)
                }
            })
        });
        let again = match &next {
            Ok(next) => *next,
            Err(_) => Some(server::now().saturating_add(AGAIN_US)),
        };
        if let Some(at) = again {
            self.slot.tasks_due.fetch_min(at, Ordering::SeqCst);
        }
        next.map(drop)
    }

    /// Tells those who LISTEN which agents have tasks in their lines.
    fn tell(&self) -> Result<(), Failed> {
        self.slot.tasks_news.store(false, Ordering::SeqCst);
        self.tell_from.set(Instant::now() + BETWEEN_TELLING);
        worker::transaction(|| spi::connect(upkeep::notify))
    }
}
