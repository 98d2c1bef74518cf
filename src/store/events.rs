//! `tms.event_outbox`: enqueueing, the dispatcher's walk through its queue, and what becomes of an event.
//!
//! The dispatcher's statements were designed for the index event_outbox_due and run with plans pinned by the settings of its
//! session ([`pin_plans`]): on a table that was never analyzed the planner would choose a sort.

use pgrx::pg_sys::{
    self, INT4OID, INT8OID, JSONBARRAYOID, JSONBOID, TEXTOID, TIDARRAYOID, TIMESTAMPTZARRAYOID,
    TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID,
};

use crate::pg::spi::{Arg, Session, Statement, Tid};
use crate::pg::worker;

/// An event on its way in. Its values are handed through unread: the trigger looks at them.
pub(crate) struct NewEvent {
    pub(crate) id: [u8; 16],
    pub(crate) event_type: pg_sys::Datum,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) target: pg_sys::Datum,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) priority: i32,
    pub(crate) available_at: i64,
    pub(crate) max_retries: i32,
    pub(crate) headers: Option<pg_sys::Datum>,
}

/// Inserts one event.
pub(crate) fn insert(session: &Session, event: &NewEvent) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.event_outbox
              (id, event_type, payload, target_system, company_id, priority, available_at, max_retries, headers)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[UUIDOID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, INT4OID, TIMESTAMPTZOID, INT4OID, JSONBOID],
    );
    session.run(
        &INSERT,
        &[
            Arg::Uuid(&event.id),
            Arg::Datum(event.event_type),
            Arg::Datum(event.payload),
            Arg::Datum(event.target),
            event.company.as_ref().map_or(Arg::Null, Arg::Uuid),
            Arg::Int4(event.priority),
            Arg::Timestamp(event.available_at),
            Arg::Int4(event.max_retries),
            event.headers.map_or(Arg::Null, Arg::Datum),
        ],
        0,
    );
}

/// Inserts one event for each payload of a `jsonb[]`, in its order.
pub(crate) fn insert_batch(
    session: &Session,
    ids: &[[u8; 16]],
    event_type: &str,
    payloads: pg_sys::Datum,
    target: &str,
    company: Option<[u8; 16]>,
    max_retries: i32,
) {
    // A list of arguments makes unnest() the server's own whatever the search_path: it is expanded while parsing.
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.event_outbox (id, event_type, payload, target_system, company_id, max_retries)
          SELECT u.id, $2, u.payload, $4, $5, $6 FROM unnest($1, $3) AS u (id, payload)",
        &[UUIDARRAYOID, TEXTOID, JSONBARRAYOID, TEXTOID, UUIDOID, INT4OID],
    );
    session.run(
        &INSERT,
        &[
            Arg::UuidArray(ids),
            Arg::Text(event_type),
            Arg::Datum(payloads),
            Arg::Text(target),
            company.as_ref().map_or(Arg::Null, Arg::Uuid),
            Arg::Int4(max_retries),
        ],
        0,
    );
}

/// Settings of the dispatcher's session. Each plan here walks event_outbox_due in its own order, or visits rows by place.
pub(crate) fn pin_plans() {
    for (name, value) in [
        (c"plan_cache_mode", c"force_generic_plan"),
        (c"enable_seqscan", c"off"),
        (c"enable_bitmapscan", c"off"),
        (c"enable_sort", c"off"),
        (c"enable_incremental_sort", c"off"),
        (c"enable_hashjoin", c"off"),
        (c"enable_mergejoin", c"off"),
        (c"enable_material", c"off"),
        (c"enable_memoize", c"off"),
        (c"max_parallel_workers_per_gather", c"0"),
        (c"jit", c"off"),
    ] {
        worker::set_option(name, value);
    }
}

/// A position in the queue of one target and priority: behind the row with this time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) available_at: i64,
    pub(crate) seq: i64,
}

impl Position {
    /// Before every row. `i64::MIN` is -infinity to PostgreSQL.
    pub(crate) const START: Position = Position {
        available_at: i64::MIN,
        seq: i64::MIN,
    };
}

/// A due event as it was read. The payload stays with the rows until somebody asks for it.
pub(crate) struct DueEvent {
    pub(crate) tid: Tid,
    pub(crate) id: [u8; 16],
    pub(crate) position: Position,
    pub(crate) event_type: String,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) headers: Option<pg_sys::Datum>,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) retry_count: i32,
    pub(crate) max_retries: i32,
}

/// Walks the due events of a target and priority behind `after`; `visit` answers false to stop. Returns how many rows the
/// statement found, so that fewer than `limit` means the end of the queue.
pub(crate) fn walk(
    session: &Session,
    target: &str,
    priority: i32,
    after: Position,
    now: i64,
    limit: i64,
    mut visit: impl FnMut(DueEvent) -> bool,
) -> usize {
    static WALK: Statement = Statement::new(
        c"SELECT e.ctid, e.id, e.available_at, e.seq, e.event_type, e.payload, e.headers, e.company_id, e.retry_count, e.max_retries
            FROM tms.event_outbox e
           WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.priority OPERATOR(pg_catalog.=) $2 AND e.processed_at IS NULL
             AND (e.available_at, e.seq) OPERATOR(pg_catalog.>) ($3, $4) AND e.available_at OPERATOR(pg_catalog.<=) $5
           ORDER BY e.available_at, e.seq LIMIT $6",
        &[TEXTOID, INT4OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID],
    );
    let rows = session.run(
        &WALK,
        &[
            Arg::Text(target),
            Arg::Int4(priority),
            Arg::Timestamp(after.available_at),
            Arg::Int8(after.seq),
            Arg::Timestamp(now),
            Arg::Int8(limit),
        ],
        0,
    );
    for row in rows.iter() {
        let (Some(tid), Some(id), Some(available_at), Some(seq), Some(event_type), Some(payload)) = (
            row.tid(1),
            row.uuid(2),
            row.int8(3),
            row.int8(4),
            row.text(5),
            row.datum(6),
        ) else {
            continue;
        };
        let event = DueEvent {
            tid,
            id,
            position: Position { available_at, seq },
            event_type,
            payload,
            headers: row.datum(7),
            company: row.uuid(8),
            retry_count: row.int4(9).unwrap_or(0),
            max_retries: row.int4(10).unwrap_or(0),
        };
        if !visit(event) {
            break;
        }
    }
    rows.count()
}

/// When the first event of a target and priority that is not due at `now` becomes due.
pub(crate) fn next_due(session: &Session, target: &str, priority: i32, now: i64) -> Option<i64> {
    static NEXT: Statement = Statement::new(
        c"SELECT e.available_at FROM tms.event_outbox e
           WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.priority OPERATOR(pg_catalog.=) $2 AND e.processed_at IS NULL
             AND e.available_at OPERATOR(pg_catalog.>) $3
           ORDER BY e.available_at, e.seq LIMIT 1",
        &[TEXTOID, INT4OID, TIMESTAMPTZOID],
    );
    let rows = session.run(
        &NEXT,
        &[Arg::Text(target), Arg::Int4(priority), Arg::Timestamp(now)],
        0,
    );
    rows.first()
        .and_then(|row| row.int8(1))
        .filter(|time| *time < i64::MAX)
}

/// Priorities that a target's undelivered events have, highest first: one step down the index for each.
pub(crate) fn priorities(session: &Session, target: &str) -> Vec<i32> {
    static PRIORITIES: Statement = Statement::new(
        c"WITH RECURSIVE step (priority) AS (
              (SELECT e.priority FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                ORDER BY e.priority DESC LIMIT 1)
              UNION ALL
              SELECT (SELECT e.priority FROM tms.event_outbox e
                       WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                         AND e.priority OPERATOR(pg_catalog.<) step.priority
                       ORDER BY e.priority DESC LIMIT 1)
                FROM step WHERE step.priority IS NOT NULL)
          SELECT step.priority FROM step WHERE step.priority IS NOT NULL",
        &[TEXTOID],
    );
    session
        .run(&PRIORITIES, &[Arg::Text(target)], 0)
        .iter()
        .filter_map(|row| row.int4(1))
        .collect()
}

// The statements below say "not processed" by COALESCE on purpose: `processed_at IS NULL` would prove the predicate of
// event_outbox_due, and walking all of that index once for each event looks cheap to a planner without statistics. Likewise
// uuid_eq() as a function: as an operator it would offer the primary key where the place of the row is known.

/// Marks events as delivered at the places where they were read. Returns how many were found there; a row that was changed by
/// hand in between is elsewhere.
pub(crate) fn complete(session: &Session, tids: &[Tid], ids: &[[u8; 16]], now: i64) -> usize {
    static COMPLETE: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET processed_at = $3, updated_at = $3
            FROM unnest($1, $2) AS u (tid, id)
           WHERE e.ctid OPERATOR(pg_catalog.=) u.tid AND pg_catalog.uuid_eq(e.id, u.id)
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[TIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID],
    );
    session
        .run(
            &COMPLETE,
            &[Arg::TidArray(tids), Arg::UuidArray(ids), Arg::Timestamp(now)],
            0,
        )
        .count()
}

/// Marks events as delivered wherever they are now.
pub(crate) fn complete_by_id(session: &Session, ids: &[[u8; 16]], now: i64) {
    static COMPLETE: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET processed_at = $2, updated_at = $2
            FROM unnest($1) AS u (id)
           WHERE e.id OPERATOR(pg_catalog.=) u.id
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDARRAYOID, TIMESTAMPTZOID],
    );
    session.run(&COMPLETE, &[Arg::UuidArray(ids), Arg::Timestamp(now)], 0);
}

/// Schedules another attempt for each event, or with a time of infinity hands it to its dead letter.
pub(crate) fn reschedule(
    session: &Session,
    ids: &[[u8; 16]],
    available_at: &[i64],
    retries: &[i32],
    now: i64,
) {
    static RESCHEDULE: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET available_at = u.available_at, retry_count = u.retries, updated_at = $4
            FROM unnest($1, $2, $3) AS u (id, available_at, retries)
           WHERE e.id OPERATOR(pg_catalog.=) u.id
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDARRAYOID, TIMESTAMPTZARRAYOID, pg_sys::INT4ARRAYOID, TIMESTAMPTZOID],
    );
    session.run(
        &RESCHEDULE,
        &[
            Arg::UuidArray(ids),
            Arg::TimestampArray(available_at),
            Arg::Int4Array(retries),
            Arg::Timestamp(now),
        ],
        0,
    );
}

/// Of these events, those whose rows nobody else holds locked; they are locked by this transaction now.
pub(crate) fn lock_free_ones(session: &Session, ids: &[[u8; 16]]) -> Vec<[u8; 16]> {
    static LOCK: Statement = Statement::new(
        c"SELECT e.id FROM tms.event_outbox e
           WHERE e.id OPERATOR(pg_catalog.=) ANY ($1) FOR NO KEY UPDATE OF e SKIP LOCKED",
        &[UUIDARRAYOID],
    );
    session
        .run(&LOCK, &[Arg::UuidArray(ids)], 0)
        .iter()
        .filter_map(|row| row.uuid(1))
        .collect()
}

/// Whether an event's row is still there.
pub(crate) fn existing(session: &Session, ids: &[[u8; 16]]) -> Vec<[u8; 16]> {
    static EXISTING: Statement = Statement::new(
        c"SELECT e.id FROM tms.event_outbox e WHERE e.id OPERATOR(pg_catalog.=) ANY ($1)",
        &[UUIDARRAYOID],
    );
    session
        .run(&EXISTING, &[Arg::UuidArray(ids)], 0)
        .iter()
        .filter_map(|row| row.uuid(1))
        .collect()
}
