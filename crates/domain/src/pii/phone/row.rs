//! Groups of digits that may be the parts of one phone number.

use std::ops::Range;

use super::{LONGEST, edges};
use crate::pii::digits::values;
use crate::pii::plain::Plain;

/// French numbers have five groups, with a country's code and a `(0)` seven.
const MOST_GROUPS: usize = 8;
/// `) - (`
const WIDEST_GAP: usize = 4;

/// Groups with nothing but the separators of phone numbers between them.
pub(super) struct Row<'a> {
    pub(super) plain: &'a Plain,
    groups: Vec<Range<usize>>,
    /// Before each group but the first; `(` where there are only brackets.
    gaps: Vec<u8>,
    /// With the brackets and the plus sign before the digits.
    pub(super) start: usize,
    pub(super) has_plus: bool,
    /// Whether the first group stands in brackets.
    pub(super) in_brackets: bool,
}

impl<'a> Row<'a> {
    /// The row that begins with the first group.
    pub(super) fn read(plain: &'a Plain, groups: &[Range<usize>]) -> Option<Self> {
        let first = groups.first()?;
        let mut start = first.start;
        let mut has_plus = false;
        while first.start - start < 3 && matches!(plain.before(start, 1), b'(' | b'+') {
            has_plus |= plain.before(start, 1) == b'+';
            start -= 1;
        }
        let mut row = Self {
            plain,
            groups: vec![first.clone()],
            gaps: Vec::new(),
            start,
            has_plus,
            in_brackets: plain.before(first.start, 1) == b'(' && plain.at(first.end) == b')',
        };
        for pair in groups.windows(2).take(MOST_GROUPS - 1) {
            let [one, next] = pair else { break };
            let Some(gap) = gap(plain, one.end..next.start) else {
                break;
            };
            // `+44 (0)20`: the zero is dialled inside the country only.
            let is_trunk = plain.slice(next.start - 1..next.end + 1) == b"(0)";
            if is_trunk && row.has_plus {
                continue;
            }
            row.groups.push(next.clone());
            row.gaps.push(gap);
        }
        Some(row)
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The digits of a group.
    pub(super) fn length(&self, place: usize) -> usize {
        self.groups.get(place).map_or(0, ExactSizeIterator::len)
    }

    /// What stands before a group; 0 before the first.
    pub(super) fn gap(&self, place: usize) -> u8 {
        place
            .checked_sub(1)
            .and_then(|place| self.gaps.get(place))
            .copied()
            .unwrap_or(0)
    }

    /// Whether the first groups have these lengths.
    pub(super) fn has_lengths(&self, lengths: &[usize]) -> bool {
        self.len() >= lengths.len()
            && lengths
                .iter()
                .enumerate()
                .all(|(place, length)| self.length(place) == *length)
    }

    /// The digits of the first `count` groups; no more than one too many for any phone number.
    pub(super) fn digits(&self, count: usize) -> Vec<u8> {
        let mut digits = Vec::new();
        for group in self.groups.iter().take(count) {
            let end = group.end.min(group.start + LONGEST + 4);
            digits.extend(values(self.plain, group.start..end));
        }
        digits
    }

    pub(super) fn end(&self, count: usize) -> usize {
        let last = self.groups.get(count.saturating_sub(1));
        last.map_or(self.start, |group| group.end)
    }

    /// Whether the number may end behind `count` groups.
    pub(super) fn closes(&self, count: usize) -> bool {
        let end = self.end(count);
        count > 0 && (edges::extension(self.plain, end) > end || edges::closes(self.plain, end))
    }

    /// The number of `count` groups, with its extension, and with a bracket at its front only if it is closed inside.
    pub(super) fn range(&self, count: usize) -> Range<usize> {
        let digits_end = self.end(count);
        let end = edges::extension(self.plain, digits_end);
        let mut start = self.start;
        if !self.plain.slice(start..digits_end).contains(&b')') {
            start = self.plain.end_of(start, |byte| byte == b'(');
        }
        start..end
    }

    /// How many groups belong together where only a word says that it is a phone: those with the same separator.
    pub(super) fn longest_named(&self) -> usize {
        if self.length(0) >= super::SHORTEST {
            return 1;
        }
        let first = self.gap(1);
        let mut count = 1;
        let mut digits = self.length(0);
        while count < self.len() {
            let gap = self.gap(count);
            digits += self.length(count);
            let goes_on = gap == first || (count == 2 && matches!(first, b' ' | b'(' | b'-'));
            if !goes_on || gap == b'/' || digits > 12 {
                break;
            }
            count += 1;
        }
        count
    }

    /// Whether it stands among other numbers, with blanks between them all: a table, not a phone.
    pub(super) fn is_in_a_row(&self, count: usize, last: Option<usize>) -> bool {
        if self.gap(1) != b' ' || self.in_brackets {
            return false;
        }
        let before =
            self.plain.before(self.start, 1) == b' ' && self.plain.before(self.start, 2).is_ascii_digit();
        let end = self.end(count);
        let behind = self.plain.at(end) == b' ' && self.plain.at(end + 1).is_ascii_digit();
        behind || (before && last != Some(self.start - 1))
    }
}

/// The separator that a gap amounts to, if it is one of a phone number.
fn gap(plain: &Plain, between: Range<usize>) -> Option<u8> {
    if between.len() > WIDEST_GAP {
        return None;
    }
    let (mut separator, mut blanks, mut brackets) = (0, 0, 0);
    for byte in plain.slice(between) {
        match byte {
            b'(' | b')' => brackets += 1,
            b' ' => blanks += 1,
            b'-' | b'.' | b'/' if separator == 0 => separator = *byte,
            _ => return None,
        }
    }
    match (separator, blanks, brackets) {
        // A dot and a blank end a sentence.
        (b'.', 0, _) => Some(b'.'),
        (b'.', ..) => None,
        (0, 0, _) => Some(b'('),
        (0, 1, _) | (0, 2, 1..) => Some(b' '),
        // A blank on one side only: the sign of a number.
        (0, ..) | (b'-', 1, 0) => None,
        (separator, ..) => Some(separator),
    }
}
