//! Money without rounding: whole millionths of a US dollar, read from and written as decimal text.
//!
//! A sum of floats drifts from the budget it is held against; a sum of integers does not.

use std::fmt;

use super::core_schema::whole_number;

const DECIMALS: usize = 6;
const MICROS: u64 = 1_000_000;

/// An amount in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MicroUsd(u64);

impl MicroUsd {
    /// So many millionths of a dollar.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The amount in millionths of a dollar.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Reads dollars in plain decimal text such as `12`, `0.5` or `0.000001`: digits, and a point followed by at most six
    /// digits. None for anything else, also for a sign, an exponent, a leading zero and more than 18,446,744,073,709 dollars.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (dollars, fraction) = match text.split_once('.') {
            Some((dollars, fraction)) => (dollars, micros_of(fraction)?),
            None => (text, 0),
        };
        let whole = whole_number(dollars)?.checked_mul(MICROS)?;
        whole.checked_add(fraction).map(Self)
    }
}

/// `5` is 500,000: the place of a digit counts, not how many follow.
fn micros_of(fraction: &str) -> Option<u64> {
    let is_fraction =
        (1..=DECIMALS).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    if !is_fraction {
        return None;
    }
    format!("{fraction:0<DECIMALS$}").parse().ok()
}

/// Dollars, with as many decimals as are needed: [`MicroUsd::parse`] reads it back.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.0 / MICROS;
        match self.0 % MICROS {
            0 => write!(f, "{dollars}"),
            micros => {
                let digits = format!("{micros:0DECIMALS$}");
                write!(f, "{dollars}.{}", digits.trim_end_matches('0'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::arbitrary::Source;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, micros, written) in [
            ("0", 0, "0"),
            ("0.0", 0, "0"),
            ("1", 1_000_000, "1"),
            ("12.50", 12_500_000, "12.5"),
            ("0.1", 100_000, "0.1"),
            ("0.000001", 1, "0.000001"),
            ("0.010000", 10_000, "0.01"),
            ("999999999.999999", 999_999_999_999_999, "999999999.999999"),
            ("18446744073709.551615", u64::MAX, "18446744073709.551615"),
        ] {
            let amount = MicroUsd::parse(text).unwrap();
            assert_eq!(amount.micros(), micros, "{text}");
            assert_eq!(amount.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_amount() {
        for text in [
            "",
            ".",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "1.0000000",
            "0.0000001",
            " 1",
            "1 ",
            "01",
            "00.5",
            "1.2.3",
            "$5",
            "five",
            "1_000",
            "0x10",
            ".nan",
            "1.-5",
            "1.+5",
            "٣",
            "1.٣",
            "18446744073709.551616",
            "99999999999999999999",
        ] {
            assert_eq!(MicroUsd::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_amount_is_read_back() {
        let mut source = Source::new(31);
        for _ in 0..2_000 {
            let amount = MicroUsd::from_micros(source.number() >> source.below(64));
            assert_eq!(MicroUsd::parse(&amount.to_string()), Some(amount));
        }
    }
}
