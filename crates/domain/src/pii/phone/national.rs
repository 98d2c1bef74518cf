//! National forms: how people write numbers for readers in their own country.

use super::Belief;
use super::row::Row;
use crate::pii::digits::number;

/// Forms that begin with the trunk prefix 0, by the lengths of their groups. Nine digits and more: shorter ones are too
/// like dates and postal codes. 5-4 is left out on purpose: it is a postal code of the United States.
const WITH_ZERO: &[&[usize]] = &[
    // France, Belgium, Morocco
    &[2, 2, 2, 2, 2],
    &[4, 2, 2, 2],
    &[2, 3, 2, 2],
    // Germany, Austria, Italy, Netherlands, Israel
    &[2, 7],
    &[2, 8],
    &[3, 6],
    &[3, 7],
    &[3, 8],
    &[4, 5],
    &[4, 6],
    &[4, 7],
    &[4, 8],
    &[5, 5],
    &[5, 6],
    &[5, 7],
    // Britain, Ireland, South Africa
    &[3, 4, 4],
    &[3, 3, 4],
    &[3, 3, 3],
    &[4, 3, 4],
    &[4, 3, 3],
    &[5, 3, 3],
    &[5, 2, 4],
    // Australia, New Zealand, Japan, Korea
    &[2, 4, 4],
    &[2, 3, 4],
    &[2, 4, 3],
    &[3, 4, 3],
    &[4, 2, 4],
    &[5, 1, 4],
    // Switzerland, Sweden, Turkey, Ukraine
    &[3, 3, 2, 2],
    &[3, 2, 2, 2],
    &[2, 3, 3, 2],
    &[4, 3, 2, 2],
    // Hungary
    &[2, 1, 3, 4],
    &[2, 2, 3, 4],
];

/// North America: `(NXX) NXX-XXXX` with any separators, and a 1 before it.
pub(super) fn north_american(row: &Row) -> Option<(usize, Belief)> {
    let (count, national) = if row.has_lengths(&[3, 3, 4]) {
        (3, row.digits(3))
    } else if row.has_lengths(&[1, 3, 3, 4]) {
        let digits = row.digits(4);
        (4, digits.strip_prefix(&[1])?.to_vec())
    } else if row.in_brackets && row.has_lengths(&[3, 7]) {
        (2, row.digits(2))
    } else {
        return None;
    };
    let with_brackets = row.in_brackets || (count == 4 && row.plain.at(row.end(2)) == b')');
    let belief = if with_brackets {
        Belief::Certain
    } else {
        Belief::Unless
    };
    is_north_american(&national).then_some((count, belief))
}

/// Ten digits of which area and exchange begin with 2 to 9; N11 are services, not areas.
pub(super) fn is_north_american(digits: &[u8]) -> bool {
    match digits {
        [2..=9, 1, 1, ..] => false,
        [2..=9, _, _, 2..=9, ..] => digits.len() == 10,
        _ => false,
    }
}

/// The forms of other countries.
pub(super) fn elsewhere(row: &Row) -> Option<(usize, Belief)> {
    with_zero(row)
        .or_else(|| in_brackets(row))
        .or_else(|| peculiar(row))
}

fn with_zero(row: &Row) -> Option<(usize, Belief)> {
    let [0, 1..=9, ..] = row.digits(1).as_slice() else {
        return None;
    };
    // The longest form that may end where it does.
    let fitting = WITH_ZERO.iter().filter(|lengths| row.has_lengths(lengths));
    let count = fitting
        .map(|lengths| lengths.len() + usize::from(has_branch(row, lengths.len())))
        .filter(|count| row.closes(*count))
        .max()?;
    let has_late_slash = (2..count).any(|place| row.gap(place) == b'/');
    let belief = if row.in_brackets {
        Belief::Certain
    } else {
        Belief::Unless
    };
    (!has_late_slash).then_some((count, belief))
}

/// `030 901820-12`: the branch behind a German switchboard.
fn has_branch(row: &Row, count: usize) -> bool {
    row.gap(count) == b'-'
        && (1..=4).contains(&row.length(count))
        && (1..count).all(|place| row.gap(place) != b'-')
}

/// Area codes in brackets without a zero: Brazil, Mexico, Turkey, Russia.
fn in_brackets(row: &Row) -> Option<(usize, Belief)> {
    let area = number(&row.digits(1));
    let is_service = row.length(0) == 3 && area % 100 == 11;
    if !row.in_brackets || is_service {
        return None;
    }
    let is_brazil = row.has_lengths(&[2, 5, 4]) || (row.has_lengths(&[2, 4, 4]) && row.gap(2) == b'-');
    let is_mexico = row.has_lengths(&[2, 4, 4]) && is_of_mexico(area);
    let has_long_area = row.has_lengths(&[3, 3, 4]) && area >= 200;
    let count = if row.has_lengths(&[3, 3, 2, 2]) {
        4
    } else if is_brazil || is_mexico || has_long_area {
        3
    } else {
        return None;
    };
    Some((count, Belief::Certain))
}

/// Forms that are those of one country only.
fn peculiar(row: &Row) -> Option<(usize, Belief)> {
    let digits = row.digits(4);
    let count = match digits.as_slice() {
        // Russia: the trunk prefix is 8.
        [8, 3 | 4 | 8 | 9, ..] if row.has_lengths(&[1, 3, 3, 2, 2]) => 5,
        // China: mobile phones.
        [1, 3..=9, ..] if row.has_lengths(&[3, 4, 4]) => 3,
        // Australia: numbers for the whole country.
        [1, 3 | 8, 0, 0, ..] if row.has_lengths(&[4, 3, 3]) => 3,
        // Spain, and Poland.
        [6..=9, ..] if row.has_lengths(&[3, 2, 2, 2]) => 4,
        [1..=9, ..] if row.has_lengths(&[2, 3, 2, 2]) => 4,
        // Brazil: mobile phones, and others.
        [_, _, 9, ..] if row.has_lengths(&[2, 5, 4]) && row.gap(2) == b'-' => 3,
        [1..=9, 1..=9, 2..=5, ..]
            if row.has_lengths(&[2, 4, 4]) && row.gap(1) == b' ' && row.gap(2) == b'-' =>
        {
            3
        }
        // Mexico: its three largest cities.
        _ if row.has_lengths(&[2, 4, 4]) && is_of_mexico(number(&row.digits(1))) => 3,
        _ => return None,
    };
    Some((count, Belief::Unless))
}

fn is_of_mexico(area: u32) -> bool {
    matches!(area, 33 | 55 | 56 | 81)
}
