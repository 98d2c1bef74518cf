//! Looks at what arrived and at what the tables say of it.

use postgres::Client;
use postgres::types::ToSql;
use serde_json::Value;
use tms_e2e::receiver::Recorded;
use tms_e2e::story::{SOON, Story};
use tms_e2e::wait::eventually;
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

/// The text that a statement returns for these arguments; empty for NULL.
#[track_caller]
pub fn text(client: &mut Client, ask: &str, arguments: &[&(dyn ToSql + Sync)]) -> String {
    match client.query_one(ask, arguments) {
        Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
        Err(error) => panic!("{ask}: {error:?}"),
    }
}

/// Waits until a statement returns this text.
#[track_caller]
pub fn becomes(client: &mut Client, ask: &str, arguments: &[&(dyn ToSql + Sync)], expected: &str) {
    eventually(&format!("{expected:?} of {ask}"), SOON, || {
        let seen = text(client, ask, arguments);
        if seen == expected { Ok(()) } else { Err(seen) }
    });
}

/// The letter of a dead event: kind of error, message, number of attempts, and whether it is dead for good.
#[track_caller]
pub fn letter(client: &mut Client, event: Uuid) -> (String, String, i32, bool) {
    let ask = "SELECT error_type, error_message, attempts, permanent FROM tms.dead_letter_queue \
               WHERE original_event_id = $1";
    let row = eventually("a letter", SOON, || {
        client.query_opt(ask, &[&event]).expect("letters")
    });
    (row.get(0), row.get(1), row.get(2), row.get(3))
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
