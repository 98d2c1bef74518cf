//! What an answer, or the lack of one, means: for the event, for its target's brakes, and for what people are shown.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgrx::prelude::*;
use tms_delivery::Completion;
use tms_domain::mask::mask;
use tms_domain::outcome::{self, Answer, ErrorType, Step, Verdict};
use tms_domain::target::Profile;

use super::Dispatcher;
use super::outcomes::{Attempt, Outcome};
use super::target::Target;
use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::worker;
use crate::settings::{self, RecordAttempts};
use crate::store::targets::{self, Switched};

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
        let is_delivered = verdict == Verdict::Delivered;
        // Chance is only asked where it matters: the operating system's generator costs more than the rest of this.
        let random = if is_delivered { 0.0 } else { chance() };
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
        if !is_delivered {
            self.withdraw_from_open(id);
        }
        self.told.stale();
        let counter = match step {
            Step::Delivered => &self.slot.counters.delivered,
            Step::Retry { .. } | Step::Hold { .. } => &self.slot.counters.failed,
            Step::Dead { .. } => &self.slot.counters.dead,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.outcomes.add(Outcome { key, step, attempt });
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
                matches!(targets::set_paused(name, true, Some(reason)), Switched::Changed)
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
