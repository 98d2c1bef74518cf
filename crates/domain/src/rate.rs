//! How many calls a target may get in a time: the generic cell rate algorithm (GCRA), which keeps one moment per
//! target instead of a list of calls.
//!
//! That moment is when the bucket would be full again. Each call moves it one interval ahead; calls may start as
//! long as it is at most `burst` intervals ahead of now.

use crate::steady::Steady;

#[cfg(test)]
mod tests;

const NANOS: f64 = 1e9;
const NANOS_PER_MICRO: u128 = 1_000;

/// A rate limit. `now_us` is the caller's clock in microseconds; whenever it is set back, no time passes.
///
/// In any time the calls taken are at most the burst plus the rate times that time, less what was given back.
#[derive(Debug, Clone)]
pub struct Limiter {
    /// Nanoseconds between two calls; rounded up, so that rounding never lets too many through.
    interval: u128,
    burst: u128,
    time: Steady,
    /// When the bucket is full again, in nanoseconds of [`Steady`].
    full_at: u128,
}

impl Limiter {
    /// A full bucket: `burst` calls may start at once, then `per_second` in each second.
    ///
    /// A burst of 0 counts as 1. A rate of more than one call in a nanosecond counts as that; one that is not above
    /// zero lets a call through every few centuries.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        let rate = if per_second > 0.0 { per_second } else { 0.0 };
        Self {
            // The cast saturates: a division by zero gives the longest interval.
            interval: u128::from((NANOS / rate).ceil() as u64).max(1),
            burst: u128::from(burst.max(1)),
            time: Steady::default(),
            full_at: 0,
        }
    }

    /// How many calls may start now.
    pub fn available(&mut self, now_us: u64) -> usize {
        let now = self.advance(now_us);
        let room = (now + self.burst * self.interval).saturating_sub(self.full_at.max(now));
        usize::try_from(room / self.interval).unwrap_or(usize::MAX)
    }

    /// So many calls start now. More than are available are a debt, which later calls wait for.
    pub fn take(&mut self, now_us: u64, calls: usize) {
        let now = self.advance(now_us);
        self.full_at = self
            .full_at
            .max(now)
            .saturating_add(self.interval.saturating_mul(calls as u128));
    }

    /// So many calls that were taken did not take place.
    ///
    /// The sooner the better: what has been refilled since they were taken is not taken away again, so that a burst
    /// may be larger by calls that were given back late.
    pub fn give_back(&mut self, calls: usize) {
        let worth = self.interval.saturating_mul(calls as u128);
        self.full_at = self.full_at.saturating_sub(worth);
    }

    /// When a call may start, in the caller's clock; `None` when one may start now.
    pub fn next(&mut self, now_us: u64) -> Option<u64> {
        if self.available(now_us) > 0 {
            return None;
        }
        // One call must fit: `full_at` at most one interval less than the burst ahead.
        let ready = self
            .full_at
            .saturating_sub((self.burst - 1) * self.interval)
            .div_ceil(NANOS_PER_MICRO);
        Some(self.time.clock_at(ready))
    }

    fn advance(&mut self, now_us: u64) -> u128 {
        self.time.at(now_us) * NANOS_PER_MICRO
    }
}
