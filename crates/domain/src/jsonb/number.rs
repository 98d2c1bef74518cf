//! Numbers of jsonb: PostgreSQL's numeric in its short form, whose digits count to 10,000 (utils/adt/numeric.c).

use super::WORD;

const BASE: u64 = 10_000;
const SHORT: u16 = 0x8000;
const FORM: u16 = 0xc000;
const NEGATIVE: u16 = 0x2000;
const SCALE: u16 = 0x1f80;
const WEIGHT_SIGN: u16 = 0x0040;
const WEIGHT: u16 = 0x003f;

/// A whole number, with the length that PostgreSQL begins it with.
#[must_use]
pub fn number(value: u64) -> Vec<u8> {
    let mut digits = Vec::new();
    let mut rest = value;
    while rest > 0 {
        digits.push((rest % BASE) as u16);
        rest /= BASE;
    }
    let weight = digits.len().saturating_sub(1) as u16;
    // The first digit comes first, and zeros at the end are not there.
    let places = digits.iter().rev().copied();
    let kept = digits.len() - digits.iter().take_while(|digit| **digit == 0).count();
    let length = WORD + 2 + 2 * kept;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&length_word(length).to_ne_bytes());
    bytes.extend_from_slice(&(SHORT | weight).to_ne_bytes());
    bytes.extend(places.take(kept).flat_map(u16::to_ne_bytes));
    bytes
}

/// The word a value of variable length begins with.
fn length_word(length: usize) -> u32 {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if cfg!(target_endian = "little") {
        length << 2
    } else {
        length & 0x3fff_ffff
    }
}

/// A number that is neither negative nor far from 1: all that amounts and counts need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The value times 10^8.
    scaled: u128,
    /// Digits after the point, as it was written.
    decimals: u16,
}

/// Four decimal digits twice: the finest a [`Number`] can be.
const SCALED: u128 = 100_000_000;
const MICRO: u128 = 100;

impl Number {
    /// Reads the bytes of a numeric; None for what it does not hold, such as a negative or a very large one.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let length: [u8; WORD] = data.get(..WORD)?.try_into().ok()?;
        let header: [u8; 2] = data.get(WORD..WORD + 2)?.try_into().ok()?;
        let header = u16::from_ne_bytes(header);
        let is_plain = u32::from_ne_bytes(length) == length_word(data.len()) && header & FORM == SHORT;
        if !is_plain || header & NEGATIVE != 0 {
            return None;
        }
        let weight = i32::from(header & WEIGHT) - i32::from(header & WEIGHT_SIGN);
        let mut scaled = 0_u128;
        for (place, digit) in data.get(WORD + 2..)?.chunks_exact(2).enumerate() {
            let digit = u128::from(u16::from_ne_bytes(digit.try_into().ok()?));
            // Of 10,000, counted from the finest: 0 is 10^-8.
            let power = u32::try_from(weight - i32::try_from(place).ok()? + 2).ok()?;
            if power > 6 {
                return None;
            }
            scaled += digit * u128::from(BASE).pow(power);
        }
        Some(Self {
            scaled,
            decimals: (header & SCALE) >> 7,
        })
    }

    /// The whole number, if it was written as one and is not above 2^64 - 1.
    #[must_use]
    pub fn whole(self) -> Option<u64> {
        (self.decimals == 0).then(|| u64::try_from(self.scaled / SCALED).ok())?
    }

    /// In millionths, if it is a whole number of them and not above 2^64 - 1.
    #[must_use]
    pub fn micros(self) -> Option<u64> {
        self.scaled
            .is_multiple_of(MICRO)
            .then(|| u64::try_from(self.scaled / MICRO).ok())?
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// What `numeric_send` and the source say of numbers of this form.
    fn raw(header: u16, digits: &[u16]) -> Vec<u8> {
        let mut bytes = length_word(WORD + 2 + 2 * digits.len()).to_ne_bytes().to_vec();
        bytes.extend(header.to_ne_bytes());
        bytes.extend(digits.iter().flat_map(|digit| digit.to_ne_bytes()));
        bytes
    }

    #[test]
    fn whole_numbers_are_written_as_postgresql_does() {
        for (value, header, digits) in [
            (0, 0x8000, &[][..]),
            (1, 0x8000, &[1]),
            (9_999, 0x8000, &[9_999]),
            (10_000, 0x8001, &[1]),
            (100_020_000, 0x8002, &[1, 2]),
            (u64::MAX, 0x8004, &[1844, 6744, 737, 955, 1615]),
        ] {
            assert_eq!(number(value), raw(header, digits), "{value}");
            assert_eq!(Number::read(&number(value)).and_then(Number::whole), Some(value));
        }
    }

    #[test]
    fn amounts_are_read_to_the_millionth() {
        let decimals = |count: u16| 0x8000 | count << 7;
        let below = |weight: u16| (0x40 | (0x40 - weight)) & 0x7f;
        for (number, micros, whole) in [
            // 0.10
            (raw(decimals(2) | below(1), &[1000]), Some(100_000), None),
            // 0.000001
            (raw(decimals(6) | below(2), &[100]), Some(1), None),
            // 0.00000001
            (raw(decimals(8) | below(2), &[1]), None, None),
            // 12345.5
            (raw(decimals(1) | 1, &[1, 2345, 5000]), Some(12_345_500_000), None),
            // 7.0
            (raw(decimals(1), &[7]), Some(7_000_000), None),
            (raw(decimals(0), &[7]), Some(7_000_000), Some(7)),
        ] {
            let read = Number::read(&number).unwrap();
            assert_eq!((read.micros(), read.whole()), (micros, whole), "{number:?}");
        }
        for unread in [
            raw(0x8000 | NEGATIVE, &[1]),
            raw(0xc000, &[]),
            raw(0x0000, &[0, 1]),
            raw(0x8000 | 20, &[1]),
            raw(0x8000 | below(3), &[1]),
            vec![3, 1],
        ] {
            assert_eq!(Number::read(&unread), None, "{unread:?}");
        }
    }
}
