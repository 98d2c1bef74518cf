//! What a person does with one letter.

use pgrx::pg_sys::{JSONBOID, OIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::origin::{self, Lock, Origin, Standing};
use crate::pg::spi::{Arg, Session, Statement};
use crate::store::pull::held::Scope;

/// A letter of the caller's, locked with what it is about.
pub(crate) struct Letter {
    pub(crate) id: [u8; 16],
    pub(crate) origin: Origin,
    pub(crate) state: State,
}

/// Where it is.
pub(crate) enum State {
    /// It holds what it is about.
    Held,
    /// What it is about is in its queue again.
    Out,
    /// How it ended, and when, as a text in the caller's time zone.
    Closed { how: String, at: String },
}

/// Locks a letter; `None` when there is none, or it is not the caller's.
pub(crate) fn take(session: &Session, id: &[u8; 16], scope: Scope) -> Option<Letter> {
    static FIND: Statement = Statement::new(
        c"SELECT l.original_event_id, l.original_task_id FROM tms.dead_letter_queue l
           WHERE l.id OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR l.company_id OPERATOR(pg_catalog.=) $2)",
        &[UUIDOID, UUIDOID],
    );
    static LOCK: Statement = Statement::new(
        c"SELECT l.resolution, l.closed_at::pg_catalog.text FROM tms.dead_letter_queue l
           WHERE l.id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE OF l",
        &[UUIDOID],
    );
    let origin = {
        let rows = session.run(&FIND, &[Arg::Uuid(id), scope.arg()], 0);
        let row = rows.first()?;
        Origin::of(row.uuid(1), row.uuid(2))?
    };
    let standing = origin::lock(session, &[origin], Lock::Wait)
        .first()
        .map(|(_, standing)| *standing);
    let rows = session.run(&LOCK, &[Arg::Uuid(id)], 0);
    let row = rows.first()?;
    let state = match (row.text(1), row.text(2), standing) {
        (Some(how), Some(at), _) => State::Closed { how, at },
        (_, _, Some(Standing::Held)) => State::Held,
        (_, _, Some(Standing::Queued)) => State::Out,
        (_, _, Some(Standing::Over)) => State::Closed {
            how: "delivered or cancelled".to_owned(),
            at: "this moment".to_owned(),
        },
        (_, _, None) => State::Closed {
            how: "without what it is about, which was deleted,".to_owned(),
            at: "this moment".to_owned(),
        },
    };
    Some(Letter {
        id: *id,
        origin,
        state,
    })
}

/// Brings it back now.
pub(crate) fn bring_back(session: &Session, letter: &Letter, actor: u32, now: i64) {
    static MARK: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET requeued_at = $2, requeued_by = pg_catalog.pg_get_userbyid($3), snooze_until = NULL
           WHERE l.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, TIMESTAMPTZOID, OIDOID],
    );
    session.run(
        &MARK,
        &[Arg::Uuid(&letter.id), Arg::Timestamp(now), Arg::Oid(actor)],
        0,
    );
    origin::requeue(session, &[(letter.origin, now)], now);
}

/// Leaves it alone until then.
pub(crate) fn snooze(session: &Session, letter: &Letter, until: i64) {
    static SNOOZE: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l SET snooze_until = $2 WHERE l.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, TIMESTAMPTZOID],
    );
    session.run(&SNOOZE, &[Arg::Uuid(&letter.id), Arg::Timestamp(until)], 0);
}

/// Gives it up, and what it is about.
pub(crate) fn discard(session: &Session, letter: &Letter, actor: u32, reason: &str, now: i64) {
    origin::give_up(session, letter.origin, reason, now);
    close(session, &letter.id, "discarded", actor, now);
}

/// Puts another payload into what it is about, and a redacted copy of that into the letter.
pub(crate) fn edit(session: &Session, letter: &Letter, payload: pgrx::pg_sys::Datum, now: i64) {
    static COPY: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l SET payload = $2 WHERE l.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, JSONBOID],
    );
    origin::set_payload(session, letter.origin, payload, now);
    session.run(&COPY, &[Arg::Uuid(&letter.id), Arg::Datum(payload)], 0);
}

/// Closes a letter by a person's act.
fn close(session: &Session, id: &[u8; 16], resolution: &str, actor: u32, now: i64) {
    static CLOSE: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET closed_at = $4, resolution = $2, closed_by = pg_catalog.pg_get_userbyid($3)
           WHERE l.id OPERATOR(pg_catalog.=) $1 AND l.closed_at IS NULL",
        &[UUIDOID, TEXTOID, OIDOID, TIMESTAMPTZOID],
    );
    session.run(
        &CLOSE,
        &[
            Arg::Uuid(id),
            Arg::Text(resolution),
            Arg::Oid(actor),
            Arg::Timestamp(now),
        ],
        0,
    );
}

/// Closes the open letter of an event that was cancelled by a person; the letter's id, when there was one.
pub(crate) fn cancelled(session: &Session, event: &[u8; 16], actor: u32, now: i64) -> Option<[u8; 16]> {
    static OPEN: Statement = Statement::new(
        c"SELECT l.id FROM tms.dead_letter_queue l
           WHERE l.original_event_id OPERATOR(pg_catalog.=) $1 AND l.closed_at IS NULL",
        &[UUIDOID],
    );
    let id = session.run(&OPEN, &[Arg::Uuid(event)], 0).first()?.uuid(1)?;
    close(session, &id, "cancelled", actor, now);
    Some(id)
}
