//! Facts about this server and this process, and the clock.

use std::ffi::CStr;
use std::sync::OnceLock;
use std::time::Instant;

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Keeps Rust's backtraces out of DETAIL, where pgrx would put them when the server's environment asks for them.
pub(crate) fn silence_backtraces() {
    // SAFETY: called from _PG_init, when this process has one thread.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") }
}

/// True while pg_upgrade runs the server: nothing of ours may start then.
pub(crate) fn is_binary_upgrade() -> bool {
    // SAFETY: a plain global that is set before any library is loaded.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// True while the postmaster loads shared_preload_libraries: the only time shared memory and workers can be asked for.
pub(crate) fn is_preloading() -> bool {
    // SAFETY: a plain global of this process.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Makes a misspelt `tms.` setting a warning instead of a silent placeholder.
pub(crate) fn reserve_setting_prefix() {
    // SAFETY: the argument is a static NUL-terminated string.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"tms".as_ptr()) }
}

/// OID of the database this process is connected to; 0 for none.
pub(crate) fn database() -> u32 {
    // SAFETY: a plain global of this process.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Process id of this backend.
pub(crate) fn pid() -> i32 {
    // SAFETY: a plain global of this process.
    unsafe { pg_sys::MyProcPid }
}

/// The wall clock in PostgreSQL's form: microseconds since 2000-01-01 UTC.
pub(crate) fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Raises 25006 on a standby, for a function that would leave something behind there.
pub(crate) fn refuse_during_recovery(function: &CStr) {
    // SAFETY: the name is NUL-terminated.
    unsafe { pg_sys::PreventCommandDuringRecovery(function.as_ptr()) }
}

/// Whether this server is a standby, or not yet recovered.
pub(crate) fn is_in_recovery() -> bool {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// When the library was loaded: by the postmaster, of which every process inherits it.
static LOADED: OnceLock<Instant> = OnceLock::new();

/// The clock that cannot be set begins; called from `_PG_init`.
pub(crate) fn start_steady_clock() {
    LOADED.get_or_init(Instant::now);
}

/// Nanoseconds of a clock that goes on whatever happens to the time of day, the same in all processes of a server that has
/// preloaded the library. It begins anew with the server.
pub(crate) fn steady_nanos() -> u64 {
    let passed = LOADED.get_or_init(Instant::now).elapsed();
    u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether each statement of this transaction sees what was committed before it.
pub(crate) fn is_read_committed() -> bool {
    // SAFETY: a plain global of this process.
    unsafe { pg_sys::XactIsoLevel <= pg_sys::XACT_READ_COMMITTED as i32 }
}

/// Start of the current transaction, what `now()` answers.
pub(crate) fn transaction_start() -> i64 {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// Microseconds between the Unix epoch and PostgreSQL's.
pub(crate) const PG_EPOCH_US: i64 = 946_684_800_000_000;

/// Random bytes from the operating system's generator, through the server's.
pub(crate) fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    // SAFETY: the pointer is valid for N bytes.
    let filled = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), N) };
    filled.then_some(bytes)
}

/// Name of a database; `None` when it does not exist (any more). Needs a transaction.
pub(crate) fn database_name(oid: u32) -> Option<String> {
    // SAFETY: get_database_name answers NULL or a palloc'ed C string, which lives as long as this transaction.
    unsafe {
        let name = pg_sys::get_database_name(pg_sys::Oid::from(oid));
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Value of a setting that may not exist, such as `request.jwt.claims`.
pub(crate) fn setting(name: &CStr) -> Option<String> {
    // SAFETY: name is NUL-terminated; with missing_ok the answer is NULL or a palloc'ed C string.
    unsafe {
        let value = pg_sys::GetConfigOptionByName(name.as_ptr(), std::ptr::null_mut(), true);
        if value.is_null() {
            return None;
        }
        let text = CStr::from_ptr(value).to_str().ok().map(str::to_owned);
        pg_sys::pfree(value.cast());
        text
    }
}

/// Whether this session, which is ending, was ended by something else than its client's goodbye: by an administrator, by an
/// error, or because its client was gone.
pub(crate) fn was_killed() -> bool {
    // SAFETY: a plain global of this process.
    unsafe { pg_sys::pgStatSessionEndCause != pg_sys::SessionEndType::DISCONNECT_NORMAL }
}

/// Whether a process id is that of a live backend.
pub(crate) fn is_live_backend(pid: i32) -> bool {
    // SAFETY: looks the pid up in the process array under its own lock.
    unsafe { !pg_sys::BackendPidGetProc(pid).is_null() }
}

/// True when this session applies replicated rows: triggers note them, but do not judge them.
pub(crate) fn is_replica_session() -> bool {
    // SAFETY: a plain global of this process.
    unsafe { pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 }
}

/// 64 random bits from the server's per-process generator: unique, not secret.
pub(crate) fn random_bits() -> u64 {
    // SAFETY: the generator's state is a global of this process, seeded when it started.
    unsafe { pg_sys::pg_prng_uint64(&raw mut pg_sys::pg_global_prng_state) }
}

/// Uniform in [0, 1), for the jitter of a wait.
pub(crate) fn chance() -> f64 {
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A time as the session's settings read it; `None` when it is none.
pub(crate) fn timestamp_of(text: &str) -> Option<i64> {
    let text = std::ffi::CString::new(text).ok()?;
    // SAFETY: the input function of timestamptz takes a C string, the type's OID and no modifier. It takes nothing but memory,
    // so that its error may be caught without a subtransaction.
    PgTryBuilder::new(std::panic::AssertUnwindSafe(|| unsafe {
        let arguments = [
            Some(pg_sys::Datum::from(text.as_ptr())),
            Some(pg_sys::Datum::from(pg_sys::InvalidOid)),
            Some(pg_sys::Datum::from(-1_i32)),
        ];
        pgrx::direct_function_call::<i64>(pg_sys::timestamptz_in, &arguments)
    }))
    .catch_when(PgSqlErrorCode::ERRCODE_INVALID_DATETIME_FORMAT, |_| None)
    .catch_when(PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, |_| None)
    .catch_when(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, |_| None)
    .catch_when(
        PgSqlErrorCode::ERRCODE_INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
        |_| None,
    )
    .execute()
}

/// Runs `work` with NOTICEs going to the client: CREATE EXTENSION keeps them back while its script runs.
pub(crate) fn with_notices(work: impl FnOnce()) {
    // SAFETY: names and values are NUL-terminated; the nest level undoes the setting, on an error with the transaction's abort.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"client_min_messages".as_ptr(),
            c"notice".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        work();
        pg_sys::AtEOXact_GUC(true, level);
    }
}
