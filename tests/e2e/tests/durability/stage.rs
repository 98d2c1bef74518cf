//! A server with the extension in one database, and a receiver.

use std::sync::Arc;
use std::time::Duration;

use postgres::{Client, Row};
use serde_json::{Value, json};
use tms_e2e::cluster::{Builder, Cluster};
use tms_e2e::ledger::{Ledger, Verdict};
use tms_e2e::load::{Load, Running};
use tms_e2e::receiver::{Behaviour, Receiver};
use tms_e2e::wait::eventually;
use uuid::Uuid;

pub const DATABASE: &str = "freight";
pub const TARGET: &str = "n8n";

/// For what takes a moment on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    pub cluster: Cluster,
    pub receiver: Receiver,
}

impl Stage {
    /// The target is the receiver; `options` are added to it.
    pub fn set(builder: Builder, behaviour: Behaviour, options: Value) -> Self {
        let cluster = builder.start();
        let receiver = Receiver::builder().behaviour(behaviour).start();
        cluster.create_database_with_tms(DATABASE);
        cluster.set_http_target(DATABASE, TARGET, &receiver.url(), options);
        Self { cluster, receiver }
    }

    /// Another target, at a path of the same receiver; its failures are retried quickly.
    pub fn target_at(&self, target: &str, path: &str) {
        let options = json!({ "retry": { "base_ms": 20, "max_ms": 100 } });
        let url = self.receiver.url_of(path);
        self.cluster.set_http_target(DATABASE, target, &url, options);
    }

    /// Producers under way, a tenth of whose transactions roll back.
    pub fn load(&self, per_second: f64, ledger: &Arc<Ledger>) -> Running {
        let load = Load::on(self.cluster.config("postgres", DATABASE)).target(TARGET);
        load.rate(per_second).rolled_back(0.1).start(ledger.clone())
    }

    pub fn client(&self) -> Client {
        self.cluster.client(DATABASE)
    }

    /// Enqueues one event with so many retries.
    pub fn enqueue(&self, target: &str, max_retries: i32) -> Uuid {
        let ask = "SELECT tms_enqueue('load.assigned', '{\"load\": 7}', $1, max_retries => $2)";
        self.row(ask, &[&target, &max_retries]).get(0)
    }

    pub fn row(&self, ask: &str, arguments: &[&(dyn postgres::types::ToSql + Sync)]) -> Row {
        let row = self.client().query_one(ask, arguments);
        row.unwrap_or_else(|error| panic!("{ask}: {error:?}"))
    }

    pub fn count(&self, what: &str) -> i64 {
        self.row(&format!("SELECT count(*) FROM {what}"), &[]).get(0)
    }

    /// Waits until so many rows are there.
    pub fn wait_for_count(&self, what: &str, at_least: i64) {
        eventually(what, PATIENCE, || {
            let seen = self.count(what);
            if seen >= at_least { Ok(()) } else { Err(seen) }
        });
    }

    pub fn wait_until_delivered(&self, event: Uuid) {
        let ask = "SELECT processed_at IS NOT NULL FROM tms.event_outbox WHERE id = $1";
        eventually("the event is delivered", PATIENCE, || {
            self.row(ask, &[&event]).get::<_, bool>(0).then_some(())
        });
    }

    /// Waits until nothing is left to deliver, and holds the ledger against the receiver's own record.
    pub fn settle(&self, ledger: &Ledger) -> Verdict {
        eventually("an outbox with nothing to deliver", 2 * PATIENCE, || {
            match self.count("tms.event_outbox WHERE processed_at IS NULL") {
                0 => Ok(()),
                left => Err(left),
            }
        });
        ledger.resolve(&mut self.client()).expect("the ledger");
        let verdict = ledger.check(&self.receiver.per_id());
        assert!(verdict.is_clean() && verdict.unknown == 0, "{verdict}");
        assert_eq!(verdict.received, verdict.committed, "{verdict}");
        assert_eq!(self.count("tms.dead_letter_queue"), 0);
        verdict
    }
}
