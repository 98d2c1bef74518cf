//! `tms_task_submit`: a task comes in, if the policy lets it.

use std::time::Instant;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::policy::decide::Decision;
use tms_domain::policy::usage::Usage;
use tms_domain::policy::{self, Mode};
use tms_domain::shown::quoted;
use tms_domain::{keys, task};

use crate::api::policy::check::Call;
use crate::api::policy::judge::{self, Judged};
use crate::api::policy::record;
use crate::api::{outbox, tenancy};
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::{jsonb, roles, server, spi, task_acts};
use crate::settings;
use crate::store::policies::Company;
use crate::store::tasks::NewTask;
use crate::store::{self};

const NAME: &str = "tms_task_submit";

/// `tms_task_submit(agent_name, fn_name, payload, company_id, idempotency_key, priority, available_at)`: the task's id.
pub(crate) fn submit(arguments: &Arguments) -> Result<[u8; 16]> {
    let begin = Instant::now();
    let call = read_call(arguments)?;
    let priority = arguments.int4(5).unwrap_or(0);
    task::check_priority(priority).map_err(errors::problem)?;
    let available_at = read_time(arguments)?;
    let judged = judge::by_lists(&call.agent, &call.function, &call.company);
    if judged.decision == Decision::Deny && mode(&judged) == Mode::Enforce {
        record::enforced(&call, &judged, Decision::Deny, begin.elapsed());
        return Err(denied(&call, &judged));
    }
    let waits_for_person = judged.decision == Decision::Confirm && mode(&judged) == Mode::Enforce;
    let id = outbox::new_id();
    let key = arguments.text(4);
    if let Some(key) = &key {
        keys::check("idempotency_key", key).map_err(errors::problem)?;
        if let Some(first) = claim_key(&call.agent, &call.company, key, &id) {
            return Ok(first);
        }
    }
    let is_later = available_at > server::now();
    let new = NewTask {
        id,
        company: call.company,
        agent: &call.agent,
        function: &call.function,
        payload: call.payload,
        waits_for_person,
        priority,
        available_at,
        turn: (!waits_for_person && !is_later).then(|| task::turn(available_at, priority)),
        idempotency_key: key.as_deref(),
        submitted_by: roles::outer_user(),
    };
    spi::connect(|session| store::tasks::insert(session, &new));
    if new.turn.is_some() {
        super::call_for(&call.agent, call.company);
    } else if !waits_for_person {
        task_acts::due(available_at);
    }
    Ok(id)
}

fn read_call(arguments: &Arguments) -> Result<Call> {
    let missing = |argument| move || errors::null_argument(NAME, argument);
    let agent = arguments.text(0).ok_or_else(missing("agent_name"))?;
    let function = arguments.text(1).ok_or_else(missing("fn_name"))?;
    let payload = arguments.datum(2).ok_or_else(missing("payload"))?;
    let company = tenancy::company_for(arguments.uuid(3))?;
    policy::check_agent_name(&agent).map_err(errors::problem)?;
    task::check_function(&function).map_err(errors::problem)?;
    let (size, limit) = (jsonb::size(payload), settings::max_payload_bytes());
    if size > limit {
        return Err(errors::payload_too_large(size, limit));
    }
    Ok(Call {
        agent,
        function,
        payload,
        usage: Usage::default(),
        company,
    })
}

fn read_time(arguments: &Arguments) -> Result<i64> {
    match arguments.timestamp(6) {
        None => Ok(server::now()),
        Some(i64::MIN | i64::MAX) => Err(errors::out_of_range(
            "available_at",
            "infinite",
            "a point in time",
        )),
        Some(time) => Ok(time),
    }
}

fn mode(judged: &Judged) -> Mode {
    let policy = judged.policy.as_deref();
    policy.map_or(Mode::Enforce, |compiled| compiled.policy.effective_mode())
}

/// Which task the submitter's key stands for; `None`: this one, from now on.
fn claim_key(agent: &str, company: &Company, key: &str, id: &[u8; 16]) -> Option<[u8; 16]> {
    let window = i64::try_from(settings::idempotency_window().as_micros()).unwrap_or(i64::MAX);
    let horizon = server::now().saturating_sub(window);
    // No target has a colon in its name.
    let space = format!("task:{agent}");
    spi::connect(|session| store::keys::claim(session, &space, company.as_ref(), key, id, horizon))
}

fn denied(call: &Call, judged: &Judged) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("task of {} is denied: {}", quoted(&call.function), judged.reason),
        "tms",
    )
    .set_detail(format!("The rule is {}.", judged.rule))
    .set_hint("An operator allows calls with tms_policy_load; tms_policy_allowed lists what is allowed.")
}
