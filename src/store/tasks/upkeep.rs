//! What becomes of tasks by the clock: their time comes, or their lease runs out. The scheduler asks for it, and every claim that
//! finds nothing, so that no task waits for a worker that is not there.

use pgrx::pg_sys::{INT4OID, INT8OID, TIMESTAMPTZOID};

use crate::pg::spi::{Arg, Rows, Session, Statement};

/// Tasks that are moved in one go: enough to catch up, and few locks at a time.
const BATCH: i64 = 1_000;

/// A line that got a task.
pub(crate) struct Moved {
    pub(crate) agent: String,
    pub(crate) company: Option<[u8; 16]>,
}

fn moved(rows: &Rows) -> Vec<Moved> {
    rows.iter()
        .filter_map(|row| {
            Some(Moved {
                agent: row.text(1)?,
                company: row.uuid(2),
            })
        })
        .collect()
}

/// Puts tasks whose time has come into their lines.
pub(crate) fn call_up(session: &Session, now: i64) -> Vec<Moved> {
    static CALL_UP: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET turn = t.available_at OPERATOR(pg_catalog.-)
                        ('1 minute'::pg_catalog.interval OPERATOR(pg_catalog.*) t.priority::pg_catalog.float8),
                 updated_at = $1
           WHERE t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
                 SELECT o.ctid FROM tms.agent_tasks o
                  WHERE o.turn IS NULL AND o.status OPERATOR(pg_catalog.=) 'queued' AND o.waits_for IS NULL
                    AND o.available_at OPERATOR(pg_catalog.<=) $1
                  ORDER BY o.available_at LIMIT $2 FOR UPDATE SKIP LOCKED))
          RETURNING t.agent_name, t.company_id",
        &[TIMESTAMPTZOID, INT8OID],
    );
    moved(&session.run(&CALL_UP, &[Arg::Timestamp(now), Arg::Int8(BATCH)], 0))
}

/// A task whose lease ran out once too often.
pub(crate) struct GivenUp {
    pub(crate) id: [u8; 16],
}

/// Takes back what leases ran out of: to their lines, or as failed where that was one time too many.
pub(crate) fn take_back(session: &Session, now: i64, most: i32) -> (Vec<Moved>, Vec<GivenUp>) {
    static TAKE_BACK: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = CASE WHEN t.lost_leases OPERATOR(pg_catalog.>=) $3 THEN 'failed' ELSE 'queued' END,
                 turn = CASE WHEN t.lost_leases OPERATOR(pg_catalog.<) $3 THEN t.available_at OPERATOR(pg_catalog.-)
                             ('1 minute'::pg_catalog.interval OPERATOR(pg_catalog.*) t.priority::pg_catalog.float8) END,
                 finished_at = CASE WHEN t.lost_leases OPERATOR(pg_catalog.>=) $3 THEN $1 END,
                 error_type = 'timeout', error_message = 'the lease ran out', leased_until = NULL, lease_token = NULL,
                 lost_leases = t.lost_leases OPERATOR(pg_catalog.+) 1, updated_at = $1
           WHERE t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
                 SELECT o.ctid FROM tms.agent_tasks o
                  WHERE o.status OPERATOR(pg_catalog.=) 'running' AND o.leased_until OPERATOR(pg_catalog.<=) $1
                  ORDER BY o.leased_until LIMIT $2 FOR UPDATE SKIP LOCKED))
          RETURNING t.agent_name, t.company_id, t.id, t.status OPERATOR(pg_catalog.=) 'failed'",
        &[TIMESTAMPTZOID, INT8OID, INT4OID],
    );
    let rows = session.run(
        &TAKE_BACK,
        &[Arg::Timestamp(now), Arg::Int8(BATCH), Arg::Int4(most)],
        0,
    );
    let given_up = rows
        .iter()
        .filter(|row| row.bool(4) == Some(true))
        .filter_map(|row| Some(GivenUp { id: row.uuid(3)? }))
        .collect();
    (moved(&rows), given_up)
}

/// When the next task's time comes, or the next lease runs out.
pub(crate) fn next_change(session: &Session) -> Option<i64> {
    static NEXT: Statement = Statement::new(
        c"SELECT LEAST(
              (SELECT o.available_at FROM tms.agent_tasks o
                WHERE o.turn IS NULL AND o.status OPERATOR(pg_catalog.=) 'queued' AND o.waits_for IS NULL
                ORDER BY o.available_at LIMIT 1),
              (SELECT o.leased_until FROM tms.agent_tasks o
                WHERE o.status OPERATOR(pg_catalog.=) 'running' ORDER BY o.leased_until LIMIT 1))",
        &[],
    );
    let rows = session.run(&NEXT, &[], 0);
    rows.first().and_then(|row| row.int8(1))
}

/// Notifies the channel tms_tasks of each agent with tasks in a line, by its name.
pub(crate) fn notify(session: &Session) {
    static NOTIFY: Statement = Statement::new(
        c"WITH RECURSIVE step (agent) AS (
              (SELECT t.agent_name FROM tms.agent_tasks t WHERE t.turn IS NOT NULL ORDER BY t.agent_name LIMIT 1)
              UNION ALL
              SELECT (SELECT t.agent_name FROM tms.agent_tasks t
                       WHERE t.turn IS NOT NULL AND t.agent_name OPERATOR(pg_catalog.>) step.agent
                       ORDER BY t.agent_name LIMIT 1)
                FROM step WHERE step.agent IS NOT NULL)
          SELECT pg_catalog.pg_notify('tms_tasks', step.agent) FROM step WHERE step.agent IS NOT NULL LIMIT 10000",
        &[],
    );
    session.run(&NOTIFY, &[], 0);
}
