//! Hardware addresses (IEEE 802, EUI-48) in their three notations: pairs with colons, pairs with hyphens, fours with dots.

use std::ops::Range;

use super::plain::Plain;

/// A notation: how many hex digits stand between the separators.
const NOTATIONS: [(u8, usize, usize); 3] = [(b':', 2, 6), (b'-', 2, 6), (b'.', 4, 3)];

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < plain.len() {
        let end = plain.end_of(place, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if end == place {
            place += 1;
            continue;
        }
        let address = address(plain, place, end);
        found.extend(address.map(|address| place..address));
        place = address.unwrap_or(end);
    }
    found
}

/// The end of the address whose first digits are `start..first`.
fn address(plain: &Plain, start: usize, first: usize) -> Option<usize> {
    let separator = plain.at(first);
    let (_, width, count) = NOTATIONS.into_iter().find(|(one, ..)| *one == separator)?;
    // One more before or behind makes it a fingerprint, an EUI-64 or a UUID.
    if first - start != width || plain.before(start, 1) == separator {
        return None;
    }
    let end = start + count * (width + 1) - 1;
    let is_digit = |(place, byte): (usize, &u8)| match place % (width + 1) {
        last if last == width => *byte == separator,
        _ => byte.is_ascii_hexdigit(),
    };
    let text = plain.slice(start..end);
    if text.len() != end - start || !text.iter().enumerate().all(is_digit) {
        return None;
    }
    let goes_on = plain.at(end).is_ascii_alphanumeric()
        || plain.at(end) == b'_'
        || (plain.at(end) == separator && plain.at(end + 1).is_ascii_hexdigit());
    (!goes_on && is_somebody(text)).then_some(end)
}

/// All zeros is no address yet, all ones is everybody.
fn is_somebody(text: &[u8]) -> bool {
    let digits = text
        .iter()
        .filter(|byte| byte.is_ascii_hexdigit())
        .map(u8::to_ascii_lowercase);
    let all = |wanted: u8| digits.clone().all(|digit| digit == wanted);
    !(all(b'0') || all(b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    #[test]
    fn the_three_notations() {
        for address in [
            "00:1A:2B:3C:4D:5E",
            "00-1a-2b-3c-4d-5e",
            "001a.2b3c.4d5e",
            "ff:ff:ff:ff:ff:fe",
            "12:34:56:78:90:12",
            "01-23-45-67-89-ab",
        ] {
            for text in [
                address.to_owned(),
                format!("mac={address}, up"),
                format!("eth0 {address}."),
                format!("[{address}]"),
            ] {
                assert_eq!(found(&text), [address], "{text}");
            }
        }
    }

    #[test]
    fn near_misses() {
        for text in [
            "00:1A:2B:3C:4D",
            "00:1A:2B:3C:4D:5E:6F",
            "00:1A:2B:3C:4D:5E:6F:70",
            "00:1A-2B:3C:4D:5E",
            "00:1G:2B:3C:4D:5E",
            "001:A2:B3:C4:D5:E6",
            "001a2b3c4d5e",
            "001a.2b3c",
            "001a.2b3c.4d5e.6f70",
            "x00:1A:2B:3C:4D:5E",
            "00:1A:2B:3C:4D:5Ex",
            "00:00:00:00:00:00",
            "FF:FF:FF:FF:FF:FF",
            "0000.0000.0000",
            "550e8400-e29b-41d4-a716-446655440000",
            "12:30:45",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
