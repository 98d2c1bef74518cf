//! What there is to know of one event: its row, its target, its dead letter, its last attempt, and what it waits behind. Never its
//! payload, nor anything of the target that is secret.

use pgrx::pg_sys::{TEXTOID, TIMESTAMPTZOID, UUIDOID};

use crate::pg::jsonb;
use crate::pg::spi::{Arg, Session, Statement};
use crate::store::letters::acts::{self, Act, Deed};
use crate::store::letters::hands;
use crate::store::pull::held::Scope;

/// One event. Times are texts in the caller's time zone.
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) target: String,
    pub(crate) created_at: String,
    pub(crate) available_at: String,
    pub(crate) processed_at: Option<String>,
    pub(crate) cancelled_at: Option<String>,
    pub(crate) cancel_reason: Option<String>,
    pub(crate) due: Due,
    pub(crate) retry_count: i32,
    pub(crate) max_retries: i32,
    pub(crate) is_leased: bool,
    /// Another event of its ordering key that comes first; `None`: it is the first, or has no key.
    pub(crate) behind: Option<[u8; 16]>,
    pub(crate) letter: Option<Letter>,
    pub(crate) last_error: Option<LastError>,
}

/// When an event is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    Later,
    /// Its time is infinity: it is dead.
    Never,
}

/// Its open dead letter.
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) error_type: String,
    pub(crate) message: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) created_at: String,
    /// When its next round begins; `None`: it is at rest.
    pub(crate) next_round: Option<String>,
    /// A person has set that time.
    pub(crate) is_snoozed: bool,
    pub(crate) is_permanent: bool,
    /// Rounds it has begun, and how many it has.
    pub(crate) rounds: (i32, i32),
    /// Who brought it back last, if a person did.
    pub(crate) requeued_by: Option<String>,
}

/// How its latest attempt on record failed.
pub(crate) struct LastError {
    pub(crate) at: String,
    pub(crate) message: String,
}

/// Its target, as the platform and the dispatcher see it.
pub(crate) struct TargetFacts {
    pub(crate) transport: String,
    pub(crate) paused_at: Option<String>,
    pub(crate) pause_reason: Option<String>,
    pub(crate) installation: String,
    pub(crate) skips_dead: bool,
    pub(crate) per_second: Option<f64>,
    /// State, reason and since, when the dispatcher does not send to it.
    pub(crate) health: Option<(String, Option<String>, String)>,
}

/// The facts of an event that the caller may ask after; `None` for any other.
pub(crate) fn facts(session: &Session, id: &[u8; 16], scope: Scope, now: i64) -> Option<Facts> {
    static FACTS: Statement = Statement::new(
        c"SELECT e.id::pg_catalog.text, e.event_type, e.target_system, e.created_at::pg_catalog.text,
                 e.available_at::pg_catalog.text, e.processed_at::pg_catalog.text, e.cancelled_at::pg_catalog.text,
                 e.cancel_reason, e.available_at OPERATOR(pg_catalog.<=) $3,
                 e.available_at OPERATOR(pg_catalog.=) 'infinity', e.retry_count, e.max_retries, e.lease_token IS NOT NULL,
                 CASE WHEN e.ordering_hash IS NOT NULL AND e.processed_at IS NULL THEN (
                      SELECT h.id FROM tms.event_outbox h
                       WHERE h.target_system OPERATOR(pg_catalog.=) e.target_system
                         AND h.ordering_hash OPERATOR(pg_catalog.=) e.ordering_hash AND h.seq OPERATOR(pg_catalog.<) e.seq
                         AND h.processed_at IS NULL
                         AND (h.available_at OPERATOR(pg_catalog.<) 'infinity' OR NOT EXISTS (
                              SELECT 1 FROM tms.targets t
                               WHERE t.name OPERATOR(pg_catalog.=) e.target_system
                                 AND t.options OPERATOR(pg_catalog.->>) 'on_dead' OPERATOR(pg_catalog.=) 'skip'))
                       ORDER BY h.seq LIMIT 1) END,
                 l.id::pg_catalog.text, l.error_type, l.error_message, l.attempts, l.created_at::pg_catalog.text,
                 GREATEST(l.retry_after, CASE WHEN l.retry_after IS NOT NULL THEN l.snooze_until END)::pg_catalog.text,
                 a.started_at::pg_catalog.text, a.error_type, a.error_message,
                 COALESCE(l.snooze_until OPERATOR(pg_catalog.>) GREATEST(l.retry_after, $3), false), l.permanent, l.rounds,
                 l.max_retries, l.requeued_by
            FROM tms.event_outbox e
            LEFT JOIN LATERAL (
                 SELECT d.* FROM tms.dead_letter_queue d
                  WHERE d.original_event_id OPERATOR(pg_catalog.=) e.id AND d.closed_at IS NULL LIMIT 1) l ON true
            LEFT JOIN LATERAL (
                 SELECT d.* FROM tms.delivery_attempts d
                  WHERE d.event_id OPERATOR(pg_catalog.=) e.id AND d.outcome OPERATOR(pg_catalog.<>) 'delivered'
                  ORDER BY d.started_at DESC, d.id DESC LIMIT 1) a ON true
           WHERE e.id OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR e.company_id OPERATOR(pg_catalog.=) $2)",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID],
    );
    let rows = session.run(&FACTS, &[Arg::Uuid(id), scope.arg(), Arg::Timestamp(now)], 0);
    let row = rows.first()?;
    Some(Facts {
        id: row.text(1)?,
        event_type: row.text(2)?,
        target: row.text(3)?,
        created_at: row.text(4)?,
        available_at: row.text(5)?,
        processed_at: row.text(6),
        cancelled_at: row.text(7),
        cancel_reason: row.text(8),
        due: match (row.bool(9)?, row.bool(10)?) {
            (_, true) => Due::Never,
            (true, false) => Due::Now,
            (false, false) => Due::Later,
        },
        retry_count: row.int4(11)?,
        max_retries: row.int4(12)?,
        is_leased: row.bool(13)?,
        behind: row.uuid(14),
        letter: row.text(15).and_then(|id| {
            Some(Letter {
                id,
                error_type: row.text(16)?,
                message: row.text(17),
                attempts: row.int4(18)?,
                created_at: row.text(19)?,
                next_round: row.text(20),
                is_snoozed: row.bool(24)?,
                is_permanent: row.bool(25)?,
                rounds: (row.int4(26)?, row.int4(27)?),
                requeued_by: row.text(28),
            })
        }),
        last_error: row.text(21).map(|at| LastError {
            at,
            message: row.text(23).or(row.text(22)).unwrap_or_default(),
        }),
    })
}

/// The facts of a target, as they are for one company's events; `None` when there is none of this name.
pub(crate) fn target(session: &Session, event: &[u8; 16]) -> Option<TargetFacts> {
    static TARGET: Statement = Statement::new(
        c"SELECT t.transport, t.paused_at::pg_catalog.text, t.pause_reason, t.installation, t.options,
                 h.state, h.reason, h.since::pg_catalog.text
            FROM tms.event_outbox e
            JOIN tms.targets t ON t.name OPERATOR(pg_catalog.=) e.target_system
            LEFT JOIN LATERAL (
                 SELECT s.* FROM tms.target_health s
                  WHERE s.target OPERATOR(pg_catalog.=) t.name AND s.state OPERATOR(pg_catalog.<>) 'active'
                    AND (s.company_id IS NULL OR s.company_id OPERATOR(pg_catalog.=) e.company_id)
                  ORDER BY s.company_id NULLS LAST LIMIT 1) h ON true
           WHERE e.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID],
    );
    let rows = session.run(&TARGET, &[Arg::Uuid(event)], 0);
    let row = rows.first()?;
    let options = jsonb::value(row.datum(5)?)?;
    let option = |name: &str| options.get(name);
    Some(TargetFacts {
        transport: row.text(1)?,
        paused_at: row.text(2),
        pause_reason: row.text(3),
        installation: row.text(4)?,
        skips_dead: option("on_dead").and_then(|value| value.as_str()) == Some("skip"),
        per_second: option("rate_per_second").and_then(serde_json::Value::as_f64),
        health: row
            .text(6)
            .and_then(|state| Some((state, row.text(7), row.text(8)?))),
    })
}

/// What a cancellation found.
pub(crate) enum Cancelled {
    /// It was waiting, and is not any more.
    Now,
    /// It was delivered or cancelled before.
    TooLate,
    /// There is no such event, or it is not the caller's.
    Unknown,
}

/// Takes an event out of the queue, and closes its dead letter.
pub(crate) fn cancel(
    session: &Session,
    id: &[u8; 16],
    scope: Scope,
    (reason, actor): (&str, u32),
    now: i64,
) -> Cancelled {
    static CANCEL: Statement = Statement::new(
        c"UPDATE tms.event_outbox e
             SET processed_at = $4, cancelled_at = $4, updated_at = $4, cancel_reason = $3, lease_token = NULL
           WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.processed_at IS NULL
             AND ($2 IS NULL OR e.company_id OPERATOR(pg_catalog.=) $2)",
        &[UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID],
    );
    static EXISTS: Statement = Statement::new(
        c"SELECT 1 FROM tms.event_outbox e
           WHERE e.id OPERATOR(pg_catalog.=) $1 AND ($2 IS NULL OR e.company_id OPERATOR(pg_catalog.=) $2)",
        &[UUIDOID, UUIDOID],
    );
    let values = [Arg::Uuid(id), scope.arg(), Arg::Text(reason), Arg::Timestamp(now)];
    if session.run(&CANCEL, &values, 0).count() > 0 {
        if let Some(letter) = hands::cancelled(session, id, actor, now) {
            let deed = Deed {
                act: Act::Cancel,
                actor,
                reason: Some(reason),
                detail: None,
            };
            acts::note(session, &[letter], &deed);
        }
        Cancelled::Now
    } else if session.run(&EXISTS, &[Arg::Uuid(id), scope.arg()], 0).count() > 0 {
        Cancelled::TooLate
    } else {
        Cancelled::Unknown
    }
}
