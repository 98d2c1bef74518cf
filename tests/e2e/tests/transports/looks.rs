//! Looks at what arrived and at what the tables say of it.

use postgres::Client;
use serde_json::Value;
pub use tms_e2e::ask::{becomes, letter, text_for as text};
use tms_e2e::receiver::Recorded;
use tms_e2e::story::Story;
use uuid::Uuid;

/// Sets a target of any transport.
#[track_caller]
pub fn set_target(client: &mut Client, name: &str, transport: &str, options: Value) {
    let set = "SELECT tms_target_set($1, $2, $3)";
    if let Err(error) = client.execute(set, &[&name, &transport, &options]) {
        panic!("{name}: {error:?}");
    }
}

/// Enqueues a `load.moved`, whose payload is JSON as PostgreSQL reads it.
#[track_caller]
pub fn enqueue(client: &mut Client, target: &str, payload: &str) -> Uuid {
    let ask = "SELECT tms_enqueue('load.moved', $1::text::jsonb, $2)";
    match client.query_one(ask, &[&payload, &target]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{target}: {error:?}"),
    }
}
/// Everything that arrived under this id, once something has.
#[track_caller]
pub fn arrivals(story: &Story, event: Uuid) -> Vec<Recorded> {
    story.arrives("the event", event);
    let mut requests = story.receiver.requests();
    requests.retain(|request| request.id == Some(event));
    requests
}

/// The only request under this id.
#[track_caller]
pub fn arrival(story: &Story, event: Uuid) -> Recorded {
    let mut requests = arrivals(story, event);
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}
