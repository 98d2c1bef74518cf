//! `tms.webhook_sources`, their secrets, and the receipts of what they sent.

use pgrx::pg_sys::{self, BOOLOID, INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use tms_domain::signature::Key;

use crate::pg::spi::{self, Arg, Session, Statement};
use crate::pg::{call, jsonb};

/// A source as a verification needs it.
pub(crate) struct Source {
    pub(crate) id: [u8; 16],
    pub(crate) tolerance_seconds: i32,
    pub(crate) dedupe_seconds: i32,
    pub(crate) keys: Vec<Key>,
}

/// The source of this name that belongs to the company, or to the platform.
pub(crate) fn find(name: &str, company: Option<[u8; 16]>) -> Option<Source> {
    static FIND: Statement = Statement::new(
        c"SELECT s.id, s.tolerance_seconds, s.dedupe_seconds, k.keys
            FROM tms.webhook_sources s JOIN tms.webhook_source_secrets k ON k.source OPERATOR(pg_catalog.=) s.id
           WHERE s.name OPERATOR(pg_catalog.=) $1
             AND (s.company_id OPERATOR(pg_catalog.=) $2 OR (s.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID],
    );
    let company = company.as_ref().map_or(Arg::Null, Arg::Uuid);
    spi::connect(|session| {
        let rows = session.run(&FIND, &[Arg::Text(name), company], 1);
        let row = rows.first()?;
        Some(Source {
            id: row.uuid(1)?,
            tolerance_seconds: row.int4(2)?,
            dedupe_seconds: row.int4(3)?,
            keys: keys_of(row.datum(4)?),
        })
    })
}

/// What is no key any more opens nothing.
fn keys_of(stored: pg_sys::Datum) -> Vec<Key> {
    let stored = jsonb::value(stored).unwrap_or_default();
    let texts = stored.as_array().into_iter().flatten();
    texts.filter_map(|text| Key::parse(text.as_str()?).ok()).collect()
}

/// Creates a source or replaces its options, and its secrets where keys are given; false when it is left without any.
pub(crate) fn set(
    name: &str,
    company: Option<[u8; 16]>,
    tolerance_seconds: i32,
    dedupe_seconds: i32,
    keys: Option<&[Key]>,
) -> bool {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.webhook_sources AS s (name, company_id, tolerance_seconds, dedupe_seconds) VALUES ($1, $2, $3, $4)
          ON CONFLICT ON CONSTRAINT webhook_sources_name DO UPDATE SET
              tolerance_seconds = EXCLUDED.tolerance_seconds, dedupe_seconds = EXCLUDED.dedupe_seconds,
              updated_at = pg_catalog.now()
          RETURNING s.id",
        &[TEXTOID, UUIDOID, INT4OID, INT4OID],
    );
    let args = [
        Arg::Text(name),
        company.as_ref().map_or(Arg::Null, Arg::Uuid),
        Arg::Int4(tolerance_seconds),
        Arg::Int4(dedupe_seconds),
    ];
    spi::connect(|session| {
        let source = session.run(&SET, &args, 0).first().and_then(|row| row.uuid(1));
        source.is_some_and(|source| match keys {
            Some(keys) => set_keys(session, &source, keys),
            None => has_keys(session, &source),
        })
    })
}

fn set_keys(session: &Session, source: &[u8; 16], keys: &[Key]) -> bool {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.webhook_source_secrets (source, keys) VALUES ($1, $2::pg_catalog.jsonb)
          ON CONFLICT (source) DO UPDATE SET keys = EXCLUDED.keys",
        &[UUIDOID, TEXTOID],
    );
    let keys: serde_json::Value = keys.iter().map(Key::to_text).collect();
    let args = [Arg::Uuid(source), Arg::Text(&keys.to_string())];
    session.run(&SET, &args, 0).count() > 0
}

fn has_keys(session: &Session, source: &[u8; 16]) -> bool {
    static HAS: Statement = Statement::new(
        c"SELECT 1 FROM tms.webhook_source_secrets k WHERE k.source OPERATOR(pg_catalog.=) $1",
        &[UUIDOID],
    );
    session.run(&HAS, &[Arg::Uuid(source)], 1).count() > 0
}

/// Files the receipt of a message; false when it has one that still counts. Of calls at the same time exactly one gets true:
/// the others wait for its transaction to end.
pub(crate) fn receive(source: &[u8; 16], webhook_id: &str, now: i64, expires_at: i64) -> bool {
    static RECEIVE: Statement = Statement::new(
        c"INSERT INTO tms.webhook_receipts AS r (source, webhook_id, received_at, expires_at) VALUES ($1, $2, $3, $4)
          ON CONFLICT (source, webhook_id) DO UPDATE
             SET received_at = EXCLUDED.received_at, expires_at = EXCLUDED.expires_at
           WHERE r.expires_at OPERATOR(pg_catalog.<) EXCLUDED.received_at",
        &[UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID],
    );
    let args = [
        Arg::Uuid(source),
        Arg::Text(webhook_id),
        Arg::Timestamp(now),
        Arg::Timestamp(expires_at),
    ];
    spi::connect(|session| session.run(&RECEIVE, &args, 0).count()) > 0
}

/// Removes receipts that no longer count; true when there may be more.
pub(crate) fn purge(now: i64, batch: i64) -> bool {
    // Rows that are locked are being received again: they are left to the next round instead of waited for.
    static PURGE: Statement = Statement::new(
        c"WITH batch AS (
              SELECT r.source, r.webhook_id FROM tms.webhook_receipts r
               WHERE r.expires_at OPERATOR(pg_catalog.<) $1
               ORDER BY r.expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
          DELETE FROM tms.webhook_receipts o USING batch b
           WHERE o.source OPERATOR(pg_catalog.=) b.source AND o.webhook_id OPERATOR(pg_catalog.=) b.webhook_id",
        &[TIMESTAMPTZOID, INT8OID],
    );
    let args = [Arg::Timestamp(now), Arg::Int8(batch)];
    let removed = spi::connect(|session| session.run(&PURGE, &args, 0).count());
    i64::try_from(removed).is_ok_and(|removed| removed >= batch)
}

/// The answer to a message that is what its sender signed; type and data as the body has them, digit for digit.
pub(crate) fn accepted(first: bool, webhook_id: &str, timestamp: i64, body: pg_sys::Datum) -> pg_sys::Datum {
    static ACCEPTED: Statement = Statement::new(
        c"SELECT pg_catalog.jsonb_build_object('valid', true, 'duplicate', NOT $1, 'id', $2, 'timestamp', $3)
                 OPERATOR(pg_catalog.||)
                 CASE WHEN pg_catalog.jsonb_typeof(b.body OPERATOR(pg_catalog.->) 'type') OPERATOR(pg_catalog.=) 'string'
                      THEN pg_catalog.jsonb_build_object('type', b.body OPERATOR(pg_catalog.->) 'type')
                      ELSE '{}'::pg_catalog.jsonb END
                 OPERATOR(pg_catalog.||)
                 CASE WHEN pg_catalog.jsonb_typeof(b.body) OPERATOR(pg_catalog.=) 'object'
                       AND b.body OPERATOR(pg_catalog.?) 'data'
                      THEN pg_catalog.jsonb_build_object('data', b.body OPERATOR(pg_catalog.->) 'data')
                      ELSE '{}'::pg_catalog.jsonb END
            FROM tms.jsonb_or_null($4) AS b (body)",
        &[BOOLOID, TEXTOID, INT8OID, TEXTOID],
    );
    let args = [
        Arg::Bool(first),
        Arg::Text(webhook_id),
        Arg::Int8(timestamp),
        Arg::Datum(body),
    ];
    answer(&ACCEPTED, &args)
}

/// The answer to anything else.
pub(crate) fn refused(reason: &str) -> pg_sys::Datum {
    static REFUSED: Statement = Statement::new(
        c"SELECT pg_catalog.jsonb_build_object('valid', false, 'reason', $1)",
        &[TEXTOID],
    );
    answer(&REFUSED, &[Arg::Text(reason)])
}

fn answer(statement: &Statement, args: &[Arg<'_>]) -> pg_sys::Datum {
    spi::connect(|session| {
        let rows = session.run(statement, args, 1);
        match rows.first().and_then(|row| row.datum(1)) {
            Some(answer) => call::carry_out(session, answer),
            None => pgrx::error!("a statement of tms answered nothing"),
        }
    })
}
