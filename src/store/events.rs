//! `tms.event_outbox` for the dispatcher: the walk through its queues, and what becomes of an event.
//!
//! The dispatcher's statements were designed for the index event_outbox_due and run with plans pinned by the settings of its
//! session ([`pin_plans`]): on a table that was never analyzed the planner would choose a sort.

use pgrx::pg_sys::{
    self, INT4ARRAYOID, INT4OID, INT8ARRAYOID, TEXTARRAYOID, TEXTOID, TIDARRAYOID, TIMESTAMPTZARRAYOID,
    TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID,
};

use crate::pg::spi::{Arg, Row, Rows, Session, Statement, Tid};
use crate::pg::worker;

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

/// A position in the queue of one target, company and priority: behind the row with this time and number.
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

/// A piece of a queue to read: one company's events of one priority behind a position.
pub(crate) struct Walk<'a> {
    pub(crate) target: &'a str,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) priority: i32,
    pub(crate) behind: Position,
    pub(crate) limit: usize,
}

/// A due event as it was read. The payload stays with the rows until somebody asks for it.
pub(crate) struct DueEvent {
    /// Which of the walks, or keys, asked for it.
    pub(crate) asked: usize,
    pub(crate) tid: Tid,
    pub(crate) id: [u8; 16],
    pub(crate) position: Position,
    pub(crate) event_type: String,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) headers: Option<pg_sys::Datum>,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) retry_count: i32,
    pub(crate) max_retries: i32,
    pub(crate) created_at: i64,
    pub(crate) ordering_hash: Option<i64>,
}

/// Due events, with the rows that hold their payloads.
pub(crate) struct DueEvents {
    pub(crate) events: Vec<DueEvent>,
    _rows: Vec<Rows>,
}

impl DueEvents {
    /// Reads rows whose first column says, from 1, which of the `asked` they answer.
    fn read(answers: Vec<(Rows, &[usize])>) -> DueEvents {
        let mut events = Vec::new();
        for (rows, asked) in &answers {
            for row in rows.iter() {
                let number = row.int8(1).and_then(|number| usize::try_from(number - 1).ok());
                let asked = number.and_then(|number| asked.get(number).copied());
                events.extend(asked.and_then(|asked| due_event(&row, asked)));
            }
        }
        DueEvents {
            events,
            _rows: answers.into_iter().map(|(rows, _)| rows).collect(),
        }
    }
}

fn due_event(row: &Row<'_>, asked: usize) -> Option<DueEvent> {
    Some(DueEvent {
        asked,
        tid: row.tid(2)?,
        id: row.uuid(3)?,
        position: Position {
            available_at: row.int8(4)?,
            seq: row.int8(5)?,
        },
        event_type: row.text(6)?,
        payload: row.datum(7)?,
        headers: row.datum(8),
        company: row.uuid(9),
        retry_count: row.int4(10)?,
        max_retries: row.int4(11)?,
        created_at: row.int8(12)?,
        ordering_hash: row.int8(13),
    })
}

// Orders of the platform's rows begin with company_id: `IS NULL` is no constant to the planner's sort keys, and it would sort.

/// Reads pieces of queues: the due events of each walk behind its position, at most as many as its limit.
pub(crate) fn walk(session: &Session, walks: &[Walk<'_>], now: i64) -> DueEvents {
    static OF_COMPANIES: Statement = Statement::new(
        c"SELECT u.n, e.ctid, e.id, e.available_at, e.seq, e.event_type, e.payload, e.headers, e.company_id, e.retry_count,
                 e.max_retries, e.created_at, e.ordering_hash
            FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY AS u (target, priority, behind_at, behind_seq, most, company, n)
           CROSS JOIN LATERAL (
                 SELECT o.ctid, o.* FROM tms.event_outbox o
                  WHERE o.target_system OPERATOR(pg_catalog.=) u.target AND o.company_id OPERATOR(pg_catalog.=) u.company
                    AND o.priority OPERATOR(pg_catalog.=) u.priority AND o.processed_at IS NULL
                    AND (o.available_at, o.seq) OPERATOR(pg_catalog.>) (u.behind_at, u.behind_seq)
                    AND o.available_at OPERATOR(pg_catalog.<=) $7
                  ORDER BY o.available_at, o.seq LIMIT u.most) e",
        &[
            TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID,
        ],
    );
    static OF_THE_PLATFORM: Statement = Statement::new(
        c"SELECT u.n, e.ctid, e.id, e.available_at, e.seq, e.event_type, e.payload, e.headers, e.company_id, e.retry_count,
                 e.max_retries, e.created_at, e.ordering_hash
            FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS u (target, priority, behind_at, behind_seq, most, n)
           CROSS JOIN LATERAL (
                 SELECT o.ctid, o.* FROM tms.event_outbox o
                  WHERE o.target_system OPERATOR(pg_catalog.=) u.target AND o.company_id IS NULL
                    AND o.priority OPERATOR(pg_catalog.=) u.priority AND o.processed_at IS NULL
                    AND (o.available_at, o.seq) OPERATOR(pg_catalog.>) (u.behind_at, u.behind_seq)
                    AND o.available_at OPERATOR(pg_catalog.<=) $6
                  ORDER BY o.company_id, o.available_at, o.seq LIMIT u.most) e",
        &[
            TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID,
        ],
    );
    let (of_companies, of_the_platform): (Vec<usize>, Vec<usize>) =
        (0..walks.len()).partition(|number| walks[*number].company.is_some());
    let mut answers = Vec::new();
    for (numbers, statement) in [
        (&of_companies, &OF_COMPANIES),
        (&of_the_platform, &OF_THE_PLATFORM),
    ] {
        if numbers.is_empty() {
            continue;
        }
        let chosen = || numbers.iter().map(|number| &walks[*number]);
        let targets: Vec<_> = chosen().map(|walk| Some(walk.target.to_owned())).collect();
        let priorities: Vec<_> = chosen().map(|walk| walk.priority).collect();
        let times: Vec<_> = chosen().map(|walk| walk.behind.available_at).collect();
        let numbers_behind: Vec<_> = chosen().map(|walk| walk.behind.seq).collect();
        let limits: Vec<_> = chosen()
            .map(|walk| i64::try_from(walk.limit).unwrap_or(i64::MAX))
            .collect();
        let companies: Vec<_> = chosen().filter_map(|walk| walk.company).collect();
        let mut args = vec![
            Arg::TextArray(&targets),
            Arg::Int4Array(&priorities),
            Arg::TimestampArray(&times),
            Arg::Int8Array(&numbers_behind),
            Arg::Int8Array(&limits),
        ];
        if !companies.is_empty() {
            args.push(Arg::UuidArray(&companies));
        }
        args.push(Arg::Timestamp(now));
        answers.push((session.run(statement, &args, 0), numbers.as_slice()));
    }
    DueEvents::read(answers)
}

/// An ordering key to ask for: its target, its hash, how far it is finished, and whether dead events are passed over.
pub(crate) struct KeyQuestion<'a> {
    pub(crate) target: &'a str,
    pub(crate) hash: i64,
    pub(crate) floor: i64,
    pub(crate) skips_dead: bool,
}

/// The first unfinished event of each key that has one.
pub(crate) fn first_of_keys(session: &Session, keys: &[KeyQuestion<'_>]) -> DueEvents {
    static FIRST: Statement = Statement::new(
        c"SELECT u.n, e.ctid, e.id, e.available_at, e.seq, e.event_type, e.payload, e.headers, e.company_id, e.retry_count,
                 e.max_retries, e.created_at, e.ordering_hash
            FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS u (target, hash, floor, skips_dead, n)
           CROSS JOIN LATERAL (
                 SELECT o.ctid, o.* FROM tms.event_outbox o
                  WHERE o.target_system OPERATOR(pg_catalog.=) u.target AND o.ordering_hash OPERATOR(pg_catalog.=) u.hash
                    AND o.processed_at IS NULL AND o.seq OPERATOR(pg_catalog.>) u.floor
                    AND (NOT u.skips_dead OR o.available_at OPERATOR(pg_catalog.<) 'infinity')
                  ORDER BY o.seq LIMIT 1) e",
        &[TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, pg_sys::BOOLARRAYOID],
    );
    let targets: Vec<_> = keys.iter().map(|key| Some(key.target.to_owned())).collect();
    let hashes: Vec<_> = keys.iter().map(|key| key.hash).collect();
    let floors: Vec<_> = keys.iter().map(|key| key.floor).collect();
    let skips: Vec<_> = keys.iter().map(|key| key.skips_dead).collect();
    let rows = session.run(
        &FIRST,
        &[
            Arg::TextArray(&targets),
            Arg::Int8Array(&hashes),
            Arg::Int8Array(&floors),
            Arg::BoolArray(&skips),
        ],
        0,
    );
    let numbers: Vec<usize> = (0..keys.len()).collect();
    DueEvents::read(vec![(rows, &numbers)])
}

/// When the first event of a target, company and priority that is not due at `now` becomes due.
pub(crate) fn next_due(
    session: &Session,
    target: &str,
    company: Option<&[u8; 16]>,
    priority: i32,
    now: i64,
) -> Option<i64> {
    static OF_A_COMPANY: Statement = Statement::new(
        c"SELECT e.available_at FROM tms.event_outbox e
           WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.company_id OPERATOR(pg_catalog.=) $4
             AND e.priority OPERATOR(pg_catalog.=) $2 AND e.processed_at IS NULL
             AND e.available_at OPERATOR(pg_catalog.>) $3
           ORDER BY e.available_at, e.seq LIMIT 1",
        &[TEXTOID, INT4OID, TIMESTAMPTZOID, UUIDOID],
    );
    static OF_THE_PLATFORM: Statement = Statement::new(
        c"SELECT e.available_at FROM tms.event_outbox e
           WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.company_id IS NULL
             AND e.priority OPERATOR(pg_catalog.=) $2 AND e.processed_at IS NULL
             AND e.available_at OPERATOR(pg_catalog.>) $3
           ORDER BY e.company_id, e.available_at, e.seq LIMIT 1",
        &[TEXTOID, INT4OID, TIMESTAMPTZOID],
    );
    let of_the_platform = [Arg::Text(target), Arg::Int4(priority), Arg::Timestamp(now)];
    let rows = match company {
        None => session.run(&OF_THE_PLATFORM, &of_the_platform, 0),
        Some(company) => {
            let [target, priority, now] = of_the_platform;
            session.run(&OF_A_COMPANY, &[target, priority, now, Arg::Uuid(company)], 0)
        }
    };
    rows.first()
        .and_then(|row| row.int8(1))
        .filter(|time| *time < i64::MAX)
}

/// Makes due now what was due when it was enqueued and lies in the future since the clock was set back. Schedules, backoff and
/// leases keep their times. Returns how many events that were: one that was enqueued since `now` was read is none of them, so the
/// clock is read again for each.
pub(crate) fn catch_up_with_clock(session: &Session, now: i64) -> usize {
    static CATCH_UP: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET available_at = $1, updated_at = $1
           WHERE e.processed_at IS NULL AND e.available_at OPERATOR(pg_catalog.>) $1
             AND e.available_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
             AND e.available_at OPERATOR(pg_catalog.<=) e.created_at AND e.lease_token IS NULL",
        &[TIMESTAMPTZOID],
    );
    session.run(&CATCH_UP, &[Arg::Timestamp(now)], 0).count()
}

/// Companies and priorities that a target's undelivered events have: one step down the index for each.
pub(crate) fn lanes(session: &Session, target: &str) -> Vec<(Option<[u8; 16]>, i32)> {
    static LANES: Statement = Statement::new(
        c"WITH RECURSIVE step (company_id, priority) AS (
              (SELECT e.company_id, e.priority FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL AND e.company_id IS NOT NULL
                ORDER BY e.company_id, e.priority LIMIT 1)
              UNION ALL
              SELECT n.company_id, n.priority FROM step CROSS JOIN LATERAL (
                     SELECT e.company_id, e.priority FROM tms.event_outbox e
                      WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
                        AND (e.company_id, e.priority) OPERATOR(pg_catalog.>) (step.company_id, step.priority)
                      ORDER BY e.company_id, e.priority LIMIT 1) n),
          platform (priority) AS (
              (SELECT e.priority FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL AND e.company_id IS NULL
                ORDER BY e.company_id, e.priority LIMIT 1)
              UNION ALL
              SELECT n.priority FROM platform CROSS JOIN LATERAL (
                     SELECT e.priority FROM tms.event_outbox e
                      WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL AND e.company_id IS NULL
                        AND e.priority OPERATOR(pg_catalog.>) platform.priority
                      ORDER BY e.company_id, e.priority LIMIT 1) n)
          SELECT step.company_id, step.priority FROM step UNION ALL SELECT NULL, platform.priority FROM platform",
        &[TEXTOID],
    );
    session
        .run(&LANES, &[Arg::Text(target)], 0)
        .iter()
        .filter_map(|row| Some((row.uuid(1), row.int4(2)?)))
        .collect()
}

/// Priorities that one company's undelivered events for a target have.
pub(crate) fn priorities(session: &Session, target: &str, company: Option<&[u8; 16]>) -> Vec<i32> {
    static OF_A_COMPANY: Statement = Statement::new(
        c"WITH RECURSIVE step (priority) AS (
              (SELECT e.priority FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.company_id OPERATOR(pg_catalog.=) $2
                  AND e.processed_at IS NULL ORDER BY e.company_id, e.priority LIMIT 1)
              UNION ALL
              SELECT n.priority FROM step CROSS JOIN LATERAL (
                     SELECT e.priority FROM tms.event_outbox e
                      WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.company_id OPERATOR(pg_catalog.=) $2
                        AND e.processed_at IS NULL AND e.priority OPERATOR(pg_catalog.>) step.priority
                      ORDER BY e.company_id, e.priority LIMIT 1) n)
          SELECT step.priority FROM step",
        &[TEXTOID, UUIDOID],
    );
    static OF_THE_PLATFORM: Statement = Statement::new(
        c"WITH RECURSIVE step (priority) AS (
              (SELECT e.priority FROM tms.event_outbox e
                WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.company_id IS NULL AND e.processed_at IS NULL
                ORDER BY e.company_id, e.priority LIMIT 1)
              UNION ALL
              SELECT n.priority FROM step CROSS JOIN LATERAL (
                     SELECT e.priority FROM tms.event_outbox e
                      WHERE e.target_system OPERATOR(pg_catalog.=) $1 AND e.company_id IS NULL
                        AND e.processed_at IS NULL AND e.priority OPERATOR(pg_catalog.>) step.priority
                      ORDER BY e.company_id, e.priority LIMIT 1) n)
          SELECT step.priority FROM step",
        &[TEXTOID],
    );
    let rows = match company {
        None => session.run(&OF_THE_PLATFORM, &[Arg::Text(target)], 0),
        Some(company) => session.run(&OF_A_COMPANY, &[Arg::Text(target), Arg::Uuid(company)], 0),
    };
    rows.iter().filter_map(|row| row.int4(1)).collect()
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
        &[UUIDARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID],
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
