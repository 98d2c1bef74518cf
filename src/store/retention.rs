//! What leaves by age: delivered events and old attempts, in batches, without a sort and without an index of their own.
//!
//! Both tables are walked in the order of their primary key, which is the order of time: an event's id begins with the
//! millisecond it was made in. A batch begins where the one before it ended, so rows that must stay (undelivered ones, those
//! with an open dead letter) are looked at once a walk and not once a batch.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID, UUIDOID};

use crate::pg::server::PG_EPOCH_US;
use crate::pg::spi::{self, Arg, Statement};

/// Where each walk has come to.
#[derive(Default)]
pub(crate) struct Purge {
    events_behind: [u8; 16],
    attempts_behind: i64,
}

impl Purge {
    /// Removes delivered events older than `age`; true when the walk is not at its end.
    pub(crate) fn events(&mut self, now: i64, age: i64, batch: i64) -> bool {
        static PURGE: Statement = Statement::new(
            c"WITH batch AS (
                  SELECT e.id, e.processed_at FROM tms.event_outbox e
                   WHERE e.id OPERATOR(pg_catalog.>) $1 AND e.id OPERATOR(pg_catalog.<) $2
                   ORDER BY e.id LIMIT $4),
              gone AS (
                  DELETE FROM tms.event_outbox o USING batch b
                   WHERE o.id OPERATOR(pg_catalog.=) b.id AND o.processed_at OPERATOR(pg_catalog.<) $3
                     AND NOT EXISTS (SELECT 1 FROM tms.dead_letter_queue l
                                      WHERE l.original_event_id OPERATOR(pg_catalog.=) o.id AND l.closed_at IS NULL))
              SELECT b.id FROM batch b ORDER BY b.id DESC LIMIT 1",
            &[UUIDOID, UUIDOID, TIMESTAMPTZOID, INT8OID],
        );
        let horizon = now.saturating_sub(age);
        // An id made at the horizon, with zeros where chance would be.
        let unix_us = u64::try_from(horizon.saturating_add(PG_EPOCH_US)).unwrap_or(0);
        let end = tms_domain::event_id::v7_bytes(unix_us, [0; 8]);
        let last = spi::connect(|session| {
            session
                .run(
                    &PURGE,
                    &[
                        Arg::Uuid(&self.events_behind),
                        Arg::Uuid(&end),
                        Arg::Timestamp(horizon),
                        Arg::Int8(batch),
                    ],
                    0,
                )
                .first()
                .and_then(|row| row.uuid(1))
        });
        self.events_behind = last.unwrap_or_default();
        last.is_some()
    }

    /// Removes attempts older than `age`; true when the walk is not at its end.
    pub(crate) fn attempts(&mut self, now: i64, age: i64, batch: i64) -> bool {
        static PURGE: Statement = Statement::new(
            c"WITH batch AS (
                  SELECT a.id, a.started_at FROM tms.delivery_attempts a
                   WHERE a.id OPERATOR(pg_catalog.>) $1 ORDER BY a.id LIMIT $3),
              gone AS (
                  DELETE FROM tms.delivery_attempts o USING batch b
                   WHERE o.id OPERATOR(pg_catalog.=) b.id AND b.started_at OPERATOR(pg_catalog.<) $2)
              SELECT b.id, b.started_at OPERATOR(pg_catalog.<) $2 FROM batch b ORDER BY b.id DESC LIMIT 1",
            &[INT8OID, TIMESTAMPTZOID, INT8OID],
        );
        let horizon = now.saturating_sub(age);
        let (last, old) = spi::connect(|session| {
            let rows = session.run(
                &PURGE,
                &[
                    Arg::Int8(self.attempts_behind),
                    Arg::Timestamp(horizon),
                    Arg::Int8(batch),
                ],
                0,
            );
            let row = rows.first();
            (
                row.as_ref().and_then(|row| row.int8(1)),
                row.and_then(|row| row.bool(2)).unwrap_or(false),
            )
        });
        // Ids are in the order of time but for sequence caches, so the walk ends with the first batch that is young.
        self.attempts_behind = last.filter(|_| old).unwrap_or(0);
        old
    }
}
