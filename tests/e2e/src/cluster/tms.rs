//! The extension in a database of a cluster.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::Cluster;

/// One life of a database's dispatcher. It is told from the next one by its begin, since a pid may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatcherLife {
    /// Its process.
    pub pid: i32,
    /// When that was started, by the server's clock, which is this machine's.
    pub began: SystemTime,
}

impl Cluster {
    /// A new database with the extension in it.
    #[track_caller]
    pub fn create_database_with_tms(&self, name: &str) {
        self.create_database(name);
        if let Err(error) = self.client(name).batch_execute("CREATE EXTENSION tms") {
            panic!("CREATE EXTENSION tms in {name}: {error:?}");
        }
    }

    /// Sets an http target that may be on this machine, as the receivers of tests are; `options` are added.
    #[track_caller]
    pub fn set_http_target(&self, db: &str, target: &str, url: &str, options: Value) {
        let mut all = json!({ "url": url, "allow_private_network": true });
        if let (Value::Object(all), Value::Object(options)) = (&mut all, options) {
            all.extend(options);
        }
        let set = "SELECT tms_target_set($1, 'http', $2)";
        if let Err(error) = self.client(db).execute(set, &[&target, &all]) {
            panic!("target {target} in {db}: {error:?}");
        }
    }

    /// The dispatcher that serves this database now; None while there is none or the server cannot be asked.
    pub fn dispatcher(&self, db: &str) -> Option<DispatcherLife> {
        let ask = "SELECT pid, backend_start FROM pg_stat_activity \
                   WHERE backend_type = 'tms dispatcher' AND datname = $1";
        let mut client = self.try_client_as("postgres", "postgres").ok()?;
        let row = client.query_opt(ask, &[&db]).ok()??;
        Some(DispatcherLife {
            pid: row.get(0),
            began: row.get(1),
        })
    }
}
