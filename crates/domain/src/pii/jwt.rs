//! JSON web tokens (RFC 7519) in compact form, signed (RFC 7515) or encrypted (RFC 7516).

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::plain::Plain;

/// A header beyond this is not decoded: a certificate chain in one needs some kilobytes.
const HEADER_LIMIT: usize = 16 * 1024;
const PAYLOAD_LIMIT: usize = 256 * 1024;
/// An encrypted token has five parts, a signed one three.
const MOST_PARTS: usize = 5;

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < plain.len() {
        let end = plain.end_of(place, is_letter);
        if end == place {
            place += 1;
            continue;
        }
        match token(plain, place, end) {
            Some(token) => {
                found.push(place..token);
                place = token;
            }
            None => place = end,
        }
    }
    found
}

/// The end of the token whose header is `start..header`.
fn token(plain: &Plain, start: usize, header: usize) -> Option<usize> {
    // `{"`, `{ ` and `{` with a line break, in base64.
    if !matches!(plain.slice(start..start + 2), b"ey" | b"ew") || plain.at(header) != b'.' {
        return None;
    }
    object(plain, start..header, HEADER_LIMIT)?.get("alg")?.as_str()?;
    let payload = header + 1;
    let payload_end = plain.end_of(payload, is_letter);
    let mut end = payload_end;
    for _ in 2..MOST_PARTS {
        let next = plain.end_of(end + 1, is_letter);
        if plain.at(end) != b'.' || next == end + 1 {
            break;
        }
        end = next;
    }
    if end > payload_end && payload_end > payload {
        return Some(end);
    }
    // Without a signature the payload has to speak for itself.
    object(plain, payload..payload_end, PAYLOAD_LIMIT)?;
    Some(payload_end + usize::from(plain.at(payload_end) == b'.'))
}

fn object(plain: &Plain, range: Range<usize>, limit: usize) -> Option<Map<String, Value>> {
    if range.len() > limit {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(plain.slice(range)).ok()?;
    match serde_json::from_slice(&bytes).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    fn part(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    #[test]
    fn a_token_is_known_by_its_header() {
        let payload = part("{\"sub\":\"1\"}");
        for header in [
            "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
            "{\"typ\":\"JWT\",\"alg\":\"none\"}",
            "{ \"alg\": \"RS256\" }",
            "{\n\"alg\":\"ES256\"}",
        ] {
            for token in [
                format!("{}.{payload}.c2lnbmF0dXJl", part(header)),
                format!("{}.{payload}.", part(header)),
                format!("{}.{payload}", part(header)),
                format!("{}.a2V5.aXY.Y2lwaGVy.dGFn", part(header)),
            ] {
                assert_eq!(found(&format!("Bearer {token} ok")), [token.as_str()]);
                assert_eq!(found(&token), [token.as_str()]);
                assert_eq!(found(&format!("{{\"t\":\"{token}\"}}")), [token.as_str()]);
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_token_is_none() {
        let payload = part("{\"sub\":\"1\"}");
        for text in [
            format!("{}.{payload}.c2ln", part("{\"typ\":\"JWT\"}")),
            format!("{}.{payload}.c2ln", part("{\"alg\":5}")),
            format!("{}.{payload}.c2ln", part("[\"alg\"]")),
            format!("{}.{payload}.c2ln", part("{\"alg\":\"HS256\"")),
            part("{\"alg\":\"HS256\"}"),
            format!("{}.", part("{\"alg\":\"HS256\"}")),
            format!("{}.notjson", part("{\"alg\":\"HS256\"}")),
            "eyes.are.open".to_owned(),
            "eyJ.eyJ.eyJ".to_owned(),
            "www.example.com".to_owned(),
            format!("{}..c2ln", part("{\"alg\":\"HS256\"}")),
        ] {
            assert_eq!(found(&text), [""; 0], "{text}");
        }
    }
}
