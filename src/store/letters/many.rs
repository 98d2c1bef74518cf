//! Letters that are like a filter, brought back together by a person.

use std::collections::{HashMap, HashSet};

use pgrx::pg_sys::{INT8OID, OIDOID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};
use tms_domain::dead_letter::filter::Filter;
use tms_domain::dead_letter::spread;

use super::origin::{self, Lock, Origin, Standing};
use crate::pg::spi::{Arg, Row, Session, Statement};

/// A letter that is like the filter.
pub(crate) struct Found {
    pub(crate) id: [u8; 16],
    origin: Origin,
    /// What its rate is counted by: the target, or the agent.
    lane: String,
}

/// A filter's times, as the server reads them.
pub(crate) struct Times {
    pub(crate) after: Option<i64>,
    pub(crate) before: Option<i64>,
}

/// Letters that hold what they are about and are like the filter, the oldest first. `company` `None`: of every company.
pub(crate) fn find(
    session: &Session,
    filter: &Filter,
    times: &Times,
    company: Option<&[u8; 16]>,
    now: i64,
) -> Vec<Found> {
    static FIND: Statement = Statement::new(
        c"SELECT l.id, l.original_event_id, l.original_task_id, COALESCE(l.target_system, l.agent_name, '')
            FROM tms.dead_letter_queue l
            LEFT JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) l.original_event_id
            LEFT JOIN tms.agent_tasks t ON t.id OPERATOR(pg_catalog.=) l.original_task_id
           WHERE l.closed_at IS NULL AND l.requeued_at IS NULL
             AND (t.status OPERATOR(pg_catalog.=) 'failed' AND t.cancelled_at IS NULL
                  OR l.original_event_id IS NOT NULL AND e.processed_at IS NULL AND e.available_at OPERATOR(pg_catalog.=) 'infinity')
             AND ($1 IS NULL OR l.company_id OPERATOR(pg_catalog.=) $1)
             AND ($2 IS NULL OR l.id OPERATOR(pg_catalog.=) ANY ($2))
             AND ($2 IS NOT NULL OR l.snooze_until IS NULL OR l.snooze_until OPERATOR(pg_catalog.<=) $3)
             AND ($4 IS NULL OR l.error_type OPERATOR(pg_catalog.=) $4)
             AND ($5 IS NULL OR l.target_system OPERATOR(pg_catalog.=) $5)
             AND ($6 IS NULL OR l.event_type OPERATOR(pg_catalog.=) $6)
             AND ($7 IS NULL OR l.agent_name OPERATOR(pg_catalog.=) $7)
             AND ($8 IS NULL OR l.created_at OPERATOR(pg_catalog.>=) $8)
             AND ($9 IS NULL OR l.created_at OPERATOR(pg_catalog.<) $9)
           ORDER BY l.created_at, l.id LIMIT $10",
        &[
            UUIDOID,
            UUIDARRAYOID,
            TIMESTAMPTZOID,
            TEXTOID,
            TEXTOID,
            TEXTOID,
            TEXTOID,
            TIMESTAMPTZOID,
            TIMESTAMPTZOID,
            INT8OID,
        ],
    );
    fn text(value: &Option<String>) -> Arg<'_> {
        value.as_deref().map_or(Arg::Null, Arg::Text)
    }
    let rows = session.run(
        &FIND,
        &[
            company.map_or(Arg::Null, Arg::Uuid),
            filter.ids.as_deref().map_or(Arg::Null, Arg::UuidArray),
            Arg::Timestamp(now),
            filter
                .error_type
                .map_or(Arg::Null, |kind| Arg::Text(kind.as_str())),
            text(&filter.target),
            text(&filter.event_type),
            text(&filter.agent),
            times.after.map_or(Arg::Null, Arg::Timestamp),
            times.before.map_or(Arg::Null, Arg::Timestamp),
            Arg::Int8(i64::try_from(filter.limit).unwrap_or(i64::MAX)),
        ],
        0,
    );
    rows.iter().filter_map(|row| found(&row)).collect()
}

fn found(row: &Row<'_>) -> Option<Found> {
    Some(Found {
        id: row.uuid(1)?,
        origin: Origin::of(row.uuid(2), row.uuid(3))?,
        lane: row.text(4)?,
    })
}

/// Brings these back, each lane's one after the other at this rate; those that are still held. Returns their ids.
pub(crate) fn bring_back(
    session: &Session,
    letters: &[Found],
    per_second: f64,
    actor: u32,
    now: i64,
) -> Vec<[u8; 16]> {
    static MARK: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET requeued_at = $2, requeued_by = pg_catalog.pg_get_userbyid($3), snooze_until = NULL
           WHERE l.id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL AND l.requeued_at IS NULL
          RETURNING l.id",
        &[UUIDARRAYOID, TIMESTAMPTZOID, OIDOID],
    );
    let origins: Vec<Origin> = letters.iter().map(|letter| letter.origin).collect();
    let held: HashSet<Origin> = origin::lock(session, &origins, Lock::Wait)
        .into_iter()
        .filter(|(_, standing)| *standing == Standing::Held)
        .map(|(origin, _)| origin)
        .collect();
    let ids: Vec<[u8; 16]> = letters
        .iter()
        .filter(|letter| held.contains(&letter.origin))
        .map(|letter| letter.id)
        .collect();
    let marked: HashSet<[u8; 16]> = session
        .run(
            &MARK,
            &[Arg::UuidArray(&ids), Arg::Timestamp(now), Arg::Oid(actor)],
            0,
        )
        .iter()
        .filter_map(|row| row.uuid(1))
        .collect();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut back = Vec::new();
    for letter in letters.iter().filter(|letter| marked.contains(&letter.id)) {
        let number = numbers.entry(&letter.lane).or_default();
        let after = spread(*number, per_second);
        *number += 1;
        let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        back.push((letter.origin, now.saturating_add(after)));
    }
    origin::requeue(session, &back, now);
    marked.into_iter().collect()
}
