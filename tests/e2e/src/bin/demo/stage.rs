//! The stage: a private server with the freight schema, two companies, and targets that lead to the receiver.

use std::path::PathBuf;
use std::time::Duration;

use postgres::{Client, Config};
use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::Backoff;
use uuid::Uuid;

use crate::office::Office;
use crate::screen;
use crate::trouble::{Fallible, Trouble};

/// The name of the cluster, which is also its directory's below the state directory.
pub const CLUSTER: &str = "demo";
/// The database.
pub const DATABASE: &str = "freight";

const SCHEMA: &str = include_str!("../../../demo/freight.sql");

/// Enough for every outage shown here, however slow the machine: each retry waits for 2 s at most.
const RETRIES: &str = "30";

/// How long the workers may take to come.
const WORKERS: Duration = Duration::from_secs(60);

/// A tenant and the role it logs in as.
pub struct Company {
    pub name: String,
    pub role: String,
    pub id: Uuid,
}

/// Everything the acts play on.
pub struct Stage {
    pub cluster: Cluster,
    pub companies: Vec<Company>,
}

impl Stage {
    /// Starts the server and furnishes it. A demo of before has been stopped by then.
    pub fn set(office: &Office) -> Fallible<Self> {
        println!("Starting a private PostgreSQL server with tms preloaded ...");
        let cluster = Cluster::builder()
            .conf("tms.default_max_retries", RETRIES)
            .outlives_us_as(CLUSTER)
            .start();
        cluster.create_database(DATABASE);
        let mut client = cluster.client(DATABASE);
        client.batch_execute("CREATE EXTENSION tms")?;
        client.batch_execute(SCHEMA)?;
        set_targets(&mut client, office)?;
        let companies = companies(&mut client)?;
        let stage = Self { cluster, companies };
        stage.wait_for_workers()?;
        stage.describe(&mut client)?;
        Ok(stage)
    }

    /// How this role reaches the database.
    pub fn config(&self, role: &str) -> Config {
        let mut config = self.cluster.config(role, DATABASE);
        config.application_name("tms demo");
        config
    }

    /// A session of this role.
    pub fn session(&self, role: &str) -> Fallible<Client> {
        Ok(self.config(role).connect(postgres::NoTls)?)
    }

    /// A session of the superuser.
    pub fn platform(&self) -> Fallible<Client> {
        self.session("postgres")
    }

    /// The directory of everything the demo leaves behind.
    pub fn directory(&self) -> PathBuf {
        self.cluster
            .log_file()
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default()
    }

    /// The pid of this database's dispatcher, if it runs and the server can be asked.
    pub fn dispatcher(&self) -> Option<i32> {
        self.cluster.worker_pid(DATABASE, "tms dispatcher")
    }

    fn wait_for_workers(&self) -> Fallible<()> {
        poll_until(WORKERS, || Ok(self.dispatcher().is_some()))?.ok_or_else(|| {
            Trouble::new(format!(
                "no dispatcher came for the database {DATABASE}; why is in {}",
                self.cluster.log_file().display()
            ))
        })?;
        Ok(())
    }

    fn describe(&self, client: &mut Client) -> Fallible<()> {
        let version: String = client.query_one("SHOW server_version", &[])?.get(0);
        println!(
            "PostgreSQL {version}, port {}, database {DATABASE}",
            self.cluster.port()
        );
        for company in &self.companies {
            println!("company {:<18} logs in as role {}", company.name, company.role);
        }
        let workers = client.query(
            "SELECT component, pid, state FROM tms_worker_status() WHERE pid IS NOT NULL",
            &[],
        )?;
        let rows: Vec<Vec<String>> = workers
            .iter()
            .map(|row| vec![row.get(0), row.get::<_, i32>(1).to_string(), row.get(2)])
            .collect();
        screen::table(&["worker of tms", "pid", "state"], &rows);
        Ok(())
    }
}

/// `n8n` is retried patiently; `billing` gives up soon, so that its dead letters need not be waited for.
fn set_targets(client: &mut Client, office: &Office) -> Fallible<()> {
    let patient = json!({ "base_ms": 250, "factor": 2, "max_ms": 2_000 });
    let hasty = json!({ "base_ms": 50, "factor": 2, "max_ms": 200 });
    set_target(client, office, "n8n", patient.clone())?;
    set_target(client, office, "customs", patient)?;
    set_target(client, office, "billing", hasty)
}

fn set_target(client: &mut Client, office: &Office, name: &str, retry: Value) -> Fallible<()> {
    // The receiver is on loopback, where a target may lead only if it says so.
    let options = json!({
        "url": office.url_of(&format!("/{name}")),
        "allow_private_network": true,
        "retry": retry,
    });
    client.execute("SELECT tms_target_set($1, 'http', $2)", &[&name, &options])?;
    Ok(())
}

fn companies(client: &mut Client) -> Fallible<Vec<Company>> {
    let rows = client.query(
        "SELECT c.name, b.role::text, c.id FROM freight.companies c \
         JOIN tms.role_bindings b ON b.company_id = c.id ORDER BY c.name",
        &[],
    )?;
    Ok(rows
        .iter()
        .map(|row| Company {
            name: row.get(0),
            role: row.get(1),
            id: row.get(2),
        })
        .collect())
}

/// Looks until it is so; None when it is not in time.
pub fn poll_until(patience: Duration, mut look: impl FnMut() -> Fallible<bool>) -> Fallible<Option<()>> {
    let end = std::time::Instant::now() + patience;
    let mut backoff = Backoff::default();
    loop {
        let late = std::time::Instant::now() > end;
        if look()? {
            return Ok(Some(()));
        }
        if late {
            return Ok(None);
        }
        backoff.pause();
    }
}
