//! The triggers, by PostgreSQL's own convention: a pgrx trigger would copy the row for each of them.

use std::borrow::Cow;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::call::{declare_v1, raise};
use super::{array, cache, server, wake};
use crate::errors;

/// A new row of `tms.event_outbox`, as far as the checks need it.
pub(crate) struct NewEvent<'a> {
    pub(crate) event_type: Option<Cow<'a, str>>,
    pub(crate) payload: Option<pg_sys::Datum>,
    pub(crate) target: Option<Cow<'a, str>>,
    pub(crate) priority: Option<i32>,
    pub(crate) available_at: Option<i64>,
    pub(crate) retry_count: Option<i32>,
    pub(crate) max_retries: Option<i32>,
    pub(crate) created_at: Option<i64>,
    pub(crate) has_idempotency_key: bool,
    pub(crate) has_ordering_key: bool,
    pub(crate) headers: Option<pg_sys::Datum>,
}

/// Columns of `tms.event_outbox` by their number in the install script; a test holds the two equal.
mod column {
    pub(super) const EVENT_TYPE: usize = 3;
    pub(super) const PAYLOAD: usize = 4;
    pub(super) const TARGET: usize = 5;
    pub(super) const PRIORITY: usize = 7;
    pub(super) const AVAILABLE_AT: usize = 8;
    pub(super) const RETRY_COUNT: usize = 9;
    pub(super) const MAX_RETRIES: usize = 10;
    pub(super) const CREATED_AT: usize = 12;
    pub(super) const IDEMPOTENCY_KEY: usize = 14;
    pub(super) const ORDERING_KEY: usize = 15;
    pub(super) const HEADERS: usize = 16;
}

/// The trigger's own data.
///
/// # Safety
/// `fcinfo` must be what PostgreSQL passed to a trigger function.
unsafe fn trigger_data(fcinfo: pg_sys::FunctionCallInfo) -> *mut pg_sys::TriggerData {
    // SAFETY: by the caller; context is NULL or a node, whose tag says what it is.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            pgrx::error!("a trigger function of tms was called as an ordinary function");
        }
        context.cast()
    }
}

/// # Safety
/// `data` must be that of a BEFORE INSERT row trigger, whose slot holds the new row; the result borrows from the row.
unsafe fn read<'a>(data: *mut pg_sys::TriggerData) -> NewEvent<'a> {
    // SAFETY: by the caller; after slot_getsomeattrs_int the slot has a value for each column of the row descriptor.
    let (values, nulls) = unsafe {
        let slot = (*data).tg_trigslot;
        let count = (*(*slot).tts_tupleDescriptor).natts;
        if i32::from((*slot).tts_nvalid) < count {
            pg_sys::slot_getsomeattrs_int(slot, count);
        }
        let count = usize::try_from(count).unwrap_or(0);
        (
            std::slice::from_raw_parts((*slot).tts_values, count),
            std::slice::from_raw_parts((*slot).tts_isnull, count),
        )
    };
    let datum = |column: usize| (nulls.get(column - 1) == Some(&false)).then(|| values[column - 1]);
    // SAFETY: both columns are texts of the row, which outlives the trigger's call.
    let text = |column| datum(column).map(|datum| unsafe { array::text_in_place(datum) });
    NewEvent {
        event_type: text(column::EVENT_TYPE),
        payload: datum(column::PAYLOAD),
        target: text(column::TARGET),
        priority: datum(column::PRIORITY).map(|value| value.value() as i32),
        available_at: datum(column::AVAILABLE_AT).map(|value| value.value() as i64),
        retry_count: datum(column::RETRY_COUNT).map(|value| value.value() as i32),
        max_retries: datum(column::MAX_RETRIES).map(|value| value.value() as i32),
        created_at: datum(column::CREATED_AT).map(|value| value.value() as i64),
        has_idempotency_key: datum(column::IDEMPOTENCY_KEY).is_some(),
        has_ordering_key: datum(column::ORDERING_KEY).is_some(),
        headers: datum(column::HEADERS),
    }
}

declare_v1!(pg_finfo_tms_outbox_before_insert);
/// Checks a new event and notes it for the dispatcher; hands the row on as it is.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_outbox_before_insert(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as a BEFORE INSERT row trigger of tms.event_outbox, so tg_trigtuple is the new row.
    let (event, tuple) = unsafe {
        let data = trigger_data(fcinfo);
        if !cache::is_outbox((*(*data).tg_relation).rd_id) {
            pgrx::error!("tms.outbox_before_insert() is a trigger of tms.event_outbox alone");
        }
        (read(data), (*data).tg_trigtuple)
    };
    // A row that carries another time of creation than this transaction's was restored or replicated: it was judged when it
    // was new, and its target may not be there yet.
    let started = server::transaction_start();
    let is_new = event.created_at == Some(started) && !server::is_replica_session();
    if is_new && let Err(error) = crate::api::outbox::check(&event) {
        raise(error);
    }
    if let (Some(target), Some(available_at)) = (&event.target, event.available_at) {
        let is_special = available_at > started || event.priority.unwrap_or(0) != 0;
        wake::note_event(target, available_at, is_special);
    }
    pg_sys::Datum::from(tuple)
}

declare_v1!(pg_finfo_tms_outbox_after_update);
/// Notes that the queue was changed by hand; the dispatcher's own changes are not.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_outbox_after_update(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as a trigger function.
    unsafe { trigger_data(fcinfo) };
    wake::note_rescan();
    pg_sys::Datum::from(0)
}

declare_v1!(pg_finfo_tms_invalidate_caches);
/// Has every backend forget what it remembers of the table, and the dispatcher read its targets again.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_invalidate_caches(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as a trigger function; the relation is open for its duration.
    let relation = unsafe { (*(*trigger_data(fcinfo)).tg_relation).rd_id };
    cache::invalidate(relation);
    wake::note_targets();
    pg_sys::Datum::from(0)
}

/// What a NULL in a column that must have a value is reported as.
pub(crate) fn missing(column: &str) -> pg_sys::panic::ErrorReport {
    errors::null_argument("tms.event_outbox", column)
}
