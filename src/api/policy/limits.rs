//! What the limits of a policy say to a call that its lists allow: those of one task by what the call says of itself, and those
//! of the agent by what shared memory says of its other calls.

use tms_domain::policy::AgentPolicy;
use tms_domain::policy::decide::Decision;
use tms_domain::policy::ledger::{self, Limits};
use tms_domain::policy::limits::{CostGuardrails, Used};
use tms_domain::policy::usage::Usage;
use tms_domain::shown::quoted;

use super::budgets;
use super::check::Call;
use super::judge::Judged;
use crate::errors::{self, Result};
use crate::pg::limits::{self, Agent};
use crate::pg::{self, server};
use crate::settings;
use crate::store::policies::known::Compiled;

/// What is limited, for the error on a server without shared memory.
pub(crate) const WHAT: &str = "limits of agents";

/// A limit that stands in the way of a call.
pub(crate) struct Refusal {
    /// The rule, such as `rate_limits.requests_per_minute`.
    pub(super) rule: &'static str,
    /// The reason, for people.
    pub(super) reason: String,
    /// When it may go through; `None` where waiting does not help.
    pub(super) retry_after_ms: Option<i64>,
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
    let ask = match budgets::asked(policy, call) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(Some(refusal)),
    };
    if limits == Limits::default() && ask.is_none() {
        return Ok(None);
    }
    let answer = match ask {
        None => limits::peek(&agent(call), &limits),
        Some(ask) => budgets::peek(&agent(call), &limits, &ask),
    };
    let answer = answer.ok_or_else(|| errors::not_preloaded(WHAT))?;
    Ok(answer.err().map(|refusal| in_words(refusal, call)))
}

/// Charges a call to every limit of its agent and answers the id of its reservation; or charges none.
pub(crate) fn reserve(policy: &Compiled, call: &Call) -> Result<std::result::Result<[u8; 16], Refusal>> {
    if let Some(refusal) = of_task(&policy.policy, &call.usage) {
        return Ok(Err(refusal));
    }
    let limits = Limits::from(&policy.policy);
    let ask = match budgets::asked(policy, call) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let secret = server::random_bytes().ok_or_else(errors::no_randomness)?;
    let (agent, timeout) = (agent(call), settings::reservation_timeout());
    let answer = match ask {
        None => limits::reserve(&agent, &limits, secret, timeout),
        Some(ask) => pg::budgets::reserve(&agent, &limits, &ask, secret, timeout),
    };
    let answer = answer.ok_or_else(|| errors::not_preloaded(WHAT))?;
    Ok(answer.map_err(|refusal| in_words(refusal, call)))
}

/// What the limits of one task say to what a call says it uses.
fn of_task(policy: &AgentPolicy, usage: &Usage) -> Option<Refusal> {
    let costs = CostGuardrails {
        // What a day has cost is not known here.
        max_cost_usd_per_day: None,
        max_tokens_per_day: None,
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
