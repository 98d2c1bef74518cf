//! Tasks in the hands of agents: what is done with one is done by the token of its lease.

use pgrx::pg_sys::{self, INT8OID, JSONBOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use crate::pg::spi::{Arg, Session, Statement};
use crate::store::pull::held::Scope;

/// A task as an agent that says it has it finds it; locked by this transaction.
pub(crate) struct Task {
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) agent: String,
    pub(crate) status: String,
    pub(crate) token: Option<[u8; 16]>,
    pub(crate) until: Option<i64>,
    pub(crate) tokens_used: i64,
    pub(crate) api_calls_used: i64,
}

impl Task {
    /// Whether this token is that of a lease that is not over.
    pub(crate) fn is_held_by(&self, token: &[u8; 16], now: i64) -> bool {
        self.status == "running"
            && self.token.as_ref() == Some(token)
            && self.until.is_some_and(|until| until > now)
    }
}

/// A lease that is over before its time, with whose it was.
pub(crate) struct Freed {
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) agent: String,
    pub(crate) token: Option<[u8; 16]>,
}

/// Locks a task of the caller's; `None`: there is none.
pub(crate) fn lock(session: &Session, id: &[u8; 16], scope: Scope) -> Option<Task> {
    static LOCK: Statement = Statement::new(
        c"SELECT t.company_id, t.agent_name, t.status, t.lease_token, t.leased_until, t.tokens_used, t.api_calls_used
            FROM tms.agent_tasks t
           WHERE t.id OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR t.company_id OPERATOR(pg_catalog.=) $2)
             FOR NO KEY UPDATE OF t",
        &[UUIDOID, UUIDOID],
    );
    let rows = session.run(&LOCK, &[Arg::Uuid(id), scope.arg()], 0);
    let row = rows.first()?;
    Some(Task {
        company: row.uuid(1),
        agent: row.text(2)?,
        status: row.text(3)?,
        token: row.uuid(4),
        until: row.int8(5),
        tokens_used: row.int8(6)?,
        api_calls_used: row.int8(7)?,
    })
}

/// Makes a lease last until then.
pub(crate) fn prolong(session: &Session, id: &[u8; 16], until: i64, now: i64) {
    static PROLONG: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t SET leased_until = $2, updated_at = $3 WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID],
    );
    session.run(
        &PROLONG,
        &[Arg::Uuid(id), Arg::Timestamp(until), Arg::Timestamp(now)],
        0,
    );
}

/// Charges a task that was locked.
pub(crate) fn charge(session: &Session, id: &[u8; 16], tokens: i64, api_calls: i64, now: i64) {
    static CHARGE: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET tokens_used = t.tokens_used OPERATOR(pg_catalog.+) $2, api_calls_used = t.api_calls_used OPERATOR(pg_catalog.+) $3,
                 updated_at = $4
           WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, INT8OID, INT8OID, TIMESTAMPTZOID],
    );
    session.run(
        &CHARGE,
        &[
            Arg::Uuid(id),
            Arg::Int8(tokens),
            Arg::Int8(api_calls),
            Arg::Timestamp(now),
        ],
        0,
    );
}

/// What a task ends with.
pub(crate) struct Ending {
    pub(crate) result: pg_sys::Datum,
    pub(crate) tokens: i64,
    pub(crate) api_calls: i64,
    /// Millionths of a dollar; `None`: nobody said.
    pub(crate) cost: Option<i64>,
}

/// Whose task was completed.
pub(crate) struct Completed {
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) agent: String,
}

/// Completes a task, if the lease is the caller's and not over: one statement, as it is called most.
pub(crate) fn complete(
    session: &Session,
    id: &[u8; 16],
    token: &[u8; 16],
    scope: Scope,
    ending: &Ending,
    now: i64,
) -> Option<Completed> {
    // The token stays, so that a call that is repeated after its answer was lost is known again.
    static COMPLETE: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = 'done', result = $4, leased_until = NULL, finished_at = $5, updated_at = $5, error_type = NULL,
                 error_message = NULL, tokens_used = t.tokens_used OPERATOR(pg_catalog.+) $6,
                 api_calls_used = t.api_calls_used OPERATOR(pg_catalog.+) $7,
                 cost_usd = CASE WHEN $8 IS NULL THEN t.cost_usd
                                 ELSE COALESCE(t.cost_usd, 0) OPERATOR(pg_catalog.+)
                                      ($8::pg_catalog.numeric OPERATOR(pg_catalog./) 1000000) END
           WHERE t.id OPERATOR(pg_catalog.=) $1 AND t.lease_token OPERATOR(pg_catalog.=) $2
             AND t.status OPERATOR(pg_catalog.=) 'running' AND t.leased_until OPERATOR(pg_catalog.>) $5
             AND ($3 IS NULL OR t.company_id OPERATOR(pg_catalog.=) $3)
          RETURNING t.company_id, t.agent_name",
        &[
            UUIDOID, UUIDOID, UUIDOID, JSONBOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID,
        ],
    );
    let rows = session.run(
        &COMPLETE,
        &[
            Arg::Uuid(id),
            Arg::Uuid(token),
            scope.arg(),
            Arg::Datum(ending.result),
            Arg::Timestamp(now),
            Arg::Int8(ending.tokens),
            Arg::Int8(ending.api_calls),
            ending.cost.map_or(Arg::Null, Arg::Int8),
        ],
        0,
    );
    let row = rows.first()?;
    Some(Completed {
        company: row.uuid(1),
        agent: row.text(2)?,
    })
}

/// Ends the run of a task that was locked: it failed.
pub(crate) fn fail(session: &Session, id: &[u8; 16], error_type: &str, message: Option<&str>, now: i64) {
    static FAIL: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = 'failed', turn = NULL, leased_until = NULL, finished_at = $4, updated_at = $4, error_type = $2,
                 error_message = $3
           WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID],
    );
    session.run(
        &FAIL,
        &[
            Arg::Uuid(id),
            Arg::Text(error_type),
            message.map_or(Arg::Null, Arg::Text),
            Arg::Timestamp(now),
        ],
        0,
    );
}
