//! What the agent that has a task may do with it: `tms_task_heartbeat`, `tms_task_charge`, `tms_task_complete`, `tms_task_fail`.
//!
//! Each is known by the token of its lease. When that is over, whoever held it is told so, and nothing is changed.

use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::classify::classify;
use tms_domain::outcome::ErrorType;
use tms_domain::policy::MicroUsd;
use tms_domain::policy::ledger::Outcome;
use tms_domain::policy::limits::{Asked, CostGuardrails, Used};
use tms_domain::shown::quoted;
use uuid::Uuid;

use super::claim::LONGEST_LEASE_US;
use super::{call_for, scope, spend, unknown};
use crate::api::policy::check::read_usage;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::limits::Agent;
use crate::pg::spi::{self, Session};
use crate::pg::task_limits::Place;
use crate::pg::{jsonb, server, task_acts};
use crate::settings;
use crate::store::letters::{self, Letters};
use crate::store::policies::Company;
use crate::store::policies::known::{self, Known};
use crate::store::pull::held::Scope;
use crate::store::tasks::lease::{self, Ending, Task};
use crate::store::tasks::upkeep::GivenUp;

/// Longest text of an error, in characters.
const LONGEST_MESSAGE: usize = 1_000;

/// A length of time as a lease.
pub(super) fn read_lease(lease: i64) -> Result<Duration> {
    if !(1..=LONGEST_LEASE_US).contains(&lease) {
        return Err(errors::out_of_range(
            "lease",
            "of this length",
            "an interval above 0 and up to 1 day",
        ));
    }
    Ok(Duration::from_micros(u64::try_from(lease).unwrap_or(0)))
}

fn place(agent: &str, company: Company) -> Place {
    Place::of(&Agent { company, name: agent })
}

/// The caller's task, locked, under the lease it says it has.
fn held(session: &Session, id: &[u8; 16], token: &[u8; 16], now: i64) -> Result<Task> {
    let task = lease::lock(session, id, scope()?).ok_or_else(|| unknown(id))?;
    if task.is_held_by(token, now) {
        Ok(task)
    } else {
        Err(over(id, &task, token, now))
    }
}

/// 55000, with what became of the task meanwhile.
fn over(id: &[u8; 16], task: &Task, token: &[u8; 16], now: i64) -> ErrorReport {
    let is_own = task.token.as_ref() == Some(token);
    let detail = match task.status.as_str() {
        "running" if is_own && task.until.is_some_and(|until| until <= now) => {
            "It ran out, and the task goes to another agent.".to_owned()
        }
        "running" => "Another lease of the task is in force.".to_owned(),
        status => format!("The task is {status}."),
    };
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("the lease of task {} is over", Uuid::from_bytes(*id)),
        "tms",
    )
    .set_detail(detail)
    .set_hint("Stop working on it: nothing was changed. Claim again, and call tms_task_heartbeat before a lease runs out.")
}

#[pg_extern(sql = false)]
fn tms_task_heartbeat(
    id: Option<pgrx::Uuid>,
    lease_token: Option<pgrx::Uuid>,
    lease: Option<pgrx::datum::Interval>,
) -> Result<TimestampWithTimeZone> {
    const NAME: &str = "tms_task_heartbeat";
    let id = *id.ok_or_else(|| errors::null_argument(NAME, "id"))?.as_bytes();
    let token = *lease_token
        .ok_or_else(|| errors::null_argument(NAME, "lease_token"))?
        .as_bytes();
    let asked = lease.ok_or_else(|| errors::null_argument(NAME, "lease"))?;
    let asked = i64::try_from(asked.as_micros()).unwrap_or(i64::MAX);
    let length = read_lease(asked)?;
    let now = server::now();
    let until = now.saturating_add(asked);
    spi::connect(|session| {
        let task = held(session, &id, &token, now)?;
        lease::prolong(session, &id, until, now);
        task_acts::prolonged(place(&task.agent, task.company), token, length);
        TimestampWithTimeZone::try_from(until)
            .map_err(|_| errors::out_of_range("lease", "of this length", "a shorter one"))
    })
}

#[pg_extern(sql = false)]
fn tms_task_charge(
    id: Option<pgrx::Uuid>,
    lease_token: Option<pgrx::Uuid>,
    tokens: Option<i64>,
    api_calls: Option<i32>,
    model: Option<&str>,
) -> Result<pgrx::JsonB> {
    const NAME: &str = "tms_task_charge";
    let id = *id.ok_or_else(|| errors::null_argument(NAME, "id"))?.as_bytes();
    let token = *lease_token
        .ok_or_else(|| errors::null_argument(NAME, "lease_token"))?
        .as_bytes();
    let tokens = tokens.ok_or_else(|| errors::null_argument(NAME, "tokens"))?;
    let api_calls = i64::from(api_calls.ok_or_else(|| errors::null_argument(NAME, "api_calls"))?);
    for (what, value) in [("tokens", tokens), ("api_calls", api_calls)] {
        if value < 0 {
            return Err(errors::out_of_range(what, &value.to_string(), "a number from 0"));
        }
    }
    if model.is_some_and(|model| model.is_empty() || model.len() > 255) {
        return Err(errors::out_of_range(
            "model",
            "of this length",
            "the name of a model in 1 to 255 bytes",
        ));
    }
    let now = server::now();
    spi::connect(|session| {
        let task = held(session, &id, &token, now)?;
        let limits = guardrails(&task);
        let used = Used {
            task_tokens: unsigned(task.tokens_used),
            task_api_calls: unsigned(task.api_calls_used),
            ..Used::default()
        };
        let asked = Asked {
            tokens: unsigned(tokens),
            api_calls: unsigned(api_calls),
            cost: Some(MicroUsd::default()),
            said_cost: Some(MicroUsd::default()),
            said_tokens: Some(unsigned(tokens)),
        };
        limits
            .check(&used, &asked)
            .map_err(|exceeded| too_much(&task, exceeded.limit.rule(), &exceeded.to_string()))?;
        spend::charge(&task.agent, task.company, asked.tokens)?.map_err(|refusal| {
            too_much(
                &task,
                refusal.rule().unwrap_or("tms.max_policy_agents"),
                &refusal.to_string(),
            )
        })?;
        lease::charge(session, &id, tokens, api_calls, now);
        let (tokens, api_calls) = (
            used.task_tokens + asked.tokens,
            used.task_api_calls + asked.api_calls,
        );
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Ok(pgrx::JsonB(serde_json::json!({
            "tokens_used": tokens,
            "tokens_left": left(limits.max_tokens_per_task, tokens),
            "api_calls_used": api_calls,
            "api_calls_left": left(limits.max_api_calls_per_task, api_calls),
        })))
    })
}

/// What one task may use by the policy that is in force now; nothing where there is none.
fn guardrails(task: &Task) -> CostGuardrails {
    match known::in_force(&task.agent, &task.company) {
        Known::Policy(compiled) => CostGuardrails {
            // Money is not charged here, so it cannot be in the way.
            max_cost_usd_per_task: None,
            max_cost_usd_per_day: None,
            max_tokens_per_day: None,
            ..compiled.policy.cost_guardrails
        },
        Known::Nothing | Known::Unreadable => CostGuardrails {
            max_tokens_per_task: Some(0),
            max_api_calls_per_task: Some(0),
            ..CostGuardrails::default()
        },
    }
}

fn too_much(task: &Task, rule: &str, reason: &str) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        format!("agent {} may not use as much: {reason}", quoted(&task.agent)),
        "tms",
    )
    .set_detail(format!("The rule is {rule}. Nothing was charged."))
    .set_hint("Do with less, end the task with tms_task_fail(..., 'quota_exceeded', ...), or load another limit with tms_policy_load.")
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `tms_task_complete(id, lease_token, result, usage)`.
pub(crate) fn complete(arguments: &Arguments) -> Result<()> {
    const NAME: &str = "tms_task_complete";
    let missing = |argument| move || errors::null_argument(NAME, argument);
    let id = arguments.uuid(0).ok_or_else(missing("id"))?;
    let token = arguments.uuid(1).ok_or_else(missing("lease_token"))?;
    let result = arguments.datum(2).ok_or_else(missing("result"))?;
    let usage = arguments.datum(3).ok_or_else(missing("usage"))?;
    let (size, limit) = (jsonb::size(result), settings::max_payload_bytes());
    if size > limit {
        return Err(errors::payload_too_large(size, limit));
    }
    let usage = read_usage(usage)?;
    let ending = Ending {
        result,
        tokens: signed(usage.tokens.unwrap_or(0)),
        api_calls: signed(usage.api_calls),
        cost: usage.cost.map(|cost| signed(cost.micros())),
    };
    let (scope, now) = (scope()?, server::now());
    spi::connect(
        |session| match lease::complete(session, &id, &token, scope, &ending, now) {
            Some(done) => {
                spend::book(&done.agent, done.company, &usage);
                ended(&done.agent, done.company, token, Outcome::Success);
                Ok(())
            }
            None => why_not(session, &id, &token, scope, now),
        },
    )
}

/// A completion that changed nothing: fine when it is a repetition.
fn why_not(session: &Session, id: &[u8; 16], token: &[u8; 16], scope: Scope, now: i64) -> Result<()> {
    let task = lease::lock(session, id, scope).ok_or_else(|| unknown(id))?;
    if task.status == "done" && task.token.as_ref() == Some(token) {
        Ok(())
    } else {
        Err(over(id, &task, token, now))
    }
}

/// A run has ended: its reservation goes with the transaction, and somebody who waits may have the place.
fn ended(agent: &str, company: Company, token: [u8; 16], outcome: Outcome) {
    task_acts::ended(place(agent, company), token, outcome);
    call_for(agent, company);
}

#[pg_extern(sql = false)]
fn tms_task_fail(
    id: Option<pgrx::Uuid>,
    lease_token: Option<pgrx::Uuid>,
    error_type: Option<&str>,
    error_message: Option<&str>,
) -> Result<String> {
    const NAME: &str = "tms_task_fail";
    let id = *id.ok_or_else(|| errors::null_argument(NAME, "id"))?.as_bytes();
    let token = *lease_token
        .ok_or_else(|| errors::null_argument(NAME, "lease_token"))?
        .as_bytes();
    let error_type = error_type.ok_or_else(|| errors::null_argument(NAME, "error_type"))?;
    let message: Option<String> = error_message.map(|text| text.chars().take(LONGEST_MESSAGE).collect());
    let error = classify(error_type, message.as_deref());
    let now = server::now();
    spi::connect(|session| {
        let task = held(session, &id, &token, now)?;
        give_up(session, &id, error, message.as_deref(), now);
        ended(&task.agent, task.company, token, Outcome::Failure);
        Ok(error.as_str().to_owned())
    })
}

/// A task that cannot go on, in words for its letter.
pub(super) fn give_up(session: &Session, id: &[u8; 16], error: ErrorType, message: Option<&str>, now: i64) {
    lease::fail(session, id, error.as_str(), message, now);
    write_letters(session, &[*id], error, message, now);
}

/// Tasks whose lease ran out once too often.
pub(super) fn bury(session: &Session, given_up: &[GivenUp], now: i64) {
    let ids: Vec<[u8; 16]> = given_up.iter().map(|task| task.id).collect();
    if !ids.is_empty() {
        write_letters(session, &ids, ErrorType::Timeout, Some("the lease ran out"), now);
    }
}

/// What a retry cannot help rests until a person acts; everything else comes back.
fn write_letters(session: &Session, ids: &[[u8; 16]], error: ErrorType, message: Option<&str>, now: i64) {
    let letters = Letters {
        events: ids.to_vec(),
        error_types: vec![Some(error.as_str().to_owned()); ids.len()],
        messages: vec![message.map(str::to_owned); ids.len()],
        attempts: vec![1; ids.len()],
        permanent: vec![error == ErrorType::Validation; ids.len()],
    };
    letters::tasks::bury(session, &letters, now);
}
