//! What tasks take of the budgets of a day: nothing when they are claimed, since nobody knows yet what they will use; what they are
//! charged, if the budget covers it; and what they are completed with, in full.

use std::time::Duration;

use tms_domain::policy::AgentPolicy;
use tms_domain::policy::MicroUsd;
use tms_domain::policy::budget::{self, Ask};
use tms_domain::policy::ledger::{Limits, Refusal};
use tms_domain::policy::usage::Usage;

use crate::api::policy::budgets;
use crate::api::policy::limits::WHAT;
use crate::errors::{self, Result};
use crate::pg::limits::Agent;
use crate::pg::server::{self, PG_EPOCH_US};
use crate::store::policies::Company;
use crate::store::policies::known::{self, Known};

/// What a usage asks of a policy's budgets for today; `None` where it has none. What is not said counts as nothing here: money is
/// said when a task is completed.
fn asked(policy: &AgentPolicy, usage: &Usage) -> Option<Ask> {
    let known = Usage {
        tokens: Some(usage.tokens.unwrap_or(0)),
        cost: Some(usage.cost.unwrap_or_default()),
        ..usage.clone()
    };
    let now = server::now().saturating_add(PG_EPOCH_US);
    Ask::of(policy, &known, now).ok().flatten()
}

/// When to look again, if a budget of the day is used up.
pub(super) fn is_used_up(policy: &AgentPolicy, agent: &Agent<'_>) -> Result<Option<Duration>> {
    let least = Usage {
        tokens: Some(1),
        cost: Some(MicroUsd::from_micros(1)),
        ..Usage::default()
    };
    let Some(ask) = asked(policy, &least) else {
        return Ok(None);
    };
    let answer = budgets::peek(agent, &Limits::default(), &ask).ok_or_else(|| errors::not_preloaded(WHAT))?;
    Ok(answer.err().map(|refusal| {
        let wait = refusal.retry_after_ms().map(Duration::from_millis);
        super::claim::sometime(wait)
    }))
}

/// Charges tokens to the day, if the budget covers them.
pub(super) fn charge(agent: &str, company: Company, tokens: u64) -> Result<std::result::Result<(), Refusal>> {
    let usage = Usage {
        tokens: Some(tokens),
        ..Usage::default()
    };
    let place = Agent { company, name: agent };
    let Known::Policy(compiled) = known::in_force(agent, &company) else {
        return Ok(Ok(()));
    };
    let Some(ask) = asked(&compiled.policy, &usage) else {
        return Ok(Ok(()));
    };
    let booked = crate::pg::budgets::book(&place, &ask, &[Some(0), Some(tokens)]);
    let booked = booked.ok_or_else(|| errors::not_preloaded(WHAT))?;
    Ok(booked.map(drop))
}

/// Books what a task has used, whatever is left.
pub(super) fn book(agent: &str, company: Company, usage: &Usage) {
    let said = budget::said(usage);
    let Known::Policy(compiled) = known::in_force(agent, &company) else {
        return;
    };
    if said.iter().all(|amount| amount.unwrap_or(0) == 0) {
        return;
    }
    let Some(ask) = asked(&compiled.policy, &Usage::default()) else {
        return;
    };
    let place = Agent { company, name: agent };
    // Without shared memory nothing under a budget was claimed; a scheduler that does not answer loses no completion.
    let _ = crate::pg::budgets::book(&place, &ask, &said.map(|amount| amount.or(Some(0))));
}
