//! What the workers say of themselves: `tms_worker_status`, `tms_version`.

use std::sync::atomic::Ordering;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::errors::PRELOAD_HINT;
use crate::pg::shmem::{self, Shared, Slot, State};
use crate::pg::{roles, server};

#[pg_extern(sql = false)]
fn tms_version() -> &'static str {
    crate::VERSION
}

#[pg_extern(sql = false)]
fn tms_notice_unless_preloaded() {
    if shmem::shared().is_some() {
        return;
    }
    server::with_notices(|| {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            "tms is not in shared_preload_libraries: events can be enqueued, but nothing delivers them",
            "tms",
        )
        .set_hint(PRELOAD_HINT)
        .report(PgLogLevel::NOTICE);
    });
}

struct Line {
    component: &'static str,
    database: Option<String>,
    pid: Option<i32>,
    state: &'static str,
    detail: String,
    hint: Option<&'static str>,
}

type Columns = (
    name!(component, String),
    name!(database, Option<String>),
    name!(pid, Option<i32>),
    name!(state, String),
    name!(detail, String),
    name!(hint, Option<String>),
);

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns off the signature, so it cannot be a type of its own
fn tms_worker_status() -> TableIterator<
    'static,
    (
        name!(component, String),
        name!(database, Option<String>),
        name!(pid, Option<i32>),
        name!(state, String),
        name!(detail, String),
        name!(hint, Option<String>),
    ),
> {
    let lines = match shmem::shared() {
        None => vec![not_preloaded()],
        Some(shared) => status_of(shared),
    };
    TableIterator::new(lines.into_iter().map(columns))
}

fn columns(line: Line) -> Columns {
    (
        line.component.to_owned(),
        line.database,
        line.pid,
        line.state.to_owned(),
        line.detail,
        line.hint.map(str::to_owned),
    )
}

fn not_preloaded() -> Line {
    Line {
        component: "launcher",
        database: None,
        pid: None,
        state: "missing",
        detail: "tms is not in shared_preload_libraries: events are stored, nothing delivers them".to_owned(),
        hint: Some(PRELOAD_HINT),
    }
}

fn status_of(shared: &'static Shared) -> Vec<Line> {
    let mut lines = vec![launcher(shared)];
    // Counters are those of all companies of a database: only the platform sees them.
    let (mine, all) = (server::database(), roles::is_platform());
    for slot in &shared.slots {
        let oid = slot.database.load(Ordering::SeqCst);
        let shown = oid == mine || (all && oid != 0 && slot.state() != State::Absent);
        if shown {
            lines.extend(workers(slot, oid, all));
        }
    }
    if !shared
        .slots
        .iter()
        .any(|slot| slot.database.load(Ordering::SeqCst) == mine)
    {
        lines.push(unknown(mine));
    }
    lines
}

fn launcher(shared: &Shared) -> Line {
    let pid = shared.launcher.pid();
    let left_out = shared.databases_without_slot.load(Ordering::SeqCst);
    Line {
        component: "launcher",
        database: None,
        pid: (pid != 0).then_some(pid),
        state: if pid == 0 { "starting" } else { "running" },
        detail: format!(
            "{} wake-ups{}",
            shared.launcher_wakeups.load(Ordering::Relaxed),
            if left_out > 0 {
                format!("; {left_out} databases are left out")
            } else {
                String::new()
            }
        ),
        hint: None,
    }
}

fn unknown(oid: u32) -> Line {
    Line {
        component: "dispatcher",
        database: server::database_name(oid),
        pid: None,
        state: "unknown",
        detail: "the launcher has not looked at this database yet; it looks at templates never".to_owned(),
        hint: None,
    }
}

fn workers(slot: &Slot, oid: u32, counted: bool) -> [Line; 2] {
    let name = server::database_name(oid);
    let (state, hint) = describe(slot.state());
    let counters = &slot.counters;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let line = |component, pid: i32, detail| Line {
        component,
        database: name.clone(),
        pid: (pid != 0).then_some(pid),
        state: if pid == 0 && state == "running" {
            "starting"
        } else {
            state
        },
        detail,
        hint,
    };
    let (mut dispatched, mut rounds) = (String::new(), String::new());
    if counted {
        dispatched = format!(
            "{} delivered, {} failed attempts, {} dead, {} in flight, {} wake-ups since the server started",
            count(&counters.delivered),
            count(&counters.failed),
            count(&counters.dead),
            count(&counters.in_flight),
            count(&counters.wakeups),
        );
        rounds = format!("{} rounds", count(&slot.scheduler_wakeups));
        let (denials, others) = (
            count(&slot.decisions.dropped_denials),
            count(&slot.decisions.dropped_others),
        );
        if denials + others > 0 {
            rounds += &format!(
                "; {} decisions were dropped for want of room (tms.decision_buffer), {denials} of them denials",
                denials + others
            );
        }
    }
    [
        line("dispatcher", slot.dispatcher.pid(), dispatched),
        line("scheduler", slot.scheduler.pid(), rounds),
    ]
}

fn describe(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Serving => ("running", None),
        State::Hold => (
            "held",
            Some("tms.dispatch is hold: set it to on and reload to deliver."),
        ),
        State::Off => (
            "off",
            Some("tms.dispatch is off: set it to on and reload to deliver."),
        ),
        State::VersionMismatch => (
            "held",
            Some("Library and extension have different versions: run ALTER EXTENSION tms UPDATE."),
        ),
        State::NoSlot => (
            "waiting",
            Some("No worker slot is free: raise max_worker_processes; databases take turns until then."),
        ),
        State::Failing => (
            "failing",
            Some("A worker ended with an error and is tried again after a pause: see the server log."),
        ),
        State::Restored => (
            "held",
            Some(
                "This server began from a backup: call tms_adopt() in this database if it is the one that shall deliver.",
            ),
        ),
        State::Leaving => ("leaving", None),
        State::Absent | State::Unknown => ("starting", None),
    }
}
