//! Receiving webhooks: `tms_webhook_source_set`, `tms_webhook_verify`.

use pgrx::pg_sys;
use tms_domain::signature;

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::server::PG_EPOCH_US;
use crate::pg::{array, jsonb, server};
use crate::store::webhooks::{self, Source};

mod message;
mod options;

use message::Message;
use options::Options;

const SECOND_US: i64 = 1_000_000;

/// `tms_webhook_source_set(name, options, company_id)`: creates a source or replaces its options.
pub(crate) fn set(arguments: &Arguments) -> Result<()> {
    const NAME: &str = "tms_webhook_source_set";
    let name = arguments
        .text(0)
        .ok_or_else(|| errors::null_argument(NAME, "name"))?;
    let options = arguments
        .datum(1)
        .ok_or_else(|| errors::null_argument(NAME, "options"))?;
    let company = tenancy::company_for(arguments.uuid(2))?;
    options::check_name(&name).map_err(errors::problem)?;
    let options = jsonb::value(options).ok_or_else(|| errors::unreadable("options"))?;
    let options = Options::parse(&options).map_err(errors::problem)?;
    let has_secrets = webhooks::set(
        &name,
        company,
        options.tolerance_seconds,
        options.dedupe_seconds,
        options.keys.as_deref(),
    );
    // The error takes the new source back.
    if has_secrets {
        Ok(())
    } else {
        Err(errors::problem(options::no_secret()))
    }
}

/// `tms_webhook_verify(source, headers, body, company_id)`: whether a message is what its sender signed, and new.
pub(crate) fn verify(arguments: &Arguments) -> Result<pg_sys::Datum> {
    const NAME: &str = "tms_webhook_verify";
    let given = |index, name| {
        arguments
            .datum(index)
            .ok_or_else(|| errors::null_argument(NAME, name))
    };
    let name = array::text_of(given(0, "source")?);
    let headers = given(1, "headers")?;
    let body = given(2, "body")?;
    let company = tenancy::company_for(arguments.uuid(3))?;
    let source = webhooks::find(&name, company).ok_or_else(|| errors::unknown_source(&name))?;
    let now = server::now();
    match check(&source, headers, body, now) {
        Ok(message) => {
            let first = webhooks::receive(&source.id, &message.id, now, expiry(&source, now));
            Ok(webhooks::accepted(first, &message.id, message.timestamp, body))
        }
        Err(reason) => Ok(webhooks::refused(&reason)),
    }
}

/// What is wrong with a message is the sender's doing, so it is an answer and no error.
fn check(
    source: &Source,
    headers: pg_sys::Datum,
    body: pg_sys::Datum,
    now: i64,
) -> std::result::Result<Message, String> {
    let headers = jsonb::value(headers).ok_or("the headers cannot be read")?;
    let message = Message::read(&headers)?;
    signature::verify(
        &source.keys,
        &message.id,
        message.timestamp,
        array::text_of(body).as_bytes(),
        &message.signature,
        now.saturating_add(PG_EPOCH_US).div_euclid(SECOND_US),
        i64::from(source.tolerance_seconds),
    )
    .map_err(|refusal| refusal.to_string())?;
    Ok(message)
}

/// A message's age counts in whole seconds, so it may be accepted for one more than twice the tolerance.
fn expiry(source: &Source, now: i64) -> i64 {
    let seconds = i64::from(source.dedupe_seconds) + 1;
    now.saturating_add(seconds * SECOND_US)
}
