//! The scheduler: what comes round by the clock. In this release: dead letters that come back ([`letters`]), tasks whose time comes or
//! whose lease runs out ([`tasks`]), budgets of agents ([`budgets`]), retention, bindings of roles that are gone, limits of agents that
//! nobody releases, and decisions on their way from shared memory to their table ([`journal`]).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::pg::shmem::Slot;
use crate::pg::{limits, server, spi, wake, worker};
use crate::{settings, store, workers};

mod budgets;
mod journal;
mod letters;
mod tasks;

use budgets::Spending;
use journal::Flush;
use tasks::Tasks;

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
    let (mut flush, tasks) = (Flush::new(), Tasks::of(slot));
    let mut spending = Spending::begin(slot);
    let (mut round_due, mut letters_due, mut sweep_due) = (Instant::now(), Instant::now(), Instant::now());
    while !worker::stopping() && !slot.must_leave() {
        let is_reloaded = worker::reload_if_asked();
        slot.scheduler_wakeups.fetch_add(1, Ordering::Relaxed);
        if let Err(failed) = spending.serve(slot) {
            return give_up(slot, &failed);
        }
        if flush.is_due(slot) {
            worker::show_busy("decisions");
            if let Err(failed) = flush.write(slot) {
                return give_up(slot, &failed);
            }
        }
        if tasks.are_due() {
            worker::show_busy("tasks");
            match tasks.see_to() {
                Err(failed) if !failed.is_passing() => return give_up(slot, &failed),
                _ => {}
            }
        }
        let now = Instant::now();
        let is_round = is_reloaded || now >= round_due;
        if is_round {
            worker::show_busy("dead letters");
            if now >= letters_due {
                letters_due = now + settings::scheduler_interval();
                if let Err(failed) = letters::round() {
                    return give_up(slot, &failed);
                }
            }
            limits::sweep();
        }
        if let Err(failed) = spending.flush(slot, is_round) {
            return give_up(slot, &failed);
        }
        if is_round {
            worker::show_busy("retention");
            let more = match worker::transaction(|| round(&mut purge, now >= sweep_due)) {
                Ok(more) => more,
                Err(failed) if failed.is_passing() => false,
                Err(failed) => return give_up(slot, &failed),
            };
            if now >= sweep_due {
                sweep_due = now + SWEEP_INTERVAL;
            }
            round_due = Instant::now()
                + if more {
                    Duration::ZERO
                } else {
                    settings::scheduler_interval()
                };
        }
        worker::show_idle("waiting for the next round");
        let due = [flush.due(), spending.due()].into_iter().flatten();
        let next = due.fold(round_due, Instant::min);
        let wait = next.saturating_duration_since(Instant::now());
        worker::wait(None, Some(wait.min(tasks.due_in())));
    }
    // A server that stops has nobody to write it later. What cannot be written now stays for whoever takes this place next.
    drop(flush.write(slot));
    spending.end();
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
    let decisions =
        settings::decision_retention().is_some_and(|age| store::decisions::purge(now, micros(age), BATCH));
    let tasks = settings::tasks::task_retention().is_some_and(|age| {
        spi::connect(|session| store::tasks::purge(session, now.saturating_sub(micros(age)), BATCH))
    });
    let letters = settings::dead_letter_retention()
        .is_some_and(|age| store::letters::ends::purge(now, micros(age), BATCH));
    let spending = settings::decision_retention().is_some_and(|age| {
        let days = i64::try_from(age.as_secs().div_ceil(86_400)).unwrap_or(i64::MAX);
        store::spending::purge(budgets::today(), days, BATCH)
    });
    events || attempts || keys || receipts || decisions || letters || tasks || spending
}

fn micros(age: Duration) -> i64 {
    i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
}

fn give_up(slot: &Slot, failed: &worker::Failed) {
    slot.last_error.store(failed.code as i32, Ordering::SeqCst);
    super::dispatcher::report_failure("scheduler", failed);
}
