//! `tms.delivery_attempts`: the record of what was tried.

use pgrx::pg_sys::{FLOAT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, UUIDARRAYOID};

use crate::pg::spi::{Arg, Session, Statement};

/// Attempts to record, column by column.
#[derive(Default)]
pub(crate) struct Attempts {
    pub(crate) events: Vec<[u8; 16]>,
    pub(crate) companies: Vec<Option<[u8; 16]>>,
    pub(crate) targets: Vec<Option<String>>,
    pub(crate) numbers: Vec<i32>,
    pub(crate) started: Vec<i64>,
    pub(crate) durations: Vec<f64>,
    pub(crate) statuses: Vec<Option<i32>>,
    pub(crate) outcomes: Vec<Option<String>>,
    pub(crate) error_types: Vec<Option<String>>,
    pub(crate) messages: Vec<Option<String>>,
    pub(crate) excerpts: Vec<Option<String>>,
}

/// Writes them.
pub(crate) fn insert(session: &Session, attempts: &Attempts) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.delivery_attempts
              (event_id, company_id, target_system, attempt, started_at, duration_ms, status_code, outcome, error_type,
               error_message, response_excerpt)
          SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, FLOAT8ARRAYOID, INT4ARRAYOID,
            TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
        ],
    );
    session.run(
        &INSERT,
        &[
            Arg::UuidArray(&attempts.events),
            Arg::NullableUuidArray(&attempts.companies),
            Arg::TextArray(&attempts.targets),
            Arg::Int4Array(&attempts.numbers),
            Arg::TimestampArray(&attempts.started),
            Arg::Float8Array(&attempts.durations),
            Arg::NullableInt4Array(&attempts.statuses),
            Arg::TextArray(&attempts.outcomes),
            Arg::TextArray(&attempts.error_types),
            Arg::TextArray(&attempts.messages),
            Arg::TextArray(&attempts.excerpts),
        ],
        0,
    );
}
