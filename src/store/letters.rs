//! `tms.dead_letter_queue`: one open letter for each event or task that is given up.
//!
//! - [`bury`]: what failed gets a letter, or its letter another line. - [`due`]: letters that come back by themselves.
//! - [`hands`]: what a person does with one letter; [`many`]: with all that are like a filter. - [`acts`]: the record of both.
//! - [`ends`]: letters that are over. - [`origin`]: what a letter is about. - [`tasks`]: the same for tasks of agents.
//!
//! Locks are taken in one order by everybody: first the event, then its letter.

use std::collections::HashMap;

use pgrx::pg_sys::{
    BOOLARRAYOID, INT4ARRAYOID, INT4OID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, UUIDARRAYOID,
};
use tms_domain::dead_letter::{Fate, after_failure};

use crate::pg::server;
use crate::pg::spi::{Arg, Session, Statement};
use crate::settings;

pub(crate) mod acts;
pub(crate) mod due;
pub(crate) mod ends;
pub(crate) mod hands;
pub(crate) mod many;
pub(crate) mod origin;
pub(crate) mod tasks;

/// Failures to write down, column by column.
#[derive(Default)]
pub(crate) struct Letters {
    pub(crate) events: Vec<[u8; 16]>,
    pub(crate) error_types: Vec<Option<String>>,
    pub(crate) messages: Vec<Option<String>>,
    /// Attempts since the event was brought back, or enqueued.
    pub(crate) attempts: Vec<i32>,
    pub(crate) permanent: Vec<bool>,
}

/// What becomes of each letter, in the order of [`Letters`].
#[derive(Default)]
struct Fates {
    /// Infinity for a letter that rests.
    retry_after: Vec<i64>,
    multipliers: Vec<i32>,
}

/// Writes a letter for each event that is still undelivered; company, target, type and payload are the event's own. An event that
/// has an open letter keeps that one. The caller has locked the events.
pub(crate) fn bury(session: &Session, letters: &Letters, now: i64) {
    let open = open_ones(session, &letters.events);
    let fates = fates(letters, &open, now);
    if !open.is_empty() {
        add_to_open(session, letters, &fates, now);
        let known: Vec<[u8; 16]> = open.iter().map(|open| open.event).collect();
        acts::note_failures(session, &known, now);
    }
    if open.len() < letters.events.len() {
        insert(session, letters, &fates, now);
    }
}

/// An open letter of an event.
struct Open {
    event: [u8; 16],
    rounds: i32,
    most: i32,
}

fn open_ones(session: &Session, events: &[[u8; 16]]) -> Vec<Open> {
    static OPEN: Statement = Statement::new(
        c"SELECT l.original_event_id, l.rounds, l.max_retries FROM tms.dead_letter_queue l
           WHERE l.original_event_id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL
             FOR NO KEY UPDATE OF l",
        &[UUIDARRAYOID],
    );
    let rows = session.run(&OPEN, &[Arg::UuidArray(events)], 0);
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

/// Of these events, those whose open letter somebody has locked. The caller has locked the events; who acts on a letter by the functions
/// has done so before, so these are rows that were changed by hand.
pub(crate) fn held_by_others(session: &Session, events: &[[u8; 16]]) -> Vec<[u8; 16]> {
    static OPEN: Statement = Statement::new(
        c"SELECT l.original_event_id FROM tms.dead_letter_queue l
           WHERE l.original_event_id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL",
        &[UUIDARRAYOID],
    );
    static FREE: Statement = Statement::new(
        c"SELECT l.original_event_id FROM tms.dead_letter_queue l
           WHERE l.original_event_id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL
             FOR NO KEY UPDATE OF l SKIP LOCKED",
        &[UUIDARRAYOID],
    );
    let ids = |statement| -> Vec<[u8; 16]> {
        let rows = session.run(statement, &[Arg::UuidArray(events)], 0);
        rows.iter().filter_map(|row| row.uuid(1)).collect()
    };
    let free = ids(&FREE);
    let mut held = ids(&OPEN);
    held.retain(|event| !free.contains(event));
    held
}

fn fates(letters: &Letters, open: &[Open], now: i64) -> Fates {
    let waits = settings::dead_letter_waits();
    let mut fates = Fates::default();
    let open: HashMap<[u8; 16], &Open> = open.iter().map(|open| (open.event, open)).collect();
    for (event, is_permanent) in letters.events.iter().zip(&letters.permanent) {
        let known = open.get(event);
        let (rounds, most) = known.map_or((0, settings::dead_letter_rounds()), |open| {
            (open.rounds, open.most)
        });
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        let fate = after_failure(
            &waits,
            *is_permanent,
            count(rounds),
            count(most),
            server::chance(),
        );
        let (retry_after, multiplier) = match fate {
            Fate::Rests => (i64::MAX, tms_domain::dead_letter::multiplier(count(rounds))),
            Fate::Waits { delay, multiplier } => {
                let delay = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
                (now.saturating_add(delay), multiplier)
            }
        };
        fates.retry_after.push(retry_after);
        fates.multipliers.push(multiplier);
    }
    fates
}

fn add_to_open(session: &Session, letters: &Letters, fates: &Fates, now: i64) {
    static ADD: Statement = Statement::new(
        c"UPDATE tms.dead_letter_queue l
             SET error_type = u.error_type, error_message = u.message, payload = e.payload,
                 attempts = l.attempts OPERATOR(pg_catalog.+) u.attempts, permanent = u.permanent,
                 retry_after = NULLIF(u.retry_after, 'infinity'), backoff_multiplier = u.multiplier,
                 requeued_at = NULL, requeued_by = NULL, failed_at = $8
            FROM unnest($1, $2, $3, $4, $5, $6, $7)
                     AS u (id, error_type, message, attempts, permanent, retry_after, multiplier)
            JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) u.id
           WHERE l.original_event_id OPERATOR(pg_catalog.=) u.id AND l.closed_at IS NULL
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[
            UUIDARRAYOID,
            TEXTARRAYOID,
            TEXTARRAYOID,
            INT4ARRAYOID,
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
              (original_event_id, company_id, target_system, event_type, payload, error_type, error_message, attempts, permanent,
               retry_after, backoff_multiplier, max_retries, created_at, failed_at)
          SELECT e.id, e.company_id, e.target_system, e.event_type, e.payload, u.error_type, u.message, u.attempts, u.permanent,
                 NULLIF(u.retry_after, 'infinity'), u.multiplier, $9, $8, $8
            FROM unnest($1, $2, $3, $4, $5, $6, $7)
                     AS u (id, error_type, message, attempts, permanent, retry_after, multiplier)
            JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) u.id
           WHERE COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'
              ON CONFLICT (original_event_id) WHERE closed_at IS NULL DO NOTHING",
        &[
            UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
            TIMESTAMPTZOID, INT4OID,
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
        Arg::Int4Array(&letters.attempts),
        Arg::BoolArray(&letters.permanent),
        Arg::TimestampArray(&fates.retry_after),
        Arg::Int4Array(&fates.multipliers),
    ]
}
