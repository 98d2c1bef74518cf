//! Enqueueing: `tms_enqueue`, `tms_enqueue_batch`, and the checks that every new event passes, a plain INSERT's too.

use std::cell::Cell;

use pgrx::pg_sys;
use tms_domain::{event_id, headers, keys, names, nearest};

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::server::PG_EPOCH_US;
use crate::pg::trigger::{self, NewEvent};
use crate::pg::{array, cache, jsonb, locks, server, spi, wake};
use crate::store::{new_events, targets};
use crate::{settings, store};

/// Most retries an event may ask for.
const MOST_RETRIES: i32 = 100;

/// An event somebody wants to enqueue. Its company was checked; the trigger looks at the rest.
pub(crate) struct Draft<'a> {
    pub(crate) event_type: pg_sys::Datum,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) target: pg_sys::Datum,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) ordering_key: Option<pg_sys::Datum>,
    /// `None`: at once.
    pub(crate) available_at: Option<i64>,
    /// `None`: tms.default_max_retries.
    pub(crate) max_retries: Option<i32>,
    pub(crate) priority: i32,
    pub(crate) headers: Option<pg_sys::Datum>,
}

/// `tms_enqueue(event_type, payload, target_system, company_id, idempotency_key, ordering_key, available_at, max_retries,
/// priority, headers)`: one event in the caller's transaction.
pub(crate) fn enqueue(arguments: &Arguments) -> Result<[u8; 16]> {
    const NAME: &str = "tms_enqueue";
    let given = |index, name| {
        arguments
            .datum(index)
            .ok_or_else(|| errors::null_argument(NAME, name))
    };
    let idempotency_key = arguments.text(4);
    enqueue_one(&Draft {
        event_type: given(0, "event_type")?,
        payload: given(1, "payload")?,
        target: given(2, "target_system")?,
        company: tenancy::company_for(arguments.uuid(3))?,
        idempotency_key: idempotency_key.as_deref(),
        ordering_key: arguments.datum(5),
        available_at: arguments.timestamp(6),
        max_retries: arguments.int4(7),
        priority: arguments.int4(8).unwrap_or(0),
        headers: arguments.datum(9),
    })
}

/// Enqueues an event, or returns the one its idempotency key stands for.
pub(crate) fn enqueue_one(draft: &Draft<'_>) -> Result<[u8; 16]> {
    let event = new_events::NewEvent {
        id: new_id(),
        event_type: draft.event_type,
        payload: draft.payload,
        target: draft.target,
        company: draft.company,
        available_at: draft.available_at.unwrap_or_else(server::transaction_start),
        max_retries: draft.max_retries.unwrap_or_else(settings::default_max_retries),
        priority: draft.priority,
        headers: draft.headers,
        idempotency_key: draft.idempotency_key,
        ordering_key: draft.ordering_key,
    };
    if let Some(key) = draft.idempotency_key {
        keys::check("idempotency_key", key).map_err(errors::problem)?;
        // Before anything is used up: a key must not stand for an event that could not be.
        let target = array::text_of(draft.target);
        check_target(&target)?;
        if let Some(first) = claim(&target, draft.company.as_ref(), key, &event.id) {
            return Ok(first);
        }
        CLAIMED.set(Some(event.id));
    }
    // As the owner: EXECUTE on the function is the right to enqueue, and the company was checked by the caller.
    cache::as_owner(|| spi::connect(|session| new_events::insert(session, &event)));
    Ok(event.id)
}

/// An event that asks a target whether it is there: no retries, so that its outcome is known at once.
pub(crate) fn enqueue_test(target: &str) -> Result<[u8; 16]> {
    check_target(target)?;
    enqueue_one(&Draft {
        event_type: array::text("tms.test"),
        payload: jsonb::of_text(r#"{"message": "A test of this target, sent by tms_target_test"}"#),
        target: array::text(target),
        company: tenancy::company_for(None)?,
        idempotency_key: None,
        ordering_key: None,
        available_at: None,
        max_retries: Some(0),
        priority: 0,
        headers: None,
    })
}

thread_local! {
    // The event whose idempotency key was claimed just before its row is inserted.
    static CLAIMED: Cell<Option<[u8; 16]>> = const { Cell::new(None) };
}

fn claim(target: &str, company: Option<&[u8; 16]>, key: &str, event: &[u8; 16]) -> Option<[u8; 16]> {
    let window = i64::try_from(settings::idempotency_window().as_micros()).unwrap_or(i64::MAX);
    let horizon = server::now().saturating_sub(window);
    cache::as_owner(|| {
        spi::connect(|session| store::keys::claim(session, target, company, key, event, horizon))
    })
}

/// `tms_enqueue_batch(event_type, payloads, target_system, company_id, ordering_keys)`: one event a payload, in order.
pub(crate) fn enqueue_batch(arguments: &Arguments) -> Result<Vec<[u8; 16]>> {
    const NAME: &str = "tms_enqueue_batch";
    let event_type = arguments
        .text(0)
        .ok_or_else(|| errors::null_argument(NAME, "event_type"))?;
    let payloads = arguments
        .datum(1)
        .ok_or_else(|| errors::null_argument(NAME, "payloads"))?;
    let target = arguments
        .text(2)
        .ok_or_else(|| errors::null_argument(NAME, "target_system"))?;
    let company = tenancy::company_for(arguments.uuid(3))?;
    // Also where there is no payload, so that no row's trigger would look.
    names::check_event_type(&event_type).map_err(errors::problem)?;
    check_target(&target)?;
    let count = array::length(payloads);
    if array::has_null(payloads) {
        return Err(errors::null_argument(NAME, "an element of payloads"));
    }
    if let Some(keys) = arguments.datum(4) {
        lock_keys(&array::texts_of(keys), count, &target, company.as_ref())?;
    }
    // A microsecond apart, so that they sort as their payloads stand.
    let first = unix_us();
    let ids: Vec<[u8; 16]> = (first..).take(count).map(id_at).collect();
    let batch = new_events::NewBatch {
        ids: &ids,
        event_type: &event_type,
        payloads,
        target: &target,
        company,
        max_retries: settings::default_max_retries(),
        ordering_keys: arguments.datum(4),
    };
    cache::as_owner(|| spi::connect(|session| new_events::insert_batch(session, &batch)));
    Ok(ids)
}

/// Locks the keys of a batch in the order of their numbers, so that two batches cannot wait for each other.
fn lock_keys(keys: &[Option<String>], count: usize, target: &str, company: Option<&[u8; 16]>) -> Result<()> {
    if keys.len() != count {
        return Err(errors::out_of_range(
            "the number of ordering_keys",
            &keys.len().to_string(),
            &format!("{count}, as many as payloads; NULL stands for none"),
        ));
    }
    let mut hashes = Vec::new();
    for key in keys.iter().flatten() {
        keys::check("an element of ordering_keys", key).map_err(errors::problem)?;
        hashes.push(keys::ordering_hash(company, key));
    }
    hashes.sort_unstable();
    hashes.dedup();
    let target = wake::hash(target);
    locks::expect(target, &hashes);
    for hash in hashes {
        locks::ordering_key(target, hash);
    }
    Ok(())
}

/// A fresh event id.
pub(crate) fn new_id() -> [u8; 16] {
    id_at(unix_us())
}

fn unix_us() -> u64 {
    u64::try_from(server::now().saturating_add(PG_EPOCH_US)).unwrap_or(0)
}

fn id_at(unix_us: u64) -> [u8; 16] {
    event_id::v7_bytes(unix_us, server::random_bits().to_le_bytes())
}

/// What every new event must satisfy, whichever way it comes. NOT NULL is left to the table.
pub(crate) fn check(event: &NewEvent<'_>) -> Result<()> {
    let event_type = event
        .event_type
        .as_deref()
        .ok_or_else(|| trigger::missing("event_type"))?;
    names::check_event_type(event_type).map_err(errors::problem)?;
    let target = event
        .target
        .as_deref()
        .ok_or_else(|| trigger::missing("target_system"))?;
    check_target(target)?;
    check_payload(event)?;
    check_numbers(event)?;
    if let Some(key) = &event.ordering_key {
        keys::check("ordering_key", key).map_err(errors::problem)?;
    }
    if let Some(key) = &event.idempotency_key {
        claim_for_row(event, target, key)?;
    }
    if let Some(own) = event.headers {
        let own = jsonb::value(own).ok_or_else(|| errors::unreadable("headers"))?;
        headers::parse(&own, "headers").map_err(errors::problem)?;
    }
    Ok(())
}

/// A plain INSERT with an idempotency key: it cannot answer with the first event's id, so a key that was used is an error.
fn claim_for_row(event: &NewEvent<'_>, target: &str, key: &str) -> Result<()> {
    let id = event.id.ok_or_else(|| trigger::missing("id"))?;
    if CLAIMED.take() == Some(id) {
        return Ok(());
    }
    keys::check("idempotency_key", key).map_err(errors::problem)?;
    match claim(target, event.company.as_ref(), key, &id) {
        None => Ok(()),
        Some(first) => Err(errors::key_used(&uuid::Uuid::from_bytes(first).to_string())),
    }
}

pub(crate) fn check_target(name: &str) -> Result<()> {
    if names::is_built_in_target(name) || cache::has_target(name, targets::names) {
        return Ok(());
    }
    let nearest = cache::with_targets(targets::names, |names| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nearest::nearest(name, &names).map(str::to_owned)
    });
    Err(errors::unknown_target(name, nearest.as_deref()))
}

fn check_payload(event: &NewEvent<'_>) -> Result<()> {
    let payload = event.payload.ok_or_else(|| trigger::missing("payload"))?;
    let (size, limit) = (jsonb::size(payload), settings::max_payload_bytes());
    if size > limit {
        Err(errors::payload_too_large(size, limit))
    } else {
        Ok(())
    }
}

fn check_numbers(event: &NewEvent<'_>) -> Result<()> {
    let retries = event.max_retries.ok_or_else(|| trigger::missing("max_retries"))?;
    if !(0..=MOST_RETRIES).contains(&retries) {
        return Err(errors::out_of_range(
            "max_retries",
            &retries.to_string(),
            "a number from 0 to 100",
        ));
    }
    let available_at = event
        .available_at
        .ok_or_else(|| trigger::missing("available_at"))?;
    // The ends of the range mean -infinity and infinity, which is how a dead letter holds an event.
    if available_at == i64::MIN || available_at == i64::MAX {
        let shown = if available_at == i64::MIN {
            "-infinity"
        } else {
            "infinity"
        };
        return Err(errors::out_of_range("available_at", shown, "a point in time"));
    }
    if event.retry_count != Some(0) {
        return Err(errors::out_of_range(
            "retry_count",
            "of a new event",
            "0: it counts what the dispatcher does",
        ));
    }
    Ok(())
}
