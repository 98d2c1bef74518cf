//! Reading what `tms_target_set` is given: the transport and its options.
//!
//! Strict on purpose: an option that is misspelt and silently ignored shows up as a target that behaves oddly in
//! production. JSON null is refused like any other wrong value; an option that is to have its default is left out.

use std::fmt;

use serde_json::{Map, Value};

use crate::backoff::RetryPolicy;
use crate::endpoint::{self, Endpoint};
use crate::headers;
use crate::problem::Problem;
use crate::shown::kind_of;

mod fields;
mod transport;

use fields::Fields;
pub use transport::Transport;

/// Events have a body, so the methods are those that have one.
const METHODS: &[&str] = &["POST", "PUT", "PATCH"];

const DEFAULT_METHOD: &str = "POST";
/// The lower end of what Standard Webhooks advises (15 to 30 s).
const DEFAULT_TIMEOUT_MS: u64 = 15_000;
/// Measured on loopback: more in flight brought no more throughput.
const DEFAULT_MAX_CONCURRENCY: u64 = 32;
const DAY_MS: u64 = 86_400_000;

/// The options of this release.
const OPTIONS: &[&str] = &[
    "url",
    "method",
    "headers",
    "timeout_ms",
    "max_concurrency",
    "retry",
    "allow_private_network",
];
/// Options of the documented surface that this release does not implement yet.
const LATER_OPTIONS: &[&str] = &[
    "secret",
    "signing",
    "envelope",
    "rate_per_second",
    "redact_fields",
    "breaker",
    "on_ambiguous",
    "on_dead",
];
const RETRY_OPTIONS: &[&str] = &["base_ms", "factor", "max_ms", "jitter"];

/// The options of an HTTP target, checked and with their defaults.
#[derive(Clone, PartialEq)]
pub struct TargetOptions {
    /// Where requests go, taken apart.
    pub endpoint: Endpoint,
    /// Where requests go, as written. May be a secret.
    pub url: String,
    /// POST, PUT or PATCH.
    pub method: String,
    /// Extra headers, names in lower case. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// The time of one attempt, in milliseconds: 100 to 300,000.
    pub timeout_ms: u64,
    /// How many requests may be in flight at once: 1 to 1,000.
    pub max_concurrency: u32,
    /// The waits between attempts.
    pub retry: RetryPolicy,
    /// Whether loopback, private and link-local addresses may be dialled.
    pub allow_private_network: bool,
}

/// Leaves out the URL and the headers' values, which may be secrets.
impl fmt::Debug for TargetOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("TargetOptions")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("headers", &names)
            .field("timeout_ms", &self.timeout_ms)
            .field("max_concurrency", &self.max_concurrency)
            .field("retry", &self.retry)
            .field("allow_private_network", &self.allow_private_network)
            .finish_non_exhaustive()
    }
}

/// Reads the options of an HTTP target.
///
/// # Errors
/// Anything but an object, an unknown option (HINT has the nearest), an option of a later release
/// ([`crate::problem::Kind::NotAvailable`]), a missing url, and a value of the wrong type or out of its range. Texts
/// repeat neither the URL's path and query nor a header's value.
pub fn parse_http(options: &Value) -> Result<TargetOptions, Problem> {
    let Value::Object(object) = options else {
        return Err(Problem::new(format!("the options are {}", kind_of(options)))
            .detail("Expected a JSON object such as {\"url\": \"https://host.example/path\"}."));
    };
    check_available(object)?;
    let fields = Fields::new(object, "");
    let url = fields.secret_text("url")?.ok_or_else(|| {
        Problem::new("option \"url\" is missing")
            .detail("An http target needs to know where to send its requests.")
            .hint("Add \"url\": \"https://...\" to the options.")
    })?;
    let headers = match fields.get("headers") {
        Some(value) => headers::parse(value, "option \"headers\"")?,
        None => Vec::new(),
    };
    Ok(TargetOptions {
        endpoint: endpoint::parse(url)?,
        url: url.to_owned(),
        method: fields
            .one_of("method", METHODS)?
            .unwrap_or(DEFAULT_METHOD)
            .to_owned(),
        headers,
        timeout_ms: fields
            .integer("timeout_ms", 100, 300_000)?
            .unwrap_or(DEFAULT_TIMEOUT_MS),
        max_concurrency: fields
            .integer("max_concurrency", 1, 1_000)?
            .unwrap_or(DEFAULT_MAX_CONCURRENCY) as u32,
        retry: match fields.get("retry") {
            Some(value) => parse_retry(value)?,
            None => RetryPolicy::default(),
        },
        allow_private_network: fields.boolean("allow_private_network")?.unwrap_or(false),
    })
}

/// Misspellings are reported before options of later releases: they are certainly a mistake.
fn check_available(object: &Map<String, Value>) -> Result<(), Problem> {
    let documented = [OPTIONS, LATER_OPTIONS].concat();
    Fields::new(object, "").check_names(&documented)?;
    match object.keys().find(|name| LATER_OPTIONS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Problem::not_available(format!(
            "option \"{name}\" is not available in this release"
        ))
        .detail(format!("Available options are {}.", OPTIONS.join(", ")))
        .hint("Leave it out.")),
    }
}

fn parse_retry(value: &Value) -> Result<RetryPolicy, Problem> {
    let Value::Object(object) = value else {
        return Err(fields::wrong_type("retry", value, "an object")
            .hint("For example {\"base_ms\": 1000, \"factor\": 2, \"max_ms\": 300000, \"jitter\": 0.2}."));
    };
    let fields = Fields::new(object, "retry.");
    fields.check_names(RETRY_OPTIONS)?;
    let default = RetryPolicy::default();
    let policy = RetryPolicy {
        base_ms: fields.integer("base_ms", 1, DAY_MS)?.unwrap_or(default.base_ms),
        factor: fields.number("factor", 1.0, 10.0)?.unwrap_or(default.factor),
        max_ms: fields.integer("max_ms", 1, DAY_MS)?.unwrap_or(default.max_ms),
        jitter: fields.number("jitter", 0.0, 1.0)?.unwrap_or(default.jitter),
    };
    if policy.max_ms < policy.base_ms {
        return Err(Problem::new(format!(
            "option \"retry.max_ms\" is {}, less than \"retry.base_ms\" with {}",
            policy.max_ms, policy.base_ms
        ))
        .detail("The longest wait cannot be shorter than the first.")
        .hint(format!(
            "Set both; the defaults are base_ms {} and max_ms {}.",
            default.base_ms, default.max_ms
        )));
    }
    Ok(policy)
}

#[cfg(test)]
mod tests;
