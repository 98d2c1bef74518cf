//! The circuit breaker of a target: when calls fail too often it stops them, and tries again with a few.
//!
//! Closed, it counts. Open, it lets nothing through. Half-open, it lets a few calls through: if all of them succeed
//! it closes, and the first that fails opens it again. What counts as a failure is the caller's decision: one that
//! says something about the receiver as a whole, not about one message.

use std::time::Duration;

use crate::steady::Steady;

use window::Window;

mod window;

#[cfg(test)]
mod tests;

/// When a breaker opens, for how long, and what closes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The share of failed calls at which the breaker opens, above 0 and at most 1. Infinity keeps it from opening
    /// by itself.
    pub failure_ratio: f64,
    /// How many calls the window must hold before the share means anything.
    pub minimum_calls: u32,
    /// How far back calls count. It is counted in tenths, so it is up to a tenth shorter at times.
    pub window: Duration,
    /// How long calls are stopped before some are tried.
    pub open_for: Duration,
    /// How many calls are tried, all of which must succeed; 0 counts as 1.
    pub trials: u32,
}

impl Default for Policy {
    /// Half of at least 20 calls within a minute failing stops calls for five seconds; then three are tried. A few trials every
    /// few seconds are no burden to a receiver, and it is noticed soon that it is back.
    fn default() -> Self {
        Self {
            failure_ratio: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(60),
            open_for: Duration::from_secs(5),
            trials: 3,
        }
    }
}

/// What a breaker does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// No call goes through before that moment, in milliseconds of the caller's clock.
    Open {
        /// When some calls will be tried.
        until: u64,
    },
    /// Some calls go through, and decide.
    HalfOpen,
}

impl State {
    /// The name that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Where a breaker stands; times are those of [`Steady`].
#[derive(Debug, Clone)]
enum Phase {
    Closed(Window),
    Open { until: u128, trials: u32 },
    HalfOpen { left: u32, wanted: u32 },
}

/// A circuit breaker. `now` is the caller's clock in milliseconds; whenever it is set back, no time passes.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: Policy,
    time: Steady,
    phase: Phase,
}

impl Breaker {
    /// A closed breaker that has seen no call.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            time: Steady::default(),
            phase: Phase::Closed(Window::new(policy.window)),
        }
    }

    /// A breaker that counts and never opens by itself, for one whose policy is not known yet.
    #[must_use]
    pub fn idle() -> Self {
        Self::new(Policy {
            failure_ratio: f64::INFINITY,
            ..Policy::default()
        })
    }

    /// Goes by another policy from now on. What was counted stays, unless it was counted over another length of time; a
    /// breaker that is open stays so for as long as it was told, and trials that have begun are finished as they were begun.
    pub fn follow(&mut self, policy: Policy) {
        if policy.window != self.policy.window
            && let Phase::Closed(window) = &mut self.phase
        {
            *window = Window::new(policy.window);
        }
        self.policy = policy;
    }

    /// Whether nothing is remembered that could make a difference: a new one would do the same.
    pub fn is_quiet(&mut self, now: u64) -> bool {
        let now = self.advance(now);
        match &self.phase {
            Phase::Closed(window) => window.is_over(now),
            Phase::Open { .. } | Phase::HalfOpen { .. } => false,
        }
    }

    /// How many calls may start now: any number while closed, none while open, what is left of the trials while
    /// half-open.
    pub fn admits(&mut self, now: u64) -> usize {
        self.advance(now);
        match self.phase {
            Phase::Closed(_) => usize::MAX,
            Phase::Open { .. } => 0,
            Phase::HalfOpen { left, .. } => left as usize,
        }
    }

    /// So many calls have started. To be said of every call, whatever the state.
    pub fn started(&mut self, calls: usize) {
        if let Phase::HalfOpen { left, .. } = &mut self.phase {
            *left = left.saturating_sub(count(calls));
        }
    }

    /// So many calls that were said to have started did not take place: they say nothing about the receiver.
    pub fn gave_back(&mut self, calls: usize) {
        if let Phase::HalfOpen { left, wanted } = &mut self.phase {
            *left = left.saturating_add(count(calls)).min(*wanted);
        }
    }

    /// A call has ended. Only a failure opens a closed breaker: a success is no reason to stop.
    ///
    /// Calls that began before the breaker opened may end while it is half-open. Their ends count too, since they
    /// are as good a sign of the receiver's state as those of the trials; while it is open, none count.
    pub fn record(&mut self, now: u64, ok: bool) {
        let now = self.advance(now);
        match &mut self.phase {
            Phase::Closed(window) => {
                window.record(now, ok);
                if !ok && self.policy.is_exceeded(window.calls(), window.failures()) {
                    self.open(now);
                }
            }
            Phase::Open { .. } => {}
            Phase::HalfOpen { wanted, .. } if ok && *wanted > 1 => *wanted -= 1,
            Phase::HalfOpen { .. } if ok => self.phase = Phase::Closed(Window::new(self.policy.window)),
            Phase::HalfOpen { .. } => self.open(now),
        }
    }

    /// Stops calls until a moment, whatever has been counted; then a single call is tried. A breaker that is open
    /// for longer stays so.
    pub fn hold(&mut self, until: u64) {
        let asked = self.time.passed_at(until);
        let until = match self.phase {
            Phase::Open { until, .. } => until.max(asked),
            _ => asked,
        };
        self.phase = Phase::Open { until, trials: 1 };
    }

    /// What the breaker does now.
    pub fn state(&mut self, now: u64) -> State {
        self.advance(now);
        match self.phase {
            Phase::Closed(_) => State::Closed,
            Phase::Open { until, .. } => State::Open {
                until: self.time.clock_at(until),
            },
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// When the breaker will let calls through without being told anything: the end of being open.
    pub fn next_change(&mut self, now: u64) -> Option<u64> {
        match self.state(now) {
            State::Open { until } => Some(until),
            State::Closed | State::HalfOpen => None,
        }
    }

    fn advance(&mut self, now: u64) -> u128 {
        let now = self.time.at(now);
        if let Phase::Open { until, trials } = self.phase
            && now >= until
        {
            self.phase = Phase::HalfOpen {
                left: trials,
                wanted: trials,
            };
        }
        now
    }

    fn open(&mut self, now: u128) {
        self.phase = Phase::Open {
            until: now + self.policy.open_for.as_millis(),
            trials: self.policy.trials.max(1),
        };
    }
}

impl Policy {
    fn is_exceeded(&self, calls: u64, failures: u64) -> bool {
        calls >= u64::from(self.minimum_calls) && failures as f64 >= self.failure_ratio * calls as f64
    }
}

fn count(calls: usize) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}
