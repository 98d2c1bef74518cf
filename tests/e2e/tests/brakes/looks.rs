//! Looks at targets and events as their tables show them.

use postgres::Client;
pub use tms_e2e::ask::{becomes, letter, text_for as text};
use uuid::Uuid;

/// Events that were not delivered yet.
pub const WAITING: &str = "SELECT count(*)::text FROM tms.event_outbox WHERE processed_at IS NULL";
/// Waits until `tms.target_status` shows this state of the target itself.
#[track_caller]
pub fn shows(client: &mut Client, target: &str, state: &str) {
    let ask = "SELECT state FROM tms.target_status WHERE name = $1 AND company_id IS NULL";
    becomes(client, ask, &[&target], state);
}

/// Why a target is not active.
#[track_caller]
pub fn reason(client: &mut Client, target: &str) -> String {
    let ask = "SELECT reason FROM tms.target_status WHERE name = $1 AND company_id IS NULL";
    text(client, ask, &[&target])
}

/// So many events in one transaction, in the order of the queue.
#[track_caller]
pub fn batch(client: &mut Client, target: &str, events: i32) -> Vec<Uuid> {
    let ask = "SELECT tms_enqueue_batch('load.moved', array_fill('{}'::jsonb, ARRAY[$1::int]), $2)";
    match client.query_one(ask, &[&events, &target]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{target}: {error:?}"),
    }
}
