//! When a dead letter comes back, and how many come back at one time.
//!
//! A letter waits, comes back for a round (a fresh set of fast attempts), and when that fails waits twice as long for the next
//! one, until its rounds are used up. Then it is at rest, as it is at once where another attempt cannot help, and a person decides.

use std::time::Duration;

use crate::backoff::RetryPolicy;

pub mod filter;

/// The shape of the waits between rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waits {
    /// The wait before the first round.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// The share of a wait that chance may take away: 0 to 1.
    pub jitter: f64,
}

/// What becomes of a letter whose attempts have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing more happens before a person acts.
    Rests,
    /// It comes back after a wait.
    Waits {
        /// How long from now.
        delay: Duration,
        /// 2^n, n being the rounds it has had: with a base of one minute, the minutes of its wait before jitter and cap.
        multiplier: i32,
    },
}

/// What becomes of a letter after `rounds` rounds, of which it may have `most`. `is_permanent`: another attempt cannot help.
/// `random` is uniform in [0, 1).
#[must_use]
pub fn after_failure(waits: &Waits, is_permanent: bool, rounds: u32, most: u32, random: f64) -> Fate {
    if is_permanent || rounds >= most {
        return Fate::Rests;
    }
    let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let policy = RetryPolicy {
        base_ms: millis(waits.base).max(1),
        factor: 2.0,
        max_ms: millis(waits.cap).max(1),
        jitter: waits.jitter,
    };
    Fate::Waits {
        delay: policy.delay(rounds, random),
        multiplier: multiplier(rounds),
    }
}

/// 2^rounds, as far as the column reaches.
#[must_use]
pub fn multiplier(rounds: u32) -> i32 {
    1_i32.checked_shl(rounds.min(30)).unwrap_or(i32::MAX)
}

/// What a target is like, as far as letters on their way back to it are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It takes events.
    Open,
    /// It has had a rest, or is being tried: one letter may find out.
    Trial,
    /// It is paused, gone, another installation's, or not to be called at present: letters wait and use no round.
    Shut,
}

/// Which of these a target is in, whose brakes are in `state` (as tms.target_health has it) for `since`; a target that nobody has
/// seen a state of is active. `rest`: how long it is left alone by its own setting.
///
/// The state of a target that nothing is sent to is not looked at again by anybody, so an open breaker may show as open for ever.
/// After its rest a letter does what any event would do.
#[must_use]
pub fn gate(is_served: bool, state: &str, since: Duration, rest: Duration) -> Gate {
    match state {
        _ if !is_served => Gate::Shut,
        "active" => Gate::Open,
        "half_open" => Gate::Trial,
        _ if since >= rest => Gate::Trial,
        _ => Gate::Shut,
    }
}

/// How fast letters come back to one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Letters a second.
    pub per_second: f64,
    /// The time until they are looked at again.
    pub interval: Duration,
    /// Letters that may be out at one time.
    pub most_out: usize,
}

impl Pace {
    /// How many letters may come back now, when so many are `out`, waiting to be sent or on their way.
    #[must_use]
    pub fn places(&self, gate: Gate, out: usize) -> usize {
        match gate {
            Gate::Shut => 0,
            Gate::Trial => 1_usize.saturating_sub(out),
            Gate::Open => {
                // A cast from float to integer saturates.
                let by_rate = (self.per_second * self.interval.as_secs_f64()).ceil() as usize;
                by_rate.max(1).min(self.most_out.saturating_sub(out))
            }
        }
    }
}

/// How long after the first one the letter with this number (from 0) comes back.
#[must_use]
pub fn spread(number: usize, per_second: f64) -> Duration {
    let seconds = number as f64 / per_second;
    if seconds.is_finite() && seconds > 0.0 {
        // Ten years are as good as any longer time, and within what a timestamp holds.
        Duration::from_secs_f64(seconds.min(315_360_000.0))
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests;
