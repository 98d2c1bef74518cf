//! `tms.event_outbox` for producers: new rows, one by one and in batches.

use pgrx::pg_sys::{
    self, INT4OID, JSONBARRAYOID, JSONBOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID,
};

use crate::pg::spi::{Arg, Session, Statement};

/// An event on its way in. Its values are handed through unread: the trigger looks at them.
pub(crate) struct NewEvent<'a> {
    pub(crate) id: [u8; 16],
    pub(crate) event_type: pg_sys::Datum,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) target: pg_sys::Datum,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) priority: i32,
    pub(crate) available_at: i64,
    pub(crate) max_retries: i32,
    pub(crate) headers: Option<pg_sys::Datum>,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) ordering_key: Option<pg_sys::Datum>,
}

/// Inserts one event.
pub(crate) fn insert(session: &Session, event: &NewEvent<'_>) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.event_outbox
              (id, event_type, payload, target_system, company_id, priority, available_at, max_retries, headers)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[UUIDOID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, INT4OID, TIMESTAMPTZOID, INT4OID, JSONBOID],
    );
    static INSERT_WITH_KEYS: Statement = Statement::new(
        c"INSERT INTO tms.event_outbox
              (id, event_type, payload, target_system, company_id, priority, available_at, max_retries, headers,
               idempotency_key, ordering_key)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            UUIDOID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, INT4OID, TIMESTAMPTZOID, INT4OID, JSONBOID, TEXTOID, TEXTOID,
        ],
    );
    let args = [
        Arg::Uuid(&event.id),
        Arg::Datum(event.event_type),
        Arg::Datum(event.payload),
        Arg::Datum(event.target),
        event.company.as_ref().map_or(Arg::Null, Arg::Uuid),
        Arg::Int4(event.priority),
        Arg::Timestamp(event.available_at),
        Arg::Int4(event.max_retries),
        event.headers.map_or(Arg::Null, Arg::Datum),
        event.idempotency_key.map_or(Arg::Null, Arg::Text),
        event.ordering_key.map_or(Arg::Null, Arg::Datum),
    ];
    if event.idempotency_key.is_some() || event.ordering_key.is_some() {
        session.run(&INSERT_WITH_KEYS, &args, 0);
    } else {
        session.run(&INSERT, &args[..9], 0);
    }
}

/// Events of one type for one target, one a payload.
pub(crate) struct NewBatch<'a> {
    pub(crate) ids: &'a [[u8; 16]],
    pub(crate) event_type: &'a str,
    /// `jsonb[]`.
    pub(crate) payloads: pg_sys::Datum,
    pub(crate) target: &'a str,
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) max_retries: i32,
    /// `text[]`, as many as payloads.
    pub(crate) ordering_keys: Option<pg_sys::Datum>,
}

/// Inserts one event for each payload, in their order.
pub(crate) fn insert_batch(session: &Session, batch: &NewBatch<'_>) {
    // A list of arguments makes unnest() the server's own whatever the search_path: it is expanded while parsing.
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.event_outbox (id, event_type, payload, target_system, company_id, max_retries)
          SELECT u.id, $2, u.payload, $4, $5, $6 FROM unnest($1, $3) AS u (id, payload)",
        &[UUIDARRAYOID, TEXTOID, JSONBARRAYOID, TEXTOID, UUIDOID, INT4OID],
    );
    static INSERT_ORDERED: Statement = Statement::new(
        c"INSERT INTO tms.event_outbox (id, event_type, payload, target_system, company_id, max_retries, ordering_key)
          SELECT u.id, $2, u.payload, $4, $5, $6, u.ordering_key FROM unnest($1, $3, $7) AS u (id, payload, ordering_key)",
        &[UUIDARRAYOID, TEXTOID, JSONBARRAYOID, TEXTOID, UUIDOID, INT4OID, TEXTARRAYOID],
    );
    let args = [
        Arg::UuidArray(batch.ids),
        Arg::Text(batch.event_type),
        Arg::Datum(batch.payloads),
        Arg::Text(batch.target),
        batch.company.as_ref().map_or(Arg::Null, Arg::Uuid),
        Arg::Int4(batch.max_retries),
        batch.ordering_keys.map_or(Arg::Null, Arg::Datum),
    ];
    match batch.ordering_keys {
        None => session.run(&INSERT, &args[..6], 0),
        Some(_) => session.run(&INSERT_ORDERED, &args, 0),
    };
}
