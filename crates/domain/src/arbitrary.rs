//! A small deterministic source of odd strings for the tests that say "no input makes this panic".
//!
//! A fixed seed keeps a failure reproducible; a dependency for this would cost more than it gives.

/// SplitMix64 (Steele, Lea, Flood 2014): enough spread for choosing test input.
#[derive(Debug)]
pub struct Source(u64);

impl Source {
    /// The same seed gives the same input.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below the bound, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// A float in [0, 1), as the callers of [`crate::backoff`] give it.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A string glued from the given pieces and from arbitrary characters.
    pub fn text(&mut self, pieces: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..self.below(12) {
            if self.below(4) == 0 {
                let code = (self.number() % 0x11_0000) as u32;
                text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            } else if let Some(piece) = pieces.get(self.below(pieces.len().max(1))) {
                text.push_str(piece);
            }
        }
        text
    }

    /// A valid string with one character replaced, removed or doubled: closer to what parsers get wrong.
    pub fn mutated(&mut self, valid: &str) -> String {
        let mut letters: Vec<char> = valid.chars().collect();
        let place = self.below(letters.len());
        match self.below(3) {
            0 => letters[place] = char::from_u32((self.number() % 0x250) as u32).unwrap_or('\0'),
            1 => drop(letters.remove(place)),
            _ => letters.insert(place, letters[place]),
        }
        letters.into_iter().collect()
    }
}
