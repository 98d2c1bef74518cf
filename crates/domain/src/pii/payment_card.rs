//! Payment cards: ISO/IEC 7812, by the ranges of the issuers, their lengths and the Luhn checksum.

use std::ops::Range;

use super::digits::{chain, closes, groups, is_word, number, opens, values};
use super::plain::Plain;
use super::words::{self, Meaning};

/// The lengths of ISO/IEC 7812 that are in use.
const SHORTEST: usize = 12;
const LONGEST: usize = 19;
/// 19 digits in groups of four.
const MOST_GROUPS: usize = 5;

/// An issuer's numbers: the first six digits, and how many there are in all.
struct Issuer {
    first: u32,
    last: u32,
    lengths: &'static [usize],
    /// Rare, or as long as other numbers that freight is full of: a word that says otherwise is believed.
    doubtful: bool,
}

const fn issuer(first: u32, last: u32, lengths: &'static [usize]) -> Issuer {
    Issuer {
        first,
        last,
        lengths,
        doubtful: false,
    }
}

const fn doubtful(first: u32, last: u32, lengths: &'static [usize]) -> Issuer {
    Issuer {
        first,
        last,
        lengths,
        doubtful: true,
    }
}

const MAESTRO: &[usize] = &[12, 13, 14, 15, 16, 17, 18, 19];
const LONG: &[usize] = &[16, 17, 18, 19];

const ISSUERS: &[Issuer] = &[
    // Visa; 13 digits are of the last century, and of every list of test cards.
    issuer(400_000, 499_999, &[16, 19]),
    doubtful(400_000, 499_999, &[13]),
    // Mastercard
    issuer(510_000, 559_999, &[16]),
    issuer(222_100, 272_099, &[16]),
    // American Express
    issuer(340_000, 349_999, &[15]),
    issuer(370_000, 379_999, &[15]),
    // Discover
    issuer(601_100, 601_199, LONG),
    issuer(622_126, 622_925, LONG),
    issuer(644_000, 659_999, LONG),
    // Diners Club
    issuer(300_000, 305_999, &[14, 16, 17, 18, 19]),
    issuer(309_500, 309_599, &[14, 16, 17, 18, 19]),
    issuer(360_000, 369_999, &[14, 16, 17, 18, 19]),
    issuer(380_000, 399_999, &[14, 16, 17, 18, 19]),
    // JCB, the second and third of its beginnings
    issuer(352_800, 358_999, LONG),
    doubtful(213_100, 213_199, &[15]),
    doubtful(180_000, 180_099, &[15]),
    // UnionPay
    issuer(620_000, 629_999, LONG),
    issuer(810_000, 817_199, LONG),
    // Maestro, with what became of Switch, Solo and Laser
    issuer(500_000, 509_999, &[16]),
    issuer(560_000, 589_999, &[16]),
    issuer(630_000, 639_999, &[16]),
    issuer(670_000, 679_999, &[16]),
    doubtful(500_000, 509_999, MAESTRO),
    doubtful(560_000, 589_999, MAESTRO),
    doubtful(630_000, 639_999, MAESTRO),
    doubtful(670_000, 679_999, MAESTRO),
    // RuPay, Hipercard
    issuer(600_000, 609_999, &[16]),
    issuer(820_000, 829_999, &[16]),
    // Mir
    issuer(220_000, 220_499, LONG),
    // Troy, Uzcard, Humo
    issuer(979_200, 979_299, &[16]),
    doubtful(860_000, 860_099, &[16]),
    doubtful(986_000, 986_099, &[16]),
    // UATP, of the airlines
    doubtful(100_000, 199_999, &[15]),
];

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let groups = groups(plain);
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(rest) = groups.get(next..).filter(|rest| !rest.is_empty()) {
        match card(plain, rest) {
            Some((count, range)) => {
                found.push(range);
                next += count;
            }
            None => next += 1,
        }
    }
    found
}

/// The card that begins with the first group, and how many groups it takes.
fn card(plain: &Plain, groups: &[Range<usize>]) -> Option<(usize, Range<usize>)> {
    let (longest, separator) = chain(plain, groups, MOST_GROUPS);
    if separator == b'.' {
        return None;
    }
    let start = groups.first()?.start;
    if !opens(plain, start) {
        return None;
    }
    (1..=longest).rev().find_map(|count| {
        let taken = groups.get(..count)?;
        let range = start..taken.last()?.end;
        let is_card = is_usual(taken) && closes(plain, range.end) && is_card(plain, &range);
        is_card.then_some((count, range))
    })
}

/// The ways numbers are embossed: fours, 4-6-5 as on American Express, 4-6-4 as on Diners Club.
fn is_usual(groups: &[Range<usize>]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(ExactSizeIterator::len).collect();
    match lengths.as_slice() {
        [_] | [4, 6, 5 | 4] | [4, 5, 6] | [6, 13] | [8, 8] => true,
        [fours @ .., last] => fours.len() >= 2 && fours.iter().all(|length| *length == 4) && *last <= 4,
        [] => false,
    }
}

fn is_card(plain: &Plain, range: &Range<usize>) -> bool {
    if range.len() < SHORTEST || range.len() > LONGEST + MOST_GROUPS {
        return false;
    }
    let digits = values(plain, range.clone());
    if !(SHORTEST..=LONGEST).contains(&digits.len()) || !passes_luhn(&digits) {
        return false;
    }
    // Only a placeholder is written with one digit, whatever its checksum.
    if digits.windows(2).all(|pair| pair.first() == pair.last()) {
        return false;
    }
    let head = number(digits.get(..6).unwrap_or_default());
    let mut issuers = ISSUERS
        .iter()
        .filter(|one| (one.first..=one.last).contains(&head) && one.lengths.contains(&digits.len()))
        .peekable();
    if issuers.peek().is_none() {
        return false;
    }
    issuers.any(|one| !one.doubtful) || is_undisputed(plain, range)
}

fn is_undisputed(plain: &Plain, range: &Range<usize>) -> bool {
    let joined =
        matches!(plain.before(range.start, 1), b'-' | b'.' | b'/') && is_word(plain.before(range.start, 2));
    let named_otherwise = words::before(plain, range.start)
        .is_some_and(|label| label.adjacent && label.meaning == Meaning::Other);
    !joined && !named_otherwise
}

/// ISO/IEC 7812-1, annex B.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, *digit) {
            (0, digit) => u32::from(digit),
            (_, digit) if digit < 5 => u32::from(digit) * 2,
            (_, digit) => u32::from(digit) * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    /// A number that begins as given and ends with the digit that Luhn asks for.
    pub(in crate::pii) fn made(begin: &str, length: usize) -> String {
        let body: String = begin
            .chars()
            .chain("0912837465091283746".chars())
            .take(length - 1)
            .collect();
        (0..10)
            .map(|last| format!("{body}{last}"))
            .find(|text| passes_luhn(&text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>()))
            .unwrap()
    }

    #[test]
    fn cards_of_every_brand() {
        for (begin, lengths) in [
            ("4", &[13, 16, 19][..]),
            ("51", &[16]),
            ("55", &[16]),
            ("2221", &[16]),
            ("2720", &[16]),
            ("34", &[15]),
            ("37", &[15]),
            ("6011", &[16, 19]),
            ("644", &[16]),
            ("65", &[16]),
            ("36", &[14]),
            ("38", &[14]),
            ("300", &[14]),
            ("3095", &[14]),
            ("3528", &[16]),
            ("3589", &[16, 19]),
            ("62", &[16, 17, 18, 19]),
            ("5018", &[12, 16]),
            ("6304", &[16, 18, 19]),
            ("6759", &[12, 13, 14, 15, 16, 17, 18, 19]),
            ("2200", &[16]),
            ("5019", &[16]),
            ("9792", &[16]),
            ("60", &[16]),
            ("122", &[15]),
        ] {
            for length in lengths {
                let card = made(begin, *length);
                assert_eq!(found(&card), [card.as_str()]);
                assert_eq!(found(&format!("card={card}.")), [card.as_str()]);
            }
        }
    }

    #[test]
    fn cards_as_they_are_embossed() {
        for card in [
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "3782 822463 10005",
            "3782-822463-10005",
            "3056 930902 5904",
            "6759 6498 2643 8453",
            "4222 2222 2222 2",
            "41111111 11111111",
        ] {
            assert_eq!(found(card), [card], "{card}");
            assert_eq!(found(&format!("({card}) 12/27 123")), [card], "{card}");
        }
        assert_eq!(
            found("4111111111111111 5555555555554444"),
            ["4111111111111111", "5555555555554444"]
        );
        assert_eq!(
            found("4111 1111 1111 1111 5555 5555 5555 4444"),
            ["4111 1111 1111 1111", "5555 5555 5555 4444"]
        );
    }

    #[test]
    fn near_misses() {
        for text in [
            "4111111111111112",
            "4111 1111 1111 1112",
            "411111111111111",
            "41111111111111111",
            "0000000000000000",
            "4111  1111  1111  1111",
            "4111-1111 1111-1111",
            "41 11 11 11 11 11 11 11",
            "4111.1111.1111.1111",
            "a4111111111111111",
            "4111111111111111b",
            "0.4111111111111111",
            "9111111111111111",
            "4111111111111111-22",
            "7000000000000005",
            "tracking number 675964982641",
            "order 122000000000003",
            "49927398716",
            "2221 0000 0000 00",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_changed_digit_is_noticed() {
        let card = "5555555555554444";
        for place in 0..card.len() {
            for digit in b'0'..=b'9' {
                let mut wrong = card.as_bytes().to_vec();
                wrong[place] = digit;
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(found(&wrong).is_empty(), wrong != card, "{wrong}");
            }
        }
    }
}
