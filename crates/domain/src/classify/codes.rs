//! Numbers that are agreed upon: SQLSTATEs and HTTP statuses, as a name or within a message.

use super::Sign;
use crate::outcome::ErrorType::{ExternalApi, QuotaExceeded, Timeout, Validation};

/// What stands before a SQLSTATE in messages of drivers; compared in lower case.
const BEFORE_SQLSTATE: &[&str] = &["sqlstate"];

/// What stands before an HTTP status in messages of clients; compared in lower case.
const BEFORE_STATUS: &[&str] = &[
    "status code",
    "statuscode",
    "status_code",
    "error code",
    "http/1.1",
    "http/2",
    "http/1.0",
    "status",
    "http error",
    "http",
];

/// Of a name that is a code, or ends or begins with one: `57014`, `429`, `HTTP 503`, `HTTPError_504`.
pub(super) fn of_name(name: &str) -> Option<Sign> {
    if is_sqlstate(name) {
        return Some(of_sqlstate(name));
    }
    if let Some(status) = whole_status(name) {
        return of_status(status);
    }
    in_message(name)
}

/// Of a code within a message, where what is before it says that it is one; or of a status that the message begins with, as in
/// `504 Gateway Timeout`.
pub(super) fn in_message(message: &str) -> Option<Sign> {
    // Lower case of ASCII alone keeps every place where it was.
    let lower = message.to_ascii_lowercase();
    if let Some(code) = after(message, &lower, BEFORE_SQLSTATE, 5).find(|code| is_sqlstate(code)) {
        return Some(of_sqlstate(code));
    }
    let first = message.split(|letter: char| !letter.is_ascii_digit()).next();
    first
        .and_then(whole_status)
        .or_else(|| after(message, &lower, BEFORE_STATUS, 3).find_map(whole_status))
        .and_then(of_status)
}

/// Pieces of so many letters or digits that follow one of the words, with nothing but punctuation between.
fn after<'a>(
    text: &'a str,
    lower: &'a str,
    words: &'a [&'static str],
    length: usize,
) -> impl Iterator<Item = &'a str> {
    words.iter().flat_map(move |word| {
        lower.match_indices(word).filter_map(move |(place, _)| {
            let rest = text[place + word.len()..]
                .trim_start_matches(|letter: char| letter.is_ascii_punctuation() || letter == ' ');
            let end = rest
                .find(|letter: char| !letter.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            (end == length).then(|| &rest[..end])
        })
    })
}

fn whole_status(text: &str) -> Option<u16> {
    let is_status = text.len() == 3 && text.bytes().all(|digit| digit.is_ascii_digit());
    is_status
        .then(|| text.parse().ok())
        .flatten()
        .filter(|status| (300..=599).contains(status))
}

/// Five digits and capitals, at least one of them a digit, of a class that PostgreSQL or the standard has.
fn is_sqlstate(text: &str) -> bool {
    text.len() == 5
        && text
            .bytes()
            .all(|letter| letter.is_ascii_digit() || letter.is_ascii_uppercase())
        && text.bytes().any(|letter| letter.is_ascii_digit())
        && CLASSES.iter().any(|(class, _)| text.starts_with(class))
}

/// What a class of SQLSTATEs means: whether the same statement would fail again.
const CLASSES: [(&str, Sign); 28] = [
    ("08", Sign::clear(ExternalApi)),
    ("0A", Sign::clear(Validation)),
    ("20", Sign::clear(Validation)),
    ("21", Sign::clear(Validation)),
    ("22", Sign::clear(Validation)),
    ("23", Sign::clear(Validation)),
    ("24", Sign::clear(Validation)),
    ("25", Sign::clear(ExternalApi)),
    ("26", Sign::clear(Validation)),
    // Credentials are on the other side's account, as with 401 and 403.
    ("28", Sign::clear(ExternalApi)),
    ("2B", Sign::clear(Validation)),
    ("2F", Sign::clear(Validation)),
    ("34", Sign::clear(Validation)),
    ("38", Sign::clear(ExternalApi)),
    ("39", Sign::clear(ExternalApi)),
    ("3D", Sign::clear(ExternalApi)),
    ("3F", Sign::clear(Validation)),
    // Serialization failures and deadlocks: the same may succeed at once.
    ("40", Sign::clear(ExternalApi)),
    ("42", Sign::clear(Validation)),
    ("44", Sign::clear(Validation)),
    ("53", Sign::clear(QuotaExceeded)),
    ("54", Sign::clear(Validation)),
    ("55", Sign::clear(ExternalApi)),
    ("57", Sign::clear(ExternalApi)),
    ("58", Sign::clear(ExternalApi)),
    ("HV", Sign::clear(ExternalApi)),
    ("P0", Sign::clear(Validation)),
    ("XX", Sign::clear(ExternalApi)),
];

fn of_sqlstate(code: &str) -> Sign {
    match code {
        // query_canceled, lock_not_available, idle session and transaction timeouts
        "57014" | "55P03" | "57P05" | "25P03" | "25P04" => Sign::clear(Timeout),
        // insufficient_privilege: a grant on the other side repairs it
        "42501" => Sign::clear(ExternalApi),
        _ => CLASSES
            .iter()
            .find(|(class, _)| code.starts_with(class))
            .map_or(Sign::vague(ExternalApi), |(_, sign)| *sign),
    }
}

/// As [`crate::outcome::classify`] has it, with the statuses that gateways have made up.
fn of_status(status: u16) -> Option<Sign> {
    Some(match status {
        408 | 504 | 522 | 524 | 598 | 599 => Sign::clear(Timeout),
        402 | 429 | 509 => Sign::clear(QuotaExceeded),
        401 | 403 | 407 | 409 | 425 => Sign::clear(ExternalApi),
        300..=499 => Sign::clear(Validation),
        // A message may know more: "500: statement timeout".
        500..=599 => Sign::vague(ExternalApi),
        _ => return None,
    })
}
