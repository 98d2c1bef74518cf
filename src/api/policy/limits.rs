//! What the limits of a policy say to a call that its lists allow: those of one task by what the call says of itself, and those
//! of the agent by what shared memory says of its other calls.

use tms_domain::policy::AgentPolicy;
use tms_domain::policy::decide::Decision;
use tms_domain::policy::ledger::{self, Limits};
use tms_domain::policy::limits::{CostGuardrails, Used};
use tms_domain::policy::usage::Usage;
use tms_domain::shown::quoted;

use super::check::Call;
use super::judge::Judged;
use crate::errors::{self, Result};
use crate::pg::limits::{self, Agent};
use crate::pg::server;
use crate::settings;
use crate::store::policies::known::Compiled;

/// What is limited, for the error on a server without shared memory.
pub(crate) const WHAT: &str = "limits of agents";

/// A limit that stands in the way of a call.
pub(crate) struct Refusal {
    /// The rule, such as `rate_limits.requests_per_minute`.
    rule: &'static str,
    /// The reason, for people.
    reason: String,
    /// When it may go through; `None` where waiting does not help.
    retry_after_ms: Option<i64>,
}

impl Refusal {
    /// The decision about a call that nothing but this limit stops.
    pub(crate) fn of(self, judged: Judged) -> Judged {
        Judged {
            decision: Decision::Deny,
            rule: self.rule.to_owned(),
            reason: self.reason,
            retry_after_ms: self.retry_after_ms,
            ..judged
        }
    }
}

/// What stands in the way of a call now. Charges nothing.
pub(crate) fn peek(policy: &Compiled, call: &Call) -> Result<Option<Refusal>> {
    if let Some(refusal) = of_task(&policy.policy, &call.usage) {
        return Ok(Some(refusal));
    }
    let limits = Limits::from(&policy.policy);
    if limits == Limits::default() {
        return Ok(None);
    }
    let answer = limits::peek(&agent(call), &limits).ok_or_else(|| errors::not_preloaded(WHAT))?;
    Ok(answer.err().map(|refusal| in_words(refusal, call)))
}

/// Charges a call to every limit of its agent and answers the id of its reservation; or charges none.
pub(crate) fn reserve(policy: &Compiled, call: &Call) -> Result<std::result::Result<[u8; 16], Refusal>> {
    if let Some(refusal) = of_task(&policy.policy, &call.usage) {
        return Ok(Err(refusal));
    }
    let limits = Limits::from(&policy.policy);
    let secret = server::random_bytes().ok_or_else(errors::no_randomness)?;
    let answer = limits::reserve(&agent(call), &limits, secret, settings::reservation_timeout())
        .ok_or_else(|| errors::not_preloaded(WHAT))?;
    Ok(answer.map_err(|refusal| in_words(refusal, call)))
}

/// What the limits of one task say to what a call says it uses.
fn of_task(policy: &AgentPolicy, usage: &Usage) -> Option<Refusal> {
    let costs = CostGuardrails {
        // What a day has cost is not known here.
        max_cost_usd_per_day: None,
        ..policy.cost_guardrails
    };
    let exceeded = costs.check(&Used::default(), &usage.asked()).err()?;
    Some(Refusal {
        rule: exceeded.limit.rule(),
        reason: exceeded.to_string(),
        retry_after_ms: None,
    })
}

fn agent(call: &Call) -> Agent<'_> {
    Agent {
        company: call.company,
        name: &call.agent,
    }
}

fn in_words(refusal: ledger::Refusal, call: &Call) -> Refusal {
    // Where a table is full no policy is in the way but a setting of the server.
    let rule = refusal.rule().unwrap_or(match refusal {
        ledger::Refusal::AgentsFull => "tms.max_policy_agents",
        _ => "tms.max_reservations",
    });
    Refusal {
        rule,
        reason: format!("agent {}: {refusal}", quoted(&call.agent)),
        retry_after_ms: refusal
            .retry_after_ms()
            .map(|wait| i64::try_from(wait).unwrap_or(i64::MAX)),
    }
}
