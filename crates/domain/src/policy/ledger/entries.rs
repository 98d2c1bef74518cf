//! The agents of the ledger: a hash table of a fixed size, with chains.

use std::time::Duration;

use super::{Key, Ledger, Limits, NONE, Outcome, Refusal, number, place};
use crate::breaker::{Breaker, Policy, State};
use crate::policy::gcra;

pub(super) const NANOS_IN_MILLI: u64 = 1_000_000;

/// An agent of a company.
#[derive(Debug, Clone)]
pub struct Entry {
    key: Key,
    is_used: bool,
    /// The next one of its bucket, or of the free ones.
    next: u32,
    /// When its rate is unused again, as [`gcra`] has it.
    tat: u64,
    running: u32,
    /// Its reservations, from the one that was taken first.
    pub(super) oldest: u32,
    pub(super) newest: u32,
    breaker: Breaker,
    /// Whether its tasks that run have been told of since the entry was made.
    pub(super) knows_tasks: bool,
}

impl Entry {
    /// An entry that belongs to nobody.
    #[must_use]
    pub fn free(next: u32) -> Self {
        Self {
            key: [0; 16],
            is_used: false,
            next,
            tat: 0,
            running: 0,
            oldest: NONE,
            newest: NONE,
            breaker: Breaker::idle(),
            knows_tasks: false,
        }
    }

    #[cfg(test)]
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn running(&self) -> u32 {
        self.running
    }

    pub(super) fn state(&mut self, now: u64) -> State {
        self.breaker.state(now / NANOS_IN_MILLI)
    }

    /// The TAT if one more call started now.
    pub(super) fn check(&mut self, limits: &Limits, now: u64) -> Result<u64, Refusal> {
        let now_ms = now / NANOS_IN_MILLI;
        self.breaker.follow(limits.breaker.unwrap_or(Policy {
            failure_ratio: f64::INFINITY,
            ..Policy::default()
        }));
        if limits.breaker.is_some() && self.breaker.admits(now_ms) == 0 {
            let until = self.breaker.next_change(now_ms);
            let retry_after = until.map(|until| Duration::from_millis(until.saturating_sub(now_ms)));
            return Err(Refusal::Breaker { retry_after });
        }
        if let Some(allowed) = limits.max_concurrent
            && self.running >= allowed
        {
            return Err(Refusal::Concurrent { allowed });
        }
        let Some(pace) = limits.pace else {
            return Ok(self.tat);
        };
        let rate = gcra::check(self.tat, now, pace.interval, pace.burst, 1);
        if rate.limited {
            let retry_after = rate.retry_after.map(Duration::from_nanos);
            return Err(Refusal::Rate { retry_after });
        }
        Ok(rate.new_tat)
    }

    pub(super) fn charge(&mut self, tat: u64) {
        self.tat = tat;
        self.running += 1;
    }

    /// One more runs that was let through before.
    pub(super) fn count_running(&mut self) {
        self.running += 1;
    }

    /// A call starts; true when the breaker tries it.
    pub(super) fn start(&mut self, now: u64) -> bool {
        let is_trial = self.state(now) == State::HalfOpen;
        self.breaker.started(1);
        is_trial
    }

    pub(super) fn end(&mut self, outcome: Outcome, is_trial: bool, now: u64) {
        self.running = self.running.saturating_sub(1);
        match outcome {
            Outcome::Success | Outcome::Failure => self
                .breaker
                .record(now / NANOS_IN_MILLI, outcome == Outcome::Success),
            Outcome::Unknown if is_trial => self.breaker.gave_back(1),
            Outcome::Unknown => {}
        }
    }

    /// Whether a new entry would do the same.
    fn is_idle(&mut self, now: u64) -> bool {
        self.running == 0 && self.tat <= now && self.breaker.is_quiet(now / NANOS_IN_MILLI)
    }
}

impl Ledger<'_> {
    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        let mut next = place(self.heads[self.bucket(key)]);
        while let Some(index) = next {
            let entry = &self.entries[index];
            if entry.key == *key {
                return Some(index);
            }
            next = place(entry.next);
        }
        None
    }

    /// A new entry, in the place of one that makes no difference where all are used; None where all make one.
    pub(super) fn add(&mut self, key: Key, now: u64) -> Option<usize> {
        if self.counts.free_entry == NONE {
            let idle = self.entries.iter_mut().position(|entry| entry.is_idle(now))?;
            self.remove(idle);
        }
        let index = place(self.counts.free_entry)?;
        self.counts.free_entry = self.entries[index].next;
        let bucket = self.bucket(&key);
        self.entries[index] = Entry {
            key,
            is_used: true,
            ..Entry::free(self.heads[bucket])
        };
        self.heads[bucket] = number(index);
        self.counts.agents += 1;
        Some(index)
    }

    fn remove(&mut self, index: usize) {
        if !self.entries[index].is_used {
            return;
        }
        let bucket = self.bucket(&self.entries[index].key);
        let (target, after) = (number(index), self.entries[index].next);
        if self.heads[bucket] == target {
            self.heads[bucket] = after;
        } else {
            let mut next = place(self.heads[bucket]);
            while let Some(before) = next {
                if self.entries[before].next == target {
                    self.entries[before].next = after;
                    break;
                }
                next = place(self.entries[before].next);
            }
        }
        self.entries[index] = Entry::free(self.counts.free_entry);
        self.counts.free_entry = target;
        self.counts.agents -= 1;
    }

    fn bucket(&self, key: &Key) -> usize {
        let (first, _) = key.split_at(8);
        let hash = first.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        (hash % self.heads.len().max(1) as u64) as usize
    }
}
