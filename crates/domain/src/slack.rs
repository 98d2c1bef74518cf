//! What Slack is sent for an event: the message the producer wrote, or one made of the event's type and fields.
//!
//! Lengths are counted in UTF-16 code units, of which a character has at least one: Slack does not say what its
//! characters are.

use serde_json::{Map, Value, json};

/// The longest `text` of a message.
pub const TEXT_LIMIT: usize = 40_000;
/// The longest text of a section.
pub const SECTION_LIMIT: usize = 3_000;
/// How many blocks a message can have.
pub const BLOCKS_LIMIT: usize = 50;

/// What one field of the event may take of a section, name and value, so that a line always fits.
const NAME_LIMIT: usize = 200;
const VALUE_LIMIT: usize = 2_700;
const CUT: &str = "...";

/// The members of a message that incoming webhooks know. Others are dropped, as Slack would ignore some and refuse the
/// message for others.
const KNOWN: &[&str] = &[
    "text",
    "blocks",
    "attachments",
    "thread_ts",
    "unfurl_links",
    "unfurl_media",
    "username",
    "icon_emoji",
    "icon_url",
    "channel",
    "mrkdwn",
];

/// The body of the request for an event.
///
/// A payload with a `text` (a string) or `blocks` (an array), not empty, is a message already and is passed on with what
/// Slack knows of it; where it has only blocks, the event's type is the text of its notification. Every other payload
/// becomes a message with the type and the payload's scalar fields, within Slack's limits.
#[must_use]
pub fn body(event_type: &str, payload: &Value) -> Value {
    message(event_type, payload).unwrap_or_else(|| built(event_type, payload))
}

fn message(event_type: &str, payload: &Value) -> Option<Value> {
    let payload = payload.as_object()?;
    let text = payload.get("text").and_then(Value::as_str).unwrap_or_default();
    let blocks = payload.get("blocks").and_then(Value::as_array);
    let has_blocks = blocks.is_some_and(|blocks| !blocks.is_empty());
    if text.is_empty() && !has_blocks {
        return None;
    }
    let mut message: Map<String, Value> = payload
        .iter()
        .filter(|(name, _)| KNOWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if text.is_empty() {
        message.insert("text".to_owned(), json!(escaped(event_type, TEXT_LIMIT)));
    }
    Some(Value::Object(message))
}

fn built(event_type: &str, payload: &Value) -> Value {
    let mut lines = vec![format!("*{}*", escaped(event_type, VALUE_LIMIT))];
    match payload {
        Value::Object(fields) => lines.extend(
            fields
                .iter()
                .filter_map(|(name, value)| Some(line(name, &scalar(value)?))),
        ),
        single => lines.extend(scalar(single).map(|value| escaped(&value, VALUE_LIMIT))),
    }
    let (text, _) = joined(&lines, TEXT_LIMIT);
    json!({ "text": text, "blocks": sections(&lines) })
}

fn line(name: &str, value: &str) -> String {
    format!("*{}:* {}", escaped(name, NAME_LIMIT), escaped(value, VALUE_LIMIT))
}

/// Nested values are left out: a message is for people.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// As few sections as hold all lines; when those of a message do not, the last one says how many lines are missing.
fn sections(lines: &[String]) -> Vec<Value> {
    let mut sections = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let (text, count) = joined(rest, SECTION_LIMIT);
        if sections.len() == BLOCKS_LIMIT - 1 && count < rest.len() {
            sections.push(section(&format!("_and {} more fields_", rest.len())));
            break;
        }
        sections.push(section(&text));
        rest = rest.get(count..).unwrap_or_default();
    }
    sections
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// The first lines that fit into `limit`, at least one, one below the other, and how many they are.
fn joined(lines: &[String], limit: usize) -> (String, usize) {
    let mut text = String::new();
    let mut length = 0;
    for (count, line) in lines.iter().enumerate() {
        // One for the line break.
        length += units(line) + usize::from(count > 0);
        if count > 0 {
            if length > limit {
                return (text, count);
            }
            text.push('\n');
        }
        text.push_str(line);
    }
    (text, lines.len())
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The text with `&`, `<` and `>` escaped, as Slack asks; otherwise a value could name links, channels and people. Cut to
/// `limit`, with dots in place of what is missing.
fn escaped(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut length = 0;
    // Where the text would be cut, should it turn out to be too long.
    let mut cut_at = 0;
    for letter in text.chars() {
        let before = shown.len();
        match letter {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            _ => shown.push(letter),
        }
        length += units(&shown[before..]);
        if length > limit {
            shown.truncate(cut_at);
            shown.push_str(CUT);
            return shown;
        }
        if length + CUT.len() <= limit {
            cut_at = shown.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests;
