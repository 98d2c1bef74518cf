//! A rate limit that is one number in shared memory: the generic cell rate algorithm (GCRA).
//!
//! The number is the theoretical arrival time (TAT), the moment at which the bucket is full again. [`check`] turns it into
//! its successor without keeping anything itself, so that a caller can put it in an atomic and try again when another one
//! came first. [`crate::rate`] is the same algorithm for a single owner that gives calls back.
//!
//! Moments and spans are nanoseconds. Moments come from one clock that is never set back, such as CLOCK_MONOTONIC: set
//! back, it would keep everybody waiting until it has caught up.

#[cfg(test)]
mod tests;

/// What a check answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The TAT to store. It is the given one when nothing was taken: then there is nothing to store.
    pub new_tat: u64,
    /// Whether the request is refused.
    pub limited: bool,
    /// How many may start at once after a pause.
    pub limit: u64,
    /// How many more may start now, after this one if it may.
    pub remaining: u64,
    /// Nanoseconds until the same request would be let through; None when it is let through, and when waiting does not
    /// help since it asks for more than the limit.
    pub retry_after: Option<u64>,
    /// Nanoseconds until nothing is used any more.
    pub reset_after: u64,
}

/// Whether `quantity` requests may start at `now`, and what the TAT is afterwards.
///
/// One request arrives each `interval` (0 counts as 1), and `burst` more may arrive early: `burst + 1` at once after a pause.
/// With `new_tat = max(now, tat) + interval * quantity` they may start if `now >= new_tat - interval * (burst + 1)`.
/// What is refused takes nothing. A quantity of 0 takes nothing and says what is left. A TAT of 0 is that of a limit nobody
/// has used.
///
/// Spans too long for 64 bits (584 years) count as the longest.
#[must_use]
pub fn check(tat: u64, now: u64, interval: u64, burst: u64, quantity: u64) -> Outcome {
    let interval = u128::from(interval.max(1));
    let limit = burst.saturating_add(1);
    // A product of two 64-bit numbers and a third one added is below 2^128.
    let span = interval * u128::from(limit);
    let start = u128::from(now.max(tat));
    let wanted = start + interval * u128::from(quantity);
    let horizon = u128::from(now) + span;
    let fits = wanted <= horizon && wanted <= u128::from(u64::MAX);
    let (new_tat, full_at) = if fits && quantity > 0 {
        (saturated(wanted), wanted)
    } else {
        (tat, start)
    };
    Outcome {
        new_tat,
        limited: !fits,
        limit,
        remaining: saturated(horizon.saturating_sub(full_at) / interval),
        retry_after: (!fits && quantity <= limit).then(|| saturated(wanted.saturating_sub(horizon)).max(1)),
        reset_after: saturated(full_at - u128::from(now)),
    }
}

fn saturated(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
