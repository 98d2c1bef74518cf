//! What is looked at every few seconds.

use std::fmt;
use std::time::Duration;

use crate::ground::Ground;
use crate::latency::in_stats;
use crate::numbers::readable;
use crate::proc::Memory;

/// The sizes of the outbox in MB (10^6 bytes), and how many bytes of WAL were ever written.
const LOOK: &str = "SELECT pg_table_size('tms.event_outbox')::float8 / 1e6, pg_indexes_size('tms.event_outbox')::float8 / 1e6, \
     pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";

/// One sample: rates and quantiles are since the one before.
pub struct Sample {
    pub at: Duration,
    /// Events a second that arrived.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// MB.
    pub table: f64,
    pub indexes: f64,
    /// Bytes per event.
    pub wal: f64,
    /// MB.
    pub memory: f64,
}

impl Sample {
    pub const COLUMNS: [&'static str; 7] = [
        "events/s",
        "p50 ms",
        "p99 ms",
        "table MB",
        "indexes MB",
        "WAL bytes",
        "memory MB",
    ];

    /// Table and indexes together.
    pub fn size(&self) -> f64 {
        self.table + self.indexes
    }

    pub fn minutes(&self) -> f64 {
        self.at.as_secs_f64() / 60.0
    }

    pub fn row(&self) -> (String, Vec<f64>) {
        let cells = vec![
            self.rate,
            self.p50,
            self.p99,
            self.table,
            self.indexes,
            self.wal,
            self.memory,
        ];
        (format!("{:.0} s", self.at.as_secs_f64()), cells)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, cells) = self.row();
        write!(f, "{at:>6}")?;
        for (column, cell) in Self::COLUMNS.iter().zip(cells) {
            write!(f, "  {} {column}", readable(cell))?;
        }
        Ok(())
    }
}

/// Remembers what the next sample is counted from.
pub struct Sampler {
    dispatcher: i32,
    at: Duration,
    wal: f64,
}

impl Sampler {
    pub fn begin(ground: &mut Ground, dispatcher: i32) -> Self {
        ground.receiver.take();
        let wal = ground.one(LOOK).get(2);
        Self {
            dispatcher,
            at: Duration::ZERO,
            wal,
        }
    }

    /// Panics when an event came twice, or none at all.
    pub fn take(&mut self, ground: &mut Ground, at: Duration) -> Sample {
        let seen = ground.receiver.take();
        let looked = ground.one(LOOK);
        let arrived = seen["distinct"].as_u64().expect("a count") as f64;
        assert_eq!(seen["duplicates"], 0, "{seen}");
        assert!(arrived > 0.0, "nothing arrived between {:?} and {at:?}", self.at);
        let wal: f64 = looked.get(2);
        let sample = Sample {
            at,
            rate: arrived / (at - self.at).as_secs_f64(),
            p50: in_stats(&seen["latency"], "p50"),
            p99: in_stats(&seen["latency"], "p99"),
            table: looked.get(0),
            indexes: looked.get(1),
            wal: (wal - self.wal) / arrived,
            memory: Memory::of(self.dispatcher).own(),
        };
        (self.at, self.wal) = (at, wal);
        sample
    }
}
