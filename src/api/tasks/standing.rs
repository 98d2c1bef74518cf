//! What keeps a line from moving, for `tms.task_status`.

use pgrx::prelude::*;
use tms_domain::dead_letter::Gate;
use tms_domain::policy::Mode;
use tms_domain::policy::ledger::{Limits, Refusal};

use super::scope;
use crate::pg::limits::{self, Agent};
use crate::store::policies::known::{self, Known};
use crate::store::pull::held::Scope;

/// How it stands with an agent, for letters that would come back: shut while its breaker is open or its target takes nothing, or while
/// nobody can claim for want of a policy.
pub(crate) fn gate(agent: &str, company: Option<[u8; 16]>) -> Gate {
    let Known::Policy(policy) = known::in_force(agent, &company) else {
        return Gate::Shut;
    };
    if super::push::is_held(&policy.policy) {
        return Gate::Shut;
    }
    let breaker = Limits {
        breaker: Limits::from(&policy.policy).breaker,
        ..Limits::default()
    };
    let place = Agent { company, name: agent };
    match limits::peek(&place, &breaker) {
        Some(Err(_)) if policy.policy.effective_mode() == Mode::Enforce => Gate::Shut,
        _ => Gate::Open,
    }
}

#[pg_extern(sql = false)]
fn tms_task_held_by(agent_name: Option<&str>, company_id: Option<pgrx::Uuid>) -> Option<String> {
    let agent = agent_name?;
    let company = company_id.map(|company| *company.as_bytes());
    match scope().ok()? {
        Scope::Everything => {}
        Scope::Company(own) if Some(own) == company => {}
        Scope::Company(_) => return None,
    }
    let policy = match known::in_force(agent, &company) {
        Known::Policy(compiled) => compiled,
        Known::Nothing | Known::Unreadable => return Some("default: deny".to_owned()),
    };
    if super::push::is_held(&policy.policy) {
        return Some("push_to: the target takes nothing".to_owned());
    }
    if policy.policy.effective_mode() != Mode::Enforce {
        return None;
    }
    let limits = Limits::from(&policy.policy);
    if limits == Limits::default() {
        return None;
    }
    let place = Agent { company, name: agent };
    let refusal = limits::peek(&place, &limits)?.err()?;
    Some(
        refusal
            .rule()
            .unwrap_or(match refusal {
                Refusal::AgentsFull => "tms.max_policy_agents",
                _ => "tms.max_reservations",
            })
            .to_owned(),
    )
}
