//! Events as letters see them: held by `available_at` = infinity.

use pgrx::pg_sys::{self, JSONBOID, TEXTOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};

use super::{Lock, Standing};
use crate::pg::spi::{Arg, Session, Statement};

pub(super) fn lock(session: &Session, ids: &[[u8; 16]], how: Lock) -> Vec<([u8; 16], Standing)> {
    // In the order of their ids: two who lock many wait for each other in one direction alone.
    static WAIT: Statement = Statement::new(
        c"SELECT e.id, e.processed_at IS NULL, e.available_at OPERATOR(pg_catalog.=) 'infinity'
            FROM tms.event_outbox e WHERE e.id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY e.id FOR NO KEY UPDATE OF e",
        &[UUIDARRAYOID],
    );
    static SKIP: Statement = Statement::new(
        c"SELECT e.id, e.processed_at IS NULL, e.available_at OPERATOR(pg_catalog.=) 'infinity'
            FROM tms.event_outbox e WHERE e.id OPERATOR(pg_catalog.=) ANY ($1) FOR NO KEY UPDATE OF e SKIP LOCKED",
        &[UUIDARRAYOID],
    );
    if ids.is_empty() {
        return Vec::new();
    }
    let statement = match how {
        Lock::Wait => &WAIT,
        Lock::Skip => &SKIP,
    };
    let rows = session.run(statement, &[Arg::UuidArray(ids)], 0);
    rows.iter()
        .filter_map(|row| {
            let standing = match (row.bool(2)?, row.bool(3)?) {
                (false, _) => Standing::Over,
                (true, true) => Standing::Held,
                (true, false) => Standing::Queued,
            };
            Some((row.uuid(1)?, standing))
        })
        .collect()
}

pub(super) fn requeue(session: &Session, ids: &[[u8; 16]], times: &[i64], now: i64) {
    static REQUEUE: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET available_at = u.at, retry_count = 0, lease_token = NULL, updated_at = $3
            FROM unnest($1, $2) AS u (id, at)
           WHERE e.id OPERATOR(pg_catalog.=) u.id AND e.available_at OPERATOR(pg_catalog.=) 'infinity'
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID],
    );
    session.run(
        &REQUEUE,
        &[
            Arg::UuidArray(ids),
            Arg::TimestampArray(times),
            Arg::Timestamp(now),
        ],
        0,
    );
}

pub(super) fn give_up(session: &Session, id: &[u8; 16], reason: &str, now: i64) {
    static GIVE_UP: Statement = Statement::new(
        c"UPDATE tms.event_outbox e
             SET processed_at = $3, cancelled_at = $3, updated_at = $3, cancel_reason = $2, lease_token = NULL
           WHERE e.id OPERATOR(pg_catalog.=) $1
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDOID, TEXTOID, TIMESTAMPTZOID],
    );
    session.run(
        &GIVE_UP,
        &[Arg::Uuid(id), Arg::Text(reason), Arg::Timestamp(now)],
        0,
    );
}

pub(super) fn set_payload(session: &Session, id: &[u8; 16], payload: pg_sys::Datum, now: i64) {
    static SET: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET payload = $2, updated_at = $3 WHERE e.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, JSONBOID, TIMESTAMPTZOID],
    );
    session.run(
        &SET,
        &[Arg::Uuid(id), Arg::Datum(payload), Arg::Timestamp(now)],
        0,
    );
}
