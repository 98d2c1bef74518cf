//! Events in the hands of consumers: found by the token of their lease, and by the company that may speak for them.

use pgrx::pg_sys::{INT4OID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};

use crate::pg::spi::{Arg, Session, Statement};

// The statements below say "not processed" by COALESCE on purpose: `processed_at IS NULL` would prove the predicate of
// event_outbox_due, and walking all of that index for a few tokens looks cheap to a planner without statistics.

/// Whose events a caller may act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of one company.
    Company([u8; 16]),
    /// Every event: a role of the platform.
    Everything,
}

impl Scope {
    /// The company as a parameter; NULL for everything.
    pub(crate) fn arg(&self) -> Arg<'_> {
        match self {
            Scope::Company(company) => Arg::Uuid(company),
            Scope::Everything => Arg::Null,
        }
    }
}

/// An event under a lease, locked by this transaction.
pub(crate) struct Held {
    pub(crate) id: [u8; 16],
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) target: String,
    pub(crate) retry_count: i32,
    pub(crate) max_retries: i32,
    pub(crate) leased_at: i64,
}

/// Locks the undelivered events that these leases stand for, also those that ran out and were not handed out again.
pub(crate) fn lock(session: &Session, tokens: &[[u8; 16]], scope: Scope) -> Vec<Held> {
    static LOCK: Statement = Statement::new(
        c"SELECT e.id, e.company_id, e.target_system, e.retry_count, e.max_retries, e.updated_at
            FROM tms.event_outbox e
           WHERE e.lease_token OPERATOR(pg_catalog.=) ANY ($1) AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'
             AND ($2 IS NULL OR e.company_id OPERATOR(pg_catalog.=) $2)
             FOR NO KEY UPDATE OF e",
        &[UUIDARRAYOID, UUIDOID],
    );
    let rows = session.run(&LOCK, &[Arg::UuidArray(tokens), scope.arg()], 0);
    rows.iter()
        .filter_map(|row| {
            Some(Held {
                id: row.uuid(1)?,
                company: row.uuid(2),
                target: row.text(3)?,
                retry_count: row.int4(4)?,
                max_retries: row.int4(5)?,
                leased_at: row.int8(6)?,
            })
        })
        .collect()
}

/// Marks the events of these leases as delivered; how many there were.
pub(crate) fn complete(session: &Session, tokens: &[[u8; 16]], scope: Scope, now: i64) -> usize {
    static COMPLETE: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET processed_at = $3, updated_at = $3, lease_token = NULL
           WHERE e.lease_token OPERATOR(pg_catalog.=) ANY ($1) AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'
             AND ($2 IS NULL OR e.company_id OPERATOR(pg_catalog.=) $2)",
        &[UUIDARRAYOID, UUIDOID, TIMESTAMPTZOID],
    );
    session
        .run(
            &COMPLETE,
            &[Arg::UuidArray(tokens), scope.arg(), Arg::Timestamp(now)],
            0,
        )
        .count()
}

/// Ends the lease of an event: it is due at `available_at`, or with infinity in the hands of its dead letter.
pub(crate) fn give_back(session: &Session, id: &[u8; 16], available_at: i64, retries: i32, now: i64) {
    static GIVE_BACK: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET available_at = $2, retry_count = $3, updated_at = $4, lease_token = NULL
           WHERE e.id OPERATOR(pg_catalog.=) $1
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID],
    );
    session.run(
        &GIVE_BACK,
        &[
            Arg::Uuid(id),
            Arg::Timestamp(available_at),
            Arg::Int4(retries),
            Arg::Timestamp(now),
        ],
        0,
    );
}

/// Ends leases that ran out for the last time: their dead letters have the events from now on.
pub(crate) fn bury(session: &Session, ids: &[[u8; 16]], now: i64) {
    static BURY: Statement = Statement::new(
        c"UPDATE tms.event_outbox e SET available_at = 'infinity', updated_at = $2, lease_token = NULL
           WHERE e.id OPERATOR(pg_catalog.=) ANY ($1)
             AND COALESCE(e.processed_at, 'infinity') OPERATOR(pg_catalog.=) 'infinity'",
        &[UUIDARRAYOID, TIMESTAMPTZOID],
    );
    session.run(&BURY, &[Arg::UuidArray(ids), Arg::Timestamp(now)], 0);
}
