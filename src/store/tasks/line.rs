//! The line of each agent and company: who is next, and what a claim makes of it.
//!
//! The statements run with plans that tms_task_claim's own settings pin: the index agent_tasks_line in its own order.

use pgrx::pg_sys::{self, INT8OID, TEXTOID, TIDARRAYOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};

use crate::pg::set::AnswerSet;
use crate::pg::spi::{Arg, Rows, Session, Statement, Tid};

/// The tasks of one agent for one company, or for the platform.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane<'a> {
    pub(crate) agent: &'a str,
    pub(crate) company: Option<[u8; 16]>,
}

impl Lane<'_> {
    fn company(&self) -> Arg<'_> {
        self.company.as_ref().map_or(Arg::Null, Arg::Uuid)
    }
}

/// A task at the front of its line, locked by this transaction.
pub(crate) struct Next {
    pub(crate) tid: Tid,
    pub(crate) id: [u8; 16],
    pub(crate) function: String,
    pub(crate) payload: pg_sys::Datum,
    /// The hash of what a person agreed to.
    pub(crate) agreed: Option<String>,
}

/// Tasks at the front of a line, with the rows that hold their payloads.
pub(crate) struct Front {
    pub(crate) tasks: Vec<Next>,
    _rows: Rows,
}

/// Locks up to `limit` tasks that nobody else has in hand.
pub(crate) fn front(session: &Session, lane: &Lane<'_>, limit: i64) -> Front {
    // `=` finds no NULL, and an index is not asked by IS NOT DISTINCT FROM.
    static OF_COMPANY: Statement = Statement::new(
        c"SELECT t.ctid, t.id, t.fn_name, t.payload, t.confirmed_sha256
            FROM tms.agent_tasks t
           WHERE t.agent_name OPERATOR(pg_catalog.=) $1 AND t.company_id OPERATOR(pg_catalog.=) $2 AND t.turn IS NOT NULL
           ORDER BY t.agent_name, t.company_id, t.turn, t.id LIMIT $3 FOR UPDATE OF t SKIP LOCKED",
        &[TEXTOID, UUIDOID, INT8OID],
    );
    static OF_PLATFORM: Statement = Statement::new(
        c"SELECT t.ctid, t.id, t.fn_name, t.payload, t.confirmed_sha256
            FROM tms.agent_tasks t
           WHERE t.agent_name OPERATOR(pg_catalog.=) $1 AND t.company_id IS NULL AND $2 IS NULL AND t.turn IS NOT NULL
           ORDER BY t.agent_name, t.company_id, t.turn, t.id LIMIT $3 FOR UPDATE OF t SKIP LOCKED",
        &[TEXTOID, UUIDOID, INT8OID],
    );
    let statement = match lane.company {
        Some(_) => &OF_COMPANY,
        None => &OF_PLATFORM,
    };
    let rows = session.run(
        statement,
        &[Arg::Text(lane.agent), lane.company(), Arg::Int8(limit)],
        0,
    );
    let tasks = rows
        .iter()
        .filter_map(|row| {
            Some(Next {
                tid: row.tid(1)?,
                id: row.uuid(2)?,
                function: row.text(3)?,
                payload: row.datum(4)?,
                agreed: row.text(5),
            })
        })
        .collect();
    Front { tasks, _rows: rows }
}

/// The company whose id comes first from `from` on and that has tasks in an agent's line.
pub(crate) fn company_from(session: &Session, agent: &str, from: &[u8; 16]) -> Option<[u8; 16]> {
    static COMPANY: Statement = Statement::new(
        c"SELECT t.company_id FROM tms.agent_tasks t
           WHERE t.agent_name OPERATOR(pg_catalog.=) $1 AND t.company_id OPERATOR(pg_catalog.>=) $2 AND t.turn IS NOT NULL
           ORDER BY t.agent_name, t.company_id LIMIT 1",
        &[TEXTOID, UUIDOID],
    );
    let rows = session.run(&COMPANY, &[Arg::Text(agent), Arg::Uuid(from)], 1);
    rows.first().and_then(|row| row.uuid(1))
}

/// Tasks that are handed out, column by column.
#[derive(Default)]
pub(crate) struct Handed {
    pub(crate) tids: Vec<Tid>,
    pub(crate) tokens: Vec<[u8; 16]>,
}

/// Whose hands they go to.
pub(crate) struct Hands<'a> {
    pub(crate) worker: &'a str,
    pub(crate) now: i64,
    pub(crate) until: i64,
}

/// Hands locked tasks out and adds them to the answer, as the columns of `tms_task_claim`.
pub(crate) fn hand_out(session: &Session, handed: &Handed, hands: &Hands<'_>, answer: &AnswerSet) {
    static HAND_OUT: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = 'running', turn = NULL, attempts = t.attempts OPERATOR(pg_catalog.+) 1, lease_token = u.token,
                 leased_until = $5, leased_by = $3, started_at = $4, updated_at = $4
            FROM unnest($1, $2) AS u (tid, token)
           WHERE t.ctid OPERATOR(pg_catalog.=) u.tid AND t.turn IS NOT NULL
          RETURNING t.id, t.lease_token, t.fn_name, t.payload, t.company_id, t.attempts, t.leased_until, t.created_at",
        &[TIDARRAYOID, UUIDARRAYOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID],
    );
    session
        .run(
            &HAND_OUT,
            &[
                Arg::TidArray(&handed.tids),
                Arg::UuidArray(&handed.tokens),
                Arg::Text(hands.worker),
                Arg::Timestamp(hands.now),
                Arg::Timestamp(hands.until),
            ],
            0,
        )
        .append_to(answer);
}

/// A policy says by now that a person must agree: these tasks leave the line until somebody does.
pub(crate) fn park(session: &Session, tids: &[Tid], now: i64) {
    static PARK: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET waits_for = 'confirmation', turn = NULL, confirmed_by = NULL, confirmed_at = NULL, confirmed_sha256 = NULL,
                 updated_at = $2
            FROM unnest($1) AS u (tid)
           WHERE t.ctid OPERATOR(pg_catalog.=) u.tid",
        &[TIDARRAYOID, TIMESTAMPTZOID],
    );
    session.run(&PARK, &[Arg::TidArray(tids), Arg::Timestamp(now)], 0);
}

/// Tasks of a lane that run under a lease, with its end, as they are committed now.
pub(crate) fn running(session: &Session, lane: &Lane<'_>, now: i64) -> Vec<([u8; 16], i64)> {
    static RUNNING: Statement = Statement::new(
        c"SELECT t.lease_token, t.leased_until FROM tms.agent_tasks t
           WHERE t.status OPERATOR(pg_catalog.=) 'running' AND t.leased_until OPERATOR(pg_catalog.>) $3
             AND t.agent_name OPERATOR(pg_catalog.=) $1
             AND (t.company_id OPERATOR(pg_catalog.=) $2 OR (t.company_id IS NULL AND $2 IS NULL))
           ORDER BY t.leased_until",
        &[TEXTOID, UUIDOID, TIMESTAMPTZOID],
    );
    let rows = session.read_latest(
        &RUNNING,
        &[Arg::Text(lane.agent), lane.company(), Arg::Timestamp(now)],
    );
    rows.iter()
        .filter_map(|row| Some((row.uuid(1)?, row.int8(2)?)))
        .collect()
}
