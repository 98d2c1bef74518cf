//! What the status of an answer means, whoever gave it, and how it is put into words.

use std::time::{Duration, SystemTime};

use super::{Answer, ErrorType, Verdict};
use crate::retry_after;

/// The verdict on an answer by its status. `note` is a remark of ours about the answer that takes the place of the usual
/// explanation; empty for none.
pub(super) fn classify(answer: Answer<'_>, note: &str, now: SystemTime) -> Verdict {
    let status = answer.status;
    let words = |usual| describe(status, if note.is_empty() { usual } else { note });
    let dead = |error, usual| Verdict::Dead {
        error,
        message: words(usual),
    };
    let retry = |error, usual| Verdict::Retry {
        error,
        message: words(usual),
        not_before: wait_asked_for(answer, now),
    };
    match status {
        200..=299 => Verdict::Delivered,
        300..=399 => dead(
            ErrorType::Validation,
            "redirects are not followed; the target's url must be the final address",
        ),
        401 | 407 => dead(ErrorType::ExternalApi, "the credentials were not accepted"),
        403 => dead(ErrorType::ExternalApi, "access was refused"),
        408 => retry(ErrorType::Timeout, ""),
        409 | 425 => retry(ErrorType::ExternalApi, ""),
        410 => Verdict::Hold {
            pause: true,
            message: words("the receiver wants no more events"),
        },
        429 => retry(ErrorType::QuotaExceeded, "the receiver asks for fewer requests"),
        400..=499 => dead(ErrorType::Validation, ""),
        504 => retry(ErrorType::Timeout, ""),
        500..=599 => retry(ErrorType::ExternalApi, ""),
        100..=199 => retry(
            ErrorType::ExternalApi,
            "an interim response came as the final one",
        ),
        _ => retry(ErrorType::ExternalApi, "not a valid HTTP status"),
    }
}

/// The wait that the answer's Retry-After asks for.
pub(super) fn wait_asked_for(answer: Answer<'_>, now: SystemTime) -> Option<Duration> {
    answer
        .retry_after
        .and_then(|value| retry_after::parse(value, now))
}

/// The status with its usual name, since the reason phrase that was sent is the receiver's text, and what it means.
pub(super) fn describe(status: u16, why: &str) -> String {
    let mut message = format!("HTTP {status}");
    if let Some(name) = status_name(status) {
        message.push(' ');
        message.push_str(name);
    }
    if !why.is_empty() {
        message.push_str(": ");
        message.push_str(why);
    }
    message
}

/// The names of the statuses that webhooks really meet (RFC 9110, section 15; RFC 6585; RFC 8470).
fn status_name(status: u16) -> Option<&'static str> {
    Some(match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => return None,
    })
}
