//! A server with one database, and what became of an event.

use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::cluster::{Builder, Cluster};
use tms_e2e::wait::eventually;

pub const DATABASE: &str = "freight";

/// For what takes a moment on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a person finds of an event that ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Delivered,
    Dead {
        error: String,
        message: String,
        permanent: bool,
        status: Option<i32>,
    },
}

pub struct Stage {
    pub cluster: Cluster,
}

impl Stage {
    pub fn set(builder: Builder) -> Self {
        let cluster = builder.start();
        cluster.create_database_with_tms(DATABASE);
        Self { cluster }
    }

    pub fn client(&self) -> Client {
        self.cluster.client(DATABASE)
    }

    /// Sets an http target; what the database says against it.
    pub fn set_target(&self, target: &str, url: &str, mut options: Value) -> Result<(), postgres::Error> {
        options["url"] = json!(url);
        let set = "SELECT tms_target_set($1, 'http', $2)";
        self.client().execute(set, &[&target, &options]).map(|_| ())
    }

    pub fn enqueue(&self, target: &str, max_retries: i32) {
        let ask = "SELECT tms_enqueue('load.moved', '{\"load\": 7}', $1, max_retries => $2)";
        let enqueued = self.client().execute(ask, &[&target, &max_retries]);
        enqueued.unwrap_or_else(|error| panic!("{target}: {error:?}"));
    }

    /// Waits until the target's only event is delivered or dead.
    #[track_caller]
    pub fn end_of(&self, target: &str) -> End {
        let ask = "SELECT e.processed_at IS NOT NULL, l.error_type, l.error_message, l.permanent, a.status_code \
                   FROM tms.event_outbox e LEFT JOIN tms.dead_letter_queue l ON l.original_event_id = e.id \
                   LEFT JOIN tms.delivery_attempts a ON a.event_id = e.id AND a.outcome = 'dead' \
                   WHERE e.target_system = $1 AND (e.processed_at IS NOT NULL OR l.id IS NOT NULL)";
        let mut client = self.client();
        eventually(&format!("the end of the event for {target}"), PATIENCE, || {
            let row = client
                .query_opt(ask, &[&target])
                .unwrap_or_else(|error| panic!("{ask}: {error:?}"))?;
            Some(match row.get(0) {
                true => End::Delivered,
                false => End::Dead {
                    error: row.get(1),
                    message: row.get(2),
                    permanent: row.get(3),
                    status: row.get(4),
                },
            })
        })
    }
}
