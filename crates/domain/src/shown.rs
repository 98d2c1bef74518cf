//! How text that is not ours is shown inside our messages.
//!
//! Messages land in the server log and in tables that people read in a terminal: a value must not be able to
//! forge a line, hide itself or fill the screen.

use serde_json::Value;

/// The longest piece of a value that a message repeats, in characters.
const QUOTED_LIMIT: usize = 64;

/// The value in double quotes, on one line, cut after 64 characters.
///
/// Never call it with a secret: a URL's path, a header's value, a payload.
#[must_use]
pub fn quoted(value: &str) -> String {
    format!("\"{}\"", one_line(value, QUOTED_LIMIT))
}

/// The text with everything unprintable escaped, cut after `limit` characters (counted before escaping).
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    // Almost every text: nothing to escape, nothing to cut.
    if text.len() <= limit && text.bytes().all(|letter| matches!(letter, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut letters = text.chars();
    for letter in letters.by_ref().take(limit) {
        match letter {
            '"' | '\'' | '\\' => shown.push(letter),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    if letters.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// What a JSON value is, without the value: for values that may be secrets, or long.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_forge_a_line_or_hide_itself() {
        for (value, expected) in [
            ("n8n", "\"n8n\""),
            ("a\nLOG:  all is well", "\"a\\nLOG:  all is well\""),
            ("a\0b\u{1b}[2J", "\"a\\0b\\u{1b}[2J\""),
            ("abc\u{202e}def", "\"abc\\u{202e}def\""),
            ("it's", "\"it's\""),
            ("Müller", "\"Müller\""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(one_line("abcdef", 3), "abc...");
        assert_eq!(one_line("abc", 3), "abc");
        assert_eq!(quoted(&"x".repeat(10_000)).len(), 64 + 5);
    }
}
