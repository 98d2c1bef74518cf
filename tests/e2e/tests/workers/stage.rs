//! The stage of these stories: a server, a receiver, a database between them, and what to ask it.

use std::time::{Duration, Instant};

use postgres::Client;
pub use tms_e2e::ask::{number as count, run};
use tms_e2e::cluster::{Builder, Cluster, LogMark};
use tms_e2e::receiver::{Receiver, Record};
use tms_e2e::wait::{eventually, eventually_eq};
use uuid::Uuid;

/// Generous: the machine may be busy with others. Nothing waits this long unless it is broken.
pub const SOON: Duration = Duration::from_secs(60);

/// The database of most stories.
pub const DB: &str = "freight";

/// A server and a receiver.
pub struct Stage {
    pub cluster: Cluster,
    pub receiver: Receiver,
}

/// A line of `tms_worker_status()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub component: String,
    pub database: Option<String>,
    pub pid: Option<i32>,
    pub state: String,
    pub detail: String,
    pub hint: Option<String>,
}

impl Stage {
    /// With default settings.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(Cluster::builder())
    }

    /// The queue is looked through from its beginning once in ten minutes, so that whatever arrives was woken for.
    #[track_caller]
    pub fn woken() -> Self {
        Self::with(Cluster::builder().conf("tms.rescan_interval", "600s"))
    }

    /// With `freight` at work: its first event has been delivered and written down, so the look through the queue that
    /// every dispatcher begins with is over.
    #[track_caller]
    pub fn with(builder: Builder) -> Self {
        let stage = Self::bare(builder);
        stage.furnish(DB);
        let first = enqueue(&mut stage.client());
        stage.arrives("the first event", first);
        stage.all_done(DB);
        stage.receiver.reset();
        stage
    }

    /// No database has the extension.
    #[track_caller]
    pub fn bare(builder: Builder) -> Self {
        Self {
            cluster: builder.start(),
            receiver: Receiver::builder().record(Record::Full).start(),
        }
    }

    /// A new database with the extension and the target `hook`, whose path names the database.
    #[track_caller]
    pub fn furnish(&self, db: &str) {
        self.cluster.create_database(db);
        self.install(db);
    }

    /// The extension and the target, in a database that is there.
    #[track_caller]
    pub fn install(&self, db: &str) {
        let mut client = self.cluster.client(db);
        run(&mut client, "CREATE EXTENSION tms");
        self.target(&mut client, "hook", &format!("/{db}"), "");
    }

    /// Sets a target; `options` is more JSON, beginning with a comma.
    #[track_caller]
    pub fn target(&self, client: &mut Client, name: &str, path: &str, options: &str) {
        let url = self.receiver.url_of(path);
        let options = format!(r#"{{"url": "{url}", "allow_private_network": true{options}}}"#);
        run(
            client,
            &format!("SELECT tms_target_set('{name}', 'http', '{options}')"),
        );
    }

    /// The superuser in `freight`.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.cluster.client(DB)
    }

    /// Waits until the receiver has seen this event.
    #[track_caller]
    pub fn arrives(&self, what: &str, id: Uuid) {
        if !self.receiver.wait_until(SOON, |seen| seen.times(id) > 0) {
            let workers = self.activity();
            panic!(
                "{what}: {id} not within {SOON:?}; last seen: {:?}; {workers:#?}",
                self.receiver
            );
        }
    }

    /// What pg_stat_activity says of our workers.
    fn activity(&self) -> Vec<String> {
        let rows = self.cluster.client("postgres").query(
            "SELECT concat_ws(' ', backend_type, datname, pid, wait_event, query) FROM pg_stat_activity
              WHERE backend_type LIKE 'tms %'",
            &[],
        );
        rows.into_iter().flatten().map(|row| row.get(0)).collect()
    }

    /// How often the receiver has seen this event.
    pub fn times(&self, id: Uuid) -> u32 {
        self.receiver.look(|seen| seen.times(id))
    }

    /// An event from enqueue to receiver, to show that this database is served.
    #[track_caller]
    pub fn serves(&self, db: &str) -> Uuid {
        let id = enqueue(&mut self.cluster.client(db));
        self.arrives(&format!("an event of {db}"), id);
        id
    }

    /// A database that is a copy of another sends nothing until somebody makes it the one that delivers.
    #[track_caller]
    pub fn waits_to_be_adopted(&self, copy: &str) {
        let mut client = self.cluster.client(copy);
        let id = enqueue(&mut client);
        eventually(&format!("the targets of {copy} are held"), SOON, || {
            let held =
                "SELECT count(*) FROM tms.target_status WHERE state = 'held' AND reason LIKE '%tms_adopt()%'";
            if count(&mut client, held) > 0 {
                Ok(())
            } else {
                Err(())
            }
        });
        assert_eq!(self.times(id), 0, "sent by the copy {copy}");
        run(&mut client, "SELECT tms_adopt()");
        self.arrives(&format!("what waited in {copy}"), id);
    }

    /// Waits until every event of a database has its outcome written.
    #[track_caller]
    pub fn all_done(&self, db: &str) {
        let mut client = self.cluster.client(db);
        eventually_eq("every event processed", SOON, 0, || {
            count(
                &mut client,
                "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL",
            )
        });
    }

    /// The process of this kind in a database, once it is there.
    #[track_caller]
    pub fn worker(&self, db: &str, kind: &str) -> i32 {
        eventually(&format!("a {kind} in {db}"), SOON, || {
            self.cluster.worker_pid(db, kind)
        })
    }

    /// Dispatcher and scheduler of a database, once both are there.
    #[track_caller]
    pub fn workers(&self, db: &str) -> [i32; 2] {
        ["tms dispatcher", "tms scheduler"].map(|kind| self.worker(db, kind))
    }

    /// Waits until a database has neither dispatcher nor scheduler.
    #[track_caller]
    pub fn workers_leave(&self, db: &str) {
        eventually_eq(&format!("no worker in {db}"), SOON, [None, None], || {
            ["tms dispatcher", "tms scheduler"].map(|kind| self.cluster.worker_pid(db, kind))
        });
    }

    /// Waits until the dispatcher's line of `freight` says this state, and returns the line.
    #[track_caller]
    pub fn state(&self, db: &str, state: &str) -> Status {
        let mut client = self.cluster.client(db);
        eventually(&format!("the dispatcher of {db} is {state}"), SOON, || {
            let lines = status(&mut client);
            let line = lines
                .iter()
                .find(|line| line.component == "dispatcher" && line.database.as_deref() == Some(db));
            match line {
                Some(line) if line.state == state => Ok(line.clone()),
                _ => Err(lines),
            }
        })
    }

    /// Lines of errors that our workers have caused since the mark.
    pub fn complaints(&self, mark: LogMark) -> Vec<String> {
        self.log_lines(mark, |line| {
            line.contains("] tms ")
                && ["ERROR:", "FATAL:", "PANIC:", "WARNING:"]
                    .iter()
                    .any(|level| line.contains(level))
        })
    }

    /// Lines of the log since the mark that satisfy the question.
    pub fn log_lines(&self, mark: LogMark, question: impl Fn(&str) -> bool) -> Vec<String> {
        let log = self.cluster.log_since(mark);
        log.lines()
            .filter(|line| question(line))
            .map(str::to_owned)
            .collect()
    }

    /// Nothing went wrong in a worker, and no process of the server died.
    #[track_caller]
    pub fn is_quiet(&self, mark: LogMark) {
        let complaints = self.complaints(mark);
        assert!(complaints.is_empty(), "{complaints:#?}");
        let deaths = self.log_lines(mark, |line| {
            line.contains("was terminated by signal")
                || line.contains("\"tms ") && line.contains("exited with exit code")
        });
        assert!(deaths.is_empty(), "{deaths:#?}");
    }
}

/// One event for `hook`.
#[track_caller]
pub fn enqueue(client: &mut Client) -> Uuid {
    enqueue_for(client, "hook")
}

/// One event for this target.
#[track_caller]
pub fn enqueue_for(client: &mut Client, target: &str) -> Uuid {
    id_of(
        client,
        &format!("SELECT tms_enqueue('load.assigned', '{{\"load\": 7}}', '{target}')"),
    )
}

/// Many events for this target in one transaction, in order.
#[track_caller]
pub fn enqueue_many(client: &mut Client, target: &str, events: u32) -> Vec<Uuid> {
    let statement = format!(
        "SELECT unnest(tms_enqueue_batch('load.assigned',
                array(SELECT jsonb_build_object('n', n) FROM generate_series(1, {events}) n), '{target}'))"
    );
    ids_of(client, &statement)
}

/// The id that a statement returns.
#[track_caller]
pub fn id_of(client: &mut Client, statement: &str) -> Uuid {
    ids_of(client, statement)[0]
}

/// The ids that a statement returns.
#[track_caller]
pub fn ids_of(client: &mut Client, statement: &str) -> Vec<Uuid> {
    match client.query(statement, &[]) {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) => panic!("{statement}: {error:?}"),
    }
}
/// Runs statements and says how long that took.
#[track_caller]
pub fn timed(client: &mut Client, statements: &str) -> Duration {
    let begin = Instant::now();
    run(client, statements);
    begin.elapsed()
}
/// Whether this event's delivery has been written down.
#[track_caller]
pub fn is_processed(client: &mut Client, id: Uuid) -> bool {
    let question =
        format!("SELECT count(*) FROM tms.event_outbox WHERE id = '{id}' AND processed_at IS NOT NULL");
    count(client, &question) == 1
}

/// Waits until this event's delivery has been written down.
#[track_caller]
pub fn is_written(client: &mut Client, id: Uuid) {
    eventually_eq("the outcome is written", SOON, true, || is_processed(client, id));
}

/// What `tms_worker_status()` says.
#[track_caller]
pub fn status(client: &mut Client) -> Vec<Status> {
    let rows = client.query(
        "SELECT component, database, pid, state, detail, hint FROM tms_worker_status()",
        &[],
    );
    let rows = rows.unwrap_or_else(|error| panic!("tms_worker_status(): {error:?}"));
    rows.iter()
        .map(|row| Status {
            component: row.get(0),
            database: row.get(1),
            pid: row.get(2),
            state: row.get(3),
            detail: row.get(4),
            hint: row.get(5),
        })
        .collect()
}

/// How often a component of `freight`, or the launcher, has woken so far.
#[track_caller]
pub fn wakeups(client: &mut Client, component: &str) -> u64 {
    let lines = status(client);
    let line = lines
        .iter()
        .find(|line| line.component == component && line.database.as_deref().is_none_or(|db| db == DB));
    let detail = &line
        .unwrap_or_else(|| panic!("no {component} in {lines:?}"))
        .detail;
    let words: Vec<&str> = detail.split([' ', ';']).collect();
    let place = words
        .iter()
        .position(|word| matches!(*word, "wake-ups" | "rounds"));
    let number = place.and_then(|place| words[place - 1].parse().ok());
    number.unwrap_or_else(|| panic!("no wake-ups in {detail:?}"))
}
