//! Copies of a database: `tms_adopt`, and what the probe and the scheduler ask.

use pgrx::prelude::*;

use crate::api::tenancy;
use crate::errors::Result;
use crate::pg::{recovery, wake};
use crate::store;

/// Whether this server began from a backup and this database has not been told to go on.
pub(crate) fn awaits_adoption() -> bool {
    recovery::token().is_some_and(|token| !store::installation::has_acknowledged(&token))
}

#[pg_extern(sql = false)]
fn tms_recovery_token() -> Option<String> {
    recovery::token()
}

#[pg_extern(sql = false)]
fn tms_adopt() -> Result<String> {
    tenancy::require_platform("adopt a database")?;
    let restored = recovery::token().filter(|token| !store::installation::has_acknowledged(token));
    if let Some(token) = &restored {
        store::installation::acknowledge(token);
    }
    let targets = store::installation::adopt_targets();
    // At commit the launcher looks again, and finds that the workers may come.
    wake::note_extension();
    Ok(told(targets, restored.is_some()))
}

fn told(targets: usize, restored: bool) -> String {
    let adopted = match targets {
        1 => "1 target adopted".to_owned(),
        more => format!("{more} targets adopted"),
    };
    match (targets, restored) {
        (0, false) => "nothing to adopt: all targets are this installation's own".to_owned(),
        (_, false) => adopted,
        (0, true) => "restore acknowledged".to_owned(),
        (_, true) => format!("restore acknowledged, {adopted}"),
    }
}
