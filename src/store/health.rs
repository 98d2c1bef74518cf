//! `tms.target_health` and `tms.target_load`: what the dispatcher knows of its targets, for people to see.

use pgrx::pg_sys::{FLOAT8OID, INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use crate::pg::spi::{Arg, Session, Statement};

/// A target's state.
#[derive(Clone, PartialEq)]
pub(crate) struct Health {
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
}

/// What passes through a target.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct Load {
    pub(crate) in_flight: i32,
    pub(crate) per_second: f64,
    /// Median, 95th and 99th percentile of durations, in milliseconds.
    pub(crate) quantiles_ms: Option<[f64; 3]>,
    pub(crate) delivered: i64,
    pub(crate) failed: i64,
    pub(crate) last_error: Option<(i64, String)>,
}

/// Writes a target's state.
pub(crate) fn set_health(
    session: &Session,
    target: &str,
    company: Option<&[u8; 16]>,
    health: &Health,
    now: i64,
) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.target_health AS h (target, company_id, state, reason, since) VALUES ($1, $2, $3, $4, $5)
          ON CONFLICT (target, company_id) DO UPDATE
              SET state = EXCLUDED.state, reason = EXCLUDED.reason,
                  since = CASE WHEN h.state OPERATOR(pg_catalog.=) EXCLUDED.state THEN h.since ELSE EXCLUDED.since END",
        &[TEXTOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID],
    );
    session.run(
        &SET,
        &[
            Arg::Text(target),
            company.map_or(Arg::Null, Arg::Uuid),
            Arg::Text(health.state),
            health.reason.as_deref().map_or(Arg::Null, Arg::Text),
            Arg::Timestamp(now),
        ],
        0,
    );
}

/// Writes a target's figures.
pub(crate) fn set_load(session: &Session, target: &str, company: Option<&[u8; 16]>, load: &Load, now: i64) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.target_load (target, company_id, in_flight, per_second, p50_ms, p95_ms, p99_ms, delivered, failed,
                                       last_error, last_error_at, updated_at)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
          ON CONFLICT (target, company_id) DO UPDATE
              SET in_flight = EXCLUDED.in_flight, per_second = EXCLUDED.per_second, p50_ms = EXCLUDED.p50_ms,
                  p95_ms = EXCLUDED.p95_ms, p99_ms = EXCLUDED.p99_ms, delivered = EXCLUDED.delivered,
                  failed = EXCLUDED.failed, last_error = EXCLUDED.last_error, last_error_at = EXCLUDED.last_error_at,
                  updated_at = EXCLUDED.updated_at",
        &[
            TEXTOID, UUIDOID, INT4OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, INT8OID, INT8OID, TEXTOID,
            TIMESTAMPTZOID, TIMESTAMPTZOID,
        ],
    );
    let quantile = |index: usize| {
        load.quantiles_ms
            .map_or(Arg::Null, |quantiles| Arg::Float8(quantiles[index]))
    };
    let (error_at, error) = match &load.last_error {
        Some((at, message)) => (Arg::Timestamp(*at), Arg::Text(message)),
        None => (Arg::Null, Arg::Null),
    };
    session.run(
        &SET,
        &[
            Arg::Text(target),
            company.map_or(Arg::Null, Arg::Uuid),
            Arg::Int4(load.in_flight),
            Arg::Float8(load.per_second),
            quantile(0),
            quantile(1),
            quantile(2),
            Arg::Int8(load.delivered),
            Arg::Int8(load.failed),
            error,
            error_at,
            Arg::Timestamp(now),
        ],
        0,
    );
}
