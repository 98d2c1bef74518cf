//! Social security numbers of the United States: area, group and serial, as the Social Security Administration gives them out.

use std::ops::Range;

use super::digits::{chain, closes, groups, is_word, number, opens, values};
use super::plain::Plain;
use super::words::{self, Meaning};

/// Numbers that were printed in advertisements and so belong to nobody.
const SAMPLES: &[[u32; 3]] = &[[78, 5, 1120], [219, 9, 9999]];
/// What people type into a field to have it filled.
const COUNTING: [u32; 3] = [123, 45, 6789];

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let groups = groups(plain);
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(rest) = groups.get(next..).filter(|rest| !rest.is_empty()) {
        let taken = written_out(plain, rest)
            .map(|range| (3, range))
            .or_else(|| bare(plain, rest).map(|range| (1, range)));
        next += taken.as_ref().map_or(1, |(count, _)| *count);
        found.extend(taken.map(|(_, range)| range));
    }
    found
}

/// `AAA-GG-SSSS`, with any of the three separators but the same one twice.
fn written_out(plain: &Plain, groups: &[Range<usize>]) -> Option<Range<usize>> {
    let (count, separator) = chain(plain, groups, 4);
    let [area, group, serial, ..] = groups else {
        return None;
    };
    if count < 3 || [area.len(), group.len(), serial.len()] != [3, 2, 4] {
        return None;
    }
    let range = area.start..serial.end;
    let joined =
        matches!(plain.before(range.start, 1), b'-' | b'.' | b'/') && is_word(plain.before(range.start, 2));
    if joined || !opens(plain, range.start) || !closes(plain, range.end) || !is_given_out(plain, &range) {
        return None;
    }
    let label = words::before(plain, range.start);
    if label
        .as_ref()
        .is_some_and(|label| label.adjacent && label.meaning == Meaning::Other)
    {
        return None;
    }
    // A longer row of numbers between spaces is a row of numbers.
    let in_a_row = separator == b' '
        && (count > 3
            || (plain.before(range.start, 1) == b' ' && plain.before(range.start, 2).is_ascii_digit()));
    (!in_a_row || label.is_some_and(|label| label.meaning == Meaning::SocialSecurity)).then_some(range)
}

/// Nine digits are a social security number only where the words say so.
fn bare(plain: &Plain, groups: &[Range<usize>]) -> Option<Range<usize>> {
    let range = groups.first()?.clone();
    let fits = range.len() == 9
        && opens(plain, range.start)
        && closes(plain, range.end)
        && is_given_out(plain, &range);
    let named = || {
        words::before(plain, range.start).is_some_and(|label| label.meaning == Meaning::SocialSecurity)
            || words::after(plain, range.end) == Some(Meaning::SocialSecurity)
    };
    let counting = || parts(plain, &range) == COUNTING;
    (fits && !counting() && named()).then_some(range)
}

fn is_given_out(plain: &Plain, range: &Range<usize>) -> bool {
    let [area, group, serial] = parts(plain, range);
    !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !SAMPLES.contains(&[area, group, serial])
}

fn parts(plain: &Plain, range: &Range<usize>) -> [u32; 3] {
    let digits = values(plain, range.clone());
    [0..3, 3..5, 5..9].map(|part| number(digits.get(part).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    #[test]
    fn numbers_that_are_given_out() {
        for number in [
            "536-90-4399",
            "001-01-0001",
            "665-12-3456",
            "667-12-3456",
            "899-99-9999",
            "536 90 4399",
            "536.90.4399",
        ] {
            for text in [
                number.to_owned(),
                format!("his is {number}."),
                format!("({number})"),
                format!("ssn={number}"),
            ] {
                assert_eq!(found(&text), [number], "{text}");
            }
        }
    }

    #[test]
    fn bare_digits_need_a_word() {
        for (text, is_one) in [
            ("ssn 536904399", true),
            ("SSN: 536904399", true),
            ("social security number is 536904399", true),
            ("{\"ssn\":\"536904399\"}", true),
            ("customerSsn=536904399", true),
            ("536904399 (SSN)", true),
            ("536904399", false),
            ("load 536904399", false),
            ("routing number 536904399", false),
            ("ssn 123456789", false),
            ("ssn 000904399", false),
            ("ssn 5369043990", false),
        ] {
            assert_eq!(!found(text).is_empty(), is_one, "{text}");
        }
    }

    #[test]
    fn near_misses() {
        for text in [
            "000-12-3456",
            "666-12-3456",
            "900-12-3456",
            "999-99-9999",
            "123-00-4567",
            "123-45-0000",
            "078-05-1120",
            "219-09-9999",
            "987-65-4320",
            "987-65-4329",
            "536-90-43990",
            "1536-90-4399",
            "536-90 4399",
            "536-904399",
            "536-90-4399-1",
            "12-536-90-4399",
            "a536-90-4399",
            "PRO 536-90-4399",
            "1 536 90 4399",
            "536 90 4399 12",
            "536--90-4399",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
