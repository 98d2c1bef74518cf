//! What a story about the queue begins with: a server, a receiver, and a database at work between them.

use std::time::Duration;

use postgres::Client;
use serde_json::Value;
use uuid::Uuid;

pub use crate::ask::{Refusal, id, ids, number, refusal, rows, run};
use crate::cluster::{Builder, Cluster};
use crate::receiver::{Receiver, Record, Recorded, Seen};
use crate::wait::eventually_eq;

/// Generous: the machine may be busy with others. Nothing waits this long unless it is broken.
pub const SOON: Duration = Duration::from_secs(60);

/// The database of a story.
pub const DB: &str = "freight";

/// A server, a receiver, and the database `freight` between them.
#[derive(Debug)]
pub struct Story {
    /// The server.
    pub cluster: Cluster,
    /// Records ids, times and paths; each target has a path of its own name.
    pub receiver: Receiver,
}

impl Story {
    /// With a server as [`Self::builder`] has it.
    #[track_caller]
    pub fn begin() -> Self {
        Self::with(Self::builder())
    }

    /// The queue is looked through from its beginning once in ten minutes, so that whatever arrives was woken for.
    pub fn builder() -> Builder {
        Cluster::builder().conf("tms.rescan_interval", "600s")
    }

    /// With a server of one's own making.
    #[track_caller]
    pub fn with(builder: Builder) -> Self {
        let story = Self {
            cluster: builder.start(),
            receiver: Receiver::builder().record(Record::Full).start(),
        };
        story.cluster.create_database_with_tms(DB);
        story.target("first", Value::Null);
        run(
            &mut story.client(),
            "SELECT tms_enqueue('story.begins', '{}', 'first')",
        );
        // With its outcome, the look through the queue that every dispatcher begins with is over.
        story.all_done();
        story.receiver.reset();
        story
    }

    /// The superuser in the database.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.cluster.client(DB)
    }

    /// Sets an http target whose path is its name.
    #[track_caller]
    pub fn target(&self, name: &str, options: Value) {
        let url = self.receiver.url_of(&format!("/{name}"));
        self.cluster.set_http_target(DB, name, &url, options);
    }

    /// Waits until the receiver has seen this event.
    #[track_caller]
    pub fn arrives(&self, what: &str, id: Uuid) {
        self.wait_for(what, |seen| seen.times(id) > 0);
    }

    /// Waits until the receiver has seen what it is to see.
    #[track_caller]
    pub fn wait_for(&self, what: &str, condition: impl FnMut(&Seen) -> bool) {
        self.receiver.wait_for(what, SOON, condition);
    }

    /// Waits until no event waits to be delivered now; dead ones are at rest.
    #[track_caller]
    pub fn all_done(&self) {
        let mut client = self.client();
        eventually_eq("every event processed", SOON, 0, || {
            number(
                &mut client,
                "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL AND available_at < 'infinity'",
            )
        });
    }

    /// How often the receiver has seen this event.
    pub fn times(&self, id: Uuid) -> u32 {
        self.receiver.look(|seen| seen.times(id))
    }

    /// What arrived for one target, in order.
    pub fn arrivals_of(&self, target: &str) -> Vec<Recorded> {
        let path = format!("/{target}");
        self.receiver.look(|seen| {
            let requests = seen.requests().iter();
            requests
                .filter(|request| *request.path == *path)
                .cloned()
                .collect()
        })
    }
}
