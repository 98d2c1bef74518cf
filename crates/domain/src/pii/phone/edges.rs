//! What may stand directly before and behind a phone number.

use super::row::Row;
use crate::pii::digits::{is_escape, is_word};
use crate::pii::plain::Plain;
use crate::pii::words::{self, Label, Meaning};

/// Whether a number may begin at a place; `last` is where the phone before it ended.
pub(super) fn opens(plain: &Plain, start: usize, last: Option<usize>) -> bool {
    let (one, two) = (plain.before(start, 1), plain.before(start, 2));
    let goes_on_a_list = start.checked_sub(1).is_some_and(|place| last == Some(place));
    let is_amount = ["€", "£", "¥"]
        .iter()
        .any(|sign| plain.slice(start.saturating_sub(sign.len())..start) == sign.as_bytes());
    match one {
        _ if is_amount => false,
        _ if is_escape(plain, start) => true,
        // `Tel+49...`, but not `AB4155550132`
        _ if is_word(one) => matches!(plain.at(start), b'+' | b'(') && words::ends_with_phone(plain, start),
        b'$' | b'\\' => false,
        b'/' | b',' if two.is_ascii_digit() => goes_on_a_list,
        b':' if two.is_ascii_digit() => false,
        b'-' | b'.' | b'_' | b'/' | b'@' | b'&' | b'%' if is_word(two) => {
            words::ends_with_phone(plain, start - 1)
        }
        b'-' | b'.' | b'+' => false,
        _ => true,
    }
}

/// Whether a number may end at a place.
pub(super) fn closes(plain: &Plain, end: usize) -> bool {
    let (one, two) = (plain.at(end), plain.at(end + 1));
    match one {
        _ if is_word(one) => false,
        b'-' => !is_word(two),
        b'.' | b':' => !two.is_ascii_digit(),
        b'@' | b'%' => false,
        _ => !plain.has(end, "°".as_bytes()),
    }
}

/// Where the extension behind a number ends; the number's own end if there is none.
pub(super) fn extension(plain: &Plain, end: usize) -> usize {
    let gap = plain
        .slice(end..end + 2)
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b',' | b';'))
        .count();
    let word = end + gap;
    let text = plain.slice(word..word + 9).to_ascii_lowercase();
    let Some(name) = ["extension", "extn", "ext", "x", "#"]
        .iter()
        .find(|name| text.starts_with(name.as_bytes()))
    else {
        return end;
    };
    let after = word + name.len();
    let marks = plain
        .slice(after..after + 2)
        .iter()
        .take_while(|byte| matches!(byte, b'.' | b':' | b'=' | b' ' | b'#'))
        .count();
    let first = after + marks;
    let length = plain
        .slice(first..first + 7)
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let last = first + length;
    if (1..=6).contains(&length) && !is_word(plain.at(last)) {
        last
    } else {
        end
    }
}

/// What the words before a number call it; `#` alone calls it a number of something.
pub(super) fn label(plain: &Plain, row: &Row) -> Option<Label> {
    let label = words::before(plain, row.start);
    // Without the blank between a mark and the number.
    let mark = row.start - usize::from(plain.before(row.start, 1) == b' ');
    match label {
        Some(label) if label.adjacent => Some(label),
        _ if plain.before(mark, 1) == b'#' => Some(Label {
            meaning: Meaning::Other,
            adjacent: true,
        }),
        _ if is_initial(plain, mark) => Some(Label {
            meaning: Meaning::Phone,
            adjacent: false,
        }),
        _ => label,
    }
}

/// `T:`, `M:` and their like, as at the end of a letter.
fn is_initial(plain: &Plain, place: usize) -> bool {
    let letter = plain.before(place, 2).to_ascii_lowercase();
    plain.before(place, 1) == b':'
        && matches!(letter, b't' | b'm' | b'f' | b'p' | b'c')
        && !is_word(plain.before(place, 3))
}
