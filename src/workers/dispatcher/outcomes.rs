//! From answers to rows: what each attempt meant, and writing many of them in one transaction.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgrx::prelude::*;
use tms_delivery::Completion;
use tms_domain::mask::mask;
use tms_domain::outcome::{self, Answer, ErrorType, Step, Verdict};
use tms_domain::target::Profile;

use super::target::Target;
use super::{Dispatcher, Flight};
use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::spi::{self, Session, Tid};
use crate::pg::worker;
use crate::settings::{self, RecordAttempts};
use crate::store::attempts::Attempts;
use crate::store::events;
use crate::store::letters::Letters;
use crate::store::targets::Switched;

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
        if !self.came_back(completion.key) {
            return;
        }
        let Some(target) = self
            .flights
            .get(&completion.key)
            .and_then(|flight| self.targets.get(flight.target))
        else {
            return;
        };
        let answer = completion.result.as_ref().map(|response| Answer {
            status: response.status,
            retry_after: response.retry_after.as_deref(),
            body: response.excerpt.as_deref(),
        });
        let verdict = outcome::classify(
            target.profile(),
            target.on_ambiguous(),
            completion.sent,
            answer,
            SystemTime::now(),
        );
        let attempt = self.is_recorded(&verdict).then(|| {
            let secrets = target.route.secrets.as_slice();
            attempt_of(&completion, secrets)
        });
        self.settle(completion.key, verdict, completion.duration, attempt);
    }

    /// The I/O thread, or the database, is done with an event; false when nobody here knows of it.
    pub(super) fn came_back(&mut self, key: u64) -> bool {
        let Some(flight) = self.flights.get_mut(&key).filter(|flight| flight.on_its_way) else {
            return false;
        };
        flight.on_its_way = false;
        self.on_their_way -= 1;
        self.bytes -= flight.bytes;
        if let Some(target) = self.targets.get_mut(flight.target) {
            target.answered(flight.company);
        }
        true
    }

    fn is_recorded(&self, verdict: &Verdict) -> bool {
        match settings::record_attempts() {
            RecordAttempts::None => false,
            RecordAttempts::Failures => *verdict != Verdict::Delivered,
            RecordAttempts::All => true,
        }
    }

    /// An attempt without an answer of a receiver has ended so.
    pub(super) fn judge(&mut self, key: u64, verdict: Verdict, took: Duration) {
        let attempt = self.is_recorded(&verdict).then(|| Attempt {
            status: None,
            started: server::now().saturating_sub(i64::try_from(took.as_micros()).unwrap_or(0)),
            duration_ms: took.as_secs_f64() * 1000.0,
            excerpt: None,
        });
        self.settle(key, verdict, took, attempt);
    }

    /// What becomes of the event, its target and its key.
    fn settle(&mut self, key: u64, verdict: Verdict, took: Duration, attempt: Option<Attempt>) {
        let Some(flight) = self.flights.get(&key) else {
            return;
        };
        let Some(target) = self.targets.get_mut(flight.target) else {
            return;
        };
        target.fate.took(took);
        note_fate(target, &verdict);
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
            &target.route.options.retry,
            settings::retry_after_cap(),
            random,
        );
        let id = flight.target;
        if let Step::Hold { pause, message } = &step {
            self.hold_target(id, *pause, message);
        }
        self.withdraw_from_open(id);
        self.told.stale();
        let counter = match step {
            Step::Delivered => &self.slot.counters.delivered,
            Step::Retry { .. } | Step::Hold { .. } => &self.slot.counters.failed,
            Step::Dead { .. } => &self.slot.counters.dead,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.outcomes.waiting.push(Outcome { key, step, attempt });
    }

    /// A receiver that is gone for good pauses its target, one that is not there at present is left alone for a while.
    fn hold_target(&mut self, id: u32, pause: bool, message: &str) {
        let Some(target) = self.targets.get_mut(id) else {
            return;
        };
        // Before the pause is written, and when it cannot be: no more of it for now.
        target.brakes.hold(message, None);
        if pause {
            let name = std::sync::Arc::clone(&target.name);
            self.to_pause.push((name, message.to_owned()));
        }
    }

    /// A target whose breaker has opened gets back what was not begun.
    fn withdraw_from_open(&mut self, id: u32) {
        let is_open = self
            .targets
            .get_mut(id)
            .is_some_and(|target| target.on_their_way > 0 && target.brakes.is_open());
        if is_open {
            let keys = self.engine.withdraw(Some(id));
            self.forget(&keys);
        }
    }

    /// Pauses the targets whose receivers said that they are gone.
    pub(super) fn pause_gone(&mut self) -> Result<(), worker::Failed> {
        if self.to_pause.is_empty() {
            return Ok(());
        }
        let named = std::mem::take(&mut self.to_pause);
        let paused = worker::transaction(|| {
            let is_new = |(name, reason): &(std::sync::Arc<str>, String)| {
                matches!(
                    crate::store::targets::set_paused(name, true, Some(reason)),
                    Switched::Changed
                )
            };
            named.iter().map(is_new).collect::<Vec<bool>>()
        });
        match paused {
            Ok(paused) => {
                for ((name, reason), _) in named.iter().zip(paused).filter(|(_, is_new)| *is_new) {
                    log!("tms: target \"{name}\" is paused: {reason}");
                }
                Ok(())
            }
            Err(failed) => {
                self.to_pause = named;
                Err(failed)
            }
        }
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

/// What an attempt says of its target.
fn note_fate(target: &mut Target, verdict: &Verdict) {
    let (is_well, message) = match verdict {
        Verdict::Delivered => (true, None),
        // The receiver is there: it is the event that it does not want, or the pace.
        Verdict::Dead { message, .. } => (true, Some(message)),
        Verdict::Retry { error, message, .. } => (*error == ErrorType::QuotaExceeded, Some(message)),
        Verdict::Hold { message, .. } => (true, Some(message)),
    };
    if !matches!(verdict, Verdict::Hold { .. }) {
        target.brakes.ended(is_well);
    }
    match message {
        None => target.fate.delivered += 1,
        Some(message) => {
            target.fate.failed += 1;
            target.fate.last_error = Some((server::now(), message.clone()));
        }
    }
    if let Verdict::Retry {
        error: ErrorType::QuotaExceeded,
        not_before: Some(wait),
        message,
    } = verdict
        && target.profile() == Profile::Slack
    {
        // Slack's limit is the webhook's, not the message's.
        let wait = (*wait).min(settings::retry_after_cap());
        target.brakes.hold(message, Some(wait));
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
                let limit = settings::response_excerpt_bytes();
                let kept = &excerpt[..excerpt.len().min(limit)];
                // NUL cannot be stored in a text.
                let text = String::from_utf8_lossy(kept).replace('\0', "\u{fffd}");
                mask(&text, secrets, excerpt.len() >= limit)
            })
            .filter(|text| !text.is_empty()),
    }
}
