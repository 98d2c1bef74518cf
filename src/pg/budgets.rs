//! The budgets of a day in shared memory: what sessions take of them, and what the scheduler reads and puts there.
//!
//! A session that needs more than is set aside asks the scheduler of its database and waits; see
//! [`tms_domain::policy::ledger`] for what either of them decides.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tms_domain::policy::budget::{Amounts, Ask, Said};
use tms_domain::policy::ledger::{self, BudgetEntry, Caller, Limits, Line, Outcome, Refusal, Released};

use super::limits::{self, Agent};
use super::server;
use super::shmem::{self, State};
use super::signal::Signal;

/// Announced when the scheduler has written and put down what was asked for.
static ALLOTTED: Signal = Signal::new(c"tms policy allotments");

/// For how long a session waits for the scheduler: a write to a disk takes milliseconds, and an agent has better things to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for shared memory.
///
/// # Safety
/// For a hook on shmem_request.
pub(super) unsafe fn request() {
    // SAFETY: by the caller.
    unsafe { ALLOTTED.request() }
}

/// Sets it up.
///
/// # Safety
/// For a hook on shmem_startup.
pub(super) unsafe fn set_up() {
    // SAFETY: by the caller.
    unsafe { ALLOTTED.set_up() }
}

fn key(agent: &Agent<'_>) -> ledger::Key {
    ledger::key(&limits::scope(agent.company), agent.name)
}

/// Whether nothing is known here of the agent's day, so that a peek needs the table; `None` without shared memory.
pub(crate) fn is_unknown(agent: &Agent<'_>, ask: &Ask) -> Option<bool> {
    let key = key(agent);
    limits::with(|ledger| ledger.is_unknown(&key, ask.day.number))
}

/// Whether a call would be let through now, as [`limits::peek`]; `spent` is what the table says.
pub(crate) fn peek(
    agent: &Agent<'_>,
    limits: &Limits,
    ask: &Ask,
    spent: &Amounts,
) -> Option<Result<(), Refusal>> {
    let (key, now) = (key(agent), server::steady_nanos());
    let caller = Caller {
        agent: agent.name,
        ask,
    };
    limits::with(|ledger| ledger.peek_budgeted(&key, limits, &caller, spent, now))
}

/// Lets a call through that is held against the budgets of a day, as [`limits::reserve`] does; waits for the scheduler where
/// the budget covers the call and what is set aside of it does not.
pub(crate) fn reserve(
    agent: &Agent<'_>,
    limits: &Limits,
    ask: &Ask,
    secret: [u8; 12],
    time_to_live: Duration,
) -> Option<Result<[u8; 16], Refusal>> {
    let claim = limits::claim(agent, secret, time_to_live);
    let caller = Caller {
        agent: agent.name,
        ask,
    };
    let attempt = || {
        let now = server::steady_nanos();
        let reserved = limits::with(|ledger| ledger.reserve_budgeted(&claim, limits, &caller, now));
        if let Some(Err(Refusal::Unallotted { .. })) = reserved {
            ask_scheduler();
            return None;
        }
        Some(reserved)
    };
    let reserved = match attempt() {
        None if is_served() => ALLOTTED.wait(PATIENCE, attempt),
        answer => answer,
    };
    let reserved = reserved.unwrap_or(Some(Err(Refusal::Unallotted { limit: ask.limit() })))?;
    if let Ok(id) = reserved {
        limits::remember(id);
        note_changes();
    }
    Some(reserved)
}

/// How a release went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// Whether the call ended now.
    pub(crate) ended: bool,
    /// Whether what it has used is on disk as far as a budget is concerned, or set aside there before.
    pub(crate) is_on_disk: bool,
}

/// Ends a reservation and books what was used. Where that is more than is set aside, waits until it is on disk: a crash must
/// not make room that there is not.
pub(crate) fn release(
    id: &[u8; 16],
    company: Option<[u8; 16]>,
    outcome: Outcome,
    said: &Said,
) -> Option<Ended> {
    let (scope, now) = (limits::scope(company), server::steady_nanos());
    let Released { ended, lacking } =
        limits::with(|ledger| ledger.release_budgeted(id, &scope, outcome, said, now))?;
    limits::forget(id);
    note_changes();
    let Some((key, day)) = lacking else {
        return Some(Ended {
            ended,
            is_on_disk: true,
        });
    };
    let is_on_disk = wait_for_disk(&key, day);
    Some(Ended { ended, is_on_disk })
}

/// Books what a task uses, as [`reserve`] and [`release`] in one: what is asked must be covered, what is `said` to have been used
/// is booked in full. Answers whether it is on disk as far as a budget is concerned; `None` without shared memory.
pub(crate) fn book(agent: &Agent<'_>, ask: &Ask, said: &Said) -> Option<Result<bool, Refusal>> {
    let claim = limits::claim(agent, [0; 12], Duration::ZERO);
    let caller = Caller {
        agent: agent.name,
        ask,
    };
    let attempt = || {
        let now = server::steady_nanos();
        let booked = limits::with(|ledger| ledger.book(&claim, &caller, said, now));
        if let Some(Err(Refusal::Unallotted { .. })) = booked {
            ask_scheduler();
            return None;
        }
        Some(booked)
    };
    let booked = match attempt() {
        None if is_served() => ALLOTTED.wait(PATIENCE, attempt),
        answer => answer,
    };
    let booked = booked.unwrap_or(Some(Err(Refusal::Unallotted { limit: ask.limit() })))?;
    note_changes();
    Some(booked.map(|lacking| match lacking {
        None => true,
        Some((key, day)) => wait_for_disk(&key, day),
    }))
}

/// Waits until what an account has used is on disk: a crash must not make room that there is not.
fn wait_for_disk(key: &ledger::Key, day: i64) -> bool {
    let attempt = || {
        let is_covered = limits::with(|ledger| ledger.is_covered(key, day)).unwrap_or(true);
        is_covered.then_some(())
    };
    ask_scheduler();
    is_served() && ALLOTTED.wait(PATIENCE, attempt).is_some()
}

/// Whether somebody is there to ask, or may come in a moment: the extension, or the server, can be new.
fn is_served() -> bool {
    let Some(slot) = shmem::my_slot() else {
        return true;
    };
    match slot.state() {
        State::Serving | State::Hold | State::Unknown | State::Absent => true,
        State::Off | State::VersionMismatch | State::NoSlot | State::Failing => false,
        State::Leaving | State::Restored => false,
    }
}

fn ask_scheduler() {
    if let Some(slot) = shmem::my_slot()
        && !slot.budgets.asked.swap(true, Ordering::SeqCst)
    {
        slot.scheduler.wake();
    }
}

/// Tells the scheduler that there are figures to write down.
pub(super) fn note_changes() {
    if let Some(slot) = shmem::my_slot()
        && !slot.budgets.noted.swap(true, Ordering::SeqCst)
    {
        slot.scheduler.wake();
    }
}

/// This process becomes the scheduler of its database.
pub(crate) fn take_over() {
    let database = server::database();
    limits::with(|ledger| ledger.doubt(database));
}

/// What sessions of this database wait for.
pub(crate) fn asked() -> Vec<Line> {
    let database = server::database();
    limits::with(|ledger| ledger.asked(database)).unwrap_or_default()
}

/// What is to be written down of this database; `today` in days since 1970, `is_end` when the scheduler leaves.
pub(crate) fn changed(today: i64, is_end: bool) -> Vec<Line> {
    let (database, now) = (server::database(), server::steady_nanos());
    limits::with(|ledger| ledger.changed(database, today, is_end, now)).unwrap_or_default()
}

/// These lines are on disk: what they set aside may be used.
pub(crate) fn written(lines: &[(Line, BudgetEntry)]) {
    let now = server::steady_nanos();
    limits::with(|ledger| {
        for (line, entry) in lines {
            ledger.written(line, entry, now);
        }
    });
    ALLOTTED.announce();
}

/// These are not.
pub(crate) fn unwritten(lines: &[Line]) {
    limits::with(|ledger| lines.iter().for_each(|line| ledger.unwritten(line)));
}

/// A database is gone, or the extension in it.
pub(super) fn forget(database: u32) {
    limits::with(|ledger| ledger.forget(database));
}
