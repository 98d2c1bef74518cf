//! How many calls were made, and how many failed, in the time that has just passed.
//!
//! Counted in slices, so that a call costs the same whatever the traffic: the oldest slice is forgotten as a whole.

use std::time::Duration;

const SLICES: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    calls: u64,
    failures: u64,
}

/// The slices, used in a ring.
#[derive(Debug, Clone)]
pub(super) struct Window {
    slice_ms: u128,
    slices: [Slice; SLICES],
    /// The number of the slice that counts now, from the beginning of time.
    current: u128,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            slice_ms: (length.as_millis() / SLICES as u128).max(1),
            slices: [Slice::default(); SLICES],
            current: 0,
        }
    }

    /// Counts a call; `now_ms` never goes back.
    pub(super) fn record(&mut self, now_ms: u128, ok: bool) {
        let number = now_ms / self.slice_ms;
        let passed = number.saturating_sub(self.current).min(SLICES as u128);
        for step in 0..passed {
            // The ring's own number of a slice is below SLICES.
            self.slices[((number - step) % SLICES as u128) as usize] = Slice::default();
        }
        self.current = number;
        let slice = &mut self.slices[(number % SLICES as u128) as usize];
        slice.calls += 1;
        slice.failures += u64::from(!ok);
    }

    /// Whether every call that was counted is too long ago to count.
    pub(super) fn is_over(&self, now_ms: u128) -> bool {
        self.calls() == 0 || now_ms / self.slice_ms >= self.current + SLICES as u128
    }

    pub(super) fn calls(&self) -> u64 {
        self.slices.iter().map(|slice| slice.calls).sum()
    }

    pub(super) fn failures(&self) -> u64 {
        self.slices.iter().map(|slice| slice.failures).sum()
    }
}
