//! From an event to the request that carries it: the body by the target's envelope, and the event's own headers.

use pgrx::pg_sys;
use serde_json::Value;
use tms_delivery::{HeaderKey, HeaderName, Job};
use tms_domain::target::{Envelope, HttpOptions, Profile};
use tms_domain::{envelope, slack};
use uuid::Uuid;

use crate::pg::server::PG_EPOCH_US;
use crate::pg::{jsonb, server};
use crate::store::events::DueEvent;

const EVENT_TYPE: HeaderName = HeaderName::from_static("tms-event-type");

/// What the HTTP engine is to send: the event, with the payload as its target is to have it.
pub(crate) fn request(
    event: &DueEvent,
    payload: pg_sys::Datum,
    options: &HttpOptions,
    target: u32,
    lane: usize,
    source: &str,
) -> Job {
    let mut headers = own_headers(event);
    if options.profile != Profile::Slack && options.envelope == Envelope::Cloudevents {
        let id = Uuid::from_bytes(event.id).to_string();
        let time = event.created_at.saturating_add(PG_EPOCH_US);
        let attributes = envelope::cloudevents_headers(&id, &event.event_type, source, time);
        headers.extend(
            attributes
                .into_iter()
                .map(|(name, value)| (HeaderName::from_static(name).into(), value)),
        );
    }
    headers.push((EVENT_TYPE.into(), event.event_type.clone()));
    Job {
        key: event.position.seq.cast_unsigned(),
        target,
        lane: lane as u64,
        webhook_id: event.id,
        headers,
        body: body(event, payload, options),
    }
}

fn body(event: &DueEvent, stored: pg_sys::Datum, options: &HttpOptions) -> Vec<u8> {
    let size = jsonb::size(stored);
    let mut payload = Vec::with_capacity(size + size / 2);
    jsonb::write_text(stored, &mut payload);
    match (options.profile, options.envelope) {
        (Profile::Slack, _) => {
            let payload = serde_json::from_slice(&payload).unwrap_or(Value::Null);
            slack::body(&event.event_type, &payload).to_string().into_bytes()
        }
        (_, Envelope::Standard) => {
            let time = event.created_at.saturating_add(PG_EPOCH_US);
            envelope::standard(&event.event_type, time, &String::from_utf8_lossy(&payload))
        }
        (_, Envelope::Payload | Envelope::Cloudevents) => payload,
    }
}

fn own_headers(event: &DueEvent) -> Vec<(HeaderKey, String)> {
    let mut headers = Vec::with_capacity(2);
    if let Some(Value::Object(own)) = event.headers.and_then(jsonb::value) {
        headers.extend(own.into_iter().filter_map(|(name, value)| {
            let value = value.as_str()?.to_owned();
            Some((HeaderKey::from(name), value))
        }));
    }
    headers
}

/// What CloudEvents call the source: this database. Needs a transaction.
pub(crate) fn source() -> String {
    let name = server::database_name(server::database()).unwrap_or_default();
    format!("/tms/{name}")
}
