//! Which limits there are, and which one was in the way.

use std::fmt;
use std::time::Duration;

use super::super::AgentPolicy;
use super::super::limits::{CircuitBreaker, CostLimit, Exceeded, Pace};
use crate::breaker;

/// The limits of a policy that are kept in the ledger. What is None is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// How often.
    pub pace: Option<Pace>,
    /// How many at one time.
    pub max_concurrent: Option<u32>,
    /// When calls are stopped for failing.
    pub breaker: Option<breaker::Policy>,
}

impl From<&AgentPolicy> for Limits {
    fn from(policy: &AgentPolicy) -> Self {
        Self {
            pace: policy.rate_limits.pace(),
            max_concurrent: policy.rate_limits.max_concurrent,
            breaker: policy
                .cost_guardrails
                .circuit_breaker
                .as_ref()
                .map(CircuitBreaker::policy),
        }
    }
}

/// When it is worth asking for a part of a budget again: the scheduler is away, or waits for a disk or for somebody's lock.
const SHORTLY: Duration = Duration::from_secs(1);

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many calls failed. After `retry_after` some are tried; None: they are being tried at this moment.
    Breaker {
        /// When calls will be tried.
        retry_after: Option<Duration>,
    },
    /// As many calls run as may run at one time.
    Concurrent {
        /// How many that is.
        allowed: u32,
    },
    /// The rate.
    Rate {
        /// When the next call may start; None: never, for what is asked is more than the limit.
        retry_after: Option<Duration>,
    },
    /// The budget of a day does not cover the call.
    Budget {
        /// Which one, and what is left of it.
        exceeded: Exceeded,
        /// When a new day begins; None: no day's budget would cover the call.
        retry_after: Option<Duration>,
    },
    /// The budget of a day may cover the call, but no part of it is set aside that does.
    Unallotted {
        /// Which one.
        limit: CostLimit,
    },
    /// There is no place for another agent: every one in the table has calls that run or count.
    AgentsFull,
    /// There is no place for another reservation.
    ReservationsFull,
}

impl Refusal {
    /// The rule, as a path in the policy; None where a table is full, which no policy can change.
    #[must_use]
    pub fn rule(self) -> Option<&'static str> {
        match self {
            Self::Breaker { .. } => Some("cost_guardrails.circuit_breaker_threshold"),
            Self::Concurrent { .. } => Some("rate_limits.max_concurrent"),
            Self::Rate { .. } => Some("rate_limits.requests_per_minute"),
            Self::Budget { exceeded, .. } => Some(exceeded.limit.rule()),
            Self::Unallotted { limit } => Some(limit.rule()),
            Self::AgentsFull | Self::ReservationsFull => None,
        }
    }

    /// After how many milliseconds it is worth trying again, where that is known; rounded up.
    #[must_use]
    pub fn retry_after_ms(self) -> Option<u64> {
        let wait = match self {
            Self::Breaker { retry_after } | Self::Rate { retry_after } | Self::Budget { retry_after, .. } => {
                retry_after?
            }
            Self::Unallotted { .. } => SHORTLY,
            Self::Concurrent { .. } | Self::AgentsFull | Self::ReservationsFull => return None,
        };
        Some(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// The reason of a denial, without the agent's name.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Breaker { retry_after: Some(_) } => {
                f.write_str("too many calls failed: the circuit breaker is open")
            }
            Self::Breaker { retry_after: None } => {
                f.write_str("too many calls failed: the circuit breaker waits for the calls it is trying")
            }
            Self::Concurrent { allowed: 1 } => {
                f.write_str("1 call runs, which is as many as may run at one time")
            }
            Self::Concurrent { allowed } => {
                write!(f, "{allowed} calls run, which is as many as may run at one time")
            }
            Self::Rate { .. } => f.write_str("the rate of requests is used up"),
            Self::Budget { exceeded, .. } => write!(f, "{exceeded}"),
            Self::Unallotted { .. } => f.write_str(
                "no part of the day's budget could be had: the scheduler, which sets it aside, did not answer",
            ),
            Self::AgentsFull => f.write_str("the table of agents in shared memory is full"),
            Self::ReservationsFull => f.write_str("the table of reservations in shared memory is full"),
        }
    }
}

impl std::error::Error for Refusal {}
