//! The background workers: the launcher keeps a dispatcher and a scheduler alive in every database that has the extension.
//!
//! - [`launcher`]: which databases, starting, restarting, making room. - [`probe`]: a short look into one database.
//! - [`dispatcher`]: from the outbox to the receivers and back. - [`scheduler`]: what comes round by the clock.

use crate::pg::shmem::{self, Process, Slot};
use crate::pg::worker;

pub(crate) mod dispatcher;
pub(crate) mod launcher;
pub(crate) mod probe;
pub(crate) mod scheduler;

/// What pg_stat_activity.backend_type shows.
pub(crate) const LAUNCHER: &str = "tms launcher";
/// See [`LAUNCHER`].
pub(crate) const PROBE: &str = "tms probe";
/// See [`LAUNCHER`].
pub(crate) const DISPATCHER: &str = "tms dispatcher";
/// See [`LAUNCHER`].
pub(crate) const SCHEDULER: &str = "tms scheduler";

/// Connects a worker to its database and takes its place there; `None` when it is not wanted any more.
fn enter(database: u32, place: fn(&Slot) -> &Process) -> Option<&'static Slot> {
    worker::attach(database);
    let slot = shmem::shared()?.slot(database)?;
    if slot.must_leave() {
        return None;
    }
    worker::occupy(place(slot));
    worker::own_session();
    Some(slot)
}

/// Has the postmaster start the launcher; for `_PG_init` while libraries are preloaded.
pub(crate) fn register_launcher() {
    worker::register_static(LAUNCHER, "tms_launcher_main");
}
