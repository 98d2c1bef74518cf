//! A short look into one database: is the extension there, does its version fit, may it deliver, or is it a copy?
//!
//! Another database's catalog cannot be read from outside, so the launcher sends this worker; it stays for milliseconds.

use std::sync::atomic::Ordering;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::api::installation;
use crate::pg::shmem::{self, Slot, State};
use crate::pg::worker;
use crate::settings::{self, Dispatch};
use crate::store;

/// Entry of the worker.
pub(crate) fn run(database: u32) {
    worker::attach(database);
    let Some(slot) = shmem::shared().and_then(|shared| shared.slot(database)) else {
        return;
    };
    let state = match worker::transaction(|| look(slot)) {
        Ok(state) => state,
        Err(failed) => {
            log!(
                "tms: a look into the database with OID {database} failed: {}",
                failed.message
            );
            State::Failing
        }
    };
    slot.set_state(state);
}

fn look(slot: &Slot) -> State {
    store::catalog::extension_version().map_or(State::Absent, |version| judge(slot, &version))
}

fn judge(slot: &Slot, version: &str) -> State {
    // ALTER DATABASE ... SET applies to this connection as to any other, so this is the database's own value.
    if settings::dispatch() == Dispatch::Off {
        return State::Off;
    }
    let fits = version == crate::VERSION;
    // Each look would say it again; once is enough until it fits.
    let was_told = slot.mismatch_told.swap(!fits, Ordering::SeqCst);
    if !fits {
        if !was_told {
            report_mismatch(version);
        }
        return State::VersionMismatch;
    }
    if installation::awaits_adoption() {
        State::Restored
    } else if settings::dispatch() == Dispatch::Hold {
        State::Hold
    } else {
        State::Serving
    }
}

fn report_mismatch(version: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "tms: the extension has version {version}, the library {}; nothing is delivered",
            crate::VERSION
        ),
        "tms",
    )
    .set_hint(
        "Run ALTER EXTENSION tms UPDATE in this database, or restart the server with the library that fits.",
    )
    .report(PgLogLevel::LOG);
}
