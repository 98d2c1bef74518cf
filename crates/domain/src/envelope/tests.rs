#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// 2026-11-22T16:56:26.123456Z
const AT: i64 = 1_795_366_586_123_456;

#[test]
fn moments() {
    const DAY_US: i64 = 86_400_000_000;
    for (unix_us, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (AT, "2026-11-22T16:56:26.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_399_999_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
        (-62_167_219_200_000_000, "0000-01-01T00:00:00.000Z"),
        (-62_167_219_200_000_001, "-000001-12-31T23:59:59.999Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000_000, "+010000-01-01T00:00:00.000Z"),
        (-719_468 * DAY_US, "0000-03-01T00:00:00.000Z"),
        (i64::MAX, "+294247-01-10T04:00:54.775Z"),
        (i64::MIN, "-290308-12-21T19:59:05.224Z"),
    ] {
        assert_eq!(iso8601(unix_us), expected, "{unix_us}");
    }
}

#[test]
fn every_day_of_eight_centuries_is_the_day_after_the_one_before() {
    let start = "1700-01-01T00:00:00.000Z";
    let mut unix_us = -8_520_336_000_000_000;
    assert_eq!(iso8601(unix_us), start);
    let (mut year, mut month, mut day) = (1700, 1, 1);
    while year < 2500 {
        unix_us += 86_400_000_000;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > length {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
        assert_eq!(
            iso8601(unix_us),
            format!("{year:04}-{month:02}-{day:02}T00:00:00.000Z")
        );
    }
}

#[test]
fn seconds_agree_with_another_implementation() {
    let mut source = Source::new(5);
    for _ in 0..2_000 {
        let seconds = source.number() % 253_402_300_800;
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let ours = iso8601(seconds as i64 * 1_000_000);
        // Sun, 06 Nov 1994 08:49:37 GMT
        let http = httpdate::fmt_http_date(theirs);
        assert_eq!(&ours[8..10], &http[5..7], "{ours} {http}");
        assert_eq!(&ours[0..4], &http[12..16], "{ours} {http}");
        assert_eq!(&ours[11..19], &http[17..25], "{ours} {http}");
    }
}

#[test]
fn the_standard_body_holds_the_data_as_it_is() {
    let body = standard(
        "load.assigned",
        AT,
        r#"{"b": 1.10, "a": 12345678901234567890123}"#,
    );
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"type":"load.assigned","timestamp":"2026-11-22T16:56:26.123Z","data":{"b": 1.10, "a": 12345678901234567890123}}"#
    );
}

#[test]
fn types_are_escaped() {
    let mut source = Source::new(6);
    for _ in 0..500 {
        let event_type = source.text(&["\"", "\\", "a.b", "\n", "</script>", "\u{7f}"]);
        let body: Value = serde_json::from_slice(&standard(&event_type, AT, "[1]")).unwrap();
        let expected = json!({"type": event_type, "timestamp": "2026-11-22T16:56:26.123Z", "data": [1]});
        assert_eq!(body, expected);
        let message: Value =
            serde_json::from_str(&notification(&event_type, &event_type, AT, "null", 7999)).unwrap();
        assert_eq!(message["id"], json!(event_type));
        assert_eq!(message["type"], json!(event_type));
    }
}

#[test]
fn a_notification_is_shortened_to_fit() {
    let at_length = |length: usize, limit| {
        let data = format!("\"{}\"", "x".repeat(length - 2));
        notification("7d444840", "load.assigned", AT, &data, limit)
    };
    let frame = at_length(2, 7999).len() - 2;
    for (length, limit, whole) in [
        (2, 7999, true),
        (7999 - frame, 7999, true),
        (8000 - frame, 7999, false),
        (100_000, 7999, false),
        (2, 0, false),
    ] {
        let message = at_length(length, limit);
        assert!(message.len() <= limit || limit == 0, "{}", message.len());
        let read: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(read["id"], "7d444840");
        assert_eq!(read["timestamp"], "2026-11-22T16:56:26.123Z");
        assert_eq!(read.get("data").is_some(), whole);
        assert_eq!(read.get("truncated") == Some(&json!(true)), !whole);
    }
    // The longest type that there can be, at its longest in JSON.
    let longest = "\"".repeat(255);
    let id = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
    assert!(notification(id, &longest, i64::MIN, &"1".repeat(8000), 7999).len() < 700);
}

#[test]
fn cloudevents_headers_are_plain_ascii() {
    let headers = cloudevents_headers("7d44", "load.\"assigned\"", "/tms/Zürich 1%/€", AT);
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7d44"),
        ("ce-source", "/tms/Z%C3%BCrich%201%25/%E2%82%AC"),
        ("ce-type", "load.%22assigned%22"),
        ("ce-time", "2026-11-22T16:56:26.123Z"),
    ];
    let shown: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(shown, expected);

    let mut source = Source::new(8);
    for _ in 0..500 {
        let odd = source.text(&["\r\n", "%", "😀", "x", "\0"]);
        for (_, value) in cloudevents_headers(&odd, &odd, &odd, AT) {
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value:?}");
        }
        let headers = cloudevents_headers(&odd, "t", "s", AT);
        let decoded = percent_encoding::percent_decode_str(&headers[1].1);
        assert_eq!(decoded.decode_utf8().unwrap(), odd);
    }
}

#[test]
fn envelopes_have_the_names_of_the_options() {
    assert_eq!(
        Envelope::ALL.map(Envelope::as_str),
        ["payload", "standard", "cloudevents"]
    );
    assert_eq!(Envelope::default(), Envelope::Payload);
}
