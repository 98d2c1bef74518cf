//! Letters that come back by themselves: which are due, how many may go, and the beginning of their round.
//!
//! Letters wait in lanes, one a target and company, so that one company's thousands do not keep back another's single letter.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use pgrx::pg_sys::{INT4ARRAYOID, INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};
use tms_domain::breaker;
use tms_domain::dead_letter::{Gate, Pace, gate, spread};
use tms_domain::names;

use super::acts;
use super::origin::{self, Lock, Origin, Standing};
use crate::pg::jsonb;
use crate::pg::spi::{Arg, Row, Session, Statement};
use crate::store::pull::held::Scope;
use crate::store::{events, installation};

/// How long a target is left alone whose receiver is not there at present; as the dispatcher's brakes have it.
const HELD_FOR: Duration = Duration::from_secs(30);

/// One company's letters for one target that have a time to come back at.
struct Lane {
    target: String,
    /// Zeros for the platform.
    company: [u8; 16],
    /// The company has its own version of the target, with brakes of its own.
    is_own: bool,
    gate: Gate,
    skips_dead: bool,
}

/// Letters that share brakes: a target's, or those of a company's own version of it.
struct Channel {
    target: String,
    own: Option<[u8; 16]>,
    companies: Vec<[u8; 16]>,
    gate: Gate,
    skips_dead: bool,
}

/// Begins the next round of letters whose time has come, as many as the pace allows; how many those were.
pub(crate) fn requeue(session: &Session, scope: Scope, pace: &Pace, now: i64) -> usize {
    let mut count = 0;
    for channel in channels(lanes(session, scope, now)) {
        let places = pace.places(channel.gate, out(session, &channel, pace, now));
        if places > 0 {
            let picked = pick(session, &channel, places, now);
            count += begin(session, &picked, pace, now);
        }
    }
    count
}

fn lanes(session: &Session, scope: Scope, now: i64) -> Vec<Lane> {
    static LANES: Statement = Statement::new(
        c"WITH RECURSIVE lane (target, company) AS (
              (SELECT l.target_system, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000')
                 FROM tms.dead_letter_queue l
                WHERE l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL
                  AND l.original_event_id IS NOT NULL AND l.target_system IS NOT NULL
                ORDER BY l.target_system, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') LIMIT 1)
              UNION ALL
              SELECT n.target, n.company FROM lane CROSS JOIN LATERAL (
                     SELECT l.target_system AS target, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') AS company
                       FROM tms.dead_letter_queue l
                      WHERE l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL
                        AND l.original_event_id IS NOT NULL
                        AND (l.target_system, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000'))
                            OPERATOR(pg_catalog.>) (lane.target, lane.company)
                      ORDER BY l.target_system, COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') LIMIT 1) n)
          SELECT lane.target, lane.company, t.name IS NOT NULL,
                 t.paused_at IS NULL AND t.installation OPERATOR(pg_catalog.=) $2, t.options, o.target IS NOT NULL,
                 COALESCE(h.state, 'active'), h.since
            FROM lane
            LEFT JOIN tms.targets t ON t.name OPERATOR(pg_catalog.=) lane.target
            LEFT JOIN tms.target_overrides o ON o.target OPERATOR(pg_catalog.=) lane.target
                  AND o.company_id OPERATOR(pg_catalog.=) lane.company
            LEFT JOIN tms.target_health h ON h.target OPERATOR(pg_catalog.=) lane.target
                  AND h.company_id IS NOT DISTINCT FROM o.company_id
           WHERE $1 IS NULL OR lane.company OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, TEXTOID],
    );
    let stamp = installation::stamp();
    let rows = session.run(&LANES, &[scope.arg(), Arg::Text(&stamp)], 0);
    rows.iter().filter_map(|row| lane(&row, now)).collect()
}

fn lane(row: &Row<'_>, now: i64) -> Option<Lane> {
    let target = row.text(1)?;
    let is_served = if row.bool(3)? {
        row.bool(4)?
    } else {
        names::is_built_in_target(&target)
    };
    let options = row.datum(5).and_then(jsonb::value).unwrap_or_default();
    let state = row.text(7)?;
    let since = row.int8(8).map_or(0, |since| now.saturating_sub(since));
    let rest = if state == "open" {
        let own = options
            .pointer("/breaker/open_ms")
            .and_then(serde_json::Value::as_u64);
        own.map_or(breaker::Policy::default().open_for, Duration::from_millis)
    } else {
        HELD_FOR
    };
    Some(Lane {
        company: row.uuid(2)?,
        is_own: row.bool(6)?,
        gate: gate(
            is_served,
            &state,
            Duration::from_micros(u64::try_from(since).unwrap_or(0)),
            rest,
        ),
        skips_dead: options.get("on_dead").and_then(|value| value.as_str()) == Some("skip"),
        target,
    })
}

fn channels(lanes: Vec<Lane>) -> Vec<Channel> {
    let mut places: HashMap<(String, Option<[u8; 16]>), usize> = HashMap::new();
    let mut channels: Vec<Channel> = Vec::new();
    for lane in lanes {
        let own = lane.is_own.then_some(lane.company);
        let place = *places.entry((lane.target.clone(), own)).or_insert(channels.len());
        if place == channels.len() {
            channels.push(Channel {
                target: lane.target,
                own,
                companies: Vec::new(),
                gate: lane.gate,
                skips_dead: lane.skips_dead,
            });
        }
        channels[place].companies.push(lane.company);
    }
    channels
}

/// Letters of a channel that are out: due and not done, or to be due before the next look. One that waits between two attempts
/// of its round, maybe for hours, takes nobody's place.
fn out(session: &Session, channel: &Channel, pace: &Pace, now: i64) -> usize {
    static OUT: Statement = Statement::new(
        c"SELECT 1 FROM tms.dead_letter_queue l
            JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) l.original_event_id
           WHERE l.target_system OPERATOR(pg_catalog.=) $1 AND l.closed_at IS NULL AND l.requeued_at IS NOT NULL
             AND ($2 IS NULL OR l.company_id OPERATOR(pg_catalog.=) $2)
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'
             AND (e.available_at OPERATOR(pg_catalog.<=) $3
                  OR e.retry_count OPERATOR(pg_catalog.=) 0 AND e.available_at OPERATOR(pg_catalog.<=) $4)
           LIMIT $5",
        &[TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID],
    );
    let interval = i64::try_from(pace.interval.as_micros()).unwrap_or(i64::MAX);
    let values = [
        Arg::Text(&channel.target),
        channel.own.as_ref().map_or(Arg::Null, Arg::Uuid),
        Arg::Timestamp(now),
        Arg::Timestamp(now.saturating_add(interval)),
        Arg::Int8(i64::try_from(pace.most_out).unwrap_or(i64::MAX)),
    ];
    session.run(&OUT, &values, 0).count()
}

/// A letter that is due.
struct Due {
    id: [u8; 16],
    event: [u8; 16],
}

/// The letters of a channel that are due, each company's first one before anybody's second. One whose event is not the first of
/// its ordering key waits for that one.
fn pick(session: &Session, channel: &Channel, places: usize, now: i64) -> Vec<Due> {
    static PICK: Statement = Statement::new(
        c"SELECT d.id, d.event
            FROM unnest($2) AS lane (company)
           CROSS JOIN LATERAL (
                 SELECT c.id, c.event, c.at, pg_catalog.row_number() OVER (ORDER BY c.at, c.id) AS turn
                   FROM (SELECT l.id, l.original_event_id AS event, GREATEST(l.retry_after, l.snooze_until) AS at
                           FROM tms.dead_letter_queue l
                           LEFT JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) l.original_event_id
                          WHERE l.target_system OPERATOR(pg_catalog.=) $1
                            AND COALESCE(l.company_id, '00000000-0000-0000-0000-000000000000') OPERATOR(pg_catalog.=) lane.company
                            AND l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL
                            AND l.original_event_id IS NOT NULL
                            AND GREATEST(l.retry_after, l.snooze_until) OPERATOR(pg_catalog.<=) $3
                            AND (e.ordering_hash IS NULL OR NOT EXISTS (
                                 SELECT 1 FROM tms.event_outbox h
                                  WHERE h.target_system OPERATOR(pg_catalog.=) $1
                                    AND h.ordering_hash OPERATOR(pg_catalog.=) e.ordering_hash
                                    AND h.seq OPERATOR(pg_catalog.<) e.seq AND h.processed_at IS NULL
                                    AND (NOT $5 OR h.available_at OPERATOR(pg_catalog.<) 'infinity')))
                          ORDER BY GREATEST(l.retry_after, l.snooze_until) LIMIT $4) c) d
           ORDER BY d.turn, d.at LIMIT $4",
        &[TEXTOID, UUIDARRAYOID, TIMESTAMPTZOID, INT8OID, pgrx::pg_sys::BOOLOID],
    );
    let rows = session.run(
        &PICK,
        &[
            Arg::Text(&channel.target),
            Arg::UuidArray(&channel.companies),
            Arg::Timestamp(now),
            Arg::Int8(i64::try_from(places).unwrap_or(i64::MAX)),
            Arg::Bool(channel.skips_dead),
        ],
        0,
    );
    rows.iter()
        .filter_map(|row| {
            Some(Due {
                id: row.uuid(1)?,
                event: row.uuid(2)?,
            })
        })
        .collect()
}

/// Begins the round of these letters, one after the other in time; how many came back. Where somebody has a lock, it waits.
///
/// A letter whose event is in the queue already, done or gone (all by somebody's hand) is out from now on without a round, and
/// closed when its event is.
fn begin(session: &Session, letters: &[Due], pace: &Pace, now: i64) -> usize {
    static MARK: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET requeued_at = $3, requeued_by = NULL, rounds = l.rounds OPERATOR(pg_catalog.+) d.round
            FROM (SELECT o.id, u.round
                    FROM unnest($1, $2) AS u (id, round)
                    JOIN tms.dead_letter_queue o ON o.id OPERATOR(pg_catalog.=) u.id
                   WHERE o.closed_at IS NULL AND o.requeued_at IS NULL
                     AND GREATEST(o.retry_after, o.snooze_until) OPERATOR(pg_catalog.<=) $3
                     FOR NO KEY UPDATE OF o SKIP LOCKED) d
           WHERE l.id OPERATOR(pg_catalog.=) d.id AND l.closed_at IS NULL AND l.requeued_at IS NULL
          RETURNING l.id",
        &[UUIDARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID],
    );
    let ids_of_events: Vec<[u8; 16]> = letters.iter().map(|letter| letter.event).collect();
    let there: HashSet<[u8; 16]> = events::existing(session, &ids_of_events).into_iter().collect();
    let origins: Vec<Origin> = ids_of_events.iter().copied().map(Origin::Event).collect();
    let standings: HashMap<Origin, Standing> =
        origin::lock(session, &origins, Lock::Skip).into_iter().collect();
    let held = |letter: &Due| standings.get(&Origin::Event(letter.event)) == Some(&Standing::Held);
    let (mut ids, mut rounds) = (Vec::new(), Vec::new());
    for letter in letters {
        let is_locked_by_another =
            there.contains(&letter.event) && !standings.contains_key(&Origin::Event(letter.event));
        if !is_locked_by_another {
            ids.push(letter.id);
            rounds.push(i32::from(held(letter)));
        }
    }
    let rows = session.run(
        &MARK,
        &[Arg::UuidArray(&ids), Arg::Int4Array(&rounds), Arg::Timestamp(now)],
        0,
    );
    let marked: HashSet<[u8; 16]> = rows.iter().filter_map(|row| row.uuid(1)).collect();
    let (mut back, mut begun) = (Vec::new(), Vec::new());
    for letter in letters {
        if held(letter) && marked.contains(&letter.id) {
            let after = spread(back.len(), pace.per_second);
            let at = now.saturating_add(i64::try_from(after.as_micros()).unwrap_or(i64::MAX));
            back.push((Origin::Event(letter.event), at));
            begun.push(letter.id);
        }
    }
    if !back.is_empty() {
        origin::requeue(session, &back, now);
        acts::note_rounds(session, &begun, now);
    }
    back.len()
}
