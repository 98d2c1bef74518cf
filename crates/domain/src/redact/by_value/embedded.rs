//! JSON inside of a text: its strings and numbers, read one after the other and replaced where they stand, so that all
//! else stays as it was written.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::problem::Problem;
use crate::redact::jsonb::DEPTH_LIMIT;
use crate::redact::reference::too_deep;

/// A value in the JSON.
pub(super) enum Found<'a> {
    /// A string, without quotes and escapes.
    Text(&'a str),
    /// A number as it is written.
    Number(&'a str),
}

/// Gives for a key and a value the JSON that stands in its place; None where it stays.
type Change<'a> = dyn FnMut(&str, Found<'_>) -> Result<Option<String>, Problem> + 'a;

/// Whether the text is JSON that can hold something.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The JSON with changed values; None if none has changed. `key` is the one the text stands under.
pub(super) fn changed(key: &str, json: &str, change: &mut Change<'_>) -> Result<Option<String>, Problem> {
    let mut written = String::new();
    let (mut done, mut at) = (0, 0);
    let mut keys = vec![Cow::Borrowed(key)];
    while let Some(byte) = json.as_bytes().get(at) {
        let rest = json.get(at..).unwrap_or_default();
        let replacement = match byte {
            b'"' => {
                let length = string_length(rest);
                let text = decoded(rest.get(..length).unwrap_or_default());
                at += length;
                if is_key(json.get(at..).unwrap_or_default()) {
                    keys.pop();
                    keys.push(text);
                    continue;
                }
                change(keys.last().map_or("", |key| key), Found::Text(&text))?.map(|json| (length, json))
            }
            b'-' | b'0'..=b'9' => {
                let length = number_length(rest);
                let number = rest.get(..length).unwrap_or_default();
                at += length;
                change(keys.last().map_or("", |key| key), Found::Number(number))?.map(|json| (length, json))
            }
            b'{' | b'[' => {
                if keys.len() > DEPTH_LIMIT {
                    return Err(too_deep(DEPTH_LIMIT));
                }
                // What is in an array stands under the array's key.
                keys.push(keys.last().cloned().unwrap_or_default());
                at += 1;
                None
            }
            b'}' | b']' => {
                keys.pop();
                at += 1;
                None
            }
            _ => {
                at += 1;
                None
            }
        };
        if let Some((length, replacement)) = replacement {
            written.push_str(json.get(done..at - length).unwrap_or_default());
            written.push_str(&replacement);
            done = at;
        }
    }
    if done == 0 {
        return Ok(None);
    }
    written.push_str(json.get(done..).unwrap_or_default());
    Ok(Some(written))
}

/// The length of the string literal that the text begins with, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

fn number_length(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .count()
}

fn is_key(behind: &str) -> bool {
    behind.trim_start().starts_with(':')
}

/// What a string literal says; half of a surrogate pair has no letter, and then it is read as it is written.
fn decoded(literal: &str) -> Cow<'_, str> {
    let inside = literal.get(1..literal.len() - 1).unwrap_or_default();
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    serde_json::from_str(literal).map_or(Cow::Borrowed(inside), Cow::Owned)
}
