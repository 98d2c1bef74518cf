//! The background workers: the launcher keeps a dispatcher and a scheduler alive in every database that has the extension.
//!
//! - [`launcher`]: which databases, starting, restarting, making room. - [`probe`]: a short look into one database.
//! - [`dispatcher`]: from the outbox to the receivers and back. - [`scheduler`]: what comes round by the clock.

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

/// Has the postmaster start the launcher; for `_PG_init` while libraries are preloaded.
pub(crate) fn register_launcher() {
    crate::pg::worker::register_static(LAUNCHER, "tms_launcher_main");
}
