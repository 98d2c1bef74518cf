//! What goes in and what comes back. Data only.

use crate::config::TargetId;
use http::HeaderName;
use std::time::{Duration, SystemTime};
use tms_domain::failure::Failure;

/// Name of a header of a single job.
#[derive(Debug, Clone)]
pub enum HeaderKey {
    /// Known when the program was written: `const ID: HeaderName = HeaderName::from_static("x-kind")`. Cheapest.
    Known(HeaderName),
    /// Known at run time; one that is not a header name ends the job as [`Failure::InvalidRequest`].
    Given(String),
}

impl From<HeaderName> for HeaderKey {
    fn from(name: HeaderName) -> Self {
        HeaderKey::Known(name)
    }
}

impl From<String> for HeaderKey {
    fn from(name: String) -> Self {
        HeaderKey::Given(name)
    }
}

impl From<&str> for HeaderKey {
    fn from(name: &str) -> Self {
        HeaderKey::Given(name.to_owned())
    }
}

/// One request to send.
pub struct Job {
    /// The owner's number for it, given back in [`Completion::key`].
    pub key: u64,
    /// The target, set before with `set_target`.
    pub target: TargetId,
    /// Which of the target's lanes it waits in, such as the owner's number for a company: lanes take turns, and
    /// within a lane jobs go in the order submitted.
    pub lane: u64,
    /// The UUID that the receiver knows the event by, the same on every attempt: sent as `webhook-id`.
    pub webhook_id: [u8; 16],
    /// Headers of this request beside those of Standard Webhooks, which are the engine's; they replace the
    /// target's of the same name.
    pub headers: Vec<(HeaderKey, String)>,
    /// The body; `content-length` is set from what is sent of it.
    pub body: Vec<u8>,
}

/// What became of one job. Each submitted job that is not withdrawn has exactly one while the engine lives.
#[derive(Debug)]
pub struct Completion {
    /// Key of the job.
    pub key: u64,
    /// Target of the job.
    pub target: TargetId,
    /// The answer, or why there is none.
    pub result: Result<Response, Failure>,
    /// How long the attempt took, queue not counted.
    pub duration: Duration,
    /// When the attempt began.
    pub started: SystemTime,
    /// Whether any byte of the request may have left on an established connection, so that the receiver may have
    /// seen it whatever `result` says. What was asked of a proxy, or refused by it for its own reasons (407), does
    /// not count.
    pub sent: bool,
}

/// The parts of an answer that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status; redirects are not followed.
    pub status: u16,
    /// The Retry-After header as it came, if it is text of reasonable length.
    pub retry_after: Option<String>,
    /// First bytes of the body, if there is one; of a success only where the target keeps it.
    pub excerpt: Option<Vec<u8>>,
}
