//! Looks at targets and events as their tables show them.

use postgres::Client;
use postgres::types::ToSql;
use tms_e2e::story::SOON;
use tms_e2e::wait::eventually;
use uuid::Uuid;

/// Events that were not delivered yet.
pub const WAITING: &str = "SELECT count(*)::text FROM tms.event_outbox WHERE processed_at IS NULL";

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
