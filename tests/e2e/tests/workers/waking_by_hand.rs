//! What people do to the queue and its targets takes effect at once, and in order.

use tms_e2e::wait::eventually_eq;
use uuid::Uuid;

use crate::stage::{
    DB, SOON, Stage, count, enqueue, enqueue_for, enqueue_many, id_of, ids_of, is_written, run,
};

#[test]
fn an_event_made_due_by_hand_is_delivered() {
    let stage = Stage::woken();
    let mut client = stage.client();
    let scheduled = id_of(
        &mut client,
        "SELECT tms_enqueue('load.later', '{}', 'hook', available_at => now() + '1 hour')",
    );
    stage.arrives("a marker", enqueue(&mut client));
    assert_eq!(stage.times(scheduled), 0);
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET available_at = now() WHERE id = '{scheduled}'"),
    );
    stage.arrives("the event that was made due", scheduled);
}

#[test]
fn an_event_moved_to_another_target_goes_there() {
    let stage = Stage::woken();
    let mut client = stage.client();
    stage.target(&mut client, "closed", "/closed", "");
    run(&mut client, "SELECT tms_target_pause('closed')");
    let id = enqueue_for(&mut client, "closed");
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET target_system = 'hook', priority = 77 WHERE id = '{id}'"),
    );
    stage.arrives("the event that was moved", id);
    let requests = stage.receiver.requests();
    assert_eq!(&*requests[0].path, "/freight");
}

#[test]
fn resuming_a_target_delivers_what_waited() {
    let stage = Stage::woken();
    let mut client = stage.client();
    stage.target(&mut client, "other", "/other", "");
    run(&mut client, "SELECT tms_target_pause('hook')");
    let waiting = enqueue_many(&mut client, "hook", 25);
    stage.arrives("another target's event", enqueue_for(&mut client, "other"));
    assert_eq!(stage.receiver.distinct(), 1, "nothing goes to a paused target");
    run(&mut client, "SELECT tms_target_resume('hook')");
    stage.receiver.wait_for("what waited", SOON, |seen| {
        waiting.iter().all(|id| seen.times(*id) == 1)
    });
}

#[test]
fn a_target_with_another_url_gets_what_comes_next() {
    let stage = Stage::woken();
    let mut client = stage.client();
    stage.target(&mut client, "hook", "/moved", "");
    let id = enqueue(&mut client);
    stage.arrives("an event after the change", id);
    assert_eq!(&*stage.receiver.requests()[0].path, "/moved");
}

#[test]
fn a_setting_that_was_answered_holds_for_every_event_after_it() {
    let stage = Stage::woken();
    let mut client = stage.client();
    // Each round may meet the dispatcher between its look at the targets and its look at the queues.
    let rounds: Vec<_> = (0..150)
        .map(|round| {
            stage.target(&mut client, "hook", &format!("/{round:04}"), "");
            enqueue(&mut client)
        })
        .collect();
    stage.receiver.wait_for("all of them", SOON, |seen| {
        rounds.iter().all(|id| seen.times(*id) > 0)
    });
    for request in stage.receiver.requests() {
        let round = rounds.iter().position(|id| Some(*id) == request.id);
        let path = format!("/{:04}", round.unwrap_or_default());
        assert!(
            *request.path >= *path,
            "the event of {path} went to {}",
            request.path
        );
    }
}

#[test]
fn a_dropped_target_keeps_its_events_until_it_is_set_again() {
    let stage = Stage::woken();
    let mut client = stage.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    let id = enqueue(&mut client);
    run(&mut client, "DELETE FROM tms.targets WHERE name = 'hook'");
    stage.target(&mut client, "other", "/other", "");
    stage.arrives("another target's event", enqueue_for(&mut client, "other"));
    assert_eq!(stage.times(id), 0);
    stage.target(&mut client, "hook", "/again", "");
    stage.arrives("the event that waited for its target", id);
}

#[test]
fn higher_priorities_of_a_backlog_go_first() {
    let stage = Stage::woken();
    let mut client = stage.client();
    // One connection: the order of arrival is the order of sending.
    stage.target(&mut client, "narrow", "/narrow", r#", "max_concurrency": 1"#);
    run(&mut client, "SELECT tms_target_pause('narrow')");
    let of_priority = |client: &mut postgres::Client, priority: i32, events: u32| -> Vec<Uuid> {
        ids_of(
            client,
            &format!(
                "SELECT tms_enqueue('load.ranked', '{{}}', 'narrow', priority => {priority})
                   FROM generate_series(1, {events})"
            ),
        )
    };
    let usual = of_priority(&mut client, 0, 30);
    let low = of_priority(&mut client, -3, 5);
    let high = of_priority(&mut client, 5, 10);
    let highest = of_priority(&mut client, 100, 5);
    run(&mut client, "SELECT tms_target_resume('narrow')");
    stage
        .receiver
        .wait_for("the backlog", SOON, |seen| seen.distinct() == 50);
    assert_eq!(stage.receiver.ids(), [highest, high, usual, low].concat());
}

#[test]
fn a_batch_arrives_in_the_order_of_its_ids() {
    let stage = Stage::woken();
    let mut client = stage.client();
    stage.target(&mut client, "narrow", "/narrow", r#", "max_concurrency": 1"#);
    let ids = enqueue_many(&mut client, "narrow", 300);
    stage
        .receiver
        .wait_for("the batch", SOON, |seen| seen.distinct() == 300);
    assert_eq!(stage.receiver.ids(), ids);
    let numbers: Vec<i64> = stage
        .receiver
        .requests()
        .iter()
        .map(|request| request.json()["n"].as_i64().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(1..=300), "{numbers:?}");
}

#[test]
fn an_event_deleted_by_its_owner_in_the_queue_is_simply_gone() {
    let stage = Stage::woken();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    let ids = enqueue_many(&mut client, "hook", 10);
    run(
        &mut client,
        &format!("DELETE FROM tms.event_outbox WHERE id = '{}'", ids[4]),
    );
    run(&mut client, "SELECT tms_target_resume('hook')");
    stage
        .receiver
        .wait_for("the other nine", SOON, |seen| seen.distinct() == 9);
    stage.all_done(DB);
    assert_eq!(stage.times(ids[4]), 0);
    stage.is_quiet(mark);
}

#[test]
fn an_event_deleted_or_changed_in_flight_hurts_nobody() {
    use tms_e2e::receiver::Behaviour;
    let stage = Stage::woken();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    stage
        .receiver
        .behave(Behaviour::Delay(std::time::Duration::from_millis(1_500)));
    let ids = enqueue_many(&mut client, "hook", 10);
    stage
        .receiver
        .wait_for("all in flight", SOON, |seen| seen.in_flight() == 10);
    run(
        &mut client,
        &format!("DELETE FROM tms.event_outbox WHERE id = '{}'", ids[0]),
    );
    run(
        &mut client,
        &format!(
            "UPDATE tms.event_outbox SET event_type = 'load.renamed' WHERE id = '{}'",
            ids[1]
        ),
    );
    is_written(&mut client, ids[1]);
    stage.all_done(DB);
    eventually_eq("nine rows", SOON, 9, || {
        count(
            &mut client,
            "SELECT count(*) FROM tms.event_outbox WHERE event_type <> 'load.assigned' OR payload ? 'n'",
        )
    });
    stage.receiver.behave(Behaviour::Ok);
    stage.arrives("a later event", enqueue(&mut client));
    assert_eq!(stage.receiver.duplicates(), 0);
    stage.is_quiet(mark);
}
