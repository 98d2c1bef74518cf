//! What these stories begin with: a scheduler that looks every second, receivers that fail, and letters.

use postgres::Client;
use serde_json::json;
use tms_e2e::ask::{becomes, ids, number, run, text};
use tms_e2e::cluster::Builder;
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::Story;
use uuid::Uuid;

/// The scheduler looks once a second.
pub fn builder() -> Builder {
    Story::builder().conf("tms.scheduler_interval", "1s")
}

/// A story in which letters wait so long after their death.
#[track_caller]
pub fn begin(backoff: &str) -> (Story, Client) {
    let story = Story::with(builder().conf("tms.dead_letter_backoff", backoff));
    story.target("erp", json!({ "breaker": false }));
    let client = story.client();
    (story, client)
}

/// So many events for `erp` that fail at once, and the ids of their letters, in the order of the events.
#[track_caller]
pub fn letters(story: &Story, client: &mut Client, count: i64) -> Vec<Uuid> {
    letters_of(story, client, "erp", count, "")
}

/// The same for a target and with more arguments of tms_enqueue.
#[track_caller]
pub fn letters_of(story: &Story, client: &mut Client, target: &str, count: i64, more: &str) -> Vec<Uuid> {
    story.receiver.behave(Behaviour::status(503));
    run(
        client,
        &format!(
            "SELECT tms_enqueue('load.moved', jsonb_build_object('n', n), '{target}', max_retries => 0{more})
               FROM generate_series(1, {count}) n"
        ),
    );
    let ask = format!(
        "SELECT count(*)::text FROM tms.dead_letters WHERE target_system = '{target}' AND state <> 'closed'"
    );
    becomes(client, &ask, &[], &count.to_string());
    let letters = ids(
        client,
        &format!(
            "SELECT l.id FROM tms.dead_letters l JOIN tms.event_outbox e ON e.id = l.original_event_id
              WHERE l.target_system = '{target}' AND l.state <> 'closed' ORDER BY e.seq"
        ),
    );
    story.receiver.reset();
    story.receiver.behave(Behaviour::Ok);
    letters
}

/// Their time has come.
#[track_caller]
pub fn make_due(client: &mut Client) {
    run(
        client,
        "UPDATE tms.dead_letter_queue SET retry_after = now() WHERE closed_at IS NULL AND requeued_at IS NULL",
    );
}

/// A letter of another target comes back, is delivered and closed: by then the scheduler has seen every other one that was due
/// before.
#[track_caller]
pub fn a_round_passes(story: &Story, client: &mut Client) {
    let other = format!("other{}", number(client, "SELECT count(*) FROM tms.targets"));
    story.target(&other, json!({}));
    let event = {
        run(
            client,
            &format!(
                "WITH e AS (INSERT INTO tms.event_outbox (event_type, payload, target_system, available_at)
                            VALUES ('load.other', '{{}}', '{other}', '2400-01-01') RETURNING id)
                 INSERT INTO tms.dead_letter_queue (original_event_id, target_system, error_type, retry_after)
                 SELECT id, '{other}', 'timeout', now() FROM e;
                 UPDATE tms.event_outbox SET available_at = 'infinity' WHERE target_system = '{other}'"
            ),
        );
        ids(
            client,
            &format!("SELECT id FROM tms.event_outbox WHERE target_system = '{other}'"),
        )[0]
    };
    let closed = format!(
        "SELECT coalesce(resolution, 'open') FROM tms.dead_letter_queue WHERE original_event_id = '{event}'"
    );
    becomes(client, &closed, &[], "delivered");
}

/// A letter as people see it.
#[track_caller]
pub fn state(client: &mut Client, letter: Uuid) -> String {
    text(
        client,
        &format!("SELECT concat_ws(' ', state, resolution) FROM tms.dead_letters WHERE id = '{letter}'"),
    )
}

#[track_caller]
pub fn becomes_state(client: &mut Client, letter: Uuid, expected: &str) {
    let ask = format!("SELECT concat_ws(' ', state, resolution) FROM tms.dead_letters WHERE id = '{letter}'");
    becomes(client, &ask, &[], expected);
}

#[track_caller]
pub fn event_of(client: &mut Client, letter: Uuid) -> Uuid {
    ids(
        client,
        &format!("SELECT original_event_id FROM tms.dead_letter_queue WHERE id = '{letter}'"),
    )[0]
}
