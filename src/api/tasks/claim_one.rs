//! What the policy and its limits say to each task at the front of a line.

use std::time::{Duration, Instant};

use tms_domain::outcome::ErrorType;
use tms_domain::policy::Mode;
use tms_domain::policy::decide::Decision;
use tms_domain::policy::ledger::{Limits, Refusal};
use tms_domain::policy::usage::Usage;
use tms_domain::task;

use crate::api::policy::check::Call;
use crate::api::policy::judge::{self, Judged};
use crate::api::policy::limits::WHAT;
use crate::api::policy::record;
use crate::errors::{self, Result};
use crate::pg::limits::{self, Agent};
use crate::pg::spi::{Session, Tid};
use crate::pg::task_limits::{self, Place};
use crate::pg::{jsonb, server};
use crate::store::policies::known::{self, Known};
use crate::store::tasks::line::{self, Handed, Lane, Next};

/// What becomes of the tasks at the front of a line.
#[derive(Default)]
pub(super) struct Lot {
    /// They are handed out.
    pub(super) handed: Handed,
    /// A person must agree first.
    pub(super) parked: Vec<Tid>,
    /// The policy forbids them by now, for these reasons.
    pub(super) denied: Vec<([u8; 16], String)>,
    /// A limit stands in the way of the rest; when to look again.
    pub(super) stopped: Option<Duration>,
}

impl Lot {
    /// Does with the others what became of them.
    pub(super) fn settle_rest(&self, session: &Session, now: i64) {
        if !self.parked.is_empty() {
            line::park(session, &self.parked, now);
        }
        for (id, reason) in &self.denied {
            super::lease::give_up(session, id, ErrorType::Validation, Some(reason), now);
        }
    }

    /// Whether tasks left the line that were not handed out.
    pub(super) fn has_changed(&self) -> bool {
        !self.parked.is_empty() || !self.denied.is_empty()
    }
}

enum Ruling {
    Pass([u8; 16]),
    Park,
    Deny(String),
    Stop(Duration),
}

/// The policy of one lane, for one claim.
pub(super) struct Judge<'a> {
    lane: &'a Lane<'a>,
    known: Known,
    place: Place,
    limits: Limits,
    is_enforced: bool,
    lease: Duration,
}

impl<'a> Judge<'a> {
    /// As it is committed now.
    pub(super) fn of(lane: &'a Lane<'a>, lease: Duration) -> Self {
        let known = known::in_force(lane.agent, &lane.company);
        let (limits, is_enforced) = match &known {
            Known::Policy(compiled) => (
                Limits::from(&compiled.policy),
                compiled.policy.effective_mode() == Mode::Enforce,
            ),
            Known::Nothing | Known::Unreadable => (Limits::default(), true),
        };
        Self {
            lane,
            known,
            place: Place::of(&agent(lane)),
            limits,
            is_enforced,
            lease,
        }
    }

    /// When to look again, if a limit lets nothing through now: no row is locked for that.
    pub(super) fn is_stopped(&self) -> Result<Option<Duration>> {
        if !self.is_enforced {
            return Ok(None);
        }
        if let Known::Policy(compiled) = &self.known
            && let Some(wait) = super::spend::is_used_up(&compiled.policy, &agent(self.lane))?
        {
            return Ok(Some(wait));
        }
        if self.limits == Limits::default() {
            return Ok(None);
        }
        let answer =
            limits::peek(&agent(self.lane), &self.limits).ok_or_else(|| errors::not_preloaded(WHAT))?;
        Ok(answer.err().as_ref().map(after))
    }

    /// Decides about each, in their order, until a limit is reached.
    pub(super) fn lot(&self, session: &Session, tasks: &[Next], now: i64) -> Lot {
        let mut lot = Lot::default();
        for next in tasks {
            match self.rule(session, next, now) {
                Ruling::Pass(token) => {
                    lot.handed.tids.push(next.tid);
                    lot.handed.tokens.push(token);
                }
                Ruling::Park => lot.parked.push(next.tid),
                Ruling::Deny(reason) => lot.denied.push((next.id, reason)),
                Ruling::Stop(wait) => {
                    lot.stopped = Some(wait);
                    break;
                }
            }
        }
        lot
    }

    fn rule(&self, session: &Session, next: &Next, now: i64) -> Ruling {
        let begin = Instant::now();
        let call = Call {
            agent: self.lane.agent.to_owned(),
            function: next.function.clone(),
            payload: next.payload,
            usage: Usage::default(),
            company: self.lane.company,
        };
        let mut judged = judge::by_lists(&call.agent, &call.function, &call.company);
        if judged.decision == Decision::Confirm && self.is_agreed(next) {
            judged.decision = Decision::Allow;
        }
        let ruling = match judged.decision {
            Decision::Deny if self.is_enforced => Ruling::Deny(judged.reason.clone()),
            Decision::Confirm if self.is_enforced => Ruling::Park,
            _ => self.reserve(session, now),
        };
        let effective = match ruling {
            Ruling::Pass(_) => Decision::Allow,
            Ruling::Park => Decision::Confirm,
            Ruling::Deny(_) => Decision::Deny,
            // It waits, and is decided about when it is its turn.
            Ruling::Stop(_) => return ruling,
        };
        self.record(&call, &judged, effective, begin);
        ruling
    }

    fn record(&self, call: &Call, judged: &Judged, effective: Decision, begin: Instant) {
        record::enforced(call, judged, effective, begin.elapsed());
    }

    /// Whether a person agreed to what the task is now.
    fn is_agreed(&self, next: &Next) -> bool {
        next.agreed.as_ref().is_some_and(|agreed| {
            let mut payload = Vec::new();
            jsonb::write_text(next.payload, &mut payload);
            let payload = String::from_utf8_lossy(&payload);
            *agreed == task::agreed(self.lane.agent, &next.function, &payload)
        })
    }

    fn reserve(&self, session: &Session, now: i64) -> Ruling {
        if self.limits == Limits::default() {
            return free();
        }
        let Some(secret) = server::random_bytes() else {
            return Ruling::Stop(super::claim::sometime(None));
        };
        let running = || {
            line::running(session, self.lane, now)
                .into_iter()
                .map(|(token, until)| {
                    (
                        token,
                        Duration::from_micros(u64::try_from(until - now).unwrap_or(0)),
                    )
                })
                .collect()
        };
        match task_limits::reserve(&self.place, &self.limits, secret, self.lease, running) {
            Some(Ok(id)) => Ruling::Pass(id),
            Some(Err(_)) if !self.is_enforced => free(),
            Some(Err(refusal)) => Ruling::Stop(after(&refusal)),
            // Not preloaded: limits cannot be held, so nothing that has some is let through.
            None => Ruling::Stop(super::claim::sometime(None)),
        }
    }
}

/// A lease that no limit knows of.
fn free() -> Ruling {
    server::random_bytes().map_or_else(|| Ruling::Stop(super::claim::sometime(None)), Ruling::Pass)
}

pub(super) fn agent<'a>(lane: &Lane<'a>) -> Agent<'a> {
    Agent {
        company: lane.company,
        name: lane.agent,
    }
}

fn after(refusal: &Refusal) -> Duration {
    super::claim::sometime(refusal.retry_after_ms().map(Duration::from_millis))
}
