//! tms: a transactional outbox, delivered by PostgreSQL itself.
//!
//! The map of the rooms:
//! - [`settings`]: every setting, with the reason for its default; [`errors`]: the one place where a mistake becomes SQLSTATE,
//!   DETAIL and HINT.
//! - [`api`]: what SQL calls, by family: convert, call, convert.
//! - [`store`]: the SQL statements, one file per table.
//! - [`workers`]: launcher, dispatcher and scheduler.
//! - [`pg`]: the only room with `unsafe`: SPI, shared memory, hooks, callbacks, triggers.
//!
//! Decisions that need no server live in `crates/domain`, the HTTP engine in `crates/delivery`; the SQL objects are written by
//! hand in `sql/install/`.

// The error type is pgrx's own, which keeps SQLSTATE, DETAIL and HINT; it cannot be boxed on its way to pgrx.
#![allow(clippy::result_large_err)]

use pgrx::prelude::*;

mod api;
mod errors;
mod pg;
mod settings;
mod store;
mod workers;

#[cfg(any(test, feature = "pg_test"))]
#[path = "../pg_test/mod.rs"]
mod pg_test;

pgrx::pg_module_magic!(name, version);

/// Version of this library; the SQL side's version is `pg_extension.extversion`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

// The install script, for `cargo pgrx`; the Makefile concatenates the same files in the same order.
pgrx::extension_sql_file!("../sql/install/01_schema.sql", name = "schema", bootstrap);
pgrx::extension_sql_file!(
    "../sql/install/02_tenancy.sql",
    name = "tenancy",
    requires = ["schema"]
);
pgrx::extension_sql_file!(
    "../sql/install/03_targets.sql",
    name = "targets",
    requires = ["tenancy"]
);
pgrx::extension_sql_file!(
    "../sql/install/04_outbox.sql",
    name = "outbox",
    requires = ["targets"]
);
pgrx::extension_sql_file!("../sql/install/05_keys.sql", name = "keys", requires = ["outbox"]);
pgrx::extension_sql_file!(
    "../sql/install/06_letters.sql",
    name = "letters",
    requires = ["keys"]
);
pgrx::extension_sql_file!(
    "../sql/install/07_status.sql",
    name = "status",
    requires = ["letters"]
);
pgrx::extension_sql_file!(
    "../sql/install/08_subscriptions.sql",
    name = "subscriptions",
    requires = ["status"]
);
pgrx::extension_sql_file!(
    "../sql/install/09_webhooks.sql",
    name = "webhooks",
    requires = ["subscriptions"]
);
pgrx::extension_sql_file!(
    "../sql/install/10_installation.sql",
    name = "installation",
    requires = ["webhooks"]
);
pgrx::extension_sql_file!(
    "../sql/install/11_pull.sql",
    name = "pull",
    requires = ["installation"]
);
pgrx::extension_sql_file!(
    "../sql/install/12_events.sql",
    name = "events",
    requires = ["pull"]
);
pgrx::extension_sql_file!(
    "../sql/install/13_policies.sql",
    name = "policies",
    requires = ["events"]
);
pgrx::extension_sql_file!(
    "../sql/install/14_decisions.sql",
    name = "decisions",
    requires = ["policies"]
);
pgrx::extension_sql_file!(
    "../sql/install/15_backtest.sql",
    name = "backtest",
    requires = ["decisions"]
);
pgrx::extension_sql_file!(
    "../sql/install/15_budgets.sql",
    name = "budgets",
    requires = ["backtest"]
);
pgrx::extension_sql_file!(
    "../sql/install/16_redaction.sql",
    name = "redaction",
    requires = ["budgets"]
);
pgrx::extension_sql_file!(
    "../sql/install/17_landing.sql",
    name = "landing",
    requires = ["redaction"]
);
pgrx::extension_sql_file!(
    "../sql/install/18_logs.sql",
    name = "logs",
    requires = ["landing"]
);
pgrx::extension_sql_file!(
    "../sql/install/19_health.sql",
    name = "health",
    requires = ["logs"]
);
pgrx::extension_sql_file!(
    "../sql/install/20_tasks.sql",
    name = "tasks",
    requires = ["health"]
);
pgrx::extension_sql_file!(
    "../sql/install/21_dead_letters.sql",
    name = "dead_letters",
    requires = ["tasks"]
);
pgrx::extension_sql_file!("../sql/install/90_rights.sql", name = "rights", finalize);

/// Called when the library is loaded: by the postmaster when it is preloaded, else by the first backend that needs it.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    if pg::server::is_binary_upgrade() {
        return;
    }
    pg::server::silence_backtraces();
    pg::server::start_steady_clock();
    settings::define();
    pg::init();
    if pg::server::is_preloading() {
        pg::recovery::note_start();
        workers::register_launcher();
    }
}
