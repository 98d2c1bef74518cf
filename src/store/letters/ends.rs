//! Letters that are over: closed by the success of what they were about, and removed by age.
//!
//! The dispatcher knows nothing of letters when it completes events, many thousands a second. The scheduler looks at the letters
//! that are out, which are few; the view tms.dead_letters shows a success at once.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID};

use crate::pg::spi::{self, Arg, Session, Statement};

/// Closes letters that are out and whose events are done, cancelled, or deleted by somebody.
pub(crate) fn close(session: &Session, now: i64) {
    static CLOSE: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET closed_at = COALESCE(d.processed_at, $1), resolution = d.resolution
            FROM (SELECT o.id, e.processed_at,
                         CASE WHEN e.id IS NULL THEN 'discarded' WHEN e.cancelled_at IS NOT NULL THEN 'cancelled'
                              WHEN o.requeued_by IS NULL THEN 'delivered' ELSE 'replayed' END AS resolution
                    FROM tms.dead_letter_queue o
                    LEFT JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) o.original_event_id
                   WHERE o.closed_at IS NULL AND o.requeued_at IS NOT NULL AND o.original_event_id IS NOT NULL
                     AND (e.id IS NULL OR e.processed_at IS NOT NULL)
                     FOR NO KEY UPDATE OF o SKIP LOCKED) d
           WHERE l.id OPERATOR(pg_catalog.=) d.id AND l.closed_at IS NULL",
        &[TIMESTAMPTZOID],
    );
    session.run(&CLOSE, &[Arg::Timestamp(now)], 0);
}

/// Removes letters that were closed longer than `age` ago, with what was done with them; true when there are more.
pub(crate) fn purge(now: i64, age: i64, batch: i64) -> bool {
    static PURGE: Statement = Statement::new(
        c"WITH gone AS (
              DELETE FROM tms.dead_letter_queue l
               WHERE l.id IN (SELECT o.id FROM tms.dead_letter_queue o
                               WHERE o.closed_at OPERATOR(pg_catalog.<) $1
                               ORDER BY o.closed_at LIMIT $2 FOR UPDATE OF o SKIP LOCKED)
              RETURNING l.id),
          acts AS (
              DELETE FROM tms.dead_letter_acts a USING gone g WHERE a.letter_id OPERATOR(pg_catalog.=) g.id)
          SELECT pg_catalog.count(*) FROM gone",
        &[TIMESTAMPTZOID, INT8OID],
    );
    let removed = spi::connect(|session| {
        let horizon = now.saturating_sub(age);
        let rows = session.run(&PURGE, &[Arg::Timestamp(horizon), Arg::Int8(batch)], 0);
        rows.first().and_then(|row| row.int8(1)).unwrap_or(0)
    });
    removed >= batch
}
