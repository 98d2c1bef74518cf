//! What an attempt's outcome means for its event: delivered, try again, or dead.
//!
//! [`classify`] looks at one attempt alone; [`next_step`] adds how often the event was tried and how its target
//! wants to be retried.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::backoff::RetryPolicy;
use crate::failure::Failure;
use crate::target::{OnAmbiguous, Profile};

mod slack;
mod status;

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
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Timeout,
        Self::Validation,
        Self::ExternalApi,
        Self::QuotaExceeded,
    ];

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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status of the final response.
    pub status: u16,
    /// The Retry-After header, as received.
    pub retry_after: Option<&'a str>,
    /// The beginning of the body; None when nothing of it was kept, which is not the same as an empty one.
    pub body: Option<&'a [u8]>,
}

/// Leaves out the body: receivers repeat what they were sent.
impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
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
    /// The whole target takes nothing at present: the event waits with it, and the attempt is not counted.
    Hold {
        /// True when the target is to be paused until a person resumes it, false when it is to be tried again later.
        pause: bool,
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
    /// It stays as it is, and its target is held.
    Hold {
        /// True when the target is to be paused until a person resumes it, false when it is to be tried again later.
        pause: bool,
        /// One line for people.
        message: String,
    },
}

/// Says what one attempt means. `sent` says whether any of the request may have reached the receiver; `now` is what a
/// Retry-After date is compared with.
///
/// | answer | verdict |
/// |---|---|
/// | 2xx | delivered |
/// | 3xx | dead, validation: redirects are not followed (they would carry secrets to a place nobody vetted) |
/// | 401, 403, 407 | dead, external_api: the event is right and the receiver will not have us |
/// | 408 | retry, timeout |
/// | 409, 425 | retry, external_api |
/// | 410 | hold, and pause the target: the receiver wants no more of anything |
/// | 429 | retry, quota_exceeded |
/// | other 4xx | dead, validation |
/// | 504 | retry, timeout |
/// | other 5xx | retry, external_api |
/// | final 1xx, below 100, above 599 | retry, external_api: no valid HTTP |
///
/// 501 and 505 are retried too: they mostly come from a gateway in the middle of a deployment, a few attempts cost
/// little, and a wrongly dead event costs a person's time. Retry-After counts on every answer that is retried.
///
/// [`Profile::N8n`] differs in one line:
///
/// | answer | verdict |
/// |---|---|
/// | 404 whose body says that the webhook is not registered, or of whose body nothing was kept | hold: the workflow is inactive |
///
/// [`Profile::Slack`] differs in these:
///
/// | answer | verdict |
/// |---|---|
/// | 2xx with the body `ok` or `{"ok": true}`, or of whose body nothing was kept | delivered |
/// | 2xx with an error word of Slack's that names a mistake | dead, validation |
/// | 2xx with anything else | retry, external_api: Slack always says `ok`, so this was some other server |
/// | 410 | dead, validation: one channel is archived, which says nothing of the address |
///
/// Its other permanent errors (400, 403, 404), 429 and 5xx are those of the first table, with Slack's word for the
/// error when it is one of the known ones: nothing else of an answer is repeated.
///
/// Of the failures, [`Failure::AddressRefused`] and [`Failure::InvalidRequest`] are dead (validation). All others
/// are retried, certificate problems included, since the receiver's side can repair them. But where the request was
/// `sent` and the target says [`OnAmbiguous::Dead`], they are dead, with the kind of error they have anyway: whether
/// it arrived cannot be known, and a person decides. An answer, whatever its status, is not ambiguous.
#[must_use]
pub fn classify(
    profile: Profile,
    on_ambiguous: OnAmbiguous,
    sent: bool,
    answer: Result<Answer<'_>, &Failure>,
    now: SystemTime,
) -> Verdict {
    match answer {
        Ok(answer) => match profile {
            Profile::Generic => status::classify(answer, "", now),
            Profile::N8n => n8n(answer, now),
            Profile::Slack => slack::classify(answer, now),
        },
        Err(failure) => classify_failure(failure, sent && on_ambiguous == OnAmbiguous::Dead),
    }
}

/// What n8n answers while the workflow behind a webhook is inactive (404). A body of which nothing was kept counts as this
/// one: a target held by mistake costs a look at it, events that are dead by mistake cost the work of bringing them back.
fn n8n(answer: Answer<'_>, now: SystemTime) -> Verdict {
    let is_inactive = answer.status == 404
        && answer.body.is_none_or(|body| {
            let body = String::from_utf8_lossy(body);
            body.contains("webhook") && body.contains("not registered")
        });
    if is_inactive {
        return Verdict::Hold {
            pause: false,
            message: status::describe(404, "n8n has no active workflow for this webhook"),
        };
    }
    status::classify(answer, "", now)
}

fn classify_failure(failure: &Failure, ambiguous_is_dead: bool) -> Verdict {
    let message = failure.to_string();
    let error = match failure {
        Failure::Timeout(_) => ErrorType::Timeout,
        Failure::Resolve(_)
        | Failure::Connect(_)
        | Failure::Tls(_)
        | Failure::Closed(_)
        | Failure::Protocol(_) => ErrorType::ExternalApi,
        Failure::AddressRefused(_) | Failure::InvalidRequest(_) => {
            return Verdict::Dead {
                error: ErrorType::Validation,
                message,
            };
        }
    };
    if ambiguous_is_dead {
        return Verdict::Dead {
            error,
            message: format!("{message}; the request was sent, so it may have been delivered"),
        };
    }
    Verdict::Retry {
        error,
        message,
        not_before: None,
    }
}

/// Says what happens to the event.
///
/// `retry_count` is the number of retries already made, so 0 when the first attempt has just failed; once it has
/// reached `max_retries` a retry becomes dead with `exhausted`. The delay is the policy's backoff (`random` is
/// uniform in [0, 1)) or the wait the receiver asked for, whichever is longer, but a receiver cannot ask for more
/// than `retry_after_cap`. A held event has no delay and burns no retry: it goes on with its target.
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
        Verdict::Hold { pause, message } => Step::Hold { pause, message },
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
