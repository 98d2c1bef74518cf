//! A server with one database, a receiver that is well, and receivers that are not.

use std::sync::Arc;
use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::cluster::{Builder, Cluster};
use tms_e2e::ledger::Ledger;
use tms_e2e::load::{Load, Running};
use tms_e2e::peer::{Peer, RawReceiver};
use tms_e2e::receiver::Receiver;
use tms_e2e::wait::{eventually, eventually_eq};

use crate::cases::Behaviour;

pub const DATABASE: &str = "freight";
pub const GOOD: &str = "good";

/// For what takes a moment on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    pub cluster: Cluster,
    pub good: Receiver,
}

impl Stage {
    pub fn set(builder: Builder) -> Self {
        let cluster = builder.start();
        let good = Receiver::start();
        cluster.create_database_with_tms(DATABASE);
        cluster.set_http_target(DATABASE, GOOD, &good.url(), json!({}));
        Self { cluster, good }
    }

    /// A receiver that serves its connections so, as a target of this name.
    pub fn hostile(&self, target: &str, options: Value, behaviour: Behaviour) -> RawReceiver {
        let receiver = RawReceiver::start(move |stream| behaviour(Peer::over(stream)));
        self.target_at(target, receiver.port(), options);
        receiver
    }

    pub fn target_at(&self, target: &str, port: u16, options: Value) {
        let url = format!("http://127.0.0.1:{port}/hook");
        self.cluster.set_http_target(DATABASE, target, &url, options);
    }

    pub fn client(&self) -> Client {
        self.cluster.client(DATABASE)
    }

    /// Enqueues so many events, each with a text of this many bytes in its payload.
    pub fn enqueue(&self, target: &str, count: i32, bytes: i32, max_retries: i32) {
        let ask = "SELECT tms_enqueue('load.moved', jsonb_build_object('text', repeat('x', $1)), $2, max_retries => $3) \
                   FROM generate_series(1, $4)";
        let enqueued = self
            .client()
            .execute(ask, &[&bytes, &target, &max_retries, &count]);
        enqueued.unwrap_or_else(|error| panic!("{target}: {error:?}"));
    }

    /// A steady load of the good target.
    pub fn load(&self, ledger: &Arc<Ledger>) -> Running {
        let load = Load::on(self.cluster.config("postgres", DATABASE)).target(GOOD);
        load.rate(300.0).producers(1).start(ledger.clone())
    }

    #[track_caller]
    pub fn count(&self, what: &str) -> i64 {
        let ask = format!("SELECT count(*) FROM {what}");
        match self.client().query_one(&ask, &[]) {
            Ok(row) => row.get(0),
            Err(error) => panic!("{ask}: {error:?}"),
        }
    }

    /// Waits until every event that is not the good target's is delivered or dead.
    #[track_caller]
    pub fn wait_until_ended(&self) {
        let open = format!(
            "tms.event_outbox WHERE processed_at IS NULL AND available_at < 'infinity' AND target_system <> '{GOOD}'"
        );
        eventually_eq("events that have not come to an end", 2 * PATIENCE, 0, || {
            self.count(&open)
        });
    }

    /// Ends the load, and shows that every event of it arrived exactly once and at the first attempt.
    #[track_caller]
    pub fn settle(&self, load: Running, ledger: &Ledger) {
        load.stop();
        eventually("the rest of the good target's events", PATIENCE, || {
            match self.count(&format!(
                "tms.event_outbox WHERE processed_at IS NULL AND target_system = '{GOOD}'"
            )) {
                0 => Ok(()),
                left => Err(left),
            }
        });
        ledger.resolve(&mut self.client()).expect("the ledger");
        let verdict = ledger.check(&self.good.per_id());
        assert!(verdict.is_clean() && verdict.unknown == 0, "{verdict}");
        assert_eq!(verdict.received, verdict.committed, "{verdict}");
        assert_eq!(self.good.duplicates(), 0);
        let failed =
            format!("tms.delivery_attempts WHERE target_system = '{GOOD}' AND outcome <> 'delivered'");
        assert_eq!(self.count(&failed), 0);
    }
}
