//! Time that only moves forward, measured with a clock that may be set back.
//!
//! A limit that waits for a moment of the wall clock would wait an hour longer when the clock is set back by one.
//! So only the steps forward are added up: a step back counts as no time at all.

/// Time that has passed, in the unit of the clock it is read from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steady {
    /// What the clock said last.
    last: u64,
    /// The sum of all steps forward. It is too wide to overflow, whatever the clock says.
    passed: u128,
}

impl Steady {
    /// Takes in what the clock says now; answers the time that has passed.
    pub(crate) fn at(&mut self, now: u64) -> u128 {
        self.passed += u128::from(now.saturating_sub(self.last));
        self.last = now;
        self.passed
    }

    /// When the clock will say so, if it is not set anew.
    pub(crate) fn passed_at(&self, moment: u64) -> u128 {
        self.passed + u128::from(moment.saturating_sub(self.last))
    }

    /// What the clock will say when so much time has passed.
    pub(crate) fn clock_at(&self, passed: u128) -> u64 {
        let ahead = passed.saturating_sub(self.passed);
        self.last.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_back_count_as_no_time() {
        let mut steady = Steady::default();
        assert_eq!(steady.at(100), 100);
        assert_eq!(steady.passed_at(150), 150);
        assert_eq!(steady.at(40), 100);
        assert_eq!(steady.passed_at(50), 110);
        assert_eq!(steady.clock_at(110), 50);
        assert_eq!(steady.at(50), 110);
        assert_eq!(steady.clock_at(3), 50);
        assert_eq!(steady.at(u64::MAX), u128::from(u64::MAX) + 60);
        assert_eq!(steady.at(0), u128::from(u64::MAX) + 60);
        assert_eq!(steady.at(1), u128::from(u64::MAX) + 61);
        assert_eq!(steady.clock_at(u128::MAX), u64::MAX);
    }
}
