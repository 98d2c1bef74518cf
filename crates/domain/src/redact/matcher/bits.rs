//! A row of bits with a place for each segment of all paths: a cache line, copied rather than shared.

use std::ops::{BitAnd, BitOr, Not};

use crate::redact::rules::SEGMENTS_LIMIT;

const WORD: usize = u64::BITS as usize;
const WORDS: usize = SEGMENTS_LIMIT / WORD;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub(super) const NONE: Self = Self([0; WORDS]);

    /// Sets a bit; a place beyond the row, which rules do not have, is ignored.
    pub(super) fn set(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / WORD) {
            *word |= 1 << (place % WORD);
        }
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0.iter().fold(0, |all, word| all | word) == 0
    }

    /// Each bit one place further.
    pub(super) fn moved_on(self) -> Self {
        let mut carried = 0;
        Self(self.0.map(|word| {
            let moved = (word << 1) | carried;
            carried = word >> (WORD - 1);
            moved
        }))
    }

    /// The places of the bits that are set, in order.
    pub(super) fn places(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(number, mut word)| {
            std::iter::from_fn(move || {
                let place = word.trailing_zeros() as usize;
                // Clears the lowest bit that is set.
                let rest = word.checked_sub(1)?;
                word &= rest;
                Some(number * WORD + place)
            })
        })
    }

    fn zip(self, other: Self, combined: fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        for (word, other) in words.iter_mut().zip(other.0) {
            *word = combined(*word, other);
        }
        Self(words)
    }
}

impl BitAnd for Bits {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.zip(other, |one, other| one & other)
    }
}

impl BitOr for Bits {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.zip(other, |one, other| one | other)
    }
}

impl Not for Bits {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(places: &[usize]) -> Bits {
        let mut bits = Bits::NONE;
        for place in places {
            bits.set(*place);
        }
        bits
    }

    fn places(bits: Bits) -> Vec<usize> {
        bits.places().collect()
    }

    #[test]
    fn a_row_holds_what_is_set() {
        let all: Vec<usize> = (0..SEGMENTS_LIMIT).collect();
        assert_eq!(places(bits(&all)), all);
        assert_eq!(places(!Bits::NONE), all);
        assert_eq!(places(bits(&[511, 0, 64, 63])), [0, 63, 64, 511]);
        assert_eq!(bits(&[SEGMENTS_LIMIT, usize::MAX]), Bits::NONE);
        assert!(Bits::NONE.is_empty() && !bits(&[300]).is_empty());
    }

    #[test]
    fn bits_move_on_from_word_to_word() {
        assert_eq!(
            places(bits(&[0, 62, 63, 64, 127, 510]).moved_on()),
            [1, 63, 64, 65, 128, 511]
        );
        assert_eq!(bits(&[511]).moved_on(), Bits::NONE);
    }

    #[test]
    fn rows_are_combined_place_by_place() {
        let (one, other) = (bits(&[1, 100, 400]), bits(&[2, 100, 500]));
        assert_eq!(places(one & other), [100]);
        assert_eq!(places(one | other), [1, 2, 100, 400, 500]);
        assert_eq!(places(one & !other), [1, 400]);
    }
}
