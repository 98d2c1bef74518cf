//! Rows of digits, and whether one stands for itself or is part of something longer.

use std::ops::Range;

use super::plain::Plain;

/// Every row of ASCII digits, in the order of the text.
pub(super) fn groups(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < plain.len() {
        let end = plain.end_of(place, |byte| byte.is_ascii_digit());
        if end > place {
            found.push(place..end);
        }
        place = end + 1;
    }
    found
}

/// How many of the first groups are joined by the same single separator, `-`, `.` or a space, and which it is; at most
/// `limit`. A single group has no separator, 0.
pub(super) fn chain(plain: &Plain, groups: &[Range<usize>], limit: usize) -> (usize, u8) {
    let mut length = 1.min(groups.len());
    let mut separator = 0;
    for pair in groups.windows(2).take(limit.saturating_sub(1)) {
        let [one, next] = pair else { break };
        let between = plain.at(one.end);
        let is_same = length == 1 || between == separator;
        if next.start != one.end + 1 || !is_same || !matches!(between, b'-' | b' ' | b'.') {
            break;
        }
        separator = between;
        length += 1;
    }
    (length, separator)
}

/// Whether a row of digits may begin here: not inside a word, a decimal number or a longer row.
pub(super) fn opens(plain: &Plain, start: usize) -> bool {
    let (one, two) = (plain.before(start, 1), plain.before(start, 2));
    if is_word(one) && !is_escape(plain, start) {
        return false;
    }
    !(matches!(one, b'-' | b'.' | b',' | b'/') && two.is_ascii_digit())
}

/// Whether a row of digits may end here.
pub(super) fn closes(plain: &Plain, end: usize) -> bool {
    let (one, two) = (plain.at(end), plain.at(end + 1));
    if is_word(one) {
        return false;
    }
    !(matches!(one, b'-' | b'.') && two.is_ascii_digit())
}

/// Whether a line break or a tab ends before a place, in the way JSON strings have it.
pub(super) fn is_escape(plain: &Plain, place: usize) -> bool {
    plain.before(place, 2) == b'\\' && matches!(plain.before(place, 1), b'n' | b'r' | b't')
}

/// What a word or an identifier is made of.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The digits of a range, as numbers.
pub(super) fn values(plain: &Plain, range: Range<usize>) -> Vec<u8> {
    let digits = plain.slice(range).iter().filter(|byte| byte.is_ascii_digit());
    digits.map(|byte| byte - b'0').collect()
}

/// The number that some digits make; for a handful of digits.
pub(super) fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number: u32, digit| {
        number.saturating_mul(10).saturating_add(u32::from(*digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chained_by_one_separator() {
        for (text, expected) in [
            ("4111 1111 1111 1111", (4, b' ')),
            ("4111-1111-1111 1111", (3, b'-')),
            ("123-45-6789", (3, b'-')),
            ("123--45", (1, 0)),
            ("123/45", (1, 0)),
            ("123.45", (2, b'.')),
            ("1 2 3 4 5 6 7 8", (5, b' ')),
            ("1", (1, 0)),
            ("", (0, 0)),
        ] {
            let plain = Plain::read(text);
            assert_eq!(chain(&plain, &groups(&plain), 5), expected, "{text}");
        }
    }

    #[test]
    fn a_row_inside_of_something_is_none() {
        for (text, alone) in [
            ("12", true),
            ("(12)", true),
            ("x=12;", true),
            ("a-12.", true),
            ("a\\n12", true),
            ("x12", false),
            ("_12", false),
            ("12x", false),
            ("3.12", false),
            ("12.5", false),
            ("4-12", false),
            ("12-4", false),
        ] {
            let plain = Plain::read(text);
            let start = text.find("12").unwrap_or(0);
            assert_eq!(opens(&plain, start) && closes(&plain, start + 2), alone, "{text}");
        }
    }

    #[test]
    fn digits_are_numbers() {
        let plain = Plain::read("a1-2b3");
        assert_eq!(values(&plain, 0..6), [1, 2, 3]);
        assert_eq!(number(&[1, 2, 3]), 123);
        assert_eq!(number(&[9; 40]), u32::MAX);
    }
}
