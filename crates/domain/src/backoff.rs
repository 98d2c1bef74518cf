//! How long the next attempt waits: exponential, capped, with jitter.

use std::time::Duration;

/// The shape of the waits between attempts of one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The wait before the first retry, in milliseconds.
    pub base_ms: u64,
    /// What each further wait is multiplied by; below 1 counts as 1.
    pub factor: f64,
    /// The longest wait, in milliseconds.
    pub max_ms: u64,
    /// The share of a wait that chance may take away: 0 for none, 1 for all of it.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    /// Waits of 1, 2, 4, ... seconds up to five minutes, each shortened by up to a fifth.
    fn default() -> Self {
        Self {
            base_ms: 1000,
            factor: 2.0,
            max_ms: 300_000,
            jitter: 0.2,
        }
    }
}

impl RetryPolicy {
    /// The wait before the next attempt, when `retry_count` retries have been made already:
    ///
    /// ```text
    /// min(max_ms, base_ms * factor^retry_count) * (1 - jitter * random)
    /// ```
    ///
    /// `random` is uniform in [0, 1). Jitter only shortens, so `max_ms` is a promise; it is there to keep events
    /// that failed together from coming back together. The result is at least 1 ms unless `base_ms` is zero: a
    /// policy that waits must not turn into a busy loop by chance. No value of any field overflows.
    #[must_use]
    pub fn delay(&self, retry_count: u32, random: f64) -> Duration {
        if self.base_ms == 0 {
            return Duration::ZERO;
        }
        // f64::max returns the other operand for NaN, so a factor that is no number counts as 1 too.
        let factor = self.factor.max(1.0);
        let jitter = share(self.jitter) * share(random);
        // Infinity is a fine intermediate result: the cap follows.
        let uncapped = self.base_ms as f64 * factor.powf(f64::from(retry_count));
        let wait_ms = uncapped.min(self.max_ms as f64) * (1.0 - jitter);
        // A cast from float to integer saturates.
        Duration::from_micros((wait_ms.max(1.0) * 1000.0) as u64)
    }
}

/// A share between nothing and all; what is no number takes nothing away.
fn share(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbitrary::Source;

    fn policy(base_ms: u64, factor: f64, max_ms: u64, jitter: f64) -> RetryPolicy {
        RetryPolicy {
            base_ms,
            factor,
            max_ms,
            jitter,
        }
    }

    #[test]
    fn the_default_doubles_from_one_second_to_five_minutes() {
        let expected_seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        for (retry_count, seconds) in (0..).zip(expected_seconds) {
            let delay = RetryPolicy::default().delay(retry_count, 0.0);
            assert_eq!(delay, Duration::from_secs(seconds));
        }
    }

    #[test]
    fn jitter_shortens_by_its_share() {
        let default = RetryPolicy::default();
        assert_eq!(default.delay(0, 0.5), Duration::from_millis(900));
        assert_eq!(
            policy(1000, 2.0, 10_000, 0.0).delay(1, 0.9),
            Duration::from_secs(2)
        );
        assert_eq!(
            policy(1000, 1.0, 10_000, 1.0).delay(5, 0.25),
            Duration::from_millis(750)
        );
    }

    #[test]
    fn extreme_policies_neither_overflow_nor_vanish() {
        let five_minutes = Duration::from_secs(300);
        for (policy, expected) in [
            (policy(0, f64::INFINITY, 1, 1.0), Duration::ZERO),
            (policy(1, f64::INFINITY, 300_000, 0.0), five_minutes),
            (policy(1, f64::MAX, 300_000, 0.0), five_minutes),
            (policy(7, f64::NAN, 300_000, f64::NAN), Duration::from_millis(7)),
            (policy(7, -3.0, 300_000, -1.0), Duration::from_millis(7)),
            (policy(7, 0.0, 300_000, f64::INFINITY), Duration::from_millis(1)),
            (
                policy(u64::MAX, 10.0, u64::MAX, 0.0),
                Duration::from_micros(u64::MAX),
            ),
            (policy(9, 2.0, 0, 0.0), Duration::from_millis(1)),
        ] {
            assert_eq!(policy.delay(u32::MAX, 1.0), expected, "{policy:?}");
        }
        assert!(RetryPolicy::default().delay(3, f64::NAN) > Duration::ZERO);
    }

    #[test]
    fn a_later_retry_never_waits_less_and_no_wait_exceeds_the_cap() {
        let mut source = Source::new(1);
        for _ in 0..2_000 {
            let policy = policy(
                1 + source.number() % 86_400_000,
                1.0 + 9.0 * source.unit(),
                1 + source.number() % 86_400_000,
                source.unit(),
            );
            let random = source.unit();
            let mut before = Duration::ZERO;
            for retry_count in 0..40 {
                let delay = policy.delay(retry_count, random);
                assert!(delay >= before, "{policy:?} retry {retry_count}");
                assert!(delay <= Duration::from_millis(policy.max_ms), "{policy:?}");
                assert!(delay >= Duration::from_millis(1), "{policy:?}");
                before = delay;
            }
        }
    }
}
