//! What is killed. Each blow takes the whole server down, in its own way and at its own point.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use postgres::Client;
use tms_e2e::cluster::{Cluster, Mode, Signal};
use tms_e2e::ledger::Ledger;
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::scene::{DATABASE, ORDERED, PATIENCE};

/// How long the dispatcher may survive what brings its server down.
const DYING: Duration = Duration::from_secs(30);

/// Events that the killed producer had enqueued and not committed.
const UNCOMMITTED: i32 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dispatcher,
    Launcher,
    Producer,
    Server,
}

impl Kind {
    /// They take turns.
    pub fn of_round(number: usize) -> Self {
        [Self::Dispatcher, Self::Launcher, Self::Producer, Self::Server][number % 4]
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dispatcher => "kill -9 dispatcher",
            Self::Launcher => "kill -9 launcher",
            Self::Producer => "kill -9 open producer",
            Self::Server => "immediate stop",
        })
    }
}

/// A blow that is ready to fall.
pub struct Blow {
    kind: Kind,
    victim: i32,
    dispatcher: i32,
    /// Keeps the victim's transaction open.
    _producer: Option<Client>,
}

impl Blow {
    /// Finds the victim; a producer that is to die is sent in and enqueues.
    pub fn prepare(kind: Kind, cluster: &Cluster, dispatcher: i32, ledger: &Ledger) -> Self {
        let mut producer = None;
        let victim = match kind {
            Kind::Dispatcher => dispatcher,
            Kind::Launcher => eventually("the launcher", PATIENCE, || {
                cluster.worker_pid(DATABASE, "tms launcher")
            }),
            Kind::Producer => {
                let (client, pid) = open_transaction(cluster, ledger);
                producer = Some(client);
                pid
            }
            Kind::Server => cluster.postmaster_pid(),
        };
        Self {
            kind,
            victim,
            dispatcher,
            _producer: producer,
        }
    }

    /// Kills, and waits for the end of the dispatcher, whether it is the victim or falls with it.
    pub fn fall(&self, cluster: &Cluster) {
        let signal = match self.kind {
            Kind::Server => Signal::SIGQUIT,
            _ => Signal::SIGKILL,
        };
        assert!(cluster.signal(self.victim, signal), "{} had ended", self.kind);
        eventually("the end of the dispatcher", DYING, || {
            (!runs(self.dispatcher)).then_some(())
        });
    }

    /// Brings the server back, or waits until it has come back by itself.
    pub fn recover(&self, cluster: &Cluster, mark: tms_e2e::cluster::LogMark) {
        if self.kind == Kind::Server {
            cluster.stop(Mode::Immediate);
            cluster.start();
        } else {
            cluster.wait_for_log(mark, "all server processes terminated; reinitializing", PATIENCE);
            cluster.wait_until_accepting(PATIENCE);
        }
    }
}

/// A producer in the middle of its transaction. What it enqueued can never be committed.
fn open_transaction(cluster: &Cluster, ledger: &Ledger) -> (Client, i32) {
    let mut client = cluster.client(DATABASE);
    let enqueue = "SELECT tms_enqueue('load.status', jsonb_build_object('n', n), $1, ordering_key => 'key of the dead') \
                   FROM generate_series(1, $2) n";
    client.batch_execute("BEGIN").expect("a transaction");
    let rows = client
        .query(enqueue, &[&ORDERED[0], &UNCOMMITTED])
        .expect("events");
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    ledger.rolled_back(&ids);
    let pid = client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("its pid")
        .get(0);
    (client, pid)
}

fn runs(pid: i32) -> bool {
    // A process that has ended and not been waited for has no executable any more.
    Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
}
