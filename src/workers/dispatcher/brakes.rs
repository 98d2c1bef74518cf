//! What keeps a target from being sent more: its rate, its circuit breaker, and being held for a while.
//!
//! Times are those of the process's own clock, which nobody sets back.

use std::time::{Duration, Instant};

use tms_domain::breaker::{Breaker, Policy, State};
use tms_domain::rate::Limiter;
use tms_domain::target::{BreakerPolicy, Rate};

/// How long a target is left alone whose receiver says that it is not there at present, before one event is tried.
const HOLD: Duration = Duration::from_secs(30);

/// The brakes of one target.
pub(crate) struct Brakes {
    started: Instant,
    limiter: Option<Limiter>,
    breaker: Breaker,
    /// Why it is held, while it is not the breaker's own count that keeps it open.
    held_for: Option<String>,
}

impl Brakes {
    /// Brakes that are off.
    pub(crate) fn new(rate: Option<Rate>, breaker: Option<BreakerPolicy>) -> Brakes {
        // Without a breaker of its own a target can still be held.
        let never = Policy {
            failure_ratio: f64::INFINITY,
            ..Policy::default()
        };
        Brakes {
            started: Instant::now(),
            limiter: rate.map(|rate| Limiter::new(rate.per_second, rate.burst)),
            breaker: Breaker::new(breaker.unwrap_or(never)),
            held_for: None,
        }
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn millis(&self) -> u64 {
        self.micros() / 1000
    }

    /// How many events may be sent now.
    pub(crate) fn admits(&mut self) -> usize {
        let (micros, millis) = (self.micros(), self.millis());
        let by_rate = self
            .limiter
            .as_mut()
            .map_or(usize::MAX, |limiter| limiter.available(micros));
        by_rate.min(self.breaker.admits(millis))
    }

    /// An event is on its way.
    pub(crate) fn sent(&mut self) {
        let now = self.micros();
        if let Some(limiter) = &mut self.limiter {
            limiter.take(now, 1);
        }
        self.breaker.started(1);
    }

    /// An event came back unsent.
    pub(crate) fn gave_back(&mut self) {
        if let Some(limiter) = &mut self.limiter {
            limiter.give_back(1);
        }
        self.breaker.gave_back(1);
    }

    /// An attempt ended; `is_well` unless it says that the receiver as a whole is not.
    pub(crate) fn ended(&mut self, is_well: bool) {
        let now = self.millis();
        self.breaker.record(now, is_well);
        if self.held_for.is_some() && self.breaker.state(now) == State::Closed {
            self.held_for = None;
        }
    }

    /// The receiver is not there at present: nothing is sent for a while, then one event is tried.
    pub(crate) fn hold(&mut self, reason: &str, pause: Option<Duration>) {
        let pause = u64::try_from(pause.unwrap_or(HOLD).as_millis()).unwrap_or(u64::MAX);
        self.breaker.hold(self.millis().saturating_add(pause));
        self.held_for = Some(reason.to_owned());
    }

    /// Whether nothing at all may be sent now, for the breaker's sake.
    pub(crate) fn is_open(&mut self) -> bool {
        let now = self.millis();
        matches!(self.breaker.state(now), State::Open { .. })
    }

    /// When more may be sent without anything else happening; `None`: now, or when an answer comes.
    pub(crate) fn next_change(&mut self) -> Option<Instant> {
        let (micros, millis) = (self.micros(), self.millis());
        let by_rate = self
            .limiter
            .as_mut()
            .and_then(|limiter| limiter.next(micros))
            .map(Duration::from_micros);
        let by_breaker = self.breaker.next_change(millis).map(Duration::from_millis);
        // Both must agree; the later of the two is when they do.
        by_rate.max(by_breaker).map(|after| self.started + after)
    }

    /// The state that tms.target_health shows, with its reason.
    pub(crate) fn state(&mut self) -> (&'static str, Option<String>) {
        let now = self.millis();
        match (self.breaker.state(now), &self.held_for) {
            (State::Closed, _) => ("active", None),
            (_, Some(reason)) => ("held", Some(reason.clone())),
            (State::Open { .. }, None) => (
                "open",
                Some("too many attempts failed; a few are tried after a pause".to_owned()),
            ),
            (State::HalfOpen, None) => ("half_open", Some("a few events are tried".to_owned())),
        }
    }
}
