//! The Retry-After header: the first four bytes are the moment it is read at, the rest is the value.

use std::time::{Duration, SystemTime};

use tms_domain::retry_after::parse;

use crate::text;

/// Values of every kind, and some that are none.
pub const SEEDS: &[&[u8]] = &[
    b"\0\0\0\x00120",
    b"\x2e\xbc\xae\x60Sun, 06 Nov 1994 08:49:37 GMT",
    b"\x2e\xbc\xae\x60Sunday, 06-Nov-94 08:49:37 GMT",
    b"\x2e\xbc\xae\x60Sun Nov  6 08:49:37 1994",
    b"\x6b\x03\x00\x00Thu, 31 Dec 9999 23:59:59 GMT",
    b"\x6b\x03\x00\x00 0\t",
    b"\x6b\x03\x00\x0099999999999999999999999",
    b"\x6b\x03\x00\x00soon",
];

/// Seconds mean themselves; a date comes nearer as time passes; white space around means nothing.
pub fn check(data: &[u8]) -> bool {
    let (moment, value) = data.split_at(data.len().min(4));
    let seconds = moment
        .iter()
        .fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let value = text(value);

    let wait = parse(&value, now);
    assert_eq!(
        parse(&format!("\t {value} \t"), now),
        wait,
        "white space matters in {value:?}"
    );

    let later = parse(&value, now + Duration::from_secs(60));
    let bare = value.trim_matches([' ', '\t']);
    if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit()) {
        let meant = bare.parse().unwrap_or(u64::MAX);
        assert_eq!(wait, Some(Duration::from_secs(meant)), "{value:?}");
        assert_eq!(later, wait, "{value:?} depends on the time");
    } else {
        let nearer = wait.map(|wait| wait.saturating_sub(Duration::from_secs(60)));
        assert_eq!(later, nearer, "{value:?} does not come nearer");
    }
    wait.is_some()
}
