//! What the budgets of a day say to a call, and what a call that ends has used of them.

use tms_domain::policy::budget::{self, Ask};
use tms_domain::policy::ledger::{self, Limits, Outcome};
use tms_domain::policy::limits::CostLimit;
use tms_domain::policy::usage::Usage;
use tms_domain::problem::Problem;
use tms_domain::shown::quoted;

use super::check::Call;
use super::limits::{Refusal, WHAT};
use crate::errors::{self, Result};
use crate::pg;
use crate::pg::limits::Agent;
use crate::pg::server::{self, PG_EPOCH_US};
use crate::store::policies::known::Compiled;
use crate::store::{self, policies::Company};

/// What a call asks of the policy's budgets for today; `None` where the policy has none. A call that does not say what it uses
/// of one is refused.
pub(super) fn asked(policy: &Compiled, call: &Call) -> std::result::Result<Option<Ask>, Refusal> {
    let now = server::now().saturating_add(PG_EPOCH_US);
    Ask::of(&policy.policy, &call.usage, now).map_err(|exceeded| Refusal {
        rule: exceeded.limit.rule(),
        reason: format!("agent {}: {exceeded}", quoted(&call.agent)),
        retry_after_ms: None,
    })
}

/// Whether a call would be let through; `None` without shared memory. On a day that nobody has called yet on this server, and on
/// a standby, the table knows what is spent.
pub(crate) fn peek(
    agent: &Agent<'_>,
    limits: &Limits,
    ask: &Ask,
) -> Option<std::result::Result<(), ledger::Refusal>> {
    let spent = if pg::budgets::is_unknown(agent, ask)? {
        store::spending::spent(agent.name, &agent.company, ask.day.number)
    } else {
        [0; budget::RESOURCES]
    };
    pg::budgets::peek(agent, limits, ask, &spent)
}

/// What a call should have said of itself, where that is why a day's budget stops it.
pub(super) fn unsaid(rule: &str, usage: &Usage) -> Option<&'static str> {
    if rule == CostLimit::CostPerDay.rule() && usage.cost.is_none() {
        return Some("cost_usd");
    }
    (rule == CostLimit::TokensPerDay.rule() && usage.tokens.is_none()).then_some("tokens")
}

/// Ends a call, with what it says it has used.
pub(super) fn release(id: &[u8; 16], company: Company, outcome: Outcome, usage: &Usage) -> Result<bool> {
    let said = budget::said(usage);
    let ended =
        pg::budgets::release(id, company, outcome, &said).ok_or_else(|| errors::not_preloaded(WHAT))?;
    if !ended.is_on_disk {
        errors::warn(
            Problem::new("the usage of this call is not on disk yet".to_owned())
                .detail(
                    "It is more than was set aside of the day's budget, and the scheduler did not write it within 2 s. \
                     A crash of the server before it does would forget the difference.",
                )
                .hint("See tms_worker_status() for the scheduler of this database."),
        );
    }
    Ok(ended.ended)
}
