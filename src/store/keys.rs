//! `tms.idempotency_keys`: which event a producer's key stands for.

use pgrx::pg_sys::{INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use crate::pg::spi::{Arg, Session, Statement};

/// Uses a key for `event`: `None` when it was free, else the event that it stands for.
///
/// A concurrent user of the key is waited for; in REPEATABLE READ and above the loser gets 40001 from PostgreSQL, because it could
/// not see the winner's event. A key older than `horizon` is free again.
pub(crate) fn claim(
    session: &Session,
    target: &str,
    company: Option<&[u8; 16]>,
    key: &str,
    event: &[u8; 16],
    horizon: i64,
) -> Option<[u8; 16]> {
    static CLAIM: Statement = Statement::new(
        c"INSERT INTO tms.idempotency_keys AS k (target_system, company_id, key, event_id) VALUES ($1, $2, $3, $4)
          ON CONFLICT (target_system, key, company_id) DO UPDATE
              SET event_id = EXCLUDED.event_id, created_at = EXCLUDED.created_at
              WHERE k.created_at OPERATOR(pg_catalog.<) $5
          RETURNING k.event_id",
        &[TEXTOID, UUIDOID, TEXTOID, UUIDOID, TIMESTAMPTZOID],
    );
    static HOLDER: Statement = Statement::new(
        c"SELECT k.event_id FROM tms.idempotency_keys k
           WHERE k.target_system OPERATOR(pg_catalog.=) $1 AND k.key OPERATOR(pg_catalog.=) $3
             AND (k.company_id OPERATOR(pg_catalog.=) $2 OR (k.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID, TEXTOID],
    );
    let company = || company.map_or(Arg::Null, Arg::Uuid);
    loop {
        let claimed = session.run(
            &CLAIM,
            &[
                Arg::Text(target),
                company(),
                Arg::Text(key),
                Arg::Uuid(event),
                Arg::Timestamp(horizon),
            ],
            0,
        );
        if claimed.count() > 0 {
            return None;
        }
        let holder = session.read_latest(&HOLDER, &[Arg::Text(target), company(), Arg::Text(key)]);
        if let Some(event) = holder.first().and_then(|row| row.uuid(1)) {
            return Some(event);
        }
        // The scheduler removed it in between: the key is free again.
    }
}

/// Removes keys that were used before `horizon`; true when there may be more.
pub(crate) fn purge(session: &Session, horizon: i64, batch: i64) -> bool {
    static PURGE: Statement = Statement::new(
        c"DELETE FROM tms.idempotency_keys k WHERE k.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
              SELECT o.ctid FROM tms.idempotency_keys o WHERE o.created_at OPERATOR(pg_catalog.<) $1
               ORDER BY o.created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        &[TIMESTAMPTZOID, INT8OID],
    );
    let purged = session.run(&PURGE, &[Arg::Timestamp(horizon), Arg::Int8(batch)], 0);
    i64::try_from(purged.count()).is_ok_and(|count| count >= batch)
}
