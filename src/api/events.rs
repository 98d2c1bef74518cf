//! Single events: `tms_event_explain`, `tms_event_cancel`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::{roles, server, shmem, spi};
use crate::store::explain::{self, Cancelled};
use crate::store::installation;
use crate::store::pull::held::Scope;

mod story;

use story::{Scene, Service};

/// `tms_event_explain(id)`: where an event is, why, and what happens next.
#[pg_extern(sql = false)]
fn tms_event_explain(id: Option<pgrx::Uuid>) -> Result<String> {
    let id = id.ok_or_else(|| errors::null_argument("tms_event_explain", "id"))?;
    let scope = reach()?;
    let now = server::now();
    spi::connect(|session| {
        let facts = explain::facts(session, id.as_bytes(), scope, now).ok_or_else(|| unknown(&id))?;
        let head = facts
            .behind
            .map(|head| explain::facts(session, &head, scope, now));
        let scene = Scene {
            name: facts.target.clone(),
            target: explain::target(session, id.as_bytes()),
            service: service(),
            installation: installation::stamp(),
        };
        let lines = story::tell(&facts, head.as_ref(), &scene);
        Ok(lines.join("\n"))
    })
}

/// `tms_event_cancel(id, reason)`: takes an undelivered event out of the queue; true when it was waiting.
#[pg_extern(sql = false)]
fn tms_event_cancel(id: Option<pgrx::Uuid>, reason: Option<&str>) -> Result<bool> {
    const NAME: &str = "tms_event_cancel";
    let id = id.ok_or_else(|| errors::null_argument(NAME, "id"))?;
    let reason = reason.ok_or_else(|| errors::null_argument(NAME, "reason"))?;
    check_reason(reason)?;
    let scope = reach()?;
    let found = spi::connect(|session| {
        explain::cancel(
            session,
            id.as_bytes(),
            scope,
            (reason, roles::outer_user()),
            server::now(),
        )
    });
    match found {
        Cancelled::Now => Ok(true),
        Cancelled::TooLate => Ok(false),
        Cancelled::Unknown => Err(unknown(&id)),
    }
}

/// Longest reason of an act, in characters.
const LONGEST_REASON: usize = 1_000;

/// A reason says something, and is no document.
pub(crate) fn check_reason(reason: &str) -> Result<()> {
    let length = reason.chars().count();
    if reason.trim().is_empty() || length > LONGEST_REASON {
        return Err(errors::out_of_range(
            "reason",
            &format!("of {length} characters"),
            "1 to 1000 characters that say why",
        ));
    }
    Ok(())
}

/// Which events the caller may ask after: the platform after any, a company after its own.
pub(crate) fn reach() -> Result<Scope> {
    if roles::is_platform() {
        return Ok(Scope::Everything);
    }
    tenancy::current_company()
        .map(Scope::Company)
        .ok_or_else(errors::no_company)
}

/// The same words for an event that is not there and one of another company.
fn unknown(id: &pgrx::Uuid) -> ErrorReport {
    let shown = uuid::Uuid::from_bytes(*id.as_bytes());
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("event {shown} does not exist"),
        "tms",
    )
    .set_detail("Delivered events are kept for tms.event_retention; those of other companies are not shown.")
    .set_hint("Check the id: tms_enqueue returns it, and receivers get it as webhook-id.")
}

/// Whether this database's dispatcher is at work.
fn service() -> Service {
    if shmem::shared().is_none() {
        return Service::NotPreloaded;
    }
    shmem::my_slot().map_or(Service::Unserved, |slot| Service::Known {
        state: slot.state(),
        is_there: slot.dispatcher.pid() != 0,
    })
}
