//! The only room with `unsafe`: everything that touches PostgreSQL's C surface beyond what pgrx makes safe.
//!
//! Each file gives the rest of the extension a safe function for one thing. No file in here decides anything about events,
//! targets or companies.
// Entry points are called by name from outside, so they are `pub` in rooms nobody else enters.
#![allow(unsafe_code, unreachable_pub)]

pub(crate) mod alone;
pub(crate) mod array;
pub(crate) mod budgets;
pub(crate) mod cache;
pub(crate) mod call;
pub(crate) mod catalog;
pub(crate) mod hooks;
pub(crate) mod journal;
pub(crate) mod jsonb;
pub(crate) mod lanes;
pub(crate) mod limits;
pub(crate) mod locks;
pub(crate) mod plain;
pub(crate) mod recovery;
pub(crate) mod redact_row;
pub(crate) mod redaction;
pub(crate) mod redaction_news;
pub(crate) mod region;
pub(crate) mod roles;
pub(crate) mod server;
pub(crate) mod set;
pub(crate) mod shmem;
pub(crate) mod signal;
pub(crate) mod spi;
pub(crate) mod subtransaction;
pub(crate) mod task_acts;
pub(crate) mod task_limits;
pub(crate) mod task_waiters;
pub(crate) mod trigger;
pub(crate) mod wake;
pub(crate) mod worker;

/// Installs hooks and callbacks; called once a process loads the library.
pub(crate) fn init() {
    cache::register();
    redaction_news::register();
    wake::register();
    task_acts::register();
    hooks::register_log();
    if server::is_preloading() {
        shmem::register();
        hooks::register();
    }
}
