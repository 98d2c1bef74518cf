//! Tasks of agents.
//!
//! - [`submit`]: a task comes in                     - [`claim`]: an agent takes one, or waits for it
//! - [`lease`]: what the agent that has it may do     - [`decide`]: a person agrees, refuses, cancels
//! - [`spend`]: what it takes of the budgets of a day
//! - [`standing`]: what keeps a line from moving   - [`push`]: an agent that runs elsewhere is sent its tasks

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::shown::quoted;
use uuid::Uuid;

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::task_waiters::Line;
use crate::pg::{roles, server, task_acts};
use crate::store::policies::Company;
use crate::store::pull::held::Scope;

pub(crate) mod claim;
mod claim_one;
mod decide;
pub(crate) mod lease;
pub(crate) mod push;
mod spend;
pub(crate) mod standing;
pub(crate) mod submit;

/// Whose tasks the caller may act on: its company's, or as a role of the platform all.
fn scope() -> Result<Scope> {
    match tenancy::current_company() {
        Some(company) => Ok(Scope::Company(company)),
        None if roles::is_platform() => Ok(Scope::Everything),
        None => Err(errors::no_company()),
    }
}

/// A task came into a line, or a place for one came free, if this transaction commits.
fn call_for(agent: &str, company: Company) {
    task_acts::queued(Line::of(agent, company));
    if push::is_pushed(agent, company) {
        task_acts::due(server::now());
    }
}

/// The same words for a task that is not there and one of another company.
fn unknown(id: &[u8; 16]) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("task {} does not exist", Uuid::from_bytes(*id)),
        "tms",
    )
    .set_detail("Finished tasks are kept for tms.task_retention; those of other companies are not shown.")
    .set_hint("Check the id: tms_task_submit and tms_task_claim return it.")
}

/// 42501: nothing an agent without a policy asks for is allowed.
fn no_policy(agent: &str, nearest: Option<&str>) -> ErrorReport {
    let hint = nearest.map_or_else(
        || "Load one with tms_policy_load.".to_owned(),
        |name| format!("Did you mean \"{name}\"?"),
    );
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("agent {} has no policy", quoted(agent)),
        "tms",
    )
    .set_detail("Neither the company nor the platform has loaded one that can be read; its tasks are denied.")
    .set_hint(hint)
}
