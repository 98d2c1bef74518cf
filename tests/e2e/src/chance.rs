//! Chance that can be repeated: everything drawn follows from a seed, and the seed is printed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator (SplitMix64): good enough to mix what a story does, and the same everywhere for the same seed.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// From `TMS_SEED`, or else from the clock. Printed, so that a story that fails can be told again.
    pub fn printed() -> Self {
        let given = std::env::var("TMS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let age = SystemTime::now().duration_since(UNIX_EPOCH);
            age.map_or(0, |age| age.as_micros() as u64)
        });
        println!("TMS_SEED={seed}");
        Self(seed)
    }

    /// From this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to below `end`; 0 when `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % (end as u64).max(1)) as usize
    }

    /// True once in `times`, on the average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_every_choice_comes() {
        let draw = |seed| {
            let mut chance = Chance::of(seed);
            (0..64).map(|_| chance.below(4)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((0..4).all(|choice| draw(7).contains(&choice)));
    }
}
