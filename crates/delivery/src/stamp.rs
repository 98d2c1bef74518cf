//! The headers of Standard Webhooks: id, time of this attempt, signature over exactly the bytes that are sent.

use crate::offload::{SIGN_HERE, offload};
use crate::request::Payload;
use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::{HeaderName, HeaderValue, Request};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tms_domain::failure::Failure;
use tms_domain::signature::{self, Key};
use tokio::time::Instant;
use uuid::Uuid;

/// How many headers a request gets here at most.
pub(crate) const STAMPS: usize = 3;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Sets the three headers, in place of any that the target or the job has set. To be called when there is a
/// connection to send over: connecting may take longer than a receiver's tolerance.
pub(crate) async fn stamp(
    request: &mut Request<Payload>,
    id: [u8; 16],
    keys: &Arc<[Key]>,
    until: Instant,
) -> Result<(), Failure> {
    let mut buffer = Uuid::encode_buffer();
    let id: &str = Uuid::from_bytes(id).hyphenated().encode_lower(&mut buffer);
    let now = unix_seconds(SystemTime::now());
    let signature = sign(request.body(), id, now, keys, until).await?;
    let headers = request.headers_mut();
    headers.insert(ID, value(id)?);
    headers.insert(TIMESTAMP, HeaderValue::from(now));
    match signature {
        Some(text) => drop(headers.insert(
            SIGNATURE,
            HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(invalid)?,
        )),
        None => drop(headers.remove(SIGNATURE)),
    }
    Ok(())
}

async fn sign(
    body: &Payload,
    id: &str,
    now: i64,
    keys: &Arc<[Key]>,
    until: Instant,
) -> Result<Option<String>, Failure> {
    if keys.is_empty() {
        return Ok(None);
    }
    let bytes = body.bytes();
    if bytes.len() <= SIGN_HERE {
        return Ok(Some(signature::sign(keys, id, now, bytes)));
    }
    let (keys, id, bytes) = (Arc::clone(keys), id.to_owned(), bytes.clone());
    let signed = offload(until, move || signature::sign(&keys, &id, now, &bytes));
    signed.await.map(Some)
}

fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(invalid)
}

fn invalid(_: InvalidHeaderValue) -> Failure {
    Failure::InvalidRequest("a header value holds control characters".into())
}

/// A clock that stands before 1970 is wrong, and what it says is negative.
fn unix_seconds(time: SystemTime) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since.as_secs()),
        Err(before) => -signed(before.duration().as_secs()),
    }
}
