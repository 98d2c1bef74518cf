//! `tms.dead_letter_queue`: one row for each event that is given up.

use pgrx::pg_sys::{BOOLARRAYOID, INT4ARRAYOID, TEXTARRAYOID, UUIDARRAYOID};

use crate::pg::spi::{Arg, Session, Statement};

/// Letters to write, column by column.
#[derive(Default)]
pub(crate) struct Letters {
    pub(crate) events: Vec<[u8; 16]>,
    pub(crate) error_types: Vec<Option<String>>,
    pub(crate) messages: Vec<Option<String>>,
    pub(crate) attempts: Vec<i32>,
    pub(crate) permanent: Vec<bool>,
}

/// Writes a letter for each event that is still undelivered; company, target and type are the event's own.
pub(crate) fn insert(session: &Session, letters: &Letters) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.dead_letter_queue
              (original_event_id, company_id, target_system, event_type, error_type, error_message, attempts, permanent)
          SELECT e.id, e.company_id, e.target_system, e.event_type, u.error_type, u.message, u.attempts, u.permanent
            FROM unnest($1, $2, $3, $4, $5) AS u (id, error_type, message, attempts, permanent)
            JOIN tms.event_outbox e ON e.id OPERATOR(pg_catalog.=) u.id
           WHERE COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, BOOLARRAYOID],
    );
    session.run(
        &INSERT,
        &[
            Arg::UuidArray(&letters.events),
            Arg::TextArray(&letters.error_types),
            Arg::TextArray(&letters.messages),
            Arg::Int4Array(&letters.attempts),
            Arg::BoolArray(&letters.permanent),
        ],
        0,
    );
}
