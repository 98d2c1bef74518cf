//! The scheduler: what comes round by the clock. In this release: retention, and bindings of roles that are gone.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::pg::shmem::Slot;
use crate::pg::{server, spi, wake, worker};
use crate::{settings, store, workers};

/// Rows a purge takes in one transaction: small enough that nobody waits for its locks.
const BATCH: i64 = 1_000;
/// Bindings change rarely.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);

/// Entry of the worker.
pub(crate) fn run(database: u32) {
    let Some(slot) = workers::enter(database, |slot| &slot.scheduler) else {
        return;
    };
    // What retention removes is finished: nobody waits for it.
    wake::ignore_own_changes();
    store::events::pin_plans();
    worker::set_option(c"lock_timeout", c"1s");
    let mut purge = store::retention::Purge::default();
    let mut sweep_due = Instant::now();
    while !worker::stopping() && !slot.must_leave() {
        worker::reload_if_asked();
        slot.scheduler_wakeups.fetch_add(1, Ordering::Relaxed);
        worker::show_busy("retention");
        let more = match worker::transaction(|| round(&mut purge, Instant::now() >= sweep_due)) {
            Ok(more) => more,
            Err(failed) if failed.is_passing() => false,
            Err(failed) => return give_up(slot, &failed),
        };
        if Instant::now() >= sweep_due {
            sweep_due = Instant::now() + SWEEP_INTERVAL;
        }
        worker::show_idle("waiting for the next round");
        if !more {
            worker::wait(None, Some(settings::scheduler_interval()));
        }
    }
}

/// One round; true when there is more to do at once.
fn round(purge: &mut store::retention::Purge, sweep: bool) -> bool {
    if sweep {
        store::roles::remove_orphans();
    }
    if store::installation::is_copy() {
        // A restored copy keeps what it was given, however old, until it is adopted.
        return false;
    }
    let now = server::now();
    let events = settings::event_retention().is_some_and(|age| purge.events(now, micros(age), BATCH));
    let attempts = settings::attempt_retention().is_some_and(|age| purge.attempts(now, micros(age), BATCH));
    let keys = spi::connect(|session| {
        store::keys::purge(
            session,
            now.saturating_sub(micros(settings::idempotency_window())),
            BATCH,
        )
    });
    let receipts = store::webhooks::purge(now, BATCH);
    events || attempts || keys || receipts
}

fn micros(age: Duration) -> i64 {
    i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
}

fn give_up(slot: &Slot, failed: &worker::Failed) {
    slot.last_error.store(failed.code as i32, Ordering::SeqCst);
    super::dispatcher::report_failure("scheduler", failed);
}
