//! JSON as `jsonb::text` prints it, which is what tokens are made from.
//!
//! A member follows a comma and a space, its value a colon and a space; members are in jsonb's order; a string escapes
//! what it must and nothing else.

use std::cmp::Ordering;
use std::fmt::Write;

#[cfg(test)]
mod tests;

/// A string as PostgreSQL's `escape_json` writes it: quotes, backslashes and the characters below U+0020 are escaped.
#[must_use]
pub fn string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    push_string(text, &mut written);
    written
}

/// Appends what [`string`] gives.
pub fn push_string(text: &str, written: &mut String) {
    written.push('"');
    for letter in text.chars() {
        match letter {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\0'..='\u{1f}' => {
                // Writing to a String does not fail.
                let _ = write!(written, "\\u{:04x}", u32::from(letter));
            }
            _ => written.push(letter),
        }
    }
    written.push('"');
}

/// The order of jsonb's members: the shorter key first, equally long ones by their bytes.
#[must_use]
pub fn key_order(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
