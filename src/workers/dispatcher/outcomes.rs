//! From answers to rows: what each attempt meant, and writing many of them in one transaction.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::prelude::*;
use tms_delivery::Completion;
use tms_domain::mask::mask;
use tms_domain::outcome::{self, Answer, Step, Verdict};

use super::targets::Target;
use super::{Dispatcher, Flight};
use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::spi::{self, Session, Tid};
use crate::pg::worker;
use crate::settings::{self, RecordAttempts};
use crate::store::attempts::Attempts;
use crate::store::events;
use crate::store::letters::Letters;

/// One event whose outcome is known and not yet written.
struct Outcome {
    key: u64,
    step: Step,
    /// Status, begin, duration and excerpt, when the attempt is to be recorded.
    attempt: Option<Attempt>,
}

struct Attempt {
    status: Option<i32>,
    started: i64,
    duration_ms: f64,
    excerpt: Option<String>,
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
    delivered: (Vec<Tid>, Vec<[u8; 16]>),
    rescheduled: (Vec<[u8; 16]>, Vec<i64>, Vec<i32>),
    letters: Letters,
    attempts: Attempts,
}

impl Dispatcher {
    /// Takes what the I/O thread has finished.
    pub(super) fn take_answers(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        self.engine.drain(&mut completions);
        for completion in completions.drain(..) {
            self.take_answer(completion);
        }
        self.completions = completions;
    }

    fn take_answer(&mut self, completion: Completion) {
        let Some(flight) = self
            .flights
            .get_mut(&completion.key)
            .filter(|flight| flight.on_its_way)
        else {
            return;
        };
        flight.on_its_way = false;
        self.on_their_way -= 1;
        self.bytes -= flight.bytes;
        self.targets.answered(flight.target);
        let retry = self
            .targets
            .get(flight.target)
            .map(Target::retry)
            .unwrap_or_default();
        let answer = completion.result.as_ref().map(|response| Answer {
            status: response.status,
            retry_after: response.retry_after.as_deref(),
        });
        let verdict = outcome::classify(answer, SystemTime::now());
        // Chance is only asked where it matters: the operating system's generator costs more than the rest of this.
        let random = if verdict == Verdict::Delivered {
            0.0
        } else {
            chance()
        };
        let step = outcome::next_step(
            verdict,
            u32::try_from(flight.retry_count).unwrap_or(0),
            u32::try_from(flight.max_retries).unwrap_or(0),
            &retry,
            settings::retry_after_cap(),
            random,
        );
        let recorded = match settings::record_attempts() {
            RecordAttempts::None => false,
            RecordAttempts::Failures => step != Step::Delivered,
            RecordAttempts::All => true,
        };
        let counter = match step {
            Step::Delivered => &self.slot.counters.delivered,
            Step::Retry { .. } => &self.slot.counters.failed,
            Step::Dead { .. } => &self.slot.counters.dead,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let secrets = self
            .targets
            .get(flight.target)
            .map(|target| target.secrets.as_slice());
        let attempt = recorded.then(|| attempt_of(&completion, secrets.unwrap_or(&[])));
        self.outcomes.waiting.push(Outcome {
            key: completion.key,
            step,
            attempt,
        });
    }

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
        flights
            .into_iter()
            .filter(|(_, id)| present.contains(id) && !free.contains(id))
            .map(|(key, _)| key)
            .collect()
    }

    fn add(&self, batch: &mut Batch, outcome: &Outcome, flight: &Flight, now: i64) {
        match &outcome.step {
            Step::Delivered => {
                batch.delivered.0.push(flight.tid);
                batch.delivered.1.push(flight.id);
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
        }
        if let Some(attempt) = &outcome.attempt {
            let target = self
                .targets
                .get(flight.target)
                .map(|target| target.name.to_string());
            batch.record(outcome, flight, attempt, target);
        }
    }

    fn written(&mut self, outcome: &Outcome, now: i64) {
        let Some(flight) = self.flights.remove(&outcome.key) else {
            return;
        };
        if let (Step::Retry { .. }, Some(target)) = (&outcome.step, self.targets.get_mut(flight.target)) {
            target.queue.due_at(due_after(&outcome.step, now));
        }
    }
}

impl Batch {
    fn record(&mut self, outcome: &Outcome, flight: &Flight, attempt: &Attempt, target: Option<String>) {
        let (name, error, message) = match &outcome.step {
            Step::Delivered => ("delivered", None, None),
            Step::Retry { error, message, .. } => ("retry", Some(*error), Some(message.clone())),
            Step::Dead { error, message, .. } => ("dead", Some(*error), Some(message.clone())),
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

    fn write(&self, session: &Session, now: i64) {
        let (tids, ids) = &self.delivered;
        if !ids.is_empty() && events::complete(session, tids, ids, now) < ids.len() {
            // Some row was changed or deleted by hand since it was read.
            events::complete_by_id(session, ids, now);
        }
        if !self.letters.events.is_empty() {
            crate::store::letters::insert(session, &self.letters);
        }
        let (ids, times, retries) = &self.rescheduled;
        if !ids.is_empty() {
            events::reschedule(session, ids, times, retries, now);
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

/// Uniform in [0, 1): 53 random bits, as many as a double holds.
fn chance() -> f64 {
    server::random_bytes::<8>().map_or(0.5, |bytes| {
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    })
}

fn attempt_of(completion: &Completion, secrets: &[String]) -> Attempt {
    let response = completion.result.as_ref().ok();
    let unix_us = completion
        .started
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_micros());
    Attempt {
        status: response.map(|response| i32::from(response.status)),
        started: i64::try_from(unix_us)
            .unwrap_or(i64::MAX)
            .saturating_sub(PG_EPOCH_US),
        duration_ms: completion.duration.as_secs_f64() * 1000.0,
        excerpt: response
            .and_then(|response| response.excerpt.as_deref())
            .map(|excerpt| {
                // NUL cannot be stored in a text.
                let text = String::from_utf8_lossy(excerpt).replace('\0', "\u{fffd}");
                mask(
                    &text,
                    secrets,
                    excerpt.len() >= settings::response_excerpt_bytes(),
                )
            }),
    }
}
