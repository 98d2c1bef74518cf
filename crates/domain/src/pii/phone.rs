//! Telephone numbers: E.164 with its usual separators, and the national forms of many countries.
//!
//! Freight is full of numbers that are not phones, so a form is believed as far as it is peculiar to phones:
//!
//! | form | needs |
//! |---|---|
//! | `+` and a country's code and length; area codes in brackets | nothing more |
//! | national forms with separators: `415-555-0132`, `020 7946 0958`, `01 23 45 67 89` | no label such as "PRO" or "order" before it |
//! | digits alone, short or unusual forms | a word such as "phone" or "call" beside it |

use std::ops::Range;

use super::digits::{groups, number};
use super::plain::Plain;
use super::words::{self, Meaning};

mod countries;
mod edges;
mod national;
mod row;

use row::Row;

/// E.164 has at most 15 digits.
const LONGEST: usize = 15;
/// The shortest number that a word alone makes a phone: a local one of North America.
const SHORTEST: usize = 7;

/// How far a form is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// Nothing else looks like it.
    Certain,
    /// A phone, unless the words say otherwise.
    Unless,
    /// A phone only where the words say so.
    Named,
}

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let groups = groups(plain);
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut next = 0;
    while let Some(rest) = groups.get(next..).filter(|rest| !rest.is_empty()) {
        let last = found.last().map(|range| range.end);
        next += 1;
        if let Some(range) = phone(plain, rest, last) {
            // Past the digits of an extension, too.
            next += rest
                .iter()
                .skip(1)
                .take_while(|group| group.start < range.end)
                .count();
            found.push(range);
        }
    }
    found
}

/// The phone number that begins with the first group; `last` is where the one before it ended.
fn phone(plain: &Plain, groups: &[Range<usize>], last: Option<usize>) -> Option<Range<usize>> {
    let row = Row::read(plain, groups)?;
    if !edges::opens(plain, row.start, last) {
        return None;
    }
    let (count, belief) = international(&row)
        .or_else(|| national::north_american(&row))
        .or_else(|| national::elsewhere(&row))
        .filter(|(count, _)| row.closes(*count))
        .unwrap_or_else(|| (row.longest_named(), Belief::Named));
    let is_one = match belief {
        Belief::Certain => true,
        Belief::Unless => is_undisputed(&row, count, last),
        Belief::Named => is_named(&row, count),
    };
    is_one.then(|| row.range(count))
}

/// A country's code and as many digits as its numbers have, behind `+`, `00` or `011`.
fn international(row: &Row) -> Option<(usize, Belief)> {
    let first = row.digits(1);
    let prefix = match first.as_slice() {
        _ if row.has_plus => 0,
        [0, 0, 1..=9, ..] | [0, 0] => 2,
        [0, 1, 1] => 3,
        _ => return None,
    };
    let mut best = None;
    for count in 1..=row.len() {
        let digits = row.digits(count);
        if digits.len() > prefix + LONGEST {
            break;
        }
        // A few digits behind a complete number count something else: "+49 30 901820 12 pallets".
        let is_odd = match row.length(count - 1) {
            1 => best.is_some(),
            2 => best.is_some() && row.gap(count - 1) == b' ' && row.length(count - 2) >= 5,
            _ => false,
        };
        if !is_odd && digits.get(prefix..).is_some_and(countries::is_assigned) {
            best = Some(count);
        }
    }
    let count = best?;
    let is_bare = !row.has_plus && count == 1;
    Some((count, if is_bare { Belief::Named } else { Belief::Certain }))
}

/// A national form is a phone unless a word calls it something else, or it stands in a row of numbers.
fn is_undisputed(row: &Row, count: usize, last: Option<usize>) -> bool {
    match edges::label(row.plain, row) {
        Some(label) if label.meaning == Meaning::Phone => true,
        Some(label) if label.adjacent => false,
        _ => !row.is_in_a_row(count, last),
    }
}

fn is_named(row: &Row, count: usize) -> bool {
    let digits = row.digits(count);
    if !(SHORTEST..=LONGEST).contains(&digits.len()) || !row.closes(count) || is_date(row, count, &digits) {
        return false;
    }
    match edges::label(row.plain, row) {
        Some(label) if label.meaning == Meaning::Phone => label.adjacent || is_likely(&digits),
        Some(label) if label.adjacent => false,
        _ => words::after(row.plain, row.end(count)) == Some(Meaning::Phone),
    }
}

/// Whether digits are a number by themselves where a phone is spoken of, though not right beside them.
fn is_likely(digits: &[u8]) -> bool {
    match digits {
        [1, rest @ ..] if national::is_north_american(rest) => true,
        [1, 3..=9, ..] => digits.len() == 11,
        [0, 1..=9, ..] => (10..=11).contains(&digits.len()),
        [6..=9, ..] if digits.len() == 10 => true,
        _ => national::is_north_american(digits) || (digits.len() >= 11 && countries::is_assigned(digits)),
    }
}

/// `2024-01-05`, `01/05/2024`, `20240105`
fn is_date(row: &Row, count: usize, digits: &[u8]) -> bool {
    let lengths: Vec<usize> = (0..count).map(|place| row.length(place)).collect();
    let is_year = |digits: Option<&[u8]>| matches!(digits.map(number), Some(1900..=2099));
    match lengths.as_slice() {
        [4, 1..=2, 1..=2] => is_year(digits.get(..4)),
        [1..=2, 1..=2, 4] => is_year(digits.get(digits.len() - 4..)),
        [4, 4] => is_year(digits.get(..4)) && is_year(digits.get(4..)),
        [8] => {
            let month = digits.get(4..6).map(number);
            let day = digits.get(6..).map(number);
            is_year(digits.get(..4)) && matches!(month, Some(1..=12)) && matches!(day, Some(1..=31))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
