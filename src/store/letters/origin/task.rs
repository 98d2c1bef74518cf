//! Agent tasks as letters see them: held by status = failed.

use pgrx::pg_sys::{self, JSONBOID, TEXTOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};

use super::{Lock, Standing};
use crate::pg::spi::{Arg, Session, Statement};
use crate::pg::task_acts;
use crate::pg::task_waiters::Line;

pub(super) fn lock(session: &Session, ids: &[[u8; 16]], how: Lock) -> Vec<([u8; 16], Standing)> {
    // In the order of their ids, as events.
    static WAIT: Statement = Statement::new(
        c"SELECT t.id, t.status, t.cancelled_at IS NOT NULL FROM tms.agent_tasks t
           WHERE t.id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY t.id FOR NO KEY UPDATE OF t",
        &[UUIDARRAYOID],
    );
    static SKIP: Statement = Statement::new(
        c"SELECT t.id, t.status, t.cancelled_at IS NOT NULL FROM tms.agent_tasks t
           WHERE t.id OPERATOR(pg_catalog.=) ANY ($1) FOR NO KEY UPDATE OF t SKIP LOCKED",
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
            let standing = match (row.text(2)?.as_str(), row.bool(3)?) {
                ("failed", false) => Standing::Held,
                ("failed", true) | ("done", _) => Standing::Over,
                _ => Standing::Queued,
            };
            Some((row.uuid(1)?, standing))
        })
        .collect()
}

pub(super) fn requeue(session: &Session, ids: &[[u8; 16]], times: &[i64], now: i64) {
    static REQUEUE: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = 'queued', available_at = u.at, lost_leases = 0, lease_token = NULL, leased_until = NULL,
                 finished_at = NULL, updated_at = $3,
                 turn = CASE WHEN u.at OPERATOR(pg_catalog.<=) $3 THEN u.at OPERATOR(pg_catalog.-)
                             ('1 minute'::pg_catalog.interval OPERATOR(pg_catalog.*) t.priority::pg_catalog.float8) END
            FROM unnest($1, $2) AS u (id, at)
           WHERE t.id OPERATOR(pg_catalog.=) u.id AND t.status OPERATOR(pg_catalog.=) 'failed' AND t.cancelled_at IS NULL
          RETURNING t.agent_name, t.company_id, t.available_at",
        &[UUIDARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID],
    );
    let rows = session.run(
        &REQUEUE,
        &[
            Arg::UuidArray(ids),
            Arg::TimestampArray(times),
            Arg::Timestamp(now),
        ],
        0,
    );
    for row in rows.iter() {
        if let Some(agent) = row.text(1) {
            task_acts::queued(Line::of(&agent, row.uuid(2)));
        }
        // The scheduler, too, which sends the tasks of agents that run elsewhere.
        task_acts::due(row.int8(3).unwrap_or(now));
    }
}

pub(super) fn give_up(session: &Session, id: &[u8; 16], reason: &str, now: i64) {
    static GIVE_UP: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = 'failed', turn = NULL, waits_for = NULL, lease_token = NULL, leased_until = NULL,
                 finished_at = COALESCE(t.finished_at, $3), cancelled_at = $3, cancel_reason = $2, updated_at = $3
           WHERE t.id OPERATOR(pg_catalog.=) $1 AND t.status OPERATOR(pg_catalog.<>) 'done'",
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
        c"UPDATE tms.agent_tasks t SET payload = $2, updated_at = $3 WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, JSONBOID, TIMESTAMPTZOID],
    );
    session.run(
        &SET,
        &[Arg::Uuid(id), Arg::Datum(payload), Arg::Timestamp(now)],
        0,
    );
}
