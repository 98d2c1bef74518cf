//! Addresses of the Internet: IPv4 in dotted decimal, IPv6 in the forms of RFC 4291 and with the zones of RFC 4007.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use super::plain::Plain;
use super::words::{self, Meaning};

/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`
const LONGEST: usize = 45;

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < plain.len() {
        let end = plain.end_of(place, is_part);
        if end == place {
            place += 1;
            continue;
        }
        found.extend(address(plain, place..end));
        place = end;
    }
    found
}

/// What both grammars are made of, and whatever would make the run something else.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_')
}

/// The address in a run of letters, dots and colons that has neither before nor behind it.
fn address(plain: &Plain, run: Range<usize>) -> Option<Range<usize>> {
    let text = std::str::from_utf8(plain.slice(run.clone())).ok()?;
    // The end of a sentence; a port, or a label such as `ip:`.
    let text = text.trim_end_matches('.');
    if text.matches(':').take(2).count() < 2 {
        return v4(plain, run.start, text);
    }
    v6(plain, run.start, text).or_else(|| v4(plain, run.start, text))
}

/// An address of four parts, between colons at most.
fn v4(plain: &Plain, start: usize, text: &str) -> Option<Range<usize>> {
    let mut place = start;
    for piece in text.split(':') {
        let range = place..place + piece.len();
        place = range.end + 1;
        // Parses only what has no leading zeros.
        if piece.len() <= LONGEST && Ipv4Addr::from_str(piece).is_ok() {
            return (!is_version(plain, range.start, piece)).then_some(range);
        }
    }
    None
}

/// `openssl-1.0.2.1`, `version 1.2.3.4`, and `Chrome/120.0.0.0` as browsers say it
fn is_version(plain: &Plain, start: usize, text: &str) -> bool {
    let is_behind = |mark: u8| plain.before(start, 1) == mark && plain.before(start, 2).is_ascii_alphabetic();
    let named = || {
        words::before(plain, start).is_some_and(|label| label.adjacent && label.meaning == Meaning::Version)
    };
    is_behind(b'-') || (is_behind(b'/') && text.ends_with(".0.0")) || named()
}

fn v6(plain: &Plain, start: usize, text: &str) -> Option<Range<usize>> {
    if text.len() > LONGEST + 2 {
        return None;
    }
    // `fe80::1:` before a line break has one colon too many, `fe80::` has not.
    let address = [Some(text), text.strip_suffix(':')]
        .into_iter()
        .flatten()
        .find(|text| Ipv6Addr::from_str(text).is_ok())?;
    // `a::b` is a path in C++ and Rust, `::` is one of nothing.
    let parts = address.split(':').filter(|part| !part.is_empty()).count();
    if parts < 4 && !address.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let end = start + address.len();
    let zone = plain.end_of(end + 1, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
    });
    let has_zone = plain.at(end) == b'%' && zone > end + 1;
    Some(start..if has_zone { zone } else { end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    #[test]
    fn addresses_of_both_kinds() {
        for address in [
            "192.0.2.1",
            "10.0.0.255",
            "255.255.255.255",
            "0.0.0.0",
            "8.8.8.8",
            "2001:db8::1",
            "::1",
            "fe80::",
            "1::",
            "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
            "2001:DB8:0:0:8:800:200C:417A",
            "::ffff:192.0.2.128",
            "64:ff9b::192.0.2.33",
            "fe80::1%eth0",
            "fe80::202:b3ff:fe1e:8329",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "abcd:ef01:abcd:ef01:abcd:ef01:abcd:ef01",
            "1:2:3:4:5:6:1.2.3.4",
        ] {
            for text in [
                address.to_owned(),
                format!("from {address} to"),
                format!("at {address}."),
                format!("[{address}]:443"),
                format!("\"{address}\""),
            ] {
                assert_eq!(found(&text), [address], "{text}");
            }
        }
        for (text, address) in [
            ("10.0.0.0/8", "10.0.0.0"),
            ("http://192.0.2.1:8080/a", "192.0.2.1"),
            ("ip:192.0.2.1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8::"),
            ("fe80::1: up", "fe80::1"),
            ("peer=192.0.2.1,", "192.0.2.1"),
        ] {
            assert_eq!(found(text), [address], "{text}");
        }
        assert_eq!(found("10.0.0.1-10.0.0.5"), ["10.0.0.1", "10.0.0.5"]);
    }

    #[test]
    fn near_misses() {
        for text in [
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.04",
            "1.2.3.999",
            "v1.2.3.4",
            "1.2.3.4a",
            "1..2.3.4",
            ".1.2.3.4",
            "version 1.2.3.4",
            "build 1.2.3.4",
            "openssl-1.0.2.1",
            "Chrome/120.0.0.0",
            "1.3.6.1.4.1.311",
            "12:30:45",
            "12:30",
            "std::vector",
            "a::b",
            "::",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1::2::3",
            "12345::1",
            "g::1",
            "2001:db8:::1",
            "1:2:3:4:5:6:7:8::",
            "1.2.3.4_5",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
