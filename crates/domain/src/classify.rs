//! Which of the four kinds an error is, from what a client says of it: a SQLSTATE, an HTTP status, the name of an exception, a
//! message. For failures that no dispatcher of ours saw: those of agents, consumers and functions.
//!
//! What cannot be told is `external_api`: that is tried again, where a wrong guess of `validation` would put work to rest for good.

use crate::outcome::ErrorType;

mod codes;
mod words;

/// What one part of the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sign {
    error: ErrorType,
    /// A message may say something more exact: `ConnectionError` may turn out to be a timeout.
    is_vague: bool,
}

impl Sign {
    const fn clear(error: ErrorType) -> Self {
        Self {
            error,
            is_vague: false,
        }
    }

    const fn vague(error: ErrorType) -> Self {
        Self {
            error,
            is_vague: true,
        }
    }
}

/// Longest piece of a message that is looked at, in bytes: clients put whole answers into it, and what went wrong comes first.
const ENOUGH: usize = 4_096;

/// The kind of an error that calls itself `name` (an exception's class, an error code, a SQLSTATE, an HTTP status; it may be
/// empty) and says `message`.
///
/// A clear name decides. A vague one (`ConnectionError`, `TypeError`) decides unless the message says something, too.
#[must_use]
pub fn classify(name: &str, message: Option<&str>) -> ErrorType {
    let name = beginning(name.trim());
    let message = message.map_or("", |message| beginning(message.trim()));
    let by_name = codes::of_name(name).or_else(|| words::of_name(name));
    if let Some(sign) = by_name.filter(|sign| !sign.is_vague) {
        return sign.error;
    }
    let by_message = codes::in_message(message).or_else(|| words::in_message(message));
    by_message
        .or(by_name)
        .map_or(ErrorType::ExternalApi, |sign| sign.error)
}

fn beginning(text: &str) -> &str {
    if text.len() <= ENOUGH {
        return text;
    }
    let mut end = ENOUGH;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
