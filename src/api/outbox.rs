//! Enqueueing: `tms_enqueue`, `tms_enqueue_batch`, and the checks that every new event passes, a plain INSERT's too.

use tms_domain::{event_id, headers, names, nearest};

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::server::PG_EPOCH_US;
use crate::pg::trigger::{self, NewEvent};
use crate::pg::{array, cache, jsonb, server, spi};
use crate::settings;
use crate::store::{events, targets};

/// Most retries an event may ask for.
const MOST_RETRIES: i32 = 100;

/// `tms_enqueue(event_type, payload, target_system, company_id, idempotency_key, ordering_key, available_at, max_retries,
/// priority, headers)`: one event in the caller's transaction.
pub(crate) fn enqueue(arguments: &Arguments) -> Result<[u8; 16]> {
    const NAME: &str = "tms_enqueue";
    let given = |index, name| {
        arguments
            .datum(index)
            .ok_or_else(|| errors::null_argument(NAME, name))
    };
    let event_type = given(0, "event_type")?;
    let payload = given(1, "payload")?;
    let target = given(2, "target_system")?;
    let company = tenancy::company_for(arguments.uuid(3))?;
    if arguments.datum(4).is_some() {
        return Err(errors::not_available("idempotency_key"));
    }
    if arguments.datum(5).is_some() {
        return Err(errors::not_available("ordering_key"));
    }
    let event = events::NewEvent {
        id: new_id(),
        event_type,
        payload,
        target,
        company,
        available_at: arguments.timestamp(6).unwrap_or_else(server::transaction_start),
        max_retries: arguments.int4(7).unwrap_or_else(settings::default_max_retries),
        priority: arguments.int4(8).unwrap_or(0),
        headers: arguments.datum(9),
    };
    // As the owner: EXECUTE on this function is the right to enqueue, and the company was checked just above.
    cache::as_owner(|| spi::connect(|session| events::insert(session, &event)));
    Ok(event.id)
}

/// `tms_enqueue_batch(event_type, payloads, target_system, company_id)`: one event a payload, in order.
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
    // A microsecond apart, so that they sort as their payloads stand.
    let first = unix_us();
    let ids: Vec<[u8; 16]> = (first..).take(count).map(id_at).collect();
    let retries = settings::default_max_retries();
    cache::as_owner(|| {
        spi::connect(|session| {
            events::insert_batch(session, &ids, &event_type, payloads, &target, company, retries)
        });
    });
    Ok(ids)
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
    if event.has_idempotency_key {
        return Err(errors::not_available("idempotency_key"));
    }
    if event.has_ordering_key {
        return Err(errors::not_available("ordering_key"));
    }
    if let Some(own) = event.headers {
        let own = jsonb::value(own).ok_or_else(|| errors::unreadable("headers"))?;
        headers::parse(&own, "headers").map_err(errors::problem)?;
    }
    Ok(())
}

fn check_target(name: &str) -> Result<()> {
    if cache::has_target(name, targets::names) {
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
