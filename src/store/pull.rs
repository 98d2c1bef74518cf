//! `tms.event_outbox` as consumers of pull targets see it: finding due events, locking them, handing them out.
//!
//! The statements run with plans that the functions' own settings pin (sql/install/11_pull.sql): each walks an index in its own
//! order or visits rows by place, and stops when it has enough. Nothing is sorted but a handful of priorities.

use std::ffi::CStr;

use pgrx::pg_sys::{
    BOOLOID, INT4ARRAYOID, INT8ARRAYOID, INT8OID, TEXTOID, TIDARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID,
    UUIDARRAYOID, UUIDOID,
};

use crate::pg::jsonb;
use crate::pg::set::AnswerSet;
use crate::pg::spi::{self, Arg, Row, Session, Statement, Tid};
use crate::store::events::Position;

pub(crate) mod held;

/// A target as far as claims need it.
pub(crate) struct Target {
    pub(crate) transport: String,
    pub(crate) options: serde_json::Value,
    pub(crate) is_paused: bool,
    pub(crate) installation: String,
}

/// The target of this name.
pub(crate) fn target(name: &str) -> Option<Target> {
    static TARGET: Statement = Statement::new(
        c"SELECT t.transport, t.options, t.paused_at IS NOT NULL, t.installation FROM tms.targets t
           WHERE t.name OPERATOR(pg_catalog.=) $1",
        &[TEXTOID],
    );
    spi::connect(|session| {
        let rows = session.run(&TARGET, &[Arg::Text(name)], 0);
        let row = rows.first()?;
        Some(Target {
            transport: row.text(1)?,
            options: jsonb::value(row.datum(2)?)?,
            is_paused: row.bool(3)?,
            installation: row.text(4)?,
        })
    })
}

/// What is asked of the queue, the same throughout one claim.
pub(crate) struct Query<'a> {
    pub(crate) target: &'a str,
    /// What is due by then.
    pub(crate) now: i64,
    /// Dead heads do not hold their ordering keys (`on_dead: skip`).
    pub(crate) skips_dead: bool,
}

/// How much of each queue is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Walk {
    /// All of it. For targets without ordering keys.
    All,
    /// This many events at its front: behind the head of one ordering key a million others may stand.
    Front(i64),
    /// All of it, without events that have an ordering key; the index tells them apart by their numbers.
    WithoutKeys,
}

/// Numbers of events with an ordering key begin here (sequence tms.event_outbox_order_seq).
const FIRST_ORDERED: i64 = 1 << 62;

impl Walk {
    fn window(self) -> Arg<'static> {
        match self {
            Walk::Front(events) => Arg::Int8(events),
            Walk::All | Walk::WithoutKeys => Arg::Null,
        }
    }

    fn below(self) -> Arg<'static> {
        Arg::Int8(match self {
            Walk::WithoutKeys => FIRST_ORDERED,
            Walk::All | Walk::Front(_) => i64::MAX,
        })
    }
}

/// A due event, locked by this transaction.
pub(crate) struct Taken {
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) tid: Tid,
    pub(crate) id: [u8; 16],
    pub(crate) retry_count: i32,
    pub(crate) max_retries: i32,
    /// Begin and end of a lease that ran out.
    pub(crate) expired: Option<(i64, i64)>,
    /// Where it stood, if that was among the events of priority 0.
    pub(crate) position: Option<Position>,
}

impl Taken {
    fn read(row: &Row<'_>) -> Option<Self> {
        let times = || Some((row.int8(6)?, row.int8(7)?));
        Some(Self {
            company: row.uuid(1),
            tid: row.tid(2)?,
            id: row.uuid(3)?,
            retry_count: row.int4(4)?,
            max_retries: row.int4(5)?,
            expired: times().filter(|_| row.bool(8) == Some(true)),
            position: row
                .int8(7)
                .zip(row.int8(9))
                .map(|(available_at, seq)| Position { available_at, seq }),
        })
    }
}

/// A text made by `concat!`, which knows no C strings.
const fn c_text(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"(a statement's text must end in its only NUL)",
    }
}

/// Walks the queue of each company of `$from`, highest priority first, and locks what nobody else has.
///
/// Parameters: target, companies, now, most events a company, length of the walk's window (NULL: no end), numbers below this,
/// whether dead heads are stepped over, and for each company the place behind which its events of priority 0 are wanted. Priorities are found by steps through the index from 0 on, which every queue is taken to
/// have: a step from either end of a queue would walk the versions that claims and acknowledgements have just left there. The
/// innermost question is whether an event is the first of its ordering key. That cannot become false again but by hand: an event
/// comes into a key with a number above all others of it. The orders begin with company_id, since `IS NULL` is no constant to the
/// planner's sort keys.
macro_rules! take {
    ($from:literal, $is_of_company:literal) => {
        Statement::new(
            c_text(concat!(
                "SELECT t.company_id, t.ctid, t.id, t.retry_count, t.max_retries, t.updated_at, t.available_at, t.was_leased, t.seq FROM ",
                $from,
                " CROSS JOIN LATERAL (
                    SELECT due.* FROM (
                        WITH RECURSIVE low (priority) AS (
                            (SELECT e.priority FROM tms.event_outbox e
                              WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND ", $is_of_company, " AND e.processed_at IS NULL
                                AND e.priority OPERATOR(pg_catalog.<) 0 ORDER BY e.company_id, e.priority LIMIT 1)
                            UNION ALL
                            SELECT (SELECT e.priority FROM tms.event_outbox e
                                     WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND ", $is_of_company, "
                                       AND e.processed_at IS NULL AND e.priority OPERATOR(pg_catalog.>) low.priority
                                       AND e.priority OPERATOR(pg_catalog.<) 0 ORDER BY e.company_id, e.priority LIMIT 1)
                              FROM low WHERE low.priority IS NOT NULL),
                        high (priority) AS (
                            SELECT 0
                            UNION ALL
                            SELECT (SELECT e.priority FROM tms.event_outbox e
                                     WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND ", $is_of_company, "
                                       AND e.processed_at IS NULL AND e.priority OPERATOR(pg_catalog.>) high.priority
                                     ORDER BY e.company_id, e.priority LIMIT 1)
                              FROM high WHERE high.priority IS NOT NULL)
                        SELECT lane.priority,
                               CASE WHEN lane.priority OPERATOR(pg_catalog.=) 0 THEN c.after_at ELSE '-infinity' END AS after_at,
                               CASE WHEN lane.priority OPERATOR(pg_catalog.=) 0 THEN c.after_seq ELSE 0 END AS after_seq
                          FROM (SELECT low.priority FROM low UNION ALL SELECT high.priority FROM high) lane
                         WHERE lane.priority IS NOT NULL ORDER BY lane.priority DESC) p
                    LEFT JOIN LATERAL (
                        SELECT e.available_at, e.seq FROM tms.event_outbox e
                         WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND ", $is_of_company, "
                           AND e.priority OPERATOR(pg_catalog.=) p.priority AND e.processed_at IS NULL
                           AND e.available_at OPERATOR(pg_catalog.<=) $3
                           AND (e.available_at, e.seq) OPERATOR(pg_catalog.>) (p.after_at, p.after_seq)
                         ORDER BY e.company_id, e.available_at, e.seq LIMIT CASE WHEN $5 IS NULL THEN 0 ELSE 1 END OFFSET $5) w ON true
                    CROSS JOIN LATERAL (
                        SELECT e.company_id, e.ctid, e.id, e.retry_count, e.max_retries, e.updated_at, e.available_at,
                               e.lease_token IS NOT NULL AS was_leased,
                               CASE WHEN e.priority OPERATOR(pg_catalog.=) 0 THEN e.seq END AS seq
                          FROM tms.event_outbox e
                         WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND ", $is_of_company, "
                           AND e.priority OPERATOR(pg_catalog.=) p.priority AND e.processed_at IS NULL
                           AND e.available_at OPERATOR(pg_catalog.<=) $3
                           AND (e.available_at, e.seq) OPERATOR(pg_catalog.>) (p.after_at, p.after_seq)
                           AND (e.available_at, e.seq) OPERATOR(pg_catalog.<)
                               (COALESCE(w.available_at, 'infinity'), COALESCE(w.seq, 9223372036854775807))
                           AND e.seq OPERATOR(pg_catalog.<) $6
                           AND (e.ordering_hash IS NULL OR e.id OPERATOR(pg_catalog.=) (
                                SELECT h.id FROM tms.event_outbox h
                                 WHERE h.target_system OPERATOR(pg_catalog.=) $1
                                   AND h.ordering_hash OPERATOR(pg_catalog.=) e.ordering_hash AND h.processed_at IS NULL
                                   AND (NOT $7 OR h.available_at OPERATOR(pg_catalog.<) 'infinity')
                                 ORDER BY h.seq LIMIT 1))
                         ORDER BY e.company_id, e.available_at, e.seq LIMIT $4 FOR UPDATE OF e SKIP LOCKED) due
                    LIMIT $4) t\0"
            )),
            &[
                TEXTOID, UUIDARRAYOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, BOOLOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID,
            ],
        )
    };
}

/// Companies whose queues are walked, each from behind a place on.
#[derive(Default)]
pub(crate) struct Walkers {
    companies: Vec<[u8; 16]>,
    times: Vec<i64>,
    numbers: Vec<i64>,
}

impl Walkers {
    /// Adds a company.
    pub(crate) fn add(&mut self, company: [u8; 16], behind: Position) {
        self.companies.push(company);
        self.times.push(behind.available_at);
        self.numbers.push(behind.seq);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.companies.is_empty()
    }
}

/// Locks up to `quota` due events of each company, in the order of their queues.
pub(crate) fn take(
    session: &Session,
    query: &Query<'_>,
    walkers: &Walkers,
    quota: i64,
    walk: Walk,
) -> Vec<Taken> {
    static TAKE: Statement = take!(
        "unnest($2, $8, $9) AS c (company_id, after_at, after_seq)",
        "e.company_id OPERATOR(pg_catalog.=) c.company_id"
    );
    run_take(session, &TAKE, query, walkers, quota, walk)
}

/// The same of the events that belong to no company.
pub(crate) fn take_of_platform(
    session: &Session,
    query: &Query<'_>,
    behind: Position,
    quota: i64,
    walk: Walk,
) -> Vec<Taken> {
    // `=` finds no NULL, and an index is not asked by IS NOT DISTINCT FROM.
    static TAKE: Statement = take!(
        "unnest($8, $9) AS c (after_at, after_seq)",
        "e.company_id IS NULL"
    );
    let walker = Walkers {
        companies: Vec::new(),
        times: vec![behind.available_at],
        numbers: vec![behind.seq],
    };
    run_take(session, &TAKE, query, &walker, quota, walk)
}

fn run_take(
    session: &Session,
    statement: &Statement,
    query: &Query<'_>,
    walkers: &Walkers,
    quota: i64,
    walk: Walk,
) -> Vec<Taken> {
    let rows = session.run(
        statement,
        &[
            Arg::Text(query.target),
            Arg::UuidArray(&walkers.companies),
            Arg::Timestamp(query.now),
            Arg::Int8(quota),
            walk.window(),
            walk.below(),
            Arg::Bool(query.skips_dead),
            Arg::TimestampArray(&walkers.times),
            Arg::Int8Array(&walkers.numbers),
        ],
        0,
    );
    rows.iter().filter_map(|row| Taken::read(&row)).collect()
}

/// Companies with undelivered events of a target, in the order of their ids: one step down the index for each.
pub(crate) fn companies(session: &Session, target: &str, from: &[u8; 16], limit: i64) -> Vec<[u8; 16]> {
    static COMPANIES: Statement = Statement::new(
        c"WITH RECURSIVE step (company_id) AS (
              (SELECT e.company_id FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                  AND e.company_id OPERATOR(pg_catalog.>=) $2
                ORDER BY e.company_id LIMIT 1)
              UNION ALL
              SELECT (SELECT e.company_id FROM tms.event_outbox e
                       WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                         AND e.company_id OPERATOR(pg_catalog.>) step.company_id
                       ORDER BY e.company_id LIMIT 1)
                FROM step WHERE step.company_id IS NOT NULL)
          SELECT step.company_id FROM step WHERE step.company_id IS NOT NULL LIMIT $3",
        &[TEXTOID, UUIDOID, INT8OID],
    );
    session
        .run(
            &COMPANIES,
            &[Arg::Text(target), Arg::Uuid(from), Arg::Int8(limit)],
            0,
        )
        .iter()
        .filter_map(|row| row.uuid(1))
        .collect()
}

/// Whether a target has undelivered events with an ordering key.
pub(crate) fn has_keys(session: &Session, target: &str) -> bool {
    static KEYED: Statement = Statement::new(
        c"SELECT 1 FROM tms.event_outbox e
           WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL AND e.ordering_hash IS NOT NULL
           ORDER BY e.ordering_hash LIMIT 1",
        &[TEXTOID],
    );
    session.run(&KEYED, &[Arg::Text(target)], 1).count() > 0
}

/// Locks due heads of up to `keys` ordering keys behind the key with the number `behind`, whatever stands before them in their
/// queues. `company` `None`: of every company.
pub(crate) fn take_heads(
    session: &Session,
    query: &Query<'_>,
    company: Option<&[u8; 16]>,
    (behind, keys): (i64, i64),
    limit: i64,
) -> Vec<Taken> {
    static HEADS: Statement = Statement::new(
        c"WITH RECURSIVE key (hash) AS (
              (SELECT e.ordering_hash FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                  AND e.ordering_hash OPERATOR(pg_catalog.>) $2
                ORDER BY e.ordering_hash LIMIT 1)
              UNION ALL
              SELECT (SELECT e.ordering_hash FROM tms.event_outbox e
                       WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                         AND e.ordering_hash OPERATOR(pg_catalog.>) key.hash
                       ORDER BY e.ordering_hash LIMIT 1)
                FROM key WHERE key.hash IS NOT NULL)
          SELECT t.company_id, t.ctid, t.id, t.retry_count, t.max_retries, t.updated_at, t.available_at, t.was_leased,
                 NULL::pg_catalog.int8
            FROM (SELECT key.hash FROM key WHERE key.hash IS NOT NULL LIMIT $3) k
           CROSS JOIN LATERAL (
                 SELECT h.id FROM tms.event_outbox h
                  WHERE h.target_system OPERATOR(pg_catalog.=) $1 AND h.ordering_hash OPERATOR(pg_catalog.=) k.hash
                    AND h.processed_at IS NULL AND (NOT $6 OR h.available_at OPERATOR(pg_catalog.<) 'infinity')
                  ORDER BY h.seq LIMIT 1) head
           CROSS JOIN LATERAL (
                 SELECT e.company_id, e.ctid, e.id, e.retry_count, e.max_retries, e.updated_at, e.available_at,
                        e.lease_token IS NOT NULL AS was_leased
                   FROM tms.event_outbox e
                  WHERE e.id OPERATOR(pg_catalog.=) head.id AND e.processed_at IS NULL
                    AND e.available_at OPERATOR(pg_catalog.<=) $4
                    AND ($5 IS NULL OR e.company_id OPERATOR(pg_catalog.=) $5)
                    FOR UPDATE OF e SKIP LOCKED) t
           LIMIT $7",
        &[TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID, UUIDOID, BOOLOID, INT8OID],
    );
    let rows = session.run(
        &HEADS,
        &[
            Arg::Text(query.target),
            Arg::Int8(behind),
            Arg::Int8(keys),
            Arg::Timestamp(query.now),
            company.map_or(Arg::Null, Arg::Uuid),
            Arg::Bool(query.skips_dead),
            Arg::Int8(limit),
        ],
        0,
    );
    rows.iter().filter_map(|row| Taken::read(&row)).collect()
}

/// Locked events that get a lease, column by column.
#[derive(Default)]
pub(crate) struct Leases {
    pub(crate) tids: Vec<Tid>,
    pub(crate) ids: Vec<[u8; 16]>,
    pub(crate) tokens: Vec<[u8; 16]>,
    pub(crate) retries: Vec<i32>,
}

/// Leases events until `until` and adds them to the answer, as the columns of `tms_outbox_claim`. Returns how many.
///
/// With the rows locked, and seeing what is committed by now, it asks again which of them are the first of their keys: a dead head
/// that was stepped over may have been brought back since.
pub(crate) fn lease(
    session: &Session,
    query: &Query<'_>,
    leases: &Leases,
    until: i64,
    answer: &AnswerSet,
) -> usize {
    static LEASE: Statement = Statement::new(
        c"UPDATE tms.event_outbox e
             SET lease_token = u.token, available_at = $5, retry_count = u.retries, updated_at = $6
            FROM unnest($1, $2, $3, $4) AS u (tid, id, token, retries)
           WHERE e.ctid OPERATOR(pg_catalog.=) u.tid AND pg_catalog.uuid_eq(e.id, u.id)
             AND (e.ordering_hash IS NULL OR NOT EXISTS (
                  SELECT 1 FROM tms.event_outbox h
                   WHERE h.target_system OPERATOR(pg_catalog.=) $7
                     AND h.ordering_hash OPERATOR(pg_catalog.=) e.ordering_hash AND h.seq OPERATOR(pg_catalog.<) e.seq
                     AND h.processed_at IS NULL AND (NOT $8 OR h.available_at OPERATOR(pg_catalog.<) 'infinity')))
          RETURNING e.id, e.lease_token, e.event_type, e.payload, e.company_id, e.ordering_key, e.headers,
                    e.retry_count OPERATOR(pg_catalog.+) 1, e.created_at",
        &[
            TIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, BOOLOID,
        ],
    );
    let rows = session.run(
        &LEASE,
        &[
            Arg::TidArray(&leases.tids),
            Arg::UuidArray(&leases.ids),
            Arg::UuidArray(&leases.tokens),
            Arg::Int4Array(&leases.retries),
            Arg::Timestamp(until),
            Arg::Timestamp(query.now),
            Arg::Text(query.target),
            Arg::Bool(query.skips_dead),
        ],
        0,
    );
    rows.append_to(answer);
    rows.count()
}
