//! The life of a background worker: registration, signals, waiting, transactions that survive an error, what it shows.

use std::cell::Cell;
use std::ffi::CString;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{server, shmem};

thread_local! {
    // sigterm_received() forgets; a worker that was told to stop must not.
    static STOPPING: Cell<bool> = const { Cell::new(false) };
}

/// Registers the worker that the postmaster starts by itself after recovery, and again when it ends.
pub(crate) fn register_static(name: &str, function: &str) {
    BackgroundWorkerBuilder::new(name)
        .set_type(name)
        .set_library("tms")
        .set_function(function)
        .enable_spi_access()
        .set_restart_time(Some(Duration::from_secs(1)))
        .load();
}

/// A worker that was started for a database.
pub(crate) struct Started(pgrx::bgworkers::DynamicBackgroundWorker);

/// Whether a worker still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Coming,
    Running,
    Ended,
}

impl Started {
    /// Asks the postmaster.
    pub(crate) fn life(&self) -> Life {
        use pgrx::bgworkers::BackgroundWorkerStatus as Status;
        match self.0.pid() {
            Ok(_) | Err(Status::Started) => Life::Running,
            Err(Status::NotYetStarted) => Life::Coming,
            Err(_) => Life::Ended,
        }
    }
}

/// Starts a worker for a database; `None` when there is no free worker slot.
pub(crate) fn start(kind: &str, function: &str, database: u32) -> Option<Started> {
    BackgroundWorkerBuilder::new(&format!("{kind} {database}"))
        .set_type(kind)
        .set_library("tms")
        .set_function(function)
        .enable_spi_access()
        .set_argument(Some(pg_sys::Datum::from(database)))
        .set_notify_pid(server::pid())
        .load_dynamic()
        .ok()
        .map(Started)
}

/// Takes signals, and connects: to a database by OID, or with 0 to the shared catalogs alone.
pub(crate) fn attach(database: u32) {
    ignore_cancels();
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    if database == 0 {
        BackgroundWorker::connect_worker_to_spi(None, None);
    } else {
        BackgroundWorker::connect_worker_to_spi_by_oid(Some(pg_sys::Oid::from(database)), None);
    }
}

/// Between transactions no statement runs that a cancel could be meant for, yet even a line for the log looks for one at its end.
fn ignore_cancels() {
    // SAFETY: both are this process's own; a holdoff count above zero lets a cancel pend and does not affect SIGTERM.
    unsafe {
        pg_sys::QueryCancelHoldoffCount = 1;
        pg_sys::QueryCancelPending = 0;
    }
}

/// Whether SIGTERM came, now or before.
pub(crate) fn stopping() -> bool {
    if BackgroundWorker::sigterm_received() {
        STOPPING.set(true);
    }
    STOPPING.get()
}

/// Reads the configuration again if SIGHUP came; true when it did.
pub(crate) fn reload_if_asked() -> bool {
    let asked = BackgroundWorker::sighup_received();
    if asked {
        // SAFETY: called between transactions, as PostgreSQL's own processes do.
        unsafe {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
    asked
}

/// Waits for the latch, for `descriptor` to become readable, or for time to pass. The postmaster's end ends the worker.
pub(crate) fn wait(descriptor: Option<i32>, timeout: Option<Duration>) {
    let milliseconds = timeout.map_or(-1, |timeout| {
        // Rounded up: waking too early would spin until the time has come.
        i64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
    });
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH;
    if timeout.is_some() {
        events |= pg_sys::WL_TIMEOUT;
    }
    if descriptor.is_some() {
        events |= pg_sys::WL_SOCKET_READABLE;
    }
    // SAFETY: waits on this process's own latch and on a descriptor the caller keeps open.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            descriptor.unwrap_or(pg_sys::PGINVALID_SOCKET),
            milliseconds as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    ignore_cancels();
    pgrx::check_for_interrupts!();
}

/// What a failed transaction of a worker ended with; never the statement or its values.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) code: PgSqlErrorCode,
    pub(crate) message: String,
}

impl Failed {
    /// Whether it is the row that cannot be written: its data, a constraint, or a trigger that raised. SQLSTATE classes 22, 23, 44
    /// and P0, in PostgreSQL's packing of six bits a character.
    pub(crate) fn is_of_the_row(&self) -> bool {
        let packed = self.code as i32;
        let class = [packed & 0x3f, (packed >> 6) & 0x3f].map(|bits| u8::try_from(bits).unwrap_or(0) + b'0');
        matches!(&class, b"22" | b"23" | b"44" | b"P0")
    }

    /// Whether the same work may succeed a little later without anybody's help: somebody holds a lock, or cancelled us.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.code,
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
                | PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED
                | PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
                | PgSqlErrorCode::ERRCODE_QUERY_CANCELED
                | PgSqlErrorCode::ERRCODE_DISK_FULL
                | PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
        )
    }
}

/// Runs `work` in a transaction of its own. On an error the transaction is aborted, and the worker goes on.
pub(crate) fn transaction<R>(work: impl FnOnce() -> R) -> Result<R, Failed> {
    // SAFETY: the transaction commands are called in the order PostgreSQL's own workers call them: start, snapshot, work, and
    // then either commit or, with the error state already flushed by pgrx, abort.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::QueryCancelHoldoffCount = 0;
        let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let result = work();
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
            Ok(result)
        }))
        .catch_others(|error| Err(describe(error)))
        .execute();
        if outcome.is_err() {
            pg_sys::AbortCurrentTransaction();
        }
        ignore_cancels();
        pg_sys::pgstat_report_stat(false);
        outcome
    }
}

/// The same, and on disk once it answers, which is otherwise too much to wait for.
pub(crate) fn durable_transaction<R>(work: impl FnOnce() -> R) -> Result<R, Failed> {
    set_option(c"synchronous_commit", c"local");
    let outcome = transaction(work);
    set_option(c"synchronous_commit", c"off");
    outcome
}

fn describe(error: pg_sys::panic::CaughtError) -> Failed {
    use pg_sys::panic::CaughtError::{ErrorReport, PostgresError, RustPanic};
    let report = match &error {
        PostgresError(report) | ErrorReport(report) => report,
        RustPanic { ereport, .. } => ereport,
    };
    Failed {
        code: report.sql_error_code(),
        message: report.message().to_owned(),
    }
}

/// Shows in pg_stat_activity what the worker is doing.
pub(crate) fn show_busy(text: &str) {
    show(pg_sys::BackendState::STATE_RUNNING, text);
}

/// Shows that the worker waits for work.
pub(crate) fn show_idle(text: &str) {
    show(pg_sys::BackendState::STATE_IDLE, text);
}

fn show(state: pg_sys::BackendState::Type, text: &str) {
    let Ok(text) = CString::new(text) else { return };
    // SAFETY: the text is copied into shared memory.
    unsafe { pg_sys::pgstat_report_activity(state, text.as_ptr()) }
}

/// Settings of this worker's session that its statements were designed for.
pub(crate) fn set_option(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    // SAFETY: both strings are NUL-terminated; PGC_S_SESSION outlives transactions, and a value from the configuration file does
    // not override it.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}

/// What a database or a role may set for sessions is meant for users, not for a worker that must be able to write down what it
/// has sent. What it writes may be lost in a crash: it is delivered again then, or purged again.
pub(crate) fn own_session() {
    for (name, value) in [
        (c"default_transaction_read_only", c"off"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_deferrable", c"off"),
        (c"session_replication_role", c"origin"),
        (c"statement_timeout", c"0"),
        (c"idle_in_transaction_session_timeout", c"0"),
        (c"search_path", c"pg_catalog, pg_temp"),
        (c"synchronous_commit", c"off"),
    ] {
        set_option(name, value);
    }
}

/// Ends the process.
#[allow(unreachable_code)] // only some majors' bindings say that proc_exit does not return
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: runs the exit callbacks and does not return.
    unsafe { pg_sys::proc_exit(code) };
    unreachable!("proc_exit does not return")
}

/// This process takes a place in shared memory, and leaves it when it ends, however it ends; the launcher hears of that.
pub(crate) fn occupy(place: &'static shmem::Process) {
    place.enter();
    // SAFETY: the callback is a static function, its argument the address of a place in shared memory, which is still mapped
    // before_shmem_exit.
    unsafe { pg_sys::before_shmem_exit(Some(vacate), pg_sys::Datum::from(std::ptr::from_ref(place))) }
}

#[pg_guard]
unsafe extern "C-unwind" fn vacate(_code: i32, place: pg_sys::Datum) {
    // SAFETY: the argument is the one `occupy` gave.
    if let Some(place) = unsafe { place.cast_mut_ptr::<shmem::Process>().as_ref() } {
        place.leave();
    }
    if let Some(shared) = shmem::shared() {
        shared.launcher.wake();
    }
}

/// The entry points that the postmaster calls by name.
mod entry {
    use super::*;

    /// The launcher.
    #[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
    #[pg_guard]
    pub extern "C-unwind" fn tms_launcher_main(_arg: pg_sys::Datum) {
        crate::workers::launcher::run();
    }

    /// A look into one database.
    #[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
    #[pg_guard]
    pub extern "C-unwind" fn tms_probe_main(arg: pg_sys::Datum) {
        crate::workers::probe::run(arg.value() as u32);
    }

    /// One database's dispatcher.
    #[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
    #[pg_guard]
    pub extern "C-unwind" fn tms_dispatcher_main(arg: pg_sys::Datum) {
        crate::workers::dispatcher::run(arg.value() as u32);
    }

    /// One database's scheduler.
    #[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
    #[pg_guard]
    pub extern "C-unwind" fn tms_scheduler_main(arg: pg_sys::Datum) {
        crate::workers::scheduler::run(arg.value() as u32);
    }
}
