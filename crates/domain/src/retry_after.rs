//! Reading the Retry-After header (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// How long the receiver asks to be left alone, counted from `now`.
///
/// The value is a number of seconds (digits only; a number beyond u64 saturates) or an HTTP date in one of its three
/// forms (RFC 9110, section 5.6.7). A date that has passed is zero. Anything else is `None`: a receiver that cannot
/// say when gets the usual backoff.
#[must_use]
pub fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only digits: the one way left to fail is a number that is too large.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::arbitrary::Source;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const EXAMPLE: u64 = 784_111_777;

    fn at(unix_seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds)
    }

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120\t", Some(120)),
            ("00120", Some(120)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("12 0", None),
            ("120s", None),
            ("١٢", None),
            ("", None),
            (" ", None),
            ("soon", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(parse(value, at(EXAMPLE)), expected, "{value:?}");
        }
    }

    #[test]
    fn dates_come_in_three_forms() {
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let minute_before = parse(value, at(EXAMPLE - 60));
            assert_eq!(minute_before, Some(Duration::from_secs(60)), "{value}");
            assert_eq!(parse(value, at(EXAMPLE)), Some(Duration::ZERO), "{value}");
            assert_eq!(parse(value, at(EXAMPLE + 9)), Some(Duration::ZERO));
        }
        for value in [
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse(value, at(EXAMPLE)), None, "{value}");
        }
    }

    #[test]
    fn the_ends_of_time_are_survived() {
        let last = "Fri, 31 Dec 9999 23:59:59 GMT";
        assert!(parse(last, at(0)).unwrap() > Duration::from_secs(250_000_000_000));
        let before_epoch = SystemTime::UNIX_EPOCH - Duration::from_secs(3600);
        let first = "Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(parse(first, before_epoch), Some(Duration::from_secs(3600)));
    }

    #[test]
    fn no_input_panics() {
        let mut source = Source::new(2);
        let pieces = ["Sun, ", "06", "-Nov-", " Nov ", "9999", "08:49:37", " GMT", " "];
        let valid = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ];
        for _ in 0..50_000 {
            let text = source.text(&pieces);
            let _ = parse(&text, at(EXAMPLE));
            let kind = source.below(valid.len());
            let text = source.mutated(valid[kind]);
            let _ = parse(&source.mutated(&text), at(EXAMPLE));
        }
    }
}
