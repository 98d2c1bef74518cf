//! Dead letters by the clock: those whose events are done are closed, those whose time has come begin their next round.
//!
//! A round is one transaction: when this worker dies in the middle, events and letters are as they were before.

use pgrx::prelude::*;

use crate::api::tasks::standing;
use crate::pg::worker::{self, Failed};
use crate::pg::{server, spi, wake};
use crate::settings;
use crate::store::installation;
use crate::store::letters::{due, ends, tasks};
use crate::store::pull::held::Scope;

/// One round. What somebody's lock, or a trigger of somebody's, keeps from being done is left for the next one.
pub(super) fn round() -> Result<(), Failed> {
    let done = worker::transaction(|| {
        // A restored copy sends nothing back to anybody, until it is adopted.
        if installation::is_copy() {
            return;
        }
        let now = server::now();
        let back = spi::connect(|session| {
            ends::close(session, now);
            tasks::close(session, now);
            let pace = settings::dead_letter_pace();
            tasks::requeue(session, Scope::Everything, &pace, now, standing::gate);
            due::requeue(session, Scope::Everything, &pace, now)
        });
        if back > 0 {
            wake::note_brought_back();
        }
    });
    match done {
        Err(failed) if failed.is_of_the_row() => {
            log!("tms: dead letters cannot come back: {}", failed.message);
            Ok(())
        }
        Err(failed) if failed.is_passing() => Ok(()),
        done => done,
    }
}
