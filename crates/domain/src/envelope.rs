//! What is sent for an event: its payload as it is, or with what a receiver needs to know around it.
//!
//! A payload is never parsed here: numbers of any length, key order and spelling reach the receiver as the database
//! wrote them.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

#[cfg(test)]
mod tests;

/// How an HTTP target gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// The body is the payload and nothing else.
    #[default]
    Payload,
    /// The body is `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.
    Standard,
    /// The body is the payload; type, id, source and time are headers (CloudEvents 1.0.2, binary mode).
    Cloudevents,
}

impl Envelope {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 3] = [Self::Payload, Self::Standard, Self::Cloudevents];

    /// The name in a target's options.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Standard => "standard",
            Self::Cloudevents => "cloudevents",
        }
    }
}

/// The body `{"type": ..., "timestamp": ..., "data": ...}`, with `data_json` taken as it is.
///
/// `unix_us` is when the event came about, in microseconds since 1970.
#[must_use]
pub fn standard(event_type: &str, unix_us: i64, data_json: &str) -> Vec<u8> {
    let mut body = String::with_capacity(event_type.len() + data_json.len() + 64);
    body.push('{');
    push_type_and_time(&mut body, event_type, unix_us);
    push_data(&mut body, data_json);
    body.push('}');
    body.into_bytes()
}

/// What a header of the HTTP binding must not hold as it is (CloudEvents HTTP binding 1.0.2, section 3.1.3.2);
/// everything beyond ASCII is escaped in any case.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The headers that make a request with the payload as its body a CloudEvent in binary mode. Its content type stays
/// `application/json`.
///
/// `source` says where the event comes from, as a URI reference.
#[must_use]
pub fn cloudevents_headers(
    id: &str,
    event_type: &str,
    source: &str,
    unix_us: i64,
) -> Vec<(&'static str, String)> {
    let escaped = |value| utf8_percent_encode(value, ESCAPED).to_string();
    vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", escaped(id)),
        ("ce-source", escaped(source)),
        ("ce-type", escaped(event_type)),
        ("ce-time", iso8601(unix_us)),
    ]
}

/// The message that announces an event to listeners: `{"id", "type", "timestamp", "data"}`, or, where that is longer
/// than `limit` bytes, the same without the data and with `"truncated": true`.
///
/// Even that is up to about 700 bytes long with the longest event type.
#[must_use]
pub fn notification(id: &str, event_type: &str, unix_us: i64, data_json: &str, limit: usize) -> String {
    let mut message = String::with_capacity(limit.min(data_json.len() + 256));
    message.push_str("{\"id\":");
    push_string(&mut message, id);
    message.push(',');
    push_type_and_time(&mut message, event_type, unix_us);
    // What stands around the data: a comma, its key and the closing brace.
    if message.len() + data_json.len() + r#","data":}"#.len() <= limit {
        push_data(&mut message, data_json);
    } else {
        message.push_str(",\"truncated\":true");
    }
    message.push('}');
    message
}

fn push_type_and_time(text: &mut String, event_type: &str, unix_us: i64) {
    text.push_str("\"type\":");
    push_string(text, event_type);
    text.push_str(",\"timestamp\":\"");
    text.push_str(&iso8601(unix_us));
    text.push('"');
}

fn push_data(text: &mut String, data_json: &str) {
    text.push_str(",\"data\":");
    text.push_str(data_json);
}

/// The value in quotes, escaped as JSON wants it.
fn push_string(text: &mut String, value: &str) {
    text.push_str(&Value::from(value).to_string());
}

const DAY_MS: i64 = 86_400_000;

/// The moment in UTC with milliseconds, as `2026-11-22T16:56:26.123Z`; what is finer is cut off.
///
/// Years that have no four digits carry a sign and at least six (ISO 8601, expanded representation).
#[must_use]
pub fn iso8601(unix_us: i64) -> String {
    let unix_ms = unix_us.div_euclid(1000);
    let (year, month, day) = date(unix_ms.div_euclid(DAY_MS));
    let in_day = unix_ms.rem_euclid(DAY_MS);
    let (seconds, ms) = (in_day / 1000, in_day % 1000);
    let mut text = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    // Writing into a String does not fail.
    let _ = write!(
        text,
        "-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    text
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
///
/// Counted in years that begin in March, so that the leap day is the last of its year, and in eras of 400 years,
/// which all have the same number of days.
fn date(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const TO_1970: i64 = 719_468;
    let days = days + TO_1970;
    let in_era = days.rem_euclid(ERA);
    // Leap days are taken out first; then every year has 365 days.
    let years = (in_era - in_era / 1460 + in_era / 36_524 - in_era / (ERA - 1)) / 365;
    let in_year = in_era - (365 * years + years / 4 - years / 100);
    // From March on, five months have 153 days, in this order: 31, 30, 31, 30, 31.
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let year = days.div_euclid(ERA) * 400 + years;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}
