//! Functions that are called by PostgreSQL's own convention: their arguments as datums, without a conversion or a copy.
//!
//! Only what is called tens of thousands of times a second, or must hand a datum through unread, is written so; everything
//! else is a `#[pg_extern]`.

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Declares the calling convention of a function, which PostgreSQL asks for by name.
macro_rules! declare_v1 {
    ($finfo:ident) => {
        /// Calling convention record that PostgreSQL looks up by name.
        // SAFETY: the name is unique in this library.
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub extern "C" fn $finfo() -> &'static pg_sys::Pg_finfo_record {
            const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }
    };
}
pub(crate) use declare_v1;

/// The arguments of a call.
pub(crate) struct Arguments(pg_sys::FunctionCallInfo);

impl Arguments {
    /// The argument at `index` (from 0); `None` for NULL or when the call has fewer.
    pub(crate) fn datum(&self, index: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the call info is the one PostgreSQL passed; args has nargs entries.
        unsafe {
            let count = usize::try_from((*self.0).nargs).unwrap_or(0);
            if index >= count {
                return None;
            }
            let argument = &*(*self.0).args.as_ptr().add(index);
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// A text argument.
    pub(crate) fn text(&self, index: usize) -> Option<String> {
        self.datum(index).map(super::array::text_of)
    }

    /// A uuid argument.
    pub(crate) fn uuid(&self, index: usize) -> Option<[u8; 16]> {
        // SAFETY: a uuid datum points to 16 bytes.
        self.datum(index)
            .map(|datum| unsafe { *datum.cast_mut_ptr::<[u8; 16]>() })
    }

    /// An integer argument.
    pub(crate) fn int4(&self, index: usize) -> Option<i32> {
        self.datum(index).map(|datum| datum.value() as i32)
    }

    /// An interval argument in microseconds, a month counted as 30 days.
    pub(crate) fn interval_us(&self, index: usize) -> Option<i64> {
        const DAY: i64 = 24 * 3600 * 1_000_000;
        // SAFETY: an interval datum points to an Interval.
        let interval = self
            .datum(index)
            .map(|datum| unsafe { *datum.cast_mut_ptr::<pg_sys::Interval>() })?;
        let days = i64::from(interval.month) * 30 + i64::from(interval.day);
        Some(days.saturating_mul(DAY).saturating_add(interval.time))
    }

    /// A timestamptz argument.
    pub(crate) fn timestamp(&self, index: usize) -> Option<i64> {
        self.datum(index).map(|datum| datum.value() as i64)
    }
}

/// Copies a uuid into memory of the caller's context.
fn uuid_datum(id: [u8; 16]) -> pg_sys::Datum {
    // SAFETY: palloc gives 16 bytes or raises.
    unsafe {
        let copy = pg_sys::palloc(16).cast::<[u8; 16]>();
        copy.write(id);
        pg_sys::Datum::from(copy)
    }
}

declare_v1!(pg_finfo_tms_enqueue);
/// `tms_enqueue`: see [`crate::api::outbox::enqueue`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_enqueue(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::outbox::enqueue(&Arguments(fcinfo)) {
        Ok(id) => uuid_datum(id),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_enqueue_batch);
/// `tms_enqueue_batch`: see [`crate::api::outbox::enqueue_batch`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_enqueue_batch(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::outbox::enqueue_batch(&Arguments(fcinfo)) {
        Ok(ids) if ids.is_empty() => empty_uuid_array(),
        Ok(ids) => super::array::uuids(&ids),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_publish);
/// `tms_publish`: see [`crate::api::subscriptions::publish`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_publish(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::subscriptions::publish(&Arguments(fcinfo)) {
        Ok(ids) if ids.is_empty() => empty_uuid_array(),
        Ok(ids) => super::array::uuids(&ids),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_webhook_source_set);
/// `tms_webhook_source_set`: see [`crate::api::webhooks::set`]. Takes secrets, as [`tms_target_set`] does.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_webhook_source_set(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    super::hooks::handle_secrets(true);
    match crate::api::webhooks::set(&Arguments(fcinfo)) {
        Ok(()) => super::hooks::handle_secrets(false),
        Err(error) => raise(error),
    }
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_webhook_verify);
/// `tms_webhook_verify`: see [`crate::api::webhooks::verify`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_webhook_verify(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::webhooks::verify(&Arguments(fcinfo)) {
        Ok(answer) => answer,
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_target_set);
/// `tms_target_set`: see [`crate::api::targets::set`]. Its arguments are secrets: a failure keeps them out of the log.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_target_set(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    super::hooks::handle_secrets(true);
    match crate::api::targets::set(&Arguments(fcinfo)) {
        Ok(()) => super::hooks::handle_secrets(false),
        Err(error) => raise(error),
    }
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_target_rotate_secret);
/// `tms_target_rotate_secret`: see [`crate::api::targets::rotate_secret`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_target_rotate_secret(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::targets::rotate_secret(&Arguments(fcinfo)) {
        Ok(secret) => super::array::text(&secret),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_outbox_claim);
/// `tms_outbox_claim`: see [`crate::api::pull::claim`]. Rows go to the caller as they were returned, payloads unread.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_outbox_claim(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is the one PostgreSQL passed.
    let answer = unsafe { super::set::AnswerSet::begin(fcinfo) };
    if let Err(error) = crate::api::pull::claim(&Arguments(fcinfo), &answer) {
        raise(error);
    }
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_policy_check);
/// `tms_policy_check`: see [`crate::api::policy::check::check`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_policy_check(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::policy::check::check(&Arguments(fcinfo)) {
        Ok(verdict) => verdict,
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_policy_enforce);
/// `tms_policy_enforce`: see [`crate::api::policy::enforce::enforce`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_policy_enforce(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::policy::enforce::enforce(&Arguments(fcinfo)) {
        Ok(verdict) => verdict,
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_policy_release);
/// `tms_policy_release`: see [`crate::api::policy::enforce::release`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_policy_release(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::policy::enforce::release(&Arguments(fcinfo)) {
        Ok(released) => pg_sys::Datum::from(released),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_task_submit);
/// `tms_task_submit`: see [`crate::api::tasks::submit::submit`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_task_submit(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::tasks::submit::submit(&Arguments(fcinfo)) {
        Ok(id) => uuid_datum(id),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_task_claim);
/// `tms_task_claim`: see [`crate::api::tasks::claim::claim`]. Rows go to the caller as they were returned, payloads unread.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_task_claim(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is the one PostgreSQL passed.
    let answer = unsafe { super::set::AnswerSet::begin(fcinfo) };
    if let Err(error) = crate::api::tasks::claim::claim(&Arguments(fcinfo), &answer) {
        raise(error);
    }
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_task_complete);
/// `tms_task_complete`: see [`crate::api::tasks::lease::complete`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_task_complete(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    if let Err(error) = crate::api::tasks::lease::complete(&Arguments(fcinfo)) {
        raise(error);
    }
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_log);
/// `tms_log`: see [`crate::api::logs::log`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_log(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::logs::log(&Arguments(fcinfo)) {
        Ok(id) => uuid_datum(id),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_dlq_retry);
/// `tms_dlq_retry`: see [`crate::api::letters::retry`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_dlq_retry(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    match crate::api::letters::retry(&Arguments(fcinfo)) {
        Ok(is_back) => pg_sys::Datum::from(is_back),
        Err(error) => raise(error),
    }
}

declare_v1!(pg_finfo_tms_dlq_edit);
/// `tms_dlq_edit`: see [`crate::api::letters::edit`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_dlq_edit(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    if let Err(error) = crate::api::letters::edit(&Arguments(fcinfo)) {
        raise(error);
    }
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_redact);
/// `tms_redact`: see [`crate::api::redaction::by_fields`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_redact(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is the one PostgreSQL passed.
    unsafe { nullable(fcinfo, crate::api::redaction::by_fields) }
}

declare_v1!(pg_finfo_tms_redact_rules);
/// `tms_redact_rules`: see [`crate::api::redaction::by_rules`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_redact_rules(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is the one PostgreSQL passed.
    unsafe { nullable(fcinfo, crate::api::redaction::by_rules) }
}

declare_v1!(pg_finfo_tms_redact_text);
/// `tms_redact_text`: see [`crate::api::redaction::text`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_redact_text(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is the one PostgreSQL passed.
    unsafe { nullable(fcinfo, crate::api::redaction::text) }
}

declare_v1!(pg_finfo_tms_detect_pii);
/// `tms_detect_pii`: see [`crate::api::redaction::detect`].
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_detect_pii(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is the one PostgreSQL passed.
    let answer = unsafe { super::set::AnswerSet::begin(fcinfo) };
    if let Err(error) = crate::api::redaction::detect(&Arguments(fcinfo), &answer) {
        raise(error);
    }
    pg_sys::Datum::from(0)
}

/// The answer of a function that may answer NULL.
///
/// # Safety
/// `fcinfo` must be what PostgreSQL passed to the function.
unsafe fn nullable(
    fcinfo: pg_sys::FunctionCallInfo,
    function: fn(&Arguments) -> crate::errors::Result<Option<pg_sys::Datum>>,
) -> pg_sys::Datum {
    match function(&Arguments(fcinfo)) {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            // SAFETY: by the caller.
            unsafe { (*fcinfo).isnull = true };
            pg_sys::Datum::from(0)
        }
        Err(error) => raise(error),
    }
}

fn empty_uuid_array() -> pg_sys::Datum {
    // SAFETY: makes an array of no elements in the current context.
    unsafe { pg_sys::Datum::from(pg_sys::construct_empty_array(pg_sys::UUIDOID)) }
}

/// Copies a jsonb out of a statement's rows into the memory of whoever called us, where it outlives the session.
pub(crate) fn carry_out(_session: &super::spi::Session, value: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: connected to SPI, as the session proves; the value is a varlena of rows that are still there.
    unsafe { pg_sys::SPI_datumTransfer(value, false, -1) }
}

/// Raises an error; pgrx turns the panic into PostgreSQL's own.
pub(crate) fn raise(error: pg_sys::panic::ErrorReport) -> ! {
    error.report(PgLogLevel::ERROR);
    // report() at ERROR does not return; its signature does not say so.
    unreachable!("an error was raised")
}
