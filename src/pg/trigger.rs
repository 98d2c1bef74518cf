//! The triggers, by PostgreSQL's own convention: a pgrx trigger would copy the row for each of them.

use std::borrow::Cow;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::call::{declare_v1, raise};
use super::lanes::Noted;
use super::{array, cache, locks, redaction_news, server, wake};
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
    pub(crate) id: Option<[u8; 16]>,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) idempotency_key: Option<Cow<'a, str>>,
    pub(crate) ordering_key: Option<Cow<'a, str>>,
    pub(crate) headers: Option<pg_sys::Datum>,
}

/// Columns of `tms.event_outbox` by their number in the install script; a test holds the two equal.
mod column {
    pub(super) const ID: usize = 1;
    pub(super) const SEQ: usize = 2;
    pub(super) const EVENT_TYPE: usize = 3;
    pub(super) const PAYLOAD: usize = 4;
    pub(super) const TARGET: usize = 5;
    pub(super) const COMPANY: usize = 6;
    pub(super) const PRIORITY: usize = 7;
    pub(super) const AVAILABLE_AT: usize = 8;
    pub(super) const RETRY_COUNT: usize = 9;
    pub(super) const MAX_RETRIES: usize = 10;
    pub(super) const CREATED_AT: usize = 12;
    pub(super) const IDEMPOTENCY_KEY: usize = 14;
    pub(super) const ORDERING_KEY: usize = 15;
    pub(super) const HEADERS: usize = 16;
    pub(super) const ORDERING_HASH: usize = 17;
}

/// The trigger's own data.
///
/// # Safety
/// `fcinfo` must be what PostgreSQL passed to a trigger function.
pub(super) unsafe fn trigger_data(fcinfo: pg_sys::FunctionCallInfo) -> *mut pg_sys::TriggerData {
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
/// `slot` must hold a row of tms.event_outbox; the result borrows from it.
unsafe fn read<'a>(slot: *mut pg_sys::TupleTableSlot) -> NewEvent<'a> {
    // SAFETY: by the caller; after slot_getsomeattrs_int the slot has a value for each column of the row descriptor.
    let (values, nulls) = unsafe {
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
    // SAFETY: both columns are uuids of the row.
    let uuid = |column| datum(column).map(|datum| unsafe { *datum.cast_mut_ptr::<[u8; 16]>() });
    NewEvent {
        event_type: text(column::EVENT_TYPE),
        payload: datum(column::PAYLOAD),
        target: text(column::TARGET),
        priority: datum(column::PRIORITY).map(|value| value.value() as i32),
        available_at: datum(column::AVAILABLE_AT).map(|value| value.value() as i64),
        retry_count: datum(column::RETRY_COUNT).map(|value| value.value() as i32),
        max_retries: datum(column::MAX_RETRIES).map(|value| value.value() as i32),
        created_at: datum(column::CREATED_AT).map(|value| value.value() as i64),
        id: uuid(column::ID),
        company: uuid(column::COMPANY),
        idempotency_key: text(column::IDEMPOTENCY_KEY),
        ordering_key: text(column::ORDERING_KEY),
        headers: datum(column::HEADERS),
    }
}

/// The row with a number and a hash of its ordering key instead of what it had.
///
/// # Safety
/// `tuple` must be a row of the relation.
unsafe fn with_order(
    relation: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    seq: Option<i64>,
    hash: Option<i64>,
) -> pg_sys::HeapTuple {
    let count = if seq.is_some() { 2 } else { 1 };
    let mut columns = [column::ORDERING_HASH as i32, column::SEQ as i32];
    let mut values = [
        pg_sys::Datum::from(hash.unwrap_or(0)),
        pg_sys::Datum::from(seq.unwrap_or(0)),
    ];
    let mut nulls = [hash.is_none(), seq.is_none()];
    // SAFETY: by the caller; the arrays have at least `count` entries, and the result is a fresh copy.
    unsafe {
        pg_sys::heap_modify_tuple_by_cols(
            tuple,
            (*relation).rd_att,
            count,
            columns.as_mut_ptr(),
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
        )
    }
}

declare_v1!(pg_finfo_tms_outbox_before_insert);
/// Checks a new event, gives it its place in its ordering key, and notes it for the dispatcher.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_outbox_before_insert(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as a BEFORE INSERT row trigger of tms.event_outbox, so tg_trigtuple is the new row.
    let (event, relation, mut tuple) = unsafe {
        let data = trigger_data(fcinfo);
        if !cache::is_outbox((*(*data).tg_relation).rd_id) {
            pgrx::error!("tms.outbox_before_insert() is a trigger of tms.event_outbox alone");
        }
        (
            read((*data).tg_trigslot),
            (*data).tg_relation,
            (*data).tg_trigtuple,
        )
    };
    // A row that carries another time of creation than this transaction's was restored or replicated: it was judged when it
    // was new, and its target may not be there yet. It keeps its number, too.
    let started = server::transaction_start();
    let is_new = event.created_at == Some(started);
    if is_new
        && !server::is_replica_session()
        && let Err(error) = crate::api::outbox::check(&event)
    {
        raise(error);
    }
    if let (Some(target), Some(available_at)) = (&event.target, event.available_at) {
        let target = wake::hash(target);
        if let Some(key) = &event.ordering_key {
            let hash = tms_domain::keys::ordering_hash(event.company.as_ref(), key);
            let seq = is_new.then(|| {
                locks::ordering_key(target, hash);
                cache::next_order_number()
            });
            // SAFETY: both are the trigger's own.
            tuple = unsafe { with_order(relation, tuple, seq, Some(hash)) };
        }
        wake::note_event(Noted {
            target,
            company: event.company,
            from: available_at,
            is_special: available_at > started || event.priority.unwrap_or(0) != 0,
        });
    }
    pg_sys::Datum::from(tuple)
}

declare_v1!(pg_finfo_tms_outbox_before_key_change);
/// Keeps the hash what company and ordering key say.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_outbox_before_key_change(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as a BEFORE UPDATE row trigger of tms.event_outbox, so tg_newtuple is the row as it is to be.
    unsafe {
        let data = trigger_data(fcinfo);
        if !cache::is_outbox((*(*data).tg_relation).rd_id) || (*data).tg_newtuple.is_null() {
            pgrx::error!("tms.outbox_before_key_change() is an update trigger of tms.event_outbox alone");
        }
        let event = read((*data).tg_newslot);
        let hash = event
            .ordering_key
            .map(|key| tms_domain::keys::ordering_hash(event.company.as_ref(), &key));
        pg_sys::Datum::from(with_order((*data).tg_relation, (*data).tg_newtuple, None, hash))
    }
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
/// Has every backend forget what it remembers of the table, and the dispatcher read its targets again where they may have changed.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_invalidate_caches(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as a trigger function; the relation is open for its duration.
    let relation = unsafe { (*(*trigger_data(fcinfo)).tg_relation).rd_id };
    cache::invalidate(relation);
    if !cache::is_of_policies(relation) && !redaction_news::is_of_redaction(relation) {
        wake::note_targets();
    }
    pg_sys::Datum::from(0)
}

/// What a NULL in a column that must have a value is reported as.
pub(crate) fn missing(column: &str) -> pg_sys::panic::ErrorReport {
    errors::null_argument("tms.event_outbox", column)
}
