//! What a letter is about: the seam between letters and the things that fail. Everything a letter does to its thing goes through here.
//!
//! An event is held by `available_at` = infinity ([`event`]), a task by status = failed ([`task`]).

use pgrx::pg_sys;

use crate::pg::spi::Session;

mod event;
mod task;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    Event([u8; 16]),
    Task([u8; 16]),
}

impl Origin {
    /// By a letter's two columns.
    pub(crate) fn of(event: Option<[u8; 16]>, task: Option<[u8; 16]>) -> Option<Origin> {
        event.map(Origin::Event).or(task.map(Origin::Task))
    }
}

/// How it stands with what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The letter holds it.
    Held,
    /// It is in its queue: it was brought back, or changed by hand.
    Queued,
    /// It is done, or cancelled.
    Over,
}

/// Whether somebody's lock is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Wait,
    /// What somebody has locked is left out, as if it were not there: for workers.
    Skip,
}

fn split(origins: &[Origin]) -> (Vec<[u8; 16]>, Vec<[u8; 16]>) {
    let (mut events, mut tasks) = (Vec::new(), Vec::new());
    for origin in origins {
        match origin {
            Origin::Event(id) => events.push(*id),
            Origin::Task(id) => tasks.push(*id),
        }
    }
    (events, tasks)
}

/// Locks these, and says how they stand. What is not there is left out.
pub(crate) fn lock(session: &Session, origins: &[Origin], how: Lock) -> Vec<(Origin, Standing)> {
    let (events, tasks) = split(origins);
    let events = event::lock(session, &events, how).into_iter();
    let tasks = task::lock(session, &tasks, how).into_iter();
    events
        .map(|(id, standing)| (Origin::Event(id), standing))
        .chain(tasks.map(|(id, standing)| (Origin::Task(id), standing)))
        .collect()
}

/// Puts held ones back into their queues with a fresh set of attempts, each due at its time.
pub(crate) fn requeue(session: &Session, origins: &[(Origin, i64)], now: i64) {
    let of_kind = |is_event: bool| -> (Vec<[u8; 16]>, Vec<i64>) {
        origins
            .iter()
            .filter_map(|(origin, at)| match origin {
                Origin::Event(id) if is_event => Some((*id, *at)),
                Origin::Task(id) if !is_event => Some((*id, *at)),
                _ => None,
            })
            .unzip()
    };
    let (events, times) = of_kind(true);
    if !events.is_empty() {
        event::requeue(session, &events, &times, now);
    }
    let (tasks, times) = of_kind(false);
    if !tasks.is_empty() {
        task::requeue(session, &tasks, &times, now);
    }
}

/// Takes one out of its queue for good.
pub(crate) fn give_up(session: &Session, origin: Origin, reason: &str, now: i64) {
    match origin {
        Origin::Event(id) => event::give_up(session, &id, reason, now),
        Origin::Task(id) => task::give_up(session, &id, reason, now),
    }
}

/// Puts another payload into one.
pub(crate) fn set_payload(session: &Session, origin: Origin, payload: pg_sys::Datum, now: i64) {
    match origin {
        Origin::Event(id) => event::set_payload(session, &id, payload, now),
        Origin::Task(id) => task::set_payload(session, &id, payload, now),
    }
}
