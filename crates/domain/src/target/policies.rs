//! The options that every kind of target can have: how it is retried, throttled and given a rest, and what becomes of
//! events that cannot be delivered or may have been.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fields::{self, Fields};
use crate::backoff::RetryPolicy;
use crate::breaker::Policy as BreakerPolicy;
use crate::problem::Problem;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
const BURST_LIMIT: u64 = 100_000;

const RETRY_OPTIONS: &[&str] = &["base_ms", "factor", "max_ms", "jitter"];
const BREAKER_OPTIONS: &[&str] = &["failure_ratio", "minimum_calls", "window_ms", "open_ms", "trials"];

/// How fast a target is sent events.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many a second in the long run: 0.001 to 100,000.
    pub per_second: f64,
    /// How many at once after a pause: 1 to 100,000.
    pub burst: u32,
}

/// What is done with an event whose request was sent and never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnAmbiguous {
    /// It is sent again: the receiver may get it twice, under one webhook-id.
    #[default]
    Retry,
    /// It becomes a dead letter for a person to decide on: for receivers that cannot recognise a duplicate.
    Dead,
}

impl OnAmbiguous {
    const ALL: [Self; 2] = [Self::Retry, Self::Dead];

    /// The name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Dead => "dead",
        }
    }
}

/// What a dead letter does to the later events of its ordering key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnDead {
    /// They wait until it is delivered or discarded.
    #[default]
    Block,
    /// They go on without it.
    Skip,
}

impl OnDead {
    const ALL: [Self; 2] = [Self::Block, Self::Skip];

    /// The name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Skip => "skip",
        }
    }
}

pub(super) fn on_ambiguous(fields: &Fields<'_>) -> Result<OnAmbiguous, Problem> {
    let given = fields.one_of("on_ambiguous", &OnAmbiguous::ALL, OnAmbiguous::as_str)?;
    Ok(given.unwrap_or_default())
}

pub(super) fn on_dead(fields: &Fields<'_>) -> Result<OnDead, Problem> {
    let given = fields.one_of("on_dead", &OnDead::ALL, OnDead::as_str)?;
    Ok(given.unwrap_or_default())
}

/// Reads `rate_per_second` and `burst`. Without a burst the default's counts, and where there is no default, what one
/// second allows: a target of 1,000 a second need not be looked at every millisecond.
pub(super) fn rate(fields: &Fields<'_>, default: Option<Rate>) -> Result<Option<Rate>, Problem> {
    let per_second = fields.number("rate_per_second", 0.001, 100_000.0)?;
    let burst = fields.integer("burst", 1, BURST_LIMIT)?;
    let Some(per_second) = per_second.or(default.map(|rate| rate.per_second)) else {
        return match burst {
            None => Ok(None),
            Some(_) => Err(
                Problem::new("option \"burst\" is given without \"rate_per_second\"")
                    .detail("A burst is how many events may go at once within a rate.")
                    .hint("Add \"rate_per_second\", or leave \"burst\" out."),
            ),
        };
    };
    let burst = match (burst, default) {
        (Some(burst), _) => burst as u32,
        (None, Some(default)) => default.burst,
        (None, None) => per_second.ceil() as u32,
    };
    Ok(Some(Rate { per_second, burst }))
}

pub(super) fn retry(fields: &Fields<'_>) -> Result<RetryPolicy, Problem> {
    let default = RetryPolicy::default();
    let Some(value) = fields.get("retry") else {
        return Ok(default);
    };
    let Value::Object(object) = value else {
        return Err(fields::wrong_type("retry", value, "an object")
            .hint("For example {\"base_ms\": 1000, \"factor\": 2, \"max_ms\": 300000, \"jitter\": 0.2}."));
    };
    let fields = Fields::new(object, "retry.");
    fields.check_names(RETRY_OPTIONS)?;
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

/// Reads `breaker`: an object, whose missing members have their defaults, or false for none. True is the default.
pub(super) fn breaker(fields: &Fields<'_>) -> Result<Option<BreakerPolicy>, Problem> {
    let default = BreakerPolicy::default();
    let object = match fields.get("breaker") {
        None | Some(Value::Bool(true)) => return Ok(Some(default)),
        Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Object(object)) => object,
        Some(other) => {
            return Err(fields::wrong_type("breaker", other, "an object or false")
                .hint("For example {\"failure_ratio\": 0.5, \"minimum_calls\": 20, \"window_ms\": 60000}."));
        }
    };
    let fields = Fields::new(object, "breaker.");
    fields.check_names(BREAKER_OPTIONS)?;
    let count = |name, default: u32| {
        let given = fields.integer(name, 1, 100_000)?;
        Ok(given.map_or(default, |count| count as u32))
    };
    let time = |name, default: Duration| {
        let given = fields.integer(name, 100, HOUR_MS)?;
        Ok(given.map_or(default, Duration::from_millis))
    };
    Ok(Some(BreakerPolicy {
        failure_ratio: fields
            .number("failure_ratio", 0.001, 1.0)?
            .unwrap_or(default.failure_ratio),
        minimum_calls: count("minimum_calls", default.minimum_calls)?,
        window: time("window_ms", default.window)?,
        open_for: time("open_ms", default.open_for)?,
        trials: count("trials", default.trials)?,
    }))
}

pub(super) fn write_retry(policy: &RetryPolicy) -> Value {
    json!({
        "base_ms": policy.base_ms,
        "factor": policy.factor,
        "max_ms": policy.max_ms,
        "jitter": policy.jitter,
    })
}

pub(super) fn write_breaker(policy: Option<&BreakerPolicy>) -> Value {
    let Some(policy) = policy else {
        return Value::Bool(false);
    };
    json!({
        "failure_ratio": policy.failure_ratio,
        "minimum_calls": policy.minimum_calls,
        "window_ms": milliseconds(policy.window),
        "open_ms": milliseconds(policy.open_for),
        "trials": policy.trials,
    })
}

/// Whatever can be set is within an hour, far below the end of u64.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// No rate has no member: there is no value for "unlimited".
pub(super) fn write_rate(rate: Option<Rate>, into: &mut Map<String, Value>) {
    if let Some(rate) = rate {
        into.insert("rate_per_second".to_owned(), json!(rate.per_second));
        into.insert("burst".to_owned(), json!(rate.burst));
    }
}
