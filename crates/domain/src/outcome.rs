//! What an attempt's outcome means for its event: delivered, try again, or dead.
//!
//! [`classify`] looks at one attempt alone; [`next_step`] adds how often the event was tried and how its target
//! wants to be retried.

use std::time::{Duration, SystemTime};

use crate::backoff::RetryPolicy;
use crate::failure::Failure;
use crate::retry_after;

/// The four kinds of error that attempts, tasks and dead letters are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Nothing, or not all of it, came in time.
    Timeout,
    /// The request will not be accepted until the event or the target is changed.
    Validation,
    /// The receiver, or the way to it, is at fault, or refuses our credentials.
    ExternalApi,
    /// The receiver asks for fewer requests.
    QuotaExceeded,
}

impl ErrorType {
    /// The name in tables and in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Validation => "validation",
            Self::ExternalApi => "external_api",
            Self::QuotaExceeded => "quota_exceeded",
        }
    }
}

/// What matters of a complete HTTP response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status of the final response.
    pub status: u16,
    /// The Retry-After header, as received.
    pub retry_after: Option<&'a str>,
}

/// What one attempt alone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// Another attempt can succeed.
    Retry {
        /// The kind of error.
        error: ErrorType,
        /// One line for people.
        message: String,
        /// The wait the receiver asked for.
        not_before: Option<Duration>,
    },
    /// Another attempt cannot succeed before a person changes something.
    Dead {
        /// The kind of error.
        error: ErrorType,
        /// One line for people.
        message: String,
    },
}

/// What happens to the event next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing more: it is delivered.
    Delivered,
    /// Another attempt, no sooner than after the delay.
    Retry {
        /// How long to wait from now.
        delay: Duration,
        /// The kind of error.
        error: ErrorType,
        /// One line for people.
        message: String,
    },
    /// It goes to the dead-letter queue.
    Dead {
        /// The kind of error.
        error: ErrorType,
        /// One line for people.
        message: String,
        /// True when only the retries ran out, so a later round may succeed; false when the failure is permanent.
        exhausted: bool,
    },
}

/// Says what one attempt means. `now` is what a Retry-After date is compared with.
///
/// | answer | verdict |
/// |---|---|
/// | 2xx | delivered |
/// | 3xx | dead, validation: redirects are not followed (they would carry secrets to a place nobody vetted) |
/// | 401, 403, 407 | dead, external_api: the event is right and the receiver will not have us |
/// | 408 | retry, timeout |
/// | 409, 425 | retry, external_api |
/// | 429 | retry, quota_exceeded |
/// | other 4xx | dead, validation |
/// | 504 | retry, timeout |
/// | other 5xx | retry, external_api |
/// | final 1xx, below 100, above 599 | retry, external_api: no valid HTTP |
///
/// 501 and 505 are retried too: they mostly come from a gateway in the middle of a deployment, a few attempts cost
/// little, and a wrongly dead event costs a person's time. Retry-After counts on every answer that is retried.
///
/// Of the failures, [`Failure::AddressRefused`] and [`Failure::InvalidRequest`] are dead (validation). All others
/// are retried, certificate problems included, since the receiver's side can repair them.
#[must_use]
pub fn classify(answer: Result<Answer<'_>, &Failure>, now: SystemTime) -> Verdict {
    match answer {
        Ok(answer) => classify_status(answer, now),
        Err(failure) => classify_failure(failure),
    }
}

fn classify_status(answer: Answer<'_>, now: SystemTime) -> Verdict {
    let status = answer.status;
    let dead = |error, why| Verdict::Dead {
        error,
        message: describe(status, why),
    };
    let retry = |error, why| Verdict::Retry {
        error,
        message: describe(status, why),
        not_before: answer
            .retry_after
            .and_then(|value| retry_after::parse(value, now)),
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
        410 => dead(ErrorType::Validation, "the address is gone for good"),
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

fn classify_failure(failure: &Failure) -> Verdict {
    let message = failure.to_string();
    let retry = |error, message| Verdict::Retry {
        error,
        message,
        not_before: None,
    };
    match failure {
        Failure::Timeout(_) => retry(ErrorType::Timeout, message),
        Failure::Resolve(_)
        | Failure::Connect(_)
        | Failure::Tls(_)
        | Failure::Closed(_)
        | Failure::Protocol(_) => retry(ErrorType::ExternalApi, message),
        Failure::AddressRefused(_) | Failure::InvalidRequest(_) => Verdict::Dead {
            error: ErrorType::Validation,
            message,
        },
    }
}

/// The status with its usual name, since the reason phrase that was sent is the receiver's text, and what it means.
fn describe(status: u16, why: &str) -> String {
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

/// Says what happens to the event.
///
/// `retry_count` is the number of retries already made, so 0 when the first attempt has just failed; once it has
/// reached `max_retries` a retry becomes dead with `exhausted`. The delay is the policy's backoff (`random` is
/// uniform in [0, 1)) or the wait the receiver asked for, whichever is longer, but a receiver cannot ask for more
/// than `retry_after_cap`.
#[must_use]
pub fn next_step(
    verdict: Verdict,
    retry_count: u32,
    max_retries: u32,
    policy: &RetryPolicy,
    retry_after_cap: Duration,
    random: f64,
) -> Step {
    match verdict {
        Verdict::Delivered => Step::Delivered,
        Verdict::Dead { error, message } => Step::Dead {
            error,
            message,
            exhausted: false,
        },
        Verdict::Retry { error, message, .. } if retry_count >= max_retries => Step::Dead {
            error,
            message: format!("{message}; gave up after {}", attempts(retry_count)),
            exhausted: true,
        },
        Verdict::Retry {
            error,
            message,
            not_before,
        } => {
            let asked = not_before.map_or(Duration::ZERO, |wait| wait.min(retry_after_cap));
            Step::Retry {
                delay: policy.delay(retry_count, random).max(asked),
                error,
                message,
            }
        }
    }
}

fn attempts(retry_count: u32) -> String {
    match u64::from(retry_count) + 1 {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    }
}

#[cfg(test)]
mod tests;
