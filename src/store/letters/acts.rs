//! `tms.dead_letter_acts`: what was done with letters, one row a letter and act.

use pgrx::pg_sys::{OIDOID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};

use crate::pg::jsonb;
use crate::pg::spi::{Arg, Session, Statement};

/// What a person did.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Retry,
    Replay,
    Snooze,
    Discard,
    Cancel,
}

impl Act {
    fn as_str(self) -> &'static str {
        match self {
            Act::Retry => "retry",
            Act::Replay => "replay",
            Act::Snooze => "snooze",
            Act::Discard => "discard",
            Act::Cancel => "cancel",
        }
    }
}

/// An act of a person on some letters.
pub(crate) struct Deed<'a> {
    pub(crate) act: Act,
    /// The role, by its OID.
    pub(crate) actor: u32,
    pub(crate) reason: Option<&'a str>,
    /// A document of ours.
    pub(crate) detail: Option<serde_json::Value>,
}

/// Writes it down for each of these letters.
pub(crate) fn note(session: &Session, letters: &[[u8; 16]], deed: &Deed<'_>) {
    static NOTE: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_acts (letter_id, company_id, act, actor, reason, detail)
          SELECT l.id, l.company_id, $2, pg_catalog.pg_get_userbyid($3), $4, COALESCE($5, '{}')
            FROM tms.dead_letter_queue l WHERE l.id OPERATOR(pg_catalog.=) ANY ($1)",
        &[UUIDARRAYOID, TEXTOID, OIDOID, TEXTOID, pgrx::pg_sys::JSONBOID],
    );
    let detail = deed
        .detail
        .as_ref()
        .map(|detail| jsonb::of_text(&detail.to_string()));
    session.run(
        &NOTE,
        &[
            Arg::UuidArray(letters),
            Arg::Text(deed.act.as_str()),
            Arg::Oid(deed.actor),
            deed.reason.map_or(Arg::Null, Arg::Text),
            detail.map_or(Arg::Null, Arg::Datum),
        ],
        0,
    );
}

/// The same, with what the event's payload was before.
pub(crate) fn note_edit(session: &Session, letter: &[u8; 16], actor: u32) {
    static NOTE: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_acts (letter_id, company_id, act, actor, former_payload)
          SELECT l.id, l.company_id, 'edit', pg_catalog.pg_get_userbyid($2), COALESCE(e.payload, t.payload)
            FROM tms.dead_letter_queue l
            LEFT JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) l.original_event_id
            LEFT JOIN tms.agent_tasks t ON t.id OPERATOR(pg_catalog.=) l.original_task_id
           WHERE l.id OPERATOR(pg_catalog.=) $1",
        &[UUIDOID, OIDOID],
    );
    session.run(&NOTE, &[Arg::Uuid(letter), Arg::Oid(actor)], 0);
}

/// These letters have begun a round by themselves.
pub(super) fn note_rounds(session: &Session, letters: &[[u8; 16]], now: i64) {
    static NOTE: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_acts (letter_id, company_id, act, at, detail)
          SELECT l.id, l.company_id, 'round', $2, pg_catalog.jsonb_build_object('round', l.rounds, 'of', l.max_retries)
            FROM tms.dead_letter_queue l WHERE l.id OPERATOR(pg_catalog.=) ANY ($1)",
        &[UUIDARRAYOID, TIMESTAMPTZOID],
    );
    session.run(&NOTE, &[Arg::UuidArray(letters), Arg::Timestamp(now)], 0);
}

/// The open letters of these events came back in vain.
pub(super) fn note_failures(session: &Session, events: &[[u8; 16]], now: i64) {
    static NOTE: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_acts (letter_id, company_id, act, at, detail)
          SELECT l.id, l.company_id, 'failed', $2,
                 pg_catalog.jsonb_build_object('error_type', l.error_type, 'error_message', l.error_message,
                                               'retry_after', l.retry_after)
            FROM tms.dead_letter_queue l
           WHERE l.original_event_id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL",
        &[UUIDARRAYOID, TIMESTAMPTZOID],
    );
    session.run(&NOTE, &[Arg::UuidArray(events), Arg::Timestamp(now)], 0);
}

/// The open letters of these tasks came back in vain.
pub(super) fn note_failures_of_tasks(session: &Session, tasks: &[[u8; 16]], now: i64) {
    static NOTE: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_acts (letter_id, company_id, act, at, detail)
          SELECT l.id, l.company_id, 'failed', $2,
                 pg_catalog.jsonb_build_object('error_type', l.error_type, 'error_message', l.error_message,
                                               'retry_after', l.retry_after)
            FROM tms.dead_letter_queue l
           WHERE l.original_task_id OPERATOR(pg_catalog.=) ANY ($1) AND l.closed_at IS NULL",
        &[UUIDARRAYOID, TIMESTAMPTZOID],
    );
    session.run(&NOTE, &[Arg::UuidArray(tasks), Arg::Timestamp(now)], 0);
}
