//! What a transaction does with tasks that others hear of, or that shared memory holds: kept until the transaction has ended, since
//! what was rolled back did not happen.
//!
//! The callbacks run where an error would bring the server down: they take locks of shared memory, store and set latches.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::prelude::*;
use tms_domain::policy::ledger::Outcome;

use super::shmem;
use super::task_limits::{self, Place};
use super::task_waiters::{self, Line};
use crate::settings;

/// Something that was done with a task.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// It was handed out: its reservation is held already.
    Taken(Place, [u8; 16]),
    /// Its run has ended.
    Ended(Place, [u8; 16], Outcome),
    /// Its lease lasts longer.
    Prolonged(Place, [u8; 16], Duration),
    /// So many tasks came into a line.
    Queued(Line, u32),
    /// The clock changes something about a task then.
    Due(i64),
}

thread_local! {
    // Each with the subtransaction it was done in. Those that are nested in another one have greater numbers.
    static ACTS: RefCell<Vec<(pg_sys::SubTransactionId, Act)>> = const { RefCell::new(Vec::new()) };
}

/// Registers the callbacks of this process.
pub(super) fn register() {
    // SAFETY: the callbacks are static functions that touch this process's list and shared memory.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
    }
}

/// A task was handed out under this reservation.
pub(super) fn taken(place: Place, id: [u8; 16]) {
    note(Act::Taken(place, id));
}

/// The run of a task ends, if this transaction commits.
pub(crate) fn ended(place: Place, id: [u8; 16], outcome: Outcome) {
    note(Act::Ended(place, id, outcome));
}

/// The lease of a task lasts so much longer from now on, if this transaction commits.
pub(crate) fn prolonged(place: Place, id: [u8; 16], lease: Duration) {
    note(Act::Prolonged(place, id, lease));
}

/// A task came into a line, if this transaction commits.
pub(crate) fn queued(line: Line) {
    // SAFETY: reads a variable of this process.
    let mine = unsafe { pg_sys::GetCurrentSubTransactionId() };
    let is_counted = ACTS.with_borrow_mut(|acts| match acts.last_mut() {
        Some((of, Act::Queued(known, count))) if *of == mine && *known == line => {
            *count = count.saturating_add(1);
            true
        }
        _ => false,
    });
    if !is_counted {
        note(Act::Queued(line, 1));
    }
}

/// At this time something is to be done about a task, if this transaction commits: the scheduler hears of it.
pub(crate) fn due(at: i64) {
    note(Act::Due(at));
}

fn note(act: Act) {
    // SAFETY: reads a variable of this process.
    let mine = unsafe { pg_sys::GetCurrentSubTransactionId() };
    ACTS.with_borrow_mut(|acts| acts.push((mine, act)));
}

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    match event {
        XACT_EVENT_COMMIT => take_from(0).into_iter().for_each(tell),
        XACT_EVENT_ABORT => take_from(0).into_iter().for_each(undo),
        // What was handed out stays reserved until its lease is over; nobody hears of the rest before they look.
        XACT_EVENT_PREPARE => drop(take_from(0)),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    mine: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut std::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        take_from(mine).into_iter().for_each(undo);
    }
}

/// Takes out what was done in a subtransaction and in those that are nested in it.
fn take_from(first: pg_sys::SubTransactionId) -> Vec<Act> {
    ACTS.with_borrow_mut(|acts| {
        if acts.is_empty() {
            return Vec::new();
        }
        let begin = acts.iter().position(|(of, _)| *of >= first).unwrap_or(acts.len());
        acts.drain(begin..).map(|(_, act)| act).collect()
    })
}

fn tell(act: Act) {
    match act {
        Act::Taken(..) => {}
        Act::Ended(place, id, outcome) => task_limits::end(&place, &id, outcome),
        Act::Prolonged(place, id, lease) => task_limits::prolong(&place, &id, lease),
        Act::Queued(line, count) => {
            task_waiters::wake(&line, count);
            tell_listeners();
        }
        Act::Due(at) => tell_scheduler(at),
    }
}

/// Has the scheduler tell those who LISTEN: a NOTIFY of the producer would make every commit wait for every other.
fn tell_listeners() {
    if settings::tasks::task_notify()
        && let Some(slot) = shmem::my_slot()
        && !slot.tasks_news.swap(true, Ordering::SeqCst)
    {
        slot.scheduler.wake();
    }
}

/// Wakes the scheduler if it does not mean to look by then.
fn tell_scheduler(at: i64) {
    if let Some(slot) = shmem::my_slot()
        && slot.tasks_due.fetch_min(at, Ordering::SeqCst) > at
    {
        slot.scheduler.wake();
    }
}

fn undo(act: Act) {
    if let Act::Taken(place, id) = act {
        task_limits::give_back(&place, &id);
    }
}
