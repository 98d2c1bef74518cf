//! The stage of these stories: receivers, a server to copy, and what to ask of the original and of the copy.

use std::time::Duration;

use postgres::Client;
pub use tms_e2e::ask::{number as count, run};
use tms_e2e::cluster::{Builder, Cluster, PsqlOutput};
use tms_e2e::receiver::{Receiver, Record};
use tms_e2e::wait::{eventually, eventually_eq};
use uuid::Uuid;

/// Generous: the machine may be busy with others. Nothing waits this long unless it is broken.
pub const SOON: Duration = Duration::from_secs(60);

/// The database that is copied.
pub const DB: &str = "freight";

/// A server with `freight` at work, and the receiver of its target `hook`.
pub struct Stage {
    pub cluster: Cluster,
    pub receiver: Receiver,
}

/// The dispatcher's line of `tms_worker_status()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: String,
    pub hint: Option<String>,
}

impl Stage {
    #[track_caller]
    pub fn start() -> Self {
        Self::with(Cluster::builder())
    }

    /// With `freight` at work: its first event has been delivered and written down.
    #[track_caller]
    pub fn with(builder: Builder) -> Self {
        let stage = Self {
            cluster: builder.start(),
            receiver: receiver(),
        };
        stage.cluster.create_database_with_tms(DB);
        set_target(&stage.cluster, DB, "hook", &stage.receiver);
        let mut client = stage.client();
        let first = enqueue(&mut client, "hook");
        arrives(&stage.receiver, "the first event", first);
        eventually_eq("the outcome is written", SOON, 0, || {
            count(
                &mut client,
                "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL",
            )
        });
        stage.receiver.reset();
        stage
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        self.cluster.client(DB)
    }

    /// Nothing leaves `freight` from now on: what is enqueued stays due.
    #[track_caller]
    pub fn hold(&self) {
        run(
            &mut self.client(),
            "ALTER DATABASE freight SET tms.dispatch = 'hold'",
        );
        self.cluster.reload();
        is_in_state(&self.cluster, DB, "held");
    }
}

pub fn receiver() -> Receiver {
    Receiver::builder().record(Record::Full).start()
}

#[track_caller]
pub fn set_target(cluster: &Cluster, db: &str, name: &str, receiver: &Receiver) {
    cluster.set_http_target(
        db,
        name,
        &receiver.url_of(&format!("/{name}")),
        serde_json::json!({}),
    );
}

/// A target that this database sets itself is served, whatever is held: its event shows that the dispatcher has looked through
/// the queue, and would have sent the others.
#[track_caller]
pub fn would_have_sent(cluster: &Cluster, db: &str) {
    let receiver = receiver();
    set_target(cluster, db, "own", &receiver);
    let own = enqueue(&mut cluster.client(db), "own");
    arrives(&receiver, "the event of a target of its own", own);
    // A second look through the queue, begun after the first has ended.
    let own = enqueue(&mut cluster.client(db), "own");
    arrives(&receiver, "the next one", own);
}

/// Waits until the dispatcher's line of a database says this state, and returns the line.
#[track_caller]
pub fn is_in_state(cluster: &Cluster, db: &str, state: &str) -> Status {
    let mut client = cluster.client(db);
    let ask = "SELECT state, hint FROM tms_worker_status() WHERE component = 'dispatcher' AND database = current_database()";
    eventually(&format!("the dispatcher of {db} is {state}"), SOON, || {
        let row = client.query_one(ask, &[]).map_err(|error| format!("{error:?}"))?;
        let seen = Status {
            state: row.get(0),
            hint: row.get(1),
        };
        if seen.state == state {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    })
}

/// What `tms_adopt()` says.
#[track_caller]
pub fn adopt(cluster: &Cluster, db: &str) -> String {
    let row = cluster.client(db).query_one("SELECT tms_adopt()", &[]);
    row.unwrap_or_else(|error| panic!("tms_adopt(): {error:?}"))
        .get(0)
}

#[track_caller]
pub fn arrives(receiver: &Receiver, what: &str, id: Uuid) {
    receiver.wait_for(what, SOON, |seen| seen.times(id) > 0);
}

/// One event for this target.
#[track_caller]
pub fn enqueue(client: &mut Client, target: &str) -> Uuid {
    let statement = "SELECT tms_enqueue('load.assigned', '{\"load\": 7}', $1)";
    match client.query_one(statement, &[&target]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("an event for {target}: {error:?}"),
    }
}

/// Ids of the events for a target that wait to be delivered.
#[track_caller]
pub fn due(client: &mut Client, target: &str) -> Vec<Uuid> {
    let ask = "SELECT id FROM tms.event_outbox WHERE target_system = $1 AND processed_at IS NULL AND available_at < now()";
    let rows = client.query(ask, &[&target]);
    let rows = rows.unwrap_or_else(|error| panic!("{ask}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
/// Runs one of the server's client programs as the superuser.
#[track_caller]
pub fn program(cluster: &Cluster, name: &str, args: &[&str]) -> PsqlOutput {
    let output = cluster.program(name, "postgres", args);
    assert_eq!(output.code, 0, "{name} {args:?}: {}", output.stderr);
    output
}
