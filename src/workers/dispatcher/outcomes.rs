//! From outcomes to rows: writing many of them in one transaction, and what a row that refuses, or is locked, does to the others.

use pgrx::prelude::*;
use tms_domain::outcome::Step;

use super::{Dispatcher, Flight};
use crate::pg::server;
use crate::pg::spi::{self, Session, Tid};
use crate::pg::worker;
use crate::store::attempts::Attempts;
use crate::store::events;
use crate::store::letters::Letters;

/// One event whose outcome is known and not yet written.
pub(super) struct Outcome {
    pub(super) key: u64,
    pub(super) step: Step,
    /// When the attempt is to be recorded.
    pub(super) attempt: Option<Attempt>,
}

/// What is recorded of an attempt.
pub(super) struct Attempt {
    pub(super) status: Option<i32>,
    pub(super) started: i64,
    pub(super) duration_ms: f64,
    pub(super) excerpt: Option<String>,
}

/// Outcomes that wait to be written.
#[derive(Default)]
pub(crate) struct Outcomes {
    waiting: Vec<Outcome>,
    /// Those that their rows refused.
    refused: Vec<Outcome>,
    /// A lock was in the way: rows that somebody holds are left out until he lets go.
    is_careful: bool,
}

impl Outcomes {
    /// An outcome is known.
    pub(super) fn add(&mut self, outcome: Outcome) {
        self.waiting.push(outcome);
    }

    /// From now on, until all is written, locked rows are stepped over.
    pub(crate) fn careful(&mut self) {
        self.is_careful = !self.waiting.is_empty();
    }

    /// Whether something waits for a lock.
    pub(crate) fn wait_for_lock(&self) -> bool {
        self.is_careful
    }
}

/// Columns for the statements of one transaction.
#[derive(Default)]
struct Batch {
    delivered: Vec<(Tid, [u8; 16])>,
    rescheduled: (Vec<[u8; 16]>, Vec<i64>, Vec<i32>),
    letters: Letters,
    attempts: Attempts,
}

impl Dispatcher {
    /// Writes what waits. On an error nothing is lost: it waits on.
    pub(super) fn write_outcomes(&mut self) -> Result<(), worker::Failed> {
        if self.outcomes.waiting.is_empty() {
            return Ok(());
        }
        match self.write_waiting() {
            Err(failed) if failed.is_of_the_row() => self.write_one_by_one(),
            result => result,
        }
    }

    /// All that waits in one transaction.
    fn write_waiting(&mut self) -> Result<(), worker::Failed> {
        let now = server::now();
        let left_out = worker::transaction(|| spi::connect(|session| self.write(session, now)))?;
        let mut waiting = std::mem::take(&mut self.outcomes.waiting);
        waiting.retain(|outcome| {
            let left_out = left_out
                .as_ref()
                .is_some_and(|left_out| left_out.contains(&outcome.key));
            if !left_out {
                self.written(outcome, now);
            }
            left_out
        });
        self.outcomes.is_careful = !waiting.is_empty();
        self.outcomes.waiting = waiting;
        Ok(())
    }

    /// A row refuses its outcome (a constraint or a trigger of somebody's): the others are written without it. It stays in
    /// flight, so that it is not sent again, and is tried again with every rescan.
    fn write_one_by_one(&mut self) -> Result<(), worker::Failed> {
        let mut remaining = std::mem::take(&mut self.outcomes.waiting);
        let mut held = Vec::new();
        while let Some(outcome) = remaining.pop() {
            let key = outcome.key;
            self.outcomes.waiting.push(outcome);
            match self.write_waiting() {
                Ok(()) => held.append(&mut self.outcomes.waiting),
                Err(failed) if failed.is_of_the_row() => {
                    let id = self
                        .flights
                        .get(&key)
                        .map(|flight| uuid::Uuid::from_bytes(flight.id));
                    log!(
                        "tms: the outcome of event {} cannot be written: {}",
                        id.unwrap_or_default(),
                        failed.message
                    );
                    self.outcomes.refused.append(&mut self.outcomes.waiting);
                }
                Err(failed) => {
                    self.outcomes.waiting.append(&mut remaining);
                    self.outcomes.waiting.append(&mut held);
                    return Err(failed);
                }
            }
        }
        self.outcomes.is_careful = !held.is_empty();
        self.outcomes.waiting = held;
        Ok(())
    }

    /// What a row refused is tried again.
    pub(super) fn retry_refused(&mut self) {
        let mut refused = std::mem::take(&mut self.outcomes.refused);
        self.outcomes.waiting.append(&mut refused);
    }

    /// Writes everything, or when careful everything but the rows somebody holds: their keys are returned.
    fn write(&self, session: &Session, now: i64) -> Option<Vec<u64>> {
        let left_out = self.outcomes.is_careful.then(|| self.held_by_others(session));
        let mut batch = Batch::default();
        for outcome in &self.outcomes.waiting {
            let skipped = left_out
                .as_ref()
                .is_some_and(|left_out| left_out.contains(&outcome.key));
            if let (false, Some(flight)) = (skipped, self.flights.get(&outcome.key)) {
                self.add(&mut batch, outcome, flight, now);
            }
        }
        batch.write(session, now);
        left_out
    }

    fn held_by_others(&self, session: &Session) -> Vec<u64> {
        let flights: Vec<(u64, [u8; 16])> = self
            .outcomes
            .waiting
            .iter()
            .filter_map(|outcome| {
                self.flights
                    .get(&outcome.key)
                    .map(|flight| (outcome.key, flight.id))
            })
            .collect();
        let ids: Vec<[u8; 16]> = flights.iter().map(|(_, id)| *id).collect();
        let free = events::lock_free_ones(session, &ids);
        let present = events::existing(session, &ids);
        let letters = crate::store::letters::held_by_others(session, &free);
        flights
            .into_iter()
            .filter(|(_, id)| present.contains(id) && (!free.contains(id) || letters.contains(id)))
            .map(|(key, _)| key)
            .collect()
    }

    fn add(&self, batch: &mut Batch, outcome: &Outcome, flight: &Flight, now: i64) {
        match &outcome.step {
            Step::Delivered => {
                batch.delivered.push((flight.tid, flight.id));
            }
            Step::Retry { .. } => {
                batch.rescheduled.0.push(flight.id);
                batch.rescheduled.1.push(due_after(&outcome.step, now));
                batch.rescheduled.2.push(flight.retry_count.saturating_add(1));
            }
            Step::Dead {
                error,
                message,
                exhausted,
            } => {
                batch.rescheduled.0.push(flight.id);
                batch.rescheduled.1.push(i64::MAX);
                batch.rescheduled.2.push(flight.retry_count);
                batch.letters.events.push(flight.id);
                batch.letters.error_types.push(Some(error.as_str().to_owned()));
                batch.letters.messages.push(Some(message.clone()));
                batch.letters.attempts.push(flight.retry_count.saturating_add(1));
                batch.letters.permanent.push(!exhausted);
            }
            // Nothing of it changes: it waits with its target.
            Step::Hold { .. } => {}
        }
        if let Some(attempt) = &outcome.attempt {
            let target = self
                .targets
                .get(flight.target)
                .map(|target| target.name.to_string());
            batch.record(outcome, flight, attempt, target);
        }
    }

    /// An outcome is in the table: the event is no longer in flight, and its key goes on, or waits for it.
    fn written(&mut self, outcome: &Outcome, now: i64) {
        let Some(flight) = self.flights.remove(&outcome.key) else {
            return;
        };
        let Some(target) = self.targets.get_mut(flight.target) else {
            return;
        };
        let seq = outcome.key.cast_signed();
        let is_finished = match &outcome.step {
            Step::Delivered => true,
            Step::Dead { .. } => target.skips_dead(),
            Step::Retry { .. } => {
                target.lanes.due_at(flight.company, due_after(&outcome.step, now));
                false
            }
            Step::Hold { .. } => {
                // Where it is in the table, a walk has passed it.
                target.rescan();
                false
            }
        };
        match flight.key {
            Some(key) if is_finished => self.keys.finished(key, seq),
            Some(key) => self.keys.gave_back(key, seq),
            None => {}
        }
    }

    /// An event's message and completion are in the table.
    pub(super) fn finish_flight(&mut self, key: u64) {
        let step = Step::Delivered;
        let attempt = None;
        self.written(&Outcome { key, step, attempt }, 0);
    }
}

impl Batch {
    fn record(&mut self, outcome: &Outcome, flight: &Flight, attempt: &Attempt, target: Option<String>) {
        let (name, error, message) = match &outcome.step {
            Step::Delivered => ("delivered", None, None),
            Step::Retry { error, message, .. } => ("retry", Some(*error), Some(message.clone())),
            Step::Dead { error, message, .. } => ("dead", Some(*error), Some(message.clone())),
            Step::Hold { message, .. } => ("held", None, Some(message.clone())),
        };
        let rows = &mut self.attempts;
        rows.events.push(flight.id);
        rows.companies.push(flight.company);
        rows.targets.push(target);
        rows.numbers.push(flight.retry_count.saturating_add(1));
        rows.started.push(attempt.started);
        rows.durations.push(attempt.duration_ms);
        rows.statuses.push(attempt.status);
        rows.outcomes.push(Some(name.to_owned()));
        rows.error_types
            .push(error.map(|error| error.as_str().to_owned()));
        rows.messages.push(message);
        rows.excerpts.push(attempt.excerpt.clone());
    }

    fn write(&mut self, session: &Session, now: i64) {
        // Answers of many targets come in any order; rows that are neighbours are written one after the other.
        self.delivered.sort_unstable_by_key(|(tid, _)| tid.place());
        let (tids, ids): (Vec<_>, Vec<_>) = self.delivered.iter().copied().unzip();
        if !ids.is_empty() && events::complete(session, &tids, &ids, now) < ids.len() {
            // Some row was changed or deleted by hand since it was read.
            events::complete_by_id(session, &ids, now);
        }
        let (ids, times, retries) = &self.rescheduled;
        if !ids.is_empty() {
            events::reschedule(session, ids, times, retries, now);
        }
        // After their events, which are locked then: whoever acts on a letter locks the event first.
        if !self.letters.events.is_empty() {
            crate::store::letters::bury(session, &self.letters, now);
        }
        if !self.attempts.events.is_empty() {
            crate::store::attempts::insert(session, &self.attempts);
        }
    }
}

fn due_after(step: &Step, now: i64) -> i64 {
    match step {
        Step::Retry { delay, .. } => now.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)),
        _ => i64::MAX,
    }
}
