//! What people do with dead letters: `tms_dlq_retry`, `tms_dlq_edit`, `tms_dlq_snooze`, `tms_dlq_discard`, and [`many`] at a time;
//! `tms_classify_error`.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::json;

use crate::api::events::{check_reason, reach};
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::spi::{self, Session};
use crate::pg::{jsonb, roles, server};
use crate::settings;
use crate::store::letters::acts::{self, Act, Deed};
use crate::store::letters::hands::{self, Letter, State};

mod many;

/// Longest snooze: who means longer means to discard.
const LONGEST_SNOOZE_US: i64 = 10 * 366 * 24 * 3600 * 1_000_000;

/// `tms_classify_error(error_type, error_message)`: the kind of an error.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn tms_classify_error(error_type: Option<&str>, error_message: Option<&str>) -> &'static str {
    tms_domain::classify::classify(error_type.unwrap_or_default(), error_message).as_str()
}

/// `tms_dlq_retry(id, payload)`: brings a letter back, with another payload when there is one; false when it is out already.
pub(crate) fn retry(arguments: &Arguments) -> Result<bool> {
    const NAME: &str = "tms_dlq_retry";
    let id = arguments
        .uuid(0)
        .ok_or_else(|| errors::null_argument(NAME, "id"))?;
    let payload = arguments.datum(1);
    check_payload(payload)?;
    with_open(&id, |session, letter, actor, now| {
        if let State::Out = letter.state {
            return match payload {
                Some(_) => Err(errors::letter_is_out(&id)),
                None => Ok(false),
            };
        }
        if let Some(payload) = payload {
            put(session, letter, payload, actor, now);
        }
        hands::bring_back(session, letter, actor, now);
        note(session, letter, Act::Retry, actor, None, None);
        Ok(true)
    })
}

/// `tms_dlq_edit(id, payload)`: puts another payload into what a letter holds.
pub(crate) fn edit(arguments: &Arguments) -> Result<()> {
    const NAME: &str = "tms_dlq_edit";
    let missing = |argument| errors::null_argument(NAME, argument);
    let id = arguments.uuid(0).ok_or_else(|| missing("id"))?;
    let payload = arguments.datum(1).ok_or_else(|| missing("payload"))?;
    check_payload(Some(payload))?;
    with_open(&id, |session, letter, actor, now| {
        if let State::Out = letter.state {
            return Err(errors::letter_is_out(&id));
        }
        put(session, letter, payload, actor, now);
        Ok(())
    })
}

/// `tms_dlq_snooze(id, until)`: leaves a letter alone until then.
#[pg_extern(sql = false)]
fn tms_dlq_snooze(id: Option<pgrx::Uuid>, until: Option<TimestampWithTimeZone>) -> Result<()> {
    const NAME: &str = "tms_dlq_snooze";
    let id = id.ok_or_else(|| errors::null_argument(NAME, "id"))?;
    let until = until.ok_or_else(|| errors::null_argument(NAME, "until"))?;
    let shown = until.to_iso_string();
    let until = pg_sys::TimestampTz::from(until);
    let now = server::now();
    if until <= now || until > now.saturating_add(LONGEST_SNOOZE_US) {
        return Err(errors::out_of_range(
            "until",
            &shown,
            "a time from now on, within the next ten years",
        ));
    }
    with_open(id.as_bytes(), |session, letter, actor, _| {
        hands::snooze(session, letter, until);
        let detail = json!({ "until": shown });
        note(session, letter, Act::Snooze, actor, None, Some(detail));
        Ok(())
    })
}

/// `tms_dlq_discard(id, reason)`: gives a letter up, and its event with it.
#[pg_extern(sql = false)]
fn tms_dlq_discard(id: Option<pgrx::Uuid>, reason: Option<&str>) -> Result<()> {
    const NAME: &str = "tms_dlq_discard";
    let id = id.ok_or_else(|| errors::null_argument(NAME, "id"))?;
    let reason = reason.ok_or_else(|| errors::null_argument(NAME, "reason"))?;
    check_reason(reason)?;
    with_open(id.as_bytes(), |session, letter, actor, now| {
        hands::discard(session, letter, actor, reason, now);
        note(session, letter, Act::Discard, actor, Some(reason), None);
        Ok(())
    })
}

/// Runs an act on a letter of the caller's that is open, and locked with what it is about.
fn with_open<R>(id: &[u8; 16], act: impl FnOnce(&Session, &Letter, u32, i64) -> Result<R>) -> Result<R> {
    let scope = reach()?;
    let actor = roles::outer_user();
    spi::connect(|session| {
        let letter = hands::take(session, id, scope).ok_or_else(|| errors::unknown_letter(id))?;
        if let State::Closed { how, at } = &letter.state {
            return Err(errors::letter_is_closed(id, how, at));
        }
        act(session, &letter, actor, server::now())
    })
}

fn put(session: &Session, letter: &Letter, payload: pg_sys::Datum, actor: u32, now: i64) {
    acts::note_edit(session, &letter.id, actor);
    hands::edit(session, letter, payload, now);
}

fn note(
    session: &Session,
    letter: &Letter,
    act: Act,
    actor: u32,
    reason: Option<&str>,
    detail: Option<serde_json::Value>,
) {
    let deed = Deed {
        act,
        actor,
        reason,
        detail,
    };
    acts::note(session, &[letter.id], &deed);
}

fn check_payload(payload: Option<pg_sys::Datum>) -> Result<()> {
    let (size, limit) = (payload.map_or(0, jsonb::size), settings::max_payload_bytes());
    if size > limit {
        return Err(errors::payload_too_large(size, limit));
    }
    Ok(())
}
