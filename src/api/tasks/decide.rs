//! What people decide about tasks: `tms_task_confirm`, `tms_task_cancel`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::policy::ledger::Outcome;
use tms_domain::task;
use uuid::Uuid;

use super::{call_for, scope, unknown};
use crate::errors::{self, Result};
use crate::pg::limits::Agent;
use crate::pg::task_limits::Place;
use crate::pg::{roles, server, spi, task_acts};
use crate::store::tasks::{self, Cancelled, Word};

/// Longest note or reason, in characters.
const LONGEST_TEXT: usize = 1_000;

#[pg_extern(sql = false)]
fn tms_task_confirm(id: Option<pgrx::Uuid>, approve: Option<bool>, note: Option<&str>) -> Result<()> {
    const NAME: &str = "tms_task_confirm";
    let id = *id.ok_or_else(|| errors::null_argument(NAME, "id"))?.as_bytes();
    let approve = approve.ok_or_else(|| errors::null_argument(NAME, "approve"))?;
    if let Some(length) = note
        .map(|note| note.chars().count())
        .filter(|length| *length > LONGEST_TEXT)
    {
        return Err(errors::out_of_range(
            "note",
            &format!("of {length} characters"),
            "at most 1000 characters",
        ));
    }
    let scope = scope()?;
    let callers = [roles::outer_user(), roles::session_user()];
    let word = Word {
        by: callers[0],
        note,
        now: server::now(),
    };
    spi::connect(|session| {
        let pending = tasks::lock_pending(session, &id, scope, callers).ok_or_else(|| unknown(&id))?;
        if !pending.waits {
            return Err(does_not_wait(&id));
        }
        if pending.is_own {
            return Err(own_task(&id));
        }
        if !approve {
            tasks::refuse(session, &id, &word);
            return Ok(());
        }
        let payload = String::from_utf8_lossy(&pending.payload);
        let sha256 = task::agreed(&pending.agent, &pending.function, &payload);
        let is_due = pending.available_at <= word.now;
        let turn = is_due.then(|| task::turn(pending.available_at, pending.priority));
        tasks::agree(session, &id, &word, &sha256, turn);
        match turn {
            Some(_) => call_for(&pending.agent, pending.company),
            None => task_acts::due(pending.available_at),
        }
        Ok(())
    })
}

fn does_not_wait(id: &[u8; 16]) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("task {} does not wait for confirmation", Uuid::from_bytes(*id)),
        "tms",
    )
    .set_detail("It needs none, somebody was asked before, or it is finished.")
    .set_hint("See waits of tms.task_status.")
}

fn own_task(id: &[u8; 16]) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("task {} was submitted by the current role", Uuid::from_bytes(*id)),
        "tms",
    )
    .set_detail("Whoever submits a task cannot agree to it.")
    .set_hint("Have a role with the capability approver decide that did not submit it.")
}

#[pg_extern(sql = false)]
fn tms_task_cancel(id: Option<pgrx::Uuid>, reason: Option<&str>) -> Result<bool> {
    const NAME: &str = "tms_task_cancel";
    let id = *id.ok_or_else(|| errors::null_argument(NAME, "id"))?.as_bytes();
    let reason = reason.ok_or_else(|| errors::null_argument(NAME, "reason"))?;
    let length = reason.chars().count();
    if reason.trim().is_empty() || length > LONGEST_TEXT {
        return Err(errors::out_of_range(
            "reason",
            &format!("of {length} characters"),
            "1 to 1000 characters that say why",
        ));
    }
    let scope = scope()?;
    match spi::connect(|session| tasks::cancel(session, &id, scope, reason, server::now())) {
        Cancelled::Now(freed) => {
            if let Some(token) = freed.token {
                let place = Place::of(&Agent {
                    company: freed.company,
                    name: &freed.agent,
                });
                task_acts::ended(place, token, Outcome::Unknown);
                call_for(&freed.agent, freed.company);
            }
            Ok(true)
        }
        Cancelled::TooLate => Ok(false),
        Cancelled::Unknown => Err(unknown(&id)),
    }
}
