//! Letters of agent tasks: what failed gets one, and comes back by it. An agent of a company is to a task what a target is to an event.

use std::collections::HashSet;

use pgrx::pg_sys::{
    BOOLARRAYOID, INT4ARRAYOID, INT4OID, INT8OID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID,
    UUIDARRAYOID, UUIDOID,
};
use tms_domain::dead_letter::{Gate, Pace, spread};

use super::origin::{self, Lock, Origin, Standing};
use super::{Fates, Letters, Open, acts, fates};
use crate::pg::spi::{Arg, Session, Statement};
use crate::settings;
use crate::store::pull::held::Scope;

/// Writes a letter for each task that has just failed, or another line into the one it has; `letters.events` are the ids of the tasks.
/// The caller has locked the tasks.
pub(crate) fn bury(session: &Session, letters: &Letters, now: i64) {
    let open = open_ones(session, &letters.events);
    let fates = fates(letters, &open, now);
    if !open.is_empty() {
        add_to_open(session, letters, &fates, now);
        let known: Vec<[u8; 16]> = open.iter().map(|open| open.event).collect();
        acts::note_failures_of_tasks(session, &known, now);
    }
    if open.len() < letters.events.len() {
        insert(session, letters, &fates, now);
    }
}

fn open_ones(session: &Session, tasks: &[[u8; 16]]) -> Vec<Open> {
    static OPEN: Statement = Statement::new(
        c"SELECT l.original_task_id, l.rounds, l.max_retries FROM tms.dead_letter_queue l
           WHERE l.original_task_id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL
             FOR NO KEY UPDATE OF l",
        &[UUIDARRAYOID],
    );
    let rows = session.run(&OPEN, &[Arg::UuidArray(tasks)], 0);
    rows.iter()
        .filter_map(|row| {
            Some(Open {
                event: row.uuid(1)?,
                rounds: row.int4(2)?,
                most: row.int4(3)?,
            })
        })
        .collect()
}

fn add_to_open(session: &Session, letters: &Letters, fates: &Fates, now: i64) {
    static ADD: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET error_type = u.error_type, error_message = u.message, payload = t.payload, attempts = t.attempts,
                 permanent = u.permanent, retry_after = NULLIF(u.retry_after, 'infinity'),
                 backoff_multiplier = u.multiplier, requeued_at = NULL, requeued_by = NULL, failed_at = $7
            FROM unnest($1, $2, $3, $4, $5, $6) AS u (id, error_type, message, permanent, retry_after, multiplier)
            JOIN tms.agent_tasks t ON t.id OPERATOR(pg_catalog.=) u.id
           WHERE l.original_task_id OPERATOR(pg_catalog.=) u.id AND l.closed_at IS NULL",
        &[
            UUIDARRAYOID,
            TEXTARRAYOID,
            TEXTARRAYOID,
            BOOLARRAYOID,
            TIMESTAMPTZARRAYOID,
            INT4ARRAYOID,
            TIMESTAMPTZOID,
        ],
    );
    let mut values = columns(letters, fates);
    values.push(Arg::Timestamp(now));
    session.run(&ADD, &values, 0);
}

fn insert(session: &Session, letters: &Letters, fates: &Fates, now: i64) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_queue
              (original_task_id, company_id, agent_name, payload, error_type, error_message, attempts, permanent,
               retry_after, backoff_multiplier, max_retries, created_at, failed_at)
          SELECT t.id, t.company_id, t.agent_name, t.payload, u.error_type, u.message, t.attempts, u.permanent,
                 NULLIF(u.retry_after, 'infinity'), u.multiplier, $8, $7, $7
            FROM unnest($1, $2, $3, $4, $5, $6) AS u (id, error_type, message, permanent, retry_after, multiplier)
            JOIN tms.agent_tasks t ON t.id OPERATOR(pg_catalog.=) u.id
              ON CONFLICT (original_task_id) WHERE closed_at IS NULL DO NOTHING",
        &[
            UUIDARRAYOID,
            TEXTARRAYOID,
            TEXTARRAYOID,
            BOOLARRAYOID,
            TIMESTAMPTZARRAYOID,
            INT4ARRAYOID,
            TIMESTAMPTZOID,
            INT4OID,
        ],
    );
    let mut values = columns(letters, fates);
    values.extend([Arg::Timestamp(now), Arg::Int4(settings::dead_letter_rounds())]);
    session.run(&INSERT, &values, 0);
}

fn columns<'a>(letters: &'a Letters, fates: &'a Fates) -> Vec<Arg<'a>> {
    vec![
        Arg::UuidArray(&letters.events),
        Arg::TextArray(&letters.error_types),
        Arg::TextArray(&letters.messages),
        Arg::BoolArray(&letters.permanent),
        Arg::TimestampArray(&fates.retry_after),
        Arg::Int4Array(&fates.multipliers),
    ]
}

/// An agent of a company with letters that have a time to come back at.
struct Lane {
    agent: String,
    /// Zeros for the platform.
    company: [u8; 16],
}

/// Begins the next round of letters whose time has come, as many as the pace allows; how many those were. `gate` says how it stands
/// with an agent of a company.
pub(crate) fn requeue(
    session: &Session,
    scope: Scope,
    pace: &Pace,
    now: i64,
    gate: impl Fn(&str, Option<[u8; 16]>) -> Gate,
) -> usize {
    let mut count = 0;
    for lane in lanes(session, scope) {
        let company = Some(lane.company).filter(|company| *company != [0; 16]);
        let places = pace.places(gate(&lane.agent, company), out(session, &lane, pace));
        if places > 0 {
            count += begin(session, &pick(session, &lane, places, now), pace, now);
        }
    }
    count
}

fn lanes(session: &Session, scope: Scope) -> Vec<Lane> {
    static LANES: Statement = Statement::new(
        c"WITH RECURSIVE lane (agent, company) AS (
              (SELECT l.agent_name, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000')
                 FROM tms.dead_letter_queue l
                WHERE l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL
                  AND l.original_task_id IS NOT NULL AND l.agent_name IS NOT NULL
                ORDER BY l.agent_name, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') LIMIT 1)
              UNION ALL
              SELECT n.agent, n.company FROM lane CROSS JOIN LATERAL (
                     SELECT l.agent_name AS agent, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') AS company
                       FROM tms.dead_letter_queue l
                      WHERE l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL
                        AND l.original_task_id IS NOT NULL
                        AND (l.agent_name, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000'))
                            OPERATOR(pg_catalog.>) (lane.agent, lane.company)
                      ORDER BY l.agent_name, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') LIMIT 1) n)
          SELECT lane.agent, lane.company FROM lane WHERE $1 IS NULL OR lane.company OPERATOR(pg_catalog.=) $1",
        &[UUIDOID],
    );
    let rows = session.run(&LANES, &[scope.arg()], 0);
    rows.iter()
        .filter_map(|row| {
            Some(Lane {
                agent: row.text(1)?,
                company: row.uuid(2)?,
            })
        })
        .collect()
}

/// Letters of a lane whose tasks are in their line again, or in somebody's hands.
fn out(session: &Session, lane: &Lane, pace: &Pace) -> usize {
    static OUT: Statement = Statement::new(
        c"SELECT 1 FROM tms.dead_letter_queue l
            JOIN tms.agent_tasks t ON t.id OPERATOR(pg_catalog.=) l.original_task_id
           WHERE l.closed_at IS NULL AND l.requeued_at IS NOT NULL AND l.agent_name OPERATOR(pg_catalog.=) $1
             AND COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') OPERATOR(pg_catalog.=) $2
             AND t.status IN ('queued', 'running')
           LIMIT $3",
        &[TEXTOID, UUIDOID, INT8OID],
    );
    let values = [
        Arg::Text(&lane.agent),
        Arg::Uuid(&lane.company),
        Arg::Int8(i64::try_from(pace.most_out).unwrap_or(i64::MAX)),
    ];
    session.run(&OUT, &values, 0).count()
}

/// A letter that is due, and its task.
struct Due {
    id: [u8; 16],
    task: [u8; 16],
}

fn pick(session: &Session, lane: &Lane, places: usize, now: i64) -> Vec<Due> {
    static PICK: Statement = Statement::new(
        c"SELECT l.id, l.original_task_id FROM tms.dead_letter_queue l
           WHERE l.agent_name OPERATOR(pg_catalog.=) $1
             AND COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') OPERATOR(pg_catalog.=) $2
             AND l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL
             AND l.original_task_id IS NOT NULL
             AND GREATEST(l.retry_after, l.snooze_until) OPERATOR(pg_catalog.<=) $3
           ORDER BY GREATEST(l.retry_after, l.snooze_until) LIMIT $4",
        &[TEXTOID, UUIDOID, TIMESTAMPTZOID, INT8OID],
    );
    let rows = session.run(
        &PICK,
        &[
            Arg::Text(&lane.agent),
            Arg::Uuid(&lane.company),
            Arg::Timestamp(now),
            Arg::Int8(i64::try_from(places).unwrap_or(i64::MAX)),
        ],
        0,
    );
    rows.iter()
        .filter_map(|row| {
            Some(Due {
                id: row.uuid(1)?,
                task: row.uuid(2)?,
            })
        })
        .collect()
}

/// Begins the round of these letters, one after the other in time. Where somebody has a lock, it waits for the next look.
fn begin(session: &Session, letters: &[Due], pace: &Pace, now: i64) -> usize {
    static MARK: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET requeued_at = $2, requeued_by = NULL, rounds = l.rounds OPERATOR(pg_catalog.+) 1
            FROM (SELECT o.id FROM tms.dead_letter_queue o
                   WHERE o.id OPERATOR(pg_catalog.=) ANY ($1) AND o.closed_at IS NULL AND o.requeued_at IS NULL
                     FOR NO KEY UPDATE OF o SKIP LOCKED) d
           WHERE l.id OPERATOR(pg_catalog.=) d.id
          RETURNING l.id",
        &[UUIDARRAYOID, TIMESTAMPTZOID],
    );
    let origins: Vec<Origin> = letters.iter().map(|letter| Origin::Task(letter.task)).collect();
    let held: HashSet<Origin> = origin::lock(session, &origins, Lock::Skip)
        .into_iter()
        .filter(|(_, standing)| *standing == Standing::Held)
        .map(|(origin, _)| origin)
        .collect();
    let ids: Vec<[u8; 16]> = letters
        .iter()
        .filter(|letter| held.contains(&Origin::Task(letter.task)))
        .map(|letter| letter.id)
        .collect();
    let rows = session.run(&MARK, &[Arg::UuidArray(&ids), Arg::Timestamp(now)], 0);
    let marked: HashSet<[u8; 16]> = rows.iter().filter_map(|row| row.uuid(1)).collect();
    let mut back = Vec::new();
    for letter in letters.iter().filter(|letter| marked.contains(&letter.id)) {
        let after = spread(back.len(), pace.per_second);
        let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        back.push((Origin::Task(letter.task), now.saturating_add(after)));
    }
    if !back.is_empty() {
        origin::requeue(session, &back, now);
        let begun: Vec<[u8; 16]> = marked.into_iter().collect();
        acts::note_rounds(session, &begun, now);
    }
    back.len()
}

/// Closes letters that are out and whose tasks are done, cancelled, or deleted by somebody.
pub(crate) fn close(session: &Session, now: i64) {
    static CLOSE: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET closed_at = COALESCE(d.finished_at, $1), resolution = d.resolution
            FROM (SELECT o.id, t.finished_at,
                         CASE WHEN t.id IS NULL THEN 'discarded' WHEN t.cancelled_at IS NOT NULL THEN 'cancelled'
                              WHEN o.requeued_by IS NULL THEN 'delivered' ELSE 'replayed' END AS resolution
                    FROM tms.dead_letter_queue o
                    LEFT JOIN tms.agent_tasks t ON t.id OPERATOR(pg_catalog.=) o.original_task_id
                   WHERE o.closed_at IS NULL AND o.requeued_at IS NOT NULL AND o.original_task_id IS NOT NULL
                     AND (t.id IS NULL OR t.status OPERATOR(pg_catalog.=) 'done' OR t.cancelled_at IS NOT NULL)
                     FOR NO KEY UPDATE OF o SKIP LOCKED) d
           WHERE l.id OPERATOR(pg_catalog.=) d.id AND l.closed_at IS NULL",
        &[TIMESTAMPTZOID],
    );
    session.run(&CLOSE, &[Arg::Timestamp(now)], 0);
}
