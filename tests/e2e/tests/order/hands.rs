//! What people and other machinery do to a queue with keys: order holds.

use postgres::Client;
use serde_json::json;
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{Story, id, ids, number, refusal, run};
use uuid::Uuid;

use crate::came_in_order;

fn story() -> Story {
    let story = Story::with(Story::builder().conf("max_prepared_transactions", "5"));
    story.target("hook", json!({"max_concurrency": 8}));
    story
}

fn keyed(client: &mut Client, key: &str) -> Uuid {
    id(
        client,
        &format!("SELECT tms_enqueue('load.moved', '{{}}', 'hook', ordering_key => '{key}')"),
    )
}

/// Whoever wants this key now would have to wait for it.
#[track_caller]
fn is_locked(client: &mut Client, key: &str) {
    run(client, "SET lock_timeout = '200ms'");
    let refused = refusal(
        client,
        &format!("SELECT tms_enqueue('load.moved', '{{}}', 'hook', ordering_key => '{key}')"),
    );
    assert_eq!(refused.code, "55P03", "{refused:?}");
    run(client, "RESET lock_timeout");
}

#[test]
fn rows_of_a_replica_session_wake_and_are_ordered() {
    let story = story();
    let mut client = story.client();
    run(&mut client, "SET session_replication_role = replica");
    let rows = ids(
        &mut client,
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key)
         SELECT 'load.moved', '{}', 'hook', 'key ' || n % 3 FROM generate_series(1, 60) n RETURNING id",
    );
    story.wait_for("the rows of the replica session", |seen| {
        rows.iter().all(|id| seen.times(*id) > 0)
    });
    story.all_done();
    came_in_order(&story);
    // A row as an apply worker writes it: everything about it was decided elsewhere, and it goes where its number says.
    let replicated = id(
        &mut client,
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key, seq, created_at, available_at)
         VALUES ('load.moved', '{}', 'hook', 'far', 4711, now() - interval '1 day', now() - interval '1 day')
         RETURNING id",
    );
    story.arrives("a replicated row", replicated);
    let kept = format!(
        "SELECT count(*) FROM tms.event_outbox WHERE id = '{replicated}' AND seq = 4711 AND ordering_hash IS NOT NULL"
    );
    assert_eq!(
        number(&mut client, &kept),
        1,
        "its number is kept, and its key known"
    );
}

#[test]
fn a_key_that_is_changed_by_hand_takes_its_place() {
    let story = story();
    let mut client = story.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    let a: Vec<_> = (0..5).map(|_| keyed(&mut client, "a")).collect();
    let b: Vec<_> = (0..5).map(|_| keyed(&mut client, "b")).collect();
    // To the other key, out of every key, and into one.
    run(
        &mut client,
        &format!(
            "UPDATE tms.event_outbox SET ordering_key = 'b' WHERE id = '{}'",
            a[2]
        ),
    );
    run(
        &mut client,
        &format!(
            "UPDATE tms.event_outbox SET ordering_key = NULL WHERE id = '{}'",
            b[0]
        ),
    );
    let plain = id(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'hook')");
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET ordering_key = 'a' WHERE id = '{plain}'"),
    );
    run(&mut client, "SELECT tms_target_resume('hook')");
    story.all_done();
    came_in_order(&story);
    assert_eq!(story.receiver.distinct(), 11);
}

#[test]
fn a_key_that_is_changed_while_it_is_in_flight_stays_in_order() {
    let story = story();
    let mut client = story.client();
    story.receiver.behave(Behaviour::choose(|request| {
        if request.header("tms-event-type") == Some("load.slow") {
            Behaviour::Delay(std::time::Duration::from_millis(700))
        } else {
            Behaviour::Ok
        }
    }));
    let first = id(
        &mut client,
        "SELECT tms_enqueue('load.slow', '{}', 'hook', ordering_key => 'a')",
    );
    let second = keyed(&mut client, "b");
    story.arrives("the head of b", second);
    let head = keyed(&mut client, "a");
    let moved = keyed(&mut client, "a");
    story.arrives("the head of a", first);
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET ordering_key = 'c' WHERE id = '{moved}'"),
    );
    story.arrives("what was moved out of the key", moved);
    story.all_done();
    let came = story.receiver.ids();
    let place = |id| came.iter().position(|came| *came == id).expect("it came");
    assert!(place(head) > place(first));
    assert_eq!(story.receiver.distinct(), 4);
}

#[test]
fn prepared_transactions_keep_the_order_of_their_commits() {
    let story = story();
    let mut client = story.client();
    run(&mut client, "BEGIN");
    let prepared = ids(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'one') FROM generate_series(1, 5)",
    );
    run(&mut client, "PREPARE TRANSACTION 'keys'");
    let other = keyed(&mut client, "two");
    story.arrives("another key's event", other);
    // The key is the prepared transaction's until it ends: who wants it waits, the session that prepared it too.
    is_locked(&mut client, "one");
    is_locked(&mut story.client(), "one");
    assert!(prepared.iter().all(|id| story.times(*id) == 0));
    run(&mut client, "COMMIT PREPARED 'keys'");
    let behind = keyed(&mut client, "one");
    story.arrives("the event after it", behind);
    story.all_done();
    came_in_order(&story);
}

#[test]
fn savepoints_that_are_rolled_back_leave_no_gap_in_a_key() {
    let story = story();
    let mut client = story.client();
    for round in 0..20 {
        run(&mut client, "BEGIN");
        keyed(&mut client, "one");
        run(&mut client, "SAVEPOINT s");
        keyed(&mut client, "one");
        keyed(&mut client, "only here");
        run(&mut client, "ROLLBACK TO s");
        keyed(&mut client, "one");
        run(&mut client, "SAVEPOINT t");
        keyed(&mut client, "two");
        run(&mut client, "RELEASE t");
        run(&mut client, if round % 4 == 3 { "ROLLBACK" } else { "COMMIT" });
    }
    story.all_done();
    came_in_order(&story);
    assert_eq!(story.receiver.count(), 45);
}

#[test]
fn a_key_is_locked_again_after_the_savepoint_that_locked_it_was_rolled_back() {
    let story = story();
    let (mut client, mut other) = (story.client(), story.client());
    run(&mut client, "BEGIN");
    keyed(&mut client, "before");
    run(&mut client, "SAVEPOINT s");
    keyed(&mut client, "one");
    run(&mut client, "ROLLBACK TO s");
    let free = keyed(&mut other, "one");
    story.arrives("an event of the key that was given back", free);
    keyed(&mut client, "one");
    is_locked(&mut other, "one");
    is_locked(&mut other, "before");
    // The same when the savepoint is a function's own.
    run(
        &mut client,
        "DO $$ BEGIN
             PERFORM tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'two');
             RAISE division_by_zero;
         EXCEPTION WHEN division_by_zero THEN NULL;
         END $$",
    );
    keyed(&mut client, "two");
    is_locked(&mut other, "two");
    run(&mut client, "COMMIT");
    story.all_done();
    came_in_order(&story);
}

#[test]
fn a_key_waits_for_its_paused_target_and_goes_on_in_order() {
    let story = story();
    let mut client = story.client();
    for _ in 0..6 {
        run(&mut client, "SELECT tms_target_pause('hook')");
        for _ in 0..8 {
            keyed(&mut client, "one");
            keyed(&mut client, "two");
        }
        run(&mut client, "SELECT tms_target_resume('hook')");
        keyed(&mut client, "one");
    }
    story.all_done();
    came_in_order(&story);
}
