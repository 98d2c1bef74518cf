//! Every setting of tms: unit, range, when it takes effect, and the reason for its default.
//!
//! Settings of the workers are read at SIGHUP; `tms.company_id` is each session's own.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

mod letters;
mod retention;
pub(crate) mod tasks;

pub(crate) use letters::*;
pub(crate) use retention::*;

/// Whether the dispatcher of a database delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub(crate) enum Dispatch {
    /// Deliver.
    #[name = c"on"]
    On,
    /// Keep the workers, deliver nothing, finish what is in flight.
    #[name = c"hold"]
    Hold,
    /// No workers in this database.
    #[name = c"off"]
    Off,
}

/// Which attempts are written to `tms.delivery_attempts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub(crate) enum RecordAttempts {
    /// Nothing.
    #[name = c"none"]
    None,
    /// Attempts that did not deliver.
    #[name = c"failures"]
    Failures,
    /// Every attempt.
    #[name = c"all"]
    All,
}

/// Which decisions about calls of agents go to `tms.policy_decisions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub(crate) enum RecordDecisions {
    /// Those that were acted on.
    #[name = c"enforced"]
    Enforced,
    /// Those that were asked for, too.
    #[name = c"all"]
    All,
}

static DISPATCH: GucSetting<Dispatch> = GucSetting::<Dispatch>::new(Dispatch::On);
static RECORD_ATTEMPTS: GucSetting<RecordAttempts> =
    GucSetting::<RecordAttempts>::new(RecordAttempts::Failures);
static RECORD_DECISIONS: GucSetting<RecordDecisions> =
    GucSetting::<RecordDecisions>::new(RecordDecisions::Enforced);
static COMPANY_ID: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static MAX_PAYLOAD_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1024 * 1024);
static DEFAULT_MAX_RETRIES: GucSetting<i32> = GucSetting::<i32>::new(3);
static MAX_IN_FLIGHT: GucSetting<i32> = GucSetting::<i32>::new(16_384);
static MAX_IN_FLIGHT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024);
static RESCAN_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static SHUTDOWN_GRACE: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static RETRY_AFTER_CAP: GucSetting<i32> = GucSetting::<i32>::new(3_600);
static RESPONSE_EXCERPT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1024);
static CONNECT_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static IDLE_CONNECTION_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static IO_THREADS: GucSetting<i32> = GucSetting::<i32>::new(1);
static HTTP_PROXY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static NO_PROXY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TLS_CA_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TLS_CERTIFICATE_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TLS_KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static DNS_CACHE: GucSetting<i32> = GucSetting::<i32>::new(0);
static DECISION_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);
static RESERVATION_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(600);
static MAX_POLICY_AGENTS: GucSetting<i32> = GucSetting::<i32>::new(4_096);
static MAX_RESERVATIONS: GucSetting<i32> = GucSetting::<i32>::new(16_384);
static DECISION_BUFFER: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);

/// `tms.dispatch`.
pub(crate) fn dispatch() -> Dispatch {
    DISPATCH.get()
}
/// `tms.record_attempts`.
pub(crate) fn record_attempts() -> RecordAttempts {
    RECORD_ATTEMPTS.get()
}
/// `tms.record_decisions`.
pub(crate) fn record_decisions() -> RecordDecisions {
    RECORD_DECISIONS.get()
}
/// `tms.company_id`; the empty string that SET LOCAL leaves behind counts as none.
pub(crate) fn company_id() -> Option<String> {
    let value = COMPANY_ID.get()?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}
/// `tms.max_payload_bytes`.
pub(crate) fn max_payload_bytes() -> usize {
    unsigned(MAX_PAYLOAD_BYTES.get())
}
/// `tms.default_max_retries`.
pub(crate) fn default_max_retries() -> i32 {
    DEFAULT_MAX_RETRIES.get()
}
/// `tms.max_in_flight`.
pub(crate) fn max_in_flight() -> usize {
    unsigned(MAX_IN_FLIGHT.get())
}
/// `tms.max_in_flight_size` in bytes.
pub(crate) fn max_in_flight_bytes() -> usize {
    unsigned(MAX_IN_FLIGHT_BYTES.get()) * 1024
}
/// `tms.rescan_interval`.
pub(crate) fn rescan_interval() -> Duration {
    millis(RESCAN_INTERVAL.get())
}
/// `tms.shutdown_grace`.
pub(crate) fn shutdown_grace() -> Duration {
    millis(SHUTDOWN_GRACE.get())
}
/// `tms.retry_after_cap`.
pub(crate) fn retry_after_cap() -> Duration {
    Duration::from_secs(unsigned(RETRY_AFTER_CAP.get()) as u64)
}
/// `tms.response_excerpt_bytes`.
pub(crate) fn response_excerpt_bytes() -> usize {
    unsigned(RESPONSE_EXCERPT_BYTES.get())
}
/// `tms.connect_timeout`.
pub(crate) fn connect_timeout() -> Duration {
    millis(CONNECT_TIMEOUT.get())
}
/// `tms.idle_connection_timeout`.
pub(crate) fn idle_connection_timeout() -> Duration {
    millis(IDLE_CONNECTION_TIMEOUT.get())
}
/// `tms.io_threads`.
pub(crate) fn io_threads() -> usize {
    unsigned(IO_THREADS.get())
}
/// `tms.http_proxy`; it may hold a password.
pub(crate) fn http_proxy() -> Option<String> {
    text(&HTTP_PROXY)
}
/// `tms.no_proxy`.
pub(crate) fn no_proxy() -> Option<String> {
    text(&NO_PROXY)
}
/// `tms.tls_ca_file`.
pub(crate) fn tls_ca_file() -> Option<PathBuf> {
    text(&TLS_CA_FILE).map(PathBuf::from)
}
/// `tms.tls_certificate_file` and `tms.tls_key_file`, when both are set.
pub(crate) fn tls_client_files() -> Option<(PathBuf, PathBuf)> {
    Some((text(&TLS_CERTIFICATE_FILE)?.into(), text(&TLS_KEY_FILE)?.into()))
}
/// `tms.dns_cache`.
pub(crate) fn dns_cache() -> Duration {
    Duration::from_secs(unsigned(DNS_CACHE.get()) as u64)
}
/// `tms.decision_retention`; `None`: kept for ever.
pub(crate) fn decision_retention() -> Option<Duration> {
    minutes(DECISION_RETENTION.get())
}
/// `tms.reservation_timeout`.
pub(crate) fn reservation_timeout() -> Duration {
    Duration::from_secs(unsigned(RESERVATION_TIMEOUT.get()) as u64)
}
/// `tms.max_policy_agents`.
pub(crate) fn max_policy_agents() -> usize {
    unsigned(MAX_POLICY_AGENTS.get())
}
/// `tms.max_reservations`.
pub(crate) fn max_reservations() -> usize {
    unsigned(MAX_RESERVATIONS.get())
}
/// `tms.decision_buffer` in bytes.
pub(crate) fn decision_buffer_bytes() -> usize {
    unsigned(DECISION_BUFFER.get()) * 1024
}
/// The empty string counts as none.
fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    setting
        .get()?
        .into_string()
        .ok()
        .filter(|value| !value.is_empty())
}
fn unsigned(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
fn millis(value: i32) -> Duration {
    Duration::from_millis(unsigned(value) as u64)
}
fn minutes(value: i32) -> Option<Duration> {
    u64::try_from(value)
        .ok()
        .map(|value| Duration::from_secs(value * 60))
}

/// Makes the settings known to the server and reserves the prefix `tms.`, so that a misspelt one is reported.
pub(crate) fn define() {
    define_dispatch();
    define_sessions();
    define_delivery();
    define_connections();
    define_ways_out();
    retention::define();
    letters::define();
    define_policies();
    tasks::define();
    if crate::pg::server::is_preloading() {
        define_shared_memory();
    }
    crate::pg::server::reserve_setting_prefix();
}

fn define_dispatch() {
    GucRegistry::define_enum_guc(
        c"tms.dispatch",
        c"Whether events are delivered: on, hold (workers stay, nothing is sent) or off (no workers).",
        c"The kill switch: ALTER SYSTEM, or ALTER DATABASE ... SET for one database, then reload. Events are accepted all the same; a session's own value has no effect.",
        &DISPATCH,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"tms.record_attempts",
        c"Which attempts are written to tms.delivery_attempts: none, failures or all.",
        c"Failures are what is asked about; a row for every success would double what a delivery writes.",
        &RECORD_ATTEMPTS,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

fn define_sessions() {
    GucRegistry::define_string_guc(
        c"tms.company_id",
        c"The company an enrolled role acts for when its request names none.",
        c"Has no effect on roles that are bound to a company, nor on roles that are not enrolled.",
        &COMPANY_ID,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"tms.max_payload_bytes",
        c"Largest payload of an event.",
        c"Counted in jsonb's own form. 1 MB is far above what webhooks are meant for and far below what hurts.",
        &MAX_PAYLOAD_BYTES,
        1024,
        256 * 1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"tms.default_max_retries",
        c"Attempts after the first one, for events that do not say.",
        c"The roadmap's 3: a receiver that fails for longer is the dead-letter queue's business.",
        &DEFAULT_MAX_RETRIES,
        0,
        100,
        GucContext::Suset,
        GucFlags::default(),
    );
}

fn define_delivery() {
    int(c"tms.max_in_flight", c"Events handed to the I/O thread at one time, over all targets.",
        c"Enough to keep connections busy between two transactions; a crash repeats at most these and what was not yet recorded.",
        &MAX_IN_FLIGHT, (16, 100_000), GucFlags::default());
    int(
        c"tms.max_in_flight_size",
        c"Memory for the bodies of events in flight.",
        c"Bounds the dispatcher's memory whatever the size of payloads; one event is always let through.",
        &MAX_IN_FLIGHT_BYTES,
        (1024, 4 * 1024 * 1024),
        GucFlags::UNIT_KB,
    );
    int(c"tms.rescan_interval", c"How often the queue is looked through from its beginning.",
        c"Finds what became due where no notice was given of it: changes in another session's replica mode, a clock set back.",
        &RESCAN_INTERVAL, (1_000, 600_000), GucFlags::UNIT_MS);
    int(
        c"tms.shutdown_grace",
        c"How long a stopping dispatcher waits for answers in flight.",
        c"What is unanswered by then is delivered again after the restart, with the same webhook-id.",
        &SHUTDOWN_GRACE,
        (0, 60_000),
        GucFlags::UNIT_MS,
    );
    int(
        c"tms.retry_after_cap",
        c"Longest Retry-After that is honoured.",
        c"A receiver may slow us down; it may not park an event for a year.",
        &RETRY_AFTER_CAP,
        (0, 7 * 24 * 3600),
        GucFlags::UNIT_S,
    );
    int(
        c"tms.response_excerpt_bytes",
        c"How much of a failed attempt's answer is kept in tms.delivery_attempts.",
        c"Enough for an error message; bodies beyond are read and dropped, or the connection is closed.",
        &RESPONSE_EXCERPT_BYTES,
        (0, 65_536),
        GucFlags::UNIT_BYTE,
    );
}

fn define_connections() {
    int(
        c"tms.connect_timeout",
        c"Longest time to reach a receiver: name, TCP and TLS.",
        c"Shorter than a request's timeout, since a host that does not answer a SYN will not answer a POST.",
        &CONNECT_TIMEOUT,
        (100, 60_000),
        GucFlags::UNIT_MS,
    );
    int(
        c"tms.idle_connection_timeout",
        c"How long an unused connection is kept open.",
        c"Below the keep-alive of common servers (nginx: 75 s), so that it is we who close.",
        &IDLE_CONNECTION_TIMEOUT,
        (1_000, 3_600_000),
        GucFlags::UNIT_MS,
    );
    int(
        c"tms.io_threads",
        c"Threads of a dispatcher that speak HTTP.",
        c"One thread moves more than the completions in PostgreSQL can follow on two cores.",
        &IO_THREADS,
        (1, 16),
        GucFlags::default(),
    );
}

/// How requests leave this machine. Read when the dispatcher starts; a reload that changes them starts it anew.
fn define_ways_out() {
    string(
        c"tms.http_proxy",
        c"Proxy that requests go through: http://[user:password@]host:port; empty: none.",
        c"Read when the dispatcher starts, which a reload that changes it sees to. Shown to superusers alone: it may hold a password.",
        &HTTP_PROXY,
        GucFlags::SUPERUSER_ONLY,
    );
    string(
        c"tms.no_proxy",
        c"Hosts that are reached without the proxy: names, .suffixes, addresses and networks, separated by commas; * for all.",
        c"As the variable no_proxy of other programs.",
        &NO_PROXY,
        GucFlags::default(),
    );
    string(
        c"tms.tls_ca_file",
        c"PEM file of certificate authorities that are trusted beside the system's.",
        c"For receivers with a certificate of your own authority.",
        &TLS_CA_FILE,
        GucFlags::default(),
    );
    string(
        c"tms.tls_certificate_file",
        c"PEM file with the certificate that is shown to receivers which ask for one.",
        c"Together with tms.tls_key_file.",
        &TLS_CERTIFICATE_FILE,
        GucFlags::default(),
    );
    string(
        c"tms.tls_key_file",
        c"PEM file with the key of tms.tls_certificate_file.",
        c"Readable by the server's user alone.",
        &TLS_KEY_FILE,
        GucFlags::default(),
    );
    int(
        c"tms.dns_cache",
        c"How long a receiver's address is remembered; 0: it is looked up for each connection.",
        c"Connections are kept, so look-ups are rare; the address is checked when it is dialled, remembered or not.",
        &DNS_CACHE,
        (0, 3_600),
        GucFlags::UNIT_S,
    );
}

fn define_policies() {
    GucRegistry::define_enum_guc(
        c"tms.record_decisions",
        c"Which decisions are written to tms.policy_decisions: enforced (tms_policy_enforce) or all (tms_policy_check, too).",
        c"Asking is cheap and frequent, and nothing comes of it; a row for every question would be most of the table.",
        &RECORD_DECISIONS,
        GucContext::Sighup,
        GucFlags::default(),
    );
    int(
        c"tms.reservation_timeout",
        c"How long a call that was let through and never released counts as running.",
        c"Longer than a call of a model or a service takes, short enough that what was forgotten does not block an agent for long.",
        &RESERVATION_TIMEOUT,
        (1, 24 * 3_600),
        GucFlags::UNIT_S,
    );
    int(
        c"tms.decision_retention",
        c"How long decisions are kept in tms.policy_decisions; -1: for ever.",
        c"A month: long enough to try a new policy on, short enough for a table that grows with every call.",
        &DECISION_RETENTION,
        (-1, 10 * 365 * 24 * 60),
        GucFlags::UNIT_MIN,
    );
}

/// What only a new server can have in another size. Where the library is not preloaded there is no shared memory to size.
fn define_shared_memory() {
    for (name, short, long, setting, range, unit) in [
        (
            c"tms.max_policy_agents",
            c"Agents whose limits are kept in shared memory at one time, counted by company.",
            c"About 1 kB each, with the budgets of two days. An agent gives its place up when none of its calls runs or counts; when all are taken, others are refused.",
            &MAX_POLICY_AGENTS,
            (16, 1_000_000),
            GucFlags::default(),
        ),
        (
            c"tms.max_reservations",
            c"Calls of agents that may run at one time, over all databases.",
            c"About 130 bytes each; far more than a server has sessions, since a reservation outlives its transaction. When all are taken, calls are refused.",
            &MAX_RESERVATIONS,
            (16, 1_000_000),
            GucFlags::default(),
        ),
        (
            c"tms.decision_buffer",
            c"Shared memory for decisions on their way to tms.policy_decisions.",
            c"Half a second of some 30,000 decisions a second with small inputs. A company may have a quarter of it; denials are kept before others.",
            &DECISION_BUFFER,
            (64, 1024 * 1024),
            GucFlags::UNIT_KB,
        ),
    ] {
        GucRegistry::define_int_guc(
            name,
            short,
            long,
            setting,
            range.0,
            range.1,
            GucContext::Postmaster,
            unit,
        );
    }
}

fn string(
    name: &'static std::ffi::CStr,
    short: &'static std::ffi::CStr,
    long: &'static std::ffi::CStr,
    setting: &'static GucSetting<Option<CString>>,
    flags: GucFlags,
) {
    GucRegistry::define_string_guc(name, short, long, setting, GucContext::Sighup, flags);
}

fn int(
    name: &'static std::ffi::CStr,
    short: &'static std::ffi::CStr,
    long: &'static std::ffi::CStr,
    setting: &'static GucSetting<i32>,
    range: (i32, i32),
    unit: GucFlags,
) {
    GucRegistry::define_int_guc(
        name,
        short,
        long,
        setting,
        range.0,
        range.1,
        GucContext::Sighup,
        unit,
    );
}
