//! Clients of a cluster.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use super::Cluster;
use super::install::forget_client_settings;

/// A statement of a test that takes so long waits for something that does not come: it fails, where it would hang the run.
const PATIENCE: &str = "-c statement_timeout=180s";

/// What psql said.
#[derive(Debug, Clone)]
pub struct PsqlOutput {
    /// Its exit code; 3 when a statement failed.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Notices and errors, with SQLSTATE, DETAIL and HINT.
    pub stderr: String,
}

impl PsqlOutput {
    /// Panics with what psql said unless every statement succeeded.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(
            self.code == 0,
            "psql ended with {}:\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Cluster {
    /// How to reach a database through the socket, for clients that connect by themselves.
    pub fn config(&self, user: &str, db: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.socket_dir())
            .port(self.port())
            .user(user)
            .dbname(db)
            .options(PATIENCE)
            .connect_timeout(Duration::from_secs(60))
            .application_name("tms e2e");
        config
    }

    /// The superuser in this database.
    #[track_caller]
    pub fn client(&self, db: &str) -> Client {
        self.client_as("postgres", db)
    }

    /// This role in this database.
    #[track_caller]
    pub fn client_as(&self, user: &str, db: &str) -> Client {
        match self.try_client_as(user, db) {
            Ok(client) => client,
            Err(error) => panic!("{user} cannot connect to {db}: {error:?}"),
        }
    }

    /// This role in this database, if the server lets it.
    pub fn try_client_as(&self, user: &str, db: &str) -> Result<Client, postgres::Error> {
        self.config(user, db).connect(NoTls)
    }

    /// For programs: reaches the database over TCP as superuser.
    pub fn url(&self, db: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{db}", self.port())
    }

    /// For people: the line that opens the server's own psql on the database.
    pub fn psql_line(&self, db: &str) -> String {
        let psql = self.installation().program("psql");
        format!(
            "{} -h {} -p {} -U postgres {db}",
            psql.display(),
            self.socket_dir().display(),
            self.port()
        )
    }

    /// Runs a script in the server's own psql as superuser, up to the first error.
    pub fn psql(&self, db: &str, script: &str) -> PsqlOutput {
        let mut command = Command::new(self.installation().program("psql"));
        forget_client_settings(&mut command);
        command.args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            "VERBOSITY=verbose",
            "-f",
            "-",
        ]);
        command.arg("-h").arg(self.socket_dir()).args([
            "-p",
            &self.port().to_string(),
            "-U",
            "postgres",
            "-d",
            db,
        ]);
        command
            .env("PGOPTIONS", PATIENCE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("psql: {error}"));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let output = thread::scope(|scope| {
            // Beside the reading of its output: either pipe may be full. A psql that stops early does not read on.
            scope.spawn(move || {
                let _ = stdin.write_all(script.as_bytes());
            });
            child.wait_with_output().expect("psql can be waited for")
        });
        PsqlOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A new database from template1.
    #[track_caller]
    pub fn create_database(&self, name: &str) {
        let quoted = name.replace('"', "\"\"");
        if let Err(error) = self
            .client("postgres")
            .batch_execute(&format!("CREATE DATABASE \"{quoted}\""))
        {
            panic!("CREATE DATABASE {name}: {error:?}");
        }
    }

    /// The pid of a worker of this kind, such as `tms dispatcher`, in this database; for the launcher, which is
    /// in none, the database is not looked at. None while the server cannot be asked, too.
    pub fn worker_pid(&self, db: &str, backend_type: &str) -> Option<i32> {
        let ask = "SELECT pid FROM pg_stat_activity WHERE backend_type = $2 AND coalesce(datname, $1) = $1";
        let mut client = self.try_client_as("postgres", "postgres").ok()?;
        let row = client.query_opt(ask, &[&db, &backend_type]).ok()??;
        Some(row.get(0))
    }
}
