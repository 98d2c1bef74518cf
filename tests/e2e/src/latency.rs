//! Commit to receiver: the producer writes its clock into the payload as `"t": <unix microseconds>`, the receiver
//! subtracts it from its own. Both run on one machine, so it is one clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Microseconds since 1970 by this machine's clock.
pub fn unix_micros(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_micros() as i64)
}

/// The number under the key `t`, found without parsing the document: this runs once per measured request.
///
/// jsonb puts the shortest keys first, so the search ends after a few bytes.
pub fn sent_at(body: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"\"t\":";
    let at = body.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let digits = body[at..].trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Every latency that was measured; quantiles are exact because nothing is binned.
#[derive(Debug, Default, Clone)]
pub struct Latencies {
    micros: Vec<u32>,
}

impl Latencies {
    /// Adds one measurement. Clocks that step backwards count as zero.
    pub fn record(&mut self, micros: i64) {
        self.micros.push(micros.clamp(0, i64::from(u32::MAX)) as u32);
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.micros.clear();
    }

    /// The figures, or None while nothing was measured.
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let max = *sorted.last()?;
        // Nearest rank: the smallest value that at least this share of all does not exceed.
        let quantile = |share: f64| sorted[((sorted.len() as f64 * share).ceil() as usize).max(1) - 1];
        Some(Summary {
            count: sorted.len(),
            p50: micros(quantile(0.50)),
            p95: micros(quantile(0.95)),
            p99: micros(quantile(0.99)),
            max: micros(max),
        })
    }
}

fn micros(value: u32) -> Duration {
    Duration::from_micros(u64::from(value))
}

/// Quantiles of what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Number of measurements.
    pub count: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

impl Summary {
    /// As JSON, in microseconds.
    pub fn to_json(&self) -> Value {
        json!({
            "count": self.count,
            "p50_us": self.p50.as_micros() as u64,
            "p95_us": self.p95.as_micros() as u64,
            "p99_us": self.p99.as_micros() as u64,
            "max_us": self.max.as_micros() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_with_and_without_space_and_only_under_its_own_key() {
        assert_eq!(
            sent_at(br#"{"t": 1700000000000001, "load": 7}"#),
            Some(1_700_000_000_000_001)
        );
        assert_eq!(sent_at(br#"{"t":5}"#), Some(5));
        assert_eq!(sent_at(br#"{"at": 5, "weight": 7}"#), None);
        assert_eq!(sent_at(br#"{"t": "soon"}"#), None);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        (1..=100).rev().for_each(|value| latencies.record(value));
        let summary = latencies.summary().unwrap();
        assert_eq!(
            (summary.p50, summary.p95, summary.p99, summary.max),
            (micros(50), micros(95), micros(99), micros(100))
        );
    }
}
