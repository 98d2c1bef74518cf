//! `tms.agent_tasks`: a task from its submission to its end.
//!
//! - [`line`]: who is next, and what a claim makes of it    - [`lease`]: tasks in the hands of agents
//! - [`upkeep`]: what becomes of tasks by the clock       - [`push`]: tasks that leave through the outbox

use pgrx::pg_sys::{self, BOOLOID, INT4OID, JSONBOID, OIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use crate::pg::spi::{Arg, Session, Statement};
use crate::store::pull::held::Scope;

pub(crate) mod lease;
pub(crate) mod line;
pub(crate) mod push;
pub(crate) mod upkeep;

/// A task on its way in.
pub(crate) struct NewTask<'a> {
    pub(crate) id: [u8; 16],
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) agent: &'a str,
    pub(crate) function: &'a str,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) waits_for_person: bool,
    pub(crate) priority: i32,
    pub(crate) available_at: i64,
    /// `None`: its time has not come, or a person must agree.
    pub(crate) turn: Option<i64>,
    pub(crate) idempotency_key: Option<&'a str>,
    /// A role.
    pub(crate) submitted_by: u32,
}

/// Inserts it.
pub(crate) fn insert(session: &Session, task: &NewTask<'_>) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.agent_tasks
              (id, company_id, agent_name, fn_name, payload, waits_for, priority, available_at, turn, idempotency_key, submitted_by)
          VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN 'confirmation' END, $7, $8, $9, $10, pg_catalog.pg_get_userbyid($11))",
        &[
            UUIDOID, UUIDOID, TEXTOID, TEXTOID, JSONBOID, BOOLOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
            OIDOID,
        ],
    );
    session.run(
        &INSERT,
        &[
            Arg::Uuid(&task.id),
            task.company.as_ref().map_or(Arg::Null, Arg::Uuid),
            Arg::Text(task.agent),
            Arg::Text(task.function),
            Arg::Datum(task.payload),
            Arg::Bool(task.waits_for_person),
            Arg::Int4(task.priority),
            Arg::Timestamp(task.available_at),
            task.turn.map_or(Arg::Null, Arg::Timestamp),
            task.idempotency_key.map_or(Arg::Null, Arg::Text),
            Arg::Oid(task.submitted_by),
        ],
        0,
    );
}

/// A task that a person is to agree to, locked by this transaction.
pub(crate) struct Pending {
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) agent: String,
    pub(crate) function: String,
    /// JSON.
    pub(crate) payload: Vec<u8>,
    pub(crate) waits: bool,
    /// Whether one of the roles submitted it.
    pub(crate) is_own: bool,
    pub(crate) priority: i32,
    pub(crate) available_at: i64,
}

/// Locks a task that a person wants to decide about, who is one of these roles.
pub(crate) fn lock_pending(
    session: &Session,
    id: &[u8; 16],
    scope: Scope,
    roles: [u32; 2],
) -> Option<Pending> {
    static LOCK: Statement = Statement::new(
        c"SELECT t.company_id, t.agent_name, t.fn_name, t.payload,
                 t.status OPERATOR(pg_catalog.=) 'queued' AND t.waits_for IS NOT NULL,
                 t.submitted_by OPERATOR(pg_catalog.=) ANY (ARRAY[pg_catalog.pg_get_userbyid($3), pg_catalog.pg_get_userbyid($4)]),
                 t.priority, t.available_at
            FROM tms.agent_tasks t
           WHERE t.id OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR t.company_id OPERATOR(pg_catalog.=) $2)
             FOR NO KEY UPDATE OF t",
        &[UUIDOID, UUIDOID, OIDOID, OIDOID],
    );
    let rows = session.run(
        &LOCK,
        &[Arg::Uuid(id), scope.arg(), Arg::Oid(roles[0]), Arg::Oid(roles[1])],
        0,
    );
    let row = rows.first()?;
    let mut payload = Vec::new();
    crate::pg::jsonb::write_text(row.datum(4)?, &mut payload);
    Some(Pending {
        company: row.uuid(1),
        agent: row.text(2)?,
        function: row.text(3)?,
        payload,
        waits: row.bool(5)?,
        is_own: row.bool(6)?,
        priority: row.int4(7)?,
        available_at: row.int8(8)?,
    })
}

/// Who decided about a task, and what they said.
pub(crate) struct Word<'a> {
    /// A role.
    pub(crate) by: u32,
    pub(crate) note: Option<&'a str>,
    pub(crate) now: i64,
}

/// A person agreed to what has this hash.
pub(crate) fn agree(session: &Session, id: &[u8; 16], word: &Word<'_>, sha256: &str, turn: Option<i64>) {
    static AGREE: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET waits_for = NULL, confirmed_by = pg_catalog.pg_get_userbyid($2), confirmed_at = $4, confirm_note = $3, confirmed_sha256 = $5, turn = $6,
                 updated_at = $4
           WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, OIDOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID],
    );
    session.run(
        &AGREE,
        &[
            Arg::Uuid(id),
            Arg::Oid(word.by),
            word.note.map_or(Arg::Null, Arg::Text),
            Arg::Timestamp(word.now),
            Arg::Text(sha256),
            turn.map_or(Arg::Null, Arg::Timestamp),
        ],
        0,
    );
}

/// A person refused.
pub(crate) fn refuse(session: &Session, id: &[u8; 16], word: &Word<'_>) {
    static REFUSE: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET waits_for = NULL, confirmed_by = pg_catalog.pg_get_userbyid($2), confirmed_at = $4, confirm_note = $3, status = 'failed', finished_at = $4,
                 cancelled_at = $4, cancel_reason = 'a person refused it', updated_at = $4
           WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, OIDOID, TEXTOID, TIMESTAMPTZOID],
    );
    session.run(
        &REFUSE,
        &[
            Arg::Uuid(id),
            Arg::Oid(word.by),
            word.note.map_or(Arg::Null, Arg::Text),
            Arg::Timestamp(word.now),
        ],
        0,
    );
}

/// What became of a task that somebody wants to cancel.
pub(crate) enum Cancelled {
    /// It is over. With whose it was, and the lease that is over with it.
    Now(lease::Freed),
    /// It was finished before.
    TooLate,
    /// There is none of this id in reach.
    Unknown,
}

/// Ends a task that is not finished.
pub(crate) fn cancel(session: &Session, id: &[u8; 16], scope: Scope, reason: &str, now: i64) -> Cancelled {
    static LOCK: Statement = Statement::new(
        c"SELECT t.status, t.company_id, t.agent_name, t.lease_token FROM tms.agent_tasks t
           WHERE t.id OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR t.company_id OPERATOR(pg_catalog.=) $2)
             FOR NO KEY UPDATE OF t",
        &[UUIDOID, UUIDOID],
    );
    static CANCEL: Statement = Statement::new(
        c"UPDATE tms.agent_tasks t
             SET status = 'failed', turn = NULL, waits_for = NULL, lease_token = NULL, leased_until = NULL, finished_at = $3,
                 cancelled_at = $3, cancel_reason = $2, updated_at = $3
           WHERE t.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, TEXTOID, TIMESTAMPTZOID],
    );
    let rows = session.run(&LOCK, &[Arg::Uuid(id), scope.arg()], 0);
    let Some(row) = rows.first() else {
        return Cancelled::Unknown;
    };
    let status = row.text(1).unwrap_or_default();
    if status != "queued" && status != "running" {
        return Cancelled::TooLate;
    }
    session.run(
        &CANCEL,
        &[Arg::Uuid(id), Arg::Text(reason), Arg::Timestamp(now)],
        0,
    );
    Cancelled::Now(lease::Freed {
        company: row.uuid(2),
        agent: row.text(3).unwrap_or_default(),
        token: row.uuid(4).filter(|_| status == "running"),
    })
}

/// Removes tasks that were finished before `horizon`; true when there may be more.
pub(crate) fn purge(session: &Session, horizon: i64, batch: i64) -> bool {
    static PURGE: Statement = Statement::new(
        c"DELETE FROM tms.agent_tasks t WHERE t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
              SELECT o.ctid FROM tms.agent_tasks o
               WHERE o.finished_at OPERATOR(pg_catalog.<) $1
                 AND NOT EXISTS (SELECT 1 FROM tms.dead_letter_queue l
                                  WHERE l.original_task_id OPERATOR(pg_catalog.=) o.id)
               ORDER BY o.finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        &[TIMESTAMPTZOID, pg_sys::INT8OID],
    );
    let purged = session.run(&PURGE, &[Arg::Timestamp(horizon), Arg::Int8(batch)], 0);
    i64::try_from(purged.count()).is_ok_and(|count| count >= batch)
}
