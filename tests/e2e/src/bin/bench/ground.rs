//! What figures stand on: a durable server with tms, a receiver, one target, and a queue to fill.
//!
//! Settings that differ from PostgreSQL's own: shared_buffers and max_wal_size, as anybody sets them; autovacuum is off
//! unless a figure asks for it, so that the outbox is never analyzed; commits wait for the disk.

use std::time::{Duration, Instant};

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::cluster::{Builder, Cluster};
use tms_e2e::wait::{Backoff, eventually};

use crate::cpu::Watched;
use crate::receiving::Receiving;

pub const DB: &str = "postgres";
pub const TARGET: &str = "n8n";
/// For a server to come up, a worker to appear, a setting to be seen.
const SOON: Duration = Duration::from_secs(60);
/// For a queue to be delivered, on a machine that others use too.
const PATIENCE: Duration = Duration::from_secs(900);
/// Largest array of payloads built at once.
const CHUNK: usize = 100_000;

pub struct Ground {
    pub client: Client,
    // In this order: the server goes before the receiver it speaks to.
    pub cluster: Cluster,
    pub receiver: Receiving,
}

/// SQL over an event's number `n` for what may differ between events of 60 bytes.
pub struct Mixture<'a> {
    pub target: &'a str,
    pub company: &'a str,
    pub ordering_key: &'a str,
    pub priority: &'a str,
}

impl Default for Mixture<'_> {
    /// Events of the platform to the target, none special.
    fn default() -> Self {
        Self {
            target: "'n8n'",
            company: "NULL",
            ordering_key: "NULL",
            priority: "0",
        }
    }
}

/// A server as the figures want it.
pub fn server() -> Builder {
    Cluster::builder()
        .durable(true)
        .conf("shared_buffers", "512MB")
        .conf("max_wal_size", "8GB")
        .conf("checkpoint_timeout", "30min")
        .conf("autovacuum", "off")
}

impl Ground {
    /// Starts everything and waits until the dispatcher serves.
    pub fn start(server: Builder, receiver_arguments: &[&str]) -> Self {
        let receiver = Receiving::start(receiver_arguments);
        let cluster = server.start();
        let mut client = cluster.client(DB);
        client
            .batch_execute("CREATE EXTENSION tms")
            .expect("CREATE EXTENSION tms");
        let mut ground = Self {
            client,
            cluster,
            receiver,
        };
        ground.connect();
        ground.wait_for_state("running");
        ground.set_target();
        ground
    }

    /// A new session, such as a restart of the server asks for. Its checks must not walk a table that has no statistics.
    pub fn connect(&mut self) {
        self.client = self.cluster.client(DB);
        self.command("SET enable_seqscan = off; SET enable_bitmapscan = off");
    }

    fn set_target(&mut self) {
        self.set_http(TARGET, json!({}));
    }

    /// An http target at the receiver, 32 requests at a time, with these options beside.
    pub fn set_http(&mut self, target: &str, options: Value) {
        let mut all = json!({
            "url": self.receiver.url(), "max_concurrency": 32, "allow_private_network": true
        });
        if let (Value::Object(all), Value::Object(options)) = (&mut all, options) {
            all.extend(options);
        }
        self.set_other(target, "http", &all);
    }

    /// A target of any transport with exactly these options.
    pub fn set_other(&mut self, target: &str, transport: &str, options: &Value) {
        self.client
            .execute(
                "SELECT tms_target_set($1, $2, $3)",
                &[&target, &transport, options],
            )
            .expect("tms_target_set");
    }

    /// Waits until the dispatcher is in this state: `running`, or `held`.
    pub fn wait_for_state(&mut self, state: &str) {
        eventually(&format!("the dispatcher is {state}"), SOON, || {
            let status = self.client.query(
                "SELECT state, pid FROM tms_worker_status() WHERE component = 'dispatcher'",
                &[],
            );
            let status = status.expect("tms_worker_status");
            let seen: Vec<(String, Option<i32>)> =
                status.iter().map(|row| (row.get(0), row.get(1))).collect();
            match &seen[..] {
                [(is, Some(_))] if is == state => Ok(()),
                _ => Err(seen),
            }
        });
    }

    /// Events are accepted and not delivered, or delivered again.
    pub fn hold(&mut self, hold: bool) {
        self.cluster.set("tms.dispatch", if hold { "hold" } else { "on" });
        self.wait_for_state(if hold { "held" } else { "running" });
    }

    pub fn pause(&mut self) {
        self.command("SELECT tms_target_pause('n8n')");
    }

    pub fn resume(&mut self) {
        self.command("SELECT tms_target_resume('n8n')");
    }

    /// Runs statements; panics with the one that fails.
    pub fn command(&mut self, sql: &str) {
        self.client
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Enqueues so many events whose bodies have so many bytes, with tms_enqueue_batch.
    pub fn fill(&mut self, events: usize, bytes: usize) {
        let sql = "SELECT cardinality(tms_enqueue_batch('load.status', array_agg(jsonb_build_object( \
                       'n', n, 'pad', repeat('x', $1))), $2)) FROM generate_series($3::bigint, $4::bigint) AS n";
        for first in (0..events).step_by(CHUNK) {
            let last = (first + CHUNK).min(events);
            let range = [first as i64, last as i64 - 1].map(|n| n + FIRST_NUMBER);
            let row = self
                .client
                .query_one(sql, &[&padding(bytes), &TARGET, &range[0], &range[1]]);
            let enqueued: i32 = row.expect("tms_enqueue_batch").get(0);
            assert_eq!(enqueued as usize, last - first, "tms_enqueue_batch");
        }
    }

    /// Inserts events that are not all of one kind.
    pub fn insert(&mut self, events: usize, mixture: &Mixture<'_>) {
        let Mixture {
            target,
            company,
            ordering_key,
            priority,
        } = mixture;
        let sql = format!(
            "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, ordering_key, priority)
             SELECT 'load.status', jsonb_build_object('n', n, 'pad', repeat('x', {})), {target}, ({company})::uuid,
                    {ordering_key}, {priority}
               FROM generate_series($1::bigint, $2::bigint) AS n",
            padding(SMALL)
        );
        for first in (0..events).step_by(CHUNK) {
            let last = (first + CHUNK).min(events);
            let range = [first as i64, last as i64 - 1].map(|n| n + FIRST_NUMBER);
            let inserted = self.client.execute(&sql, &[&range[0], &range[1]]);
            assert_eq!(inserted.expect("INSERT"), (last - first) as u64, "INSERT");
        }
    }

    /// An empty outbox that was never analyzed, and no checkpoint due soon.
    pub fn empty(&mut self) {
        self.command("TRUNCATE tms.event_outbox");
        self.command("CHECKPOINT");
        let tuples: f32 = self
            .one("SELECT reltuples FROM pg_class WHERE oid = 'tms.event_outbox'::regclass")
            .get(0);
        assert_eq!(
            tuples, -1.0,
            "the planner knows nothing of an outbox that was never analyzed"
        );
    }

    /// Lets the queue be delivered, and takes the time from the resume to the last row that has processed_at and the last
    /// event that has arrived. It panics when something was delivered twice: no process was killed.
    pub fn time_delivery(&mut self, events: usize) -> Duration {
        self.time(events, "target_system = 'n8n'", Self::resume)
    }

    /// The same from a `beginning` of the caller's, and for the rows that `which` says.
    pub fn time(&mut self, events: usize, which: &str, beginning: impl FnOnce(&mut Self)) -> Duration {
        self.receiver.reset();
        let began = Instant::now();
        beginning(self);
        self.wait_for_arrival(events);
        self.wait_until_processed(which);
        let took = began.elapsed();
        let stats = self.receiver.stats();
        assert_eq!(stats["duplicates"], 0, "{stats}");
        took
    }

    /// Waits until every row that `which` says has processed_at.
    pub fn wait_until_processed(&mut self, which: &str) {
        let open =
            format!("SELECT EXISTS (SELECT FROM tms.event_outbox WHERE {which} AND processed_at IS NULL)");
        eventually("every row has processed_at", PATIENCE, || {
            let still_open: bool = self.one(&open).get(0);
            (!still_open).then_some(())
        });
    }

    /// Waits until so many different events have arrived since the receiver's last reset.
    pub fn wait_for_arrival(&mut self, events: usize) {
        let end = Instant::now() + PATIENCE;
        let mut backoff = Backoff::default();
        loop {
            let seen = self.receiver.distinct();
            if seen >= events {
                break;
            }
            assert!(
                Instant::now() < end,
                "{seen} of {events} arrived within {PATIENCE:?}"
            );
            // Growing pauses suit a long wait; near its end short ones do.
            if events - seen < 2_000 {
                backoff = Backoff::default();
            }
            backoff.pause();
        }
    }

    pub fn one(&mut self, sql: &str) -> postgres::Row {
        self.client
            .query_one(sql, &[])
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    pub fn dispatcher(&self) -> i32 {
        self.cluster
            .worker_pid(DB, "tms dispatcher")
            .expect("a dispatcher")
    }

    pub fn watched(&self) -> Watched {
        Watched {
            postmaster: self.cluster.postmaster_pid(),
            dispatcher: self.dispatcher(),
            receiver: self.receiver.pid(),
        }
    }
}

/// Bytes of the smaller bodies.
pub const SMALL: usize = 60;
/// Numbers of seven digits make bodies of one length.
const FIRST_NUMBER: i64 = 1_000_000;

/// How much padding makes a body of so many bytes.
fn padding(bytes: usize) -> i32 {
    (bytes - body(0).len()) as i32
}

fn body(padding: usize) -> String {
    format!(r#"{{"n": {FIRST_NUMBER}, "pad": "{}"}}"#, "x".repeat(padding))
}

/// The payload of figures that send the same one again and again.
pub fn small_payload() -> Value {
    json!({"load": "L-4711", "stop": 3, "status": "arrived", "by": "c-17"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_size_that_is_asked_for() {
        for bytes in [60, 1_000] {
            assert_eq!(body(padding(bytes) as usize).len(), bytes);
        }
    }
}
