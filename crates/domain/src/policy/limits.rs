//! The limits of a policy as values, their defaults, and what the cost guardrails say to a call.
//!
//! Money and tokens of calls in flight count as used: the caller adds them up, so that calls that start together cannot
//! overspend together.

use std::fmt;
use std::time::Duration;

use super::MicroUsd;
use crate::breaker;

#[cfg(test)]
mod tests;

const MINUTE_NS: u64 = 60_000_000_000;

/// How often an agent may call. What is None is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Requests a minute in the long run.
    pub requests_per_minute: Option<u32>,
    /// How many requests may come early, beside the one that is due.
    pub burst: Option<u32>,
    /// Requests that have started and not ended.
    pub max_concurrent: Option<u32>,
}

/// A rate as [`super::gcra::check`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds between two requests; rounded up, so that rounding never lets too many through.
    pub interval: u64,
    /// How many may come early.
    pub burst: u64,
}

impl RateLimits {
    /// The rate; None without one. Where no burst was given, the requests of a whole minute may come at once after a
    /// pause: that is what "60 a minute" says to somebody who calls 60 times and then waits.
    #[must_use]
    pub fn pace(&self) -> Option<Pace> {
        let per_minute = u64::from(self.requests_per_minute?.max(1));
        let burst = self.burst.map_or(per_minute - 1, u64::from);
        Some(Pace {
            interval: MINUTE_NS.div_ceil(per_minute),
            burst,
        })
    }
}

/// What an agent may use up, and when it is stopped for failing. What is None is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CostGuardrails {
    /// Tokens of any model, in and out. Documents may call it `max_openai_tokens_per_task`.
    pub max_tokens_per_task: Option<u64>,
    /// Calls of models and other services that cost money.
    pub max_api_calls_per_task: Option<u64>,
    /// Money for one task.
    pub max_cost_usd_per_task: Option<MicroUsd>,
    /// Money for all tasks of the agent on one day in UTC.
    pub max_cost_usd_per_day: Option<MicroUsd>,
    /// Tokens for all tasks of the agent on one day in UTC.
    pub max_tokens_per_day: Option<u64>,
    /// When calls are stopped for failing.
    pub circuit_breaker: Option<CircuitBreaker>,
}

/// The breaker of an agent, as given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitBreaker {
    /// The share of failed calls at which it opens, above 0 and at most 1.
    pub threshold: f64,
    /// How far back calls count.
    pub window_seconds: Option<u32>,
    /// How many calls the window must hold before the share means anything.
    pub min_calls: Option<u32>,
    /// How long calls are stopped before some are tried.
    pub cooldown_seconds: Option<u32>,
}

impl CircuitBreaker {
    /// How far back calls count by default: agents call tens of times a minute, and a share of 5% needs tens of calls.
    pub const WINDOW_SECONDS: u32 = 300;
    /// How many calls make a share by default: without a minimum, the first call that fails is 100%.
    pub const MIN_CALLS: u32 = 20;
    /// How long calls are stopped by default.
    pub const COOLDOWN_SECONDS: u32 = 30;

    /// The policy of a [`breaker::Breaker`], with the defaults for what was not given.
    #[must_use]
    pub fn policy(&self) -> breaker::Policy {
        let seconds = |given: Option<u32>, default: u32| Duration::from_secs(given.unwrap_or(default).into());
        breaker::Policy {
            failure_ratio: self.threshold,
            minimum_calls: self.min_calls.unwrap_or(Self::MIN_CALLS),
            window: seconds(self.window_seconds, Self::WINDOW_SECONDS),
            open_for: seconds(self.cooldown_seconds, Self::COOLDOWN_SECONDS),
            ..breaker::Policy::default()
        }
    }
}

/// What has been used, calls in flight included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Tokens of this task.
    pub task_tokens: u64,
    /// Calls of this task.
    pub task_api_calls: u64,
    /// Money of this task.
    pub task_cost: MicroUsd,
    /// Money of all tasks of the agent on this day.
    pub day_cost: MicroUsd,
    /// Tokens of all tasks of the agent on this day.
    pub day_tokens: u64,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Tokens.
    pub tokens: u64,
    /// Calls.
    pub api_calls: u64,
    /// Money; None when the price is not known, which no budget can be held against.
    pub cost: Option<MicroUsd>,
    /// Money as the caller said it. A day's budget is held against nothing else: a call that says nothing of itself would
    /// otherwise be free, however many of them come.
    pub said_cost: Option<MicroUsd>,
    /// Tokens as the caller said them, for the same reason.
    pub said_tokens: Option<u64>,
}

/// A limit on what is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CostLimit {
    /// [`CostGuardrails::max_tokens_per_task`].
    TokensPerTask,
    /// [`CostGuardrails::max_api_calls_per_task`].
    ApiCallsPerTask,
    /// [`CostGuardrails::max_cost_usd_per_task`].
    CostPerTask,
    /// [`CostGuardrails::max_cost_usd_per_day`]. Waiting helps against this one and the next.
    CostPerDay,
    /// [`CostGuardrails::max_tokens_per_day`].
    TokensPerDay,
}

impl CostLimit {
    /// The rule, as a path in the policy.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::TokensPerTask => "cost_guardrails.max_tokens_per_task",
            Self::ApiCallsPerTask => "cost_guardrails.max_api_calls_per_task",
            Self::CostPerTask => "cost_guardrails.max_cost_usd_per_task",
            Self::CostPerDay => "cost_guardrails.max_cost_usd_per_day",
            Self::TokensPerDay => "cost_guardrails.max_tokens_per_day",
        }
    }

    /// An amount in words; `value` is millionths of a dollar where the limit is money.
    fn amount(self, value: u64) -> String {
        match self {
            Self::TokensPerTask | Self::TokensPerDay => format!("{value} tokens"),
            Self::ApiCallsPerTask => format!("{value} calls"),
            Self::CostPerTask | Self::CostPerDay => format!("{} USD", MicroUsd::from_micros(value)),
        }
    }
}

/// The limit that a call would exceed. Money is in millionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which one.
    pub limit: CostLimit,
    /// What the policy gives.
    pub allowed: u64,
    /// What is left of it.
    pub left: u64,
    /// What was asked for; None for a price that is not known.
    pub asked: Option<u64>,
}

/// The reason of a denial, such as "500 tokens of 10000 are left, and 600 are asked for".
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, allowed) = (self.limit.amount(self.left), self.limit.amount(self.allowed));
        let unsaid = match self.limit {
            CostLimit::CostPerDay => Some("cost_usd"),
            CostLimit::TokensPerDay => Some("tokens"),
            _ => None,
        };
        match (self.asked, unsaid) {
            (None, Some(key)) => write!(
                f,
                "usage.{key} is not given, and what is not known cannot be held against the {allowed} of a day: pass it, or 0"
            ),
            (Some(asked), _) => {
                let asked = self.limit.amount(asked);
                write!(f, "{left} of {allowed} are left, and {asked} are asked for")
            }
            (None, None) => write!(
                f,
                "the price is not known, and {left} of {allowed} are left: a call without a price cannot be held against a budget"
            ),
        }
    }
}

impl std::error::Error for Exceeded {}

impl CostGuardrails {
    /// Whether a call may use what it asks for.
    ///
    /// A limit may be reached, not exceeded. Where more has been used than the limit gives, nothing goes, not even a call
    /// that asks for nothing.
    ///
    /// # Errors
    /// The first limit it would exceed, in the order of [`CostLimit`].
    pub fn check(&self, used: &Used, asked: &Asked) -> Result<(), Exceeded> {
        let cost = asked.cost.map(MicroUsd::micros);
        let micros = |limit: Option<MicroUsd>| limit.map(MicroUsd::micros);
        let limits = [
            (
                CostLimit::TokensPerTask,
                self.max_tokens_per_task,
                used.task_tokens,
                Some(asked.tokens),
            ),
            (
                CostLimit::ApiCallsPerTask,
                self.max_api_calls_per_task,
                used.task_api_calls,
                Some(asked.api_calls),
            ),
            (
                CostLimit::CostPerTask,
                micros(self.max_cost_usd_per_task),
                used.task_cost.micros(),
                cost,
            ),
            (
                CostLimit::CostPerDay,
                micros(self.max_cost_usd_per_day),
                used.day_cost.micros(),
                asked.said_cost.map(MicroUsd::micros),
            ),
            (
                CostLimit::TokensPerDay,
                self.max_tokens_per_day,
                used.day_tokens,
                asked.said_tokens,
            ),
        ];
        for (limit, allowed, used, asked) in limits {
            let Some(allowed) = allowed else { continue };
            let fits = asked
                .and_then(|asked| used.checked_add(asked))
                .is_some_and(|sum| sum <= allowed);
            if !fits {
                return Err(Exceeded {
                    limit,
                    allowed,
                    left: allowed.saturating_sub(used),
                    asked,
                });
            }
        }
        Ok(())
    }
}
