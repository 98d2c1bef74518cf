//! `tms_policy_enforce` and `tms_policy_release`: a call is let through and charged, or stopped; and it ends.
//!
//! What was decided is on record before an error is raised, and stays there whatever becomes of the transaction.

use std::time::Instant;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::nearest;
use tms_domain::policy::Mode;
use tms_domain::policy::decide::Decision;
use tms_domain::policy::ledger::Outcome;
use tms_domain::shown::quoted;
use uuid::Uuid;

use super::check::Call;
use super::judge::{self, Judged};
use super::{budgets, limits, record, redaction, verdict};
use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::{self, server};

const ENFORCE: &str = "tms_policy_enforce";
const RELEASE: &str = "tms_policy_release";
const OUTCOMES: [&str; 2] = ["success", "failure"];

/// What becomes of a call.
struct Verdict {
    judged: Judged,
    /// What may be seen of the payload.
    shown: Option<pg_sys::Datum>,
    /// Whether it is stopped by a limit, which is another thing on another day.
    is_limit: bool,
    reservation: Option<Uuid>,
}

/// `tms_policy_enforce(agent_name, fn_name, payload, usage, company_id)`: the verdict, charged; or an error.
pub(crate) fn enforce(arguments: &Arguments) -> Result<pg_sys::Datum> {
    let begin = Instant::now();
    server::refuse_during_recovery(c"tms_policy_enforce()");
    let call = Call::read(ENFORCE, arguments)?;
    if !pg::limits::is_there() {
        return Err(errors::not_preloaded(limits::WHAT));
    }
    let verdict = judge(&call)?;
    let judged = &verdict.judged;
    let passes = judged.decision == Decision::Allow || mode(judged) == Mode::EvaluateOnly;
    let effective = if passes { Decision::Allow } else { judged.decision };
    record::enforced(&call, judged, effective, begin.elapsed());
    if passes {
        Ok(verdict::of(judged, verdict.shown, verdict.reservation))
    } else {
        Err(stopped(&call, &verdict))
    }
}

fn mode(judged: &Judged) -> Mode {
    let policy = judged.policy.as_deref();
    policy.map_or(Mode::Enforce, |compiled| compiled.policy.effective_mode())
}

/// Holds a call against the lists; and what they allow against every limit, charging all of them or none.
fn judge(call: &Call) -> Result<Verdict> {
    let judged = judge::by_lists(&call.agent, &call.function, &call.company);
    // Before anything is charged: a payload that cannot be redacted is refused.
    let shown = redaction::shown(&judged, call)?;
    let (Decision::Allow, Some(policy)) = (judged.decision, judged.policy.as_deref()) else {
        return Ok(Verdict {
            judged,
            shown,
            is_limit: false,
            reservation: None,
        });
    };
    Ok(match limits::reserve(policy, call)? {
        Ok(id) => Verdict {
            judged,
            shown,
            is_limit: false,
            reservation: Some(Uuid::from_bytes(id)),
        },
        Err(refusal) => Verdict {
            judged: refusal.of(judged),
            shown,
            is_limit: true,
            reservation: None,
        },
    })
}

/// 42501 for what no waiting helps, 53400 for a limit.
fn stopped(call: &Call, verdict: &Verdict) -> ErrorReport {
    let judged = &verdict.judged;
    let code = if verdict.is_limit {
        PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED
    } else {
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
    };
    let message = format!("call of {} is stopped: {}", quoted(&call.function), judged.reason);
    ErrorReport::new(code, message, "tms")
        .set_detail(detail(judged))
        .set_hint(hint(call, verdict))
}

fn detail(judged: &Judged) -> String {
    let mut detail = format!("The rule is {}", judged.rule);
    if let Some(policy) = &judged.policy {
        detail += &format!(", the policy version {}", policy.version);
    }
    detail += ".";
    if let Some(wait) = judged.retry_after_ms {
        detail += &format!(" retry_after_ms: {wait}.");
    }
    detail
}

fn hint(call: &Call, verdict: &Verdict) -> String {
    let judged = &verdict.judged;
    if let Some(key) = budgets::unsaid(&judged.rule, &call.usage) {
        return format!(
            "Say in usage what the call will use at most, such as '{{\"{key}\": ...}}'; what it has used is for tms_policy_release."
        );
    }
    let is_setting = judged.rule.starts_with("tms.");
    match (judged.decision, verdict.is_limit, judged.retry_after_ms) {
        (Decision::Confirm, ..) => {
            "Submit it as a task with tms_task_submit: it runs once a person has agreed.".to_owned()
        }
        (_, true, Some(_)) => "Call again after the milliseconds that DETAIL names.".to_owned(),
        (_, true, None) if is_setting => {
            format!(
                "Raise {} and restart the server; release what has ended with tms_policy_release.",
                judged.rule
            )
        }
        (_, true, None) => {
            "End what runs with tms_policy_release, ask for less, or load another limit with tms_policy_load."
                .to_owned()
        }
        (_, false, _) => {
            "An operator allows calls with tms_policy_load; tms_policy_allowed lists what is allowed."
                .to_owned()
        }
    }
}

/// `tms_policy_release(reservation_id, outcome, usage)`: whether a call ended that was running.
pub(crate) fn release(arguments: &Arguments) -> Result<bool> {
    let outcome = arguments
        .text(1)
        .ok_or_else(|| errors::null_argument(RELEASE, "outcome"))?;
    let outcome = read_outcome(&outcome)?;
    let usage = arguments
        .datum(2)
        .ok_or_else(|| errors::null_argument(RELEASE, "usage"))?;
    let usage = super::check::read_usage(usage)?;
    let company = tenancy::company_for(None)?;
    // What evaluate_only let through without a reservation has none to give back.
    let Some(id) = arguments.uuid(0) else {
        return Ok(false);
    };
    budgets::release(&id, company, outcome, &usage)
}

fn read_outcome(text: &str) -> Result<Outcome> {
    match text {
        "success" => Ok(Outcome::Success),
        "failure" => Ok(Outcome::Failure),
        _ => Err(errors::problem(nearest::unknown_name("outcome", text, &OUTCOMES))),
    }
}
