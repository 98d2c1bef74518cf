//! A user's lock stalls what it covers and nothing else, and no worker ends because of it.

use std::thread;
use std::time::Duration;

use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::{eventually, eventually_eq};

use crate::stage::{
    DB, SOON, Stage, count, enqueue, enqueue_for, enqueue_many, is_processed, is_written, run,
};

const UNPROCESSED: &str = "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL";

/// Waits until somebody waits to have a table for himself; the workers may be waiting behind him.
fn is_waited_for(stage: &Stage) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    let mut onlooker = stage.client();
    eventually_eq("the lock is waited for", SOON, 1, || {
        count(&mut onlooker, waiting)
    });
}

#[test]
fn a_row_lock_stalls_one_event_and_not_the_others() {
    let stage = Stage::woken();
    let mark = stage.cluster.log_mark();
    let workers = stage.workers(DB);
    let (mut client, mut holder) = (stage.client(), stage.client());
    stage
        .receiver
        .behave(Behaviour::Delay(Duration::from_millis(1_500)));
    let ids = enqueue_many(&mut client, "hook", 20);
    stage
        .receiver
        .wait_for("all in flight", SOON, |seen| seen.in_flight() == 20);
    run(
        &mut holder,
        &format!(
            "BEGIN; SELECT 1 FROM tms.event_outbox WHERE id = '{}' FOR UPDATE",
            ids[7]
        ),
    );
    eventually_eq("the other nineteen are written", SOON, 1, || {
        count(&mut client, UNPROCESSED)
    });
    assert!(!is_processed(&mut client, ids[7]));
    // The queue goes on while he holds it.
    stage.receiver.behave(Behaviour::Ok);
    let later = enqueue_many(&mut client, "hook", 50);
    is_written(&mut client, later[49]);
    eventually_eq("what came later is written", SOON, 1, || {
        count(&mut client, UNPROCESSED)
    });
    run(&mut holder, "COMMIT");
    is_written(&mut client, ids[7]);
    assert_eq!(stage.receiver.duplicates(), 0);
    assert_eq!(stage.workers(DB), workers);
    stage.is_quiet(mark);
}

#[test]
fn a_row_lock_on_a_failing_event_delays_its_dead_letter_alone() {
    let stage = Stage::woken();
    let (mut client, mut holder) = (stage.client(), stage.client());
    stage
        .receiver
        .behave(Behaviour::choose(|_| Behaviour::status(422)));
    run(&mut client, "SELECT tms_target_pause('hook')");
    let ids = enqueue_many(&mut client, "hook", 10);
    run(
        &mut holder,
        &format!(
            "BEGIN; SELECT 1 FROM tms.event_outbox WHERE id = '{}' FOR UPDATE",
            ids[3]
        ),
    );
    run(&mut client, "SELECT tms_target_resume('hook')");
    const LETTERS: &str = "SELECT count(DISTINCT original_event_id) FROM tms.dead_letter_queue";
    eventually_eq("nine letters", SOON, 9, || count(&mut client, LETTERS));
    run(&mut holder, "COMMIT");
    eventually_eq("ten letters", SOON, 10, || count(&mut client, LETTERS));
    assert_eq!(
        count(&mut client, "SELECT count(*) FROM tms.dead_letter_queue"),
        10,
        "one letter an event"
    );
    assert_eq!(stage.receiver.duplicates(), 0);
}

#[test]
fn a_table_lock_is_waited_out_with_a_line_in_the_log() {
    let stage = Stage::woken();
    let workers = stage.workers(DB);
    let (mut client, mut holder) = (stage.client(), stage.client());
    stage
        .receiver
        .behave(Behaviour::Delay(Duration::from_millis(1_000)));
    enqueue_many(&mut client, "hook", 10);
    stage
        .receiver
        .wait_for("all in flight", SOON, |seen| seen.in_flight() == 10);
    let mark = stage.cluster.log_mark();
    run(
        &mut holder,
        "BEGIN; LOCK TABLE tms.event_outbox IN ACCESS EXCLUSIVE MODE",
    );
    stage
        .cluster
        .wait_for_log(mark, "tms: the dispatcher gives way", SOON);
    // The lock's duration is the story: what is repeated for as long as it is held would show.
    thread::sleep(Duration::from_secs(5));
    let lines = stage.log_lines(mark, |line| line.contains("gives way"));
    run(&mut holder, "COMMIT");
    stage.receiver.behave(Behaviour::Ok);
    stage.all_done(DB);
    stage.serves(DB);
    assert_eq!(stage.receiver.duplicates(), 0);
    assert_eq!(stage.workers(DB), workers, "no worker ended");
    stage.is_quiet(mark);
    assert!(
        lines.len() <= 2,
        "a lock is worth a line, not one every moment: {lines:#?}"
    );
}

#[test]
fn a_new_priority_is_not_forgotten_when_the_table_is_locked_at_its_commit() {
    let stage = Stage::woken();
    let (mut client, mut holder) = (stage.client(), stage.client());
    let mark = stage.cluster.log_mark();
    run(&mut client, "BEGIN");
    let id = crate::stage::id_of(
        &mut client,
        "SELECT tms_enqueue('load.urgent', '{}', 'hook', priority => 9)",
    );
    thread::scope(|scope| {
        // Waits for the producer, and has the table the moment he commits.
        let lock = scope.spawn(|| {
            run(
                &mut holder,
                "BEGIN; LOCK TABLE tms.event_outbox IN ACCESS EXCLUSIVE MODE",
            )
        });
        is_waited_for(&stage);
        run(&mut client, "COMMIT");
        lock.join().unwrap();
    });
    stage
        .cluster
        .wait_for_log(mark, "tms: the dispatcher gives way", SOON);
    run(&mut holder, "COMMIT");
    stage.arrives("the urgent event", id);
}

#[test]
fn a_schedule_is_not_forgotten_when_the_table_is_locked_at_its_commit() {
    let stage = Stage::woken();
    let (mut client, mut holder) = (stage.client(), stage.client());
    let mark = stage.cluster.log_mark();
    run(&mut client, "BEGIN");
    let now = enqueue(&mut client);
    let soon = crate::stage::id_of(
        &mut client,
        "SELECT tms_enqueue('load.soon', '{}', 'hook', available_at => clock_timestamp() + '3 s')",
    );
    thread::scope(|scope| {
        let lock = scope.spawn(|| {
            run(
                &mut holder,
                "BEGIN; LOCK TABLE tms.event_outbox IN ACCESS EXCLUSIVE MODE",
            )
        });
        is_waited_for(&stage);
        run(&mut client, "COMMIT");
        lock.join().unwrap();
    });
    stage
        .cluster
        .wait_for_log(mark, "tms: the dispatcher gives way", SOON);
    run(&mut holder, "COMMIT");
    stage.arrives("the event that was due", now);
    stage.arrives("the scheduled event", soon);
}

#[test]
fn a_lock_on_the_targets_does_not_stop_what_is_known_already() {
    let stage = Stage::woken();
    let workers = stage.workers(DB);
    let (mut client, mut holder) = (stage.client(), stage.client());
    // This session knows the target's name, so enqueueing needs no look at the table.
    enqueue(&mut client);
    run(
        &mut holder,
        "BEGIN; LOCK TABLE tms.targets, tms.target_secrets IN ACCESS EXCLUSIVE MODE",
    );
    let id = enqueue(&mut client);
    stage.arrives("an event while the targets are locked", id);
    is_written(&mut client, id);
    run(&mut holder, "COMMIT");
    assert_eq!(stage.workers(DB), workers);
}

#[test]
fn a_change_of_targets_behind_a_lock_is_read_when_it_is_gone() {
    let stage = Stage::woken();
    let (mut client, mut holder) = (stage.client(), stage.client());
    let mark = stage.cluster.log_mark();
    run(&mut client, "BEGIN");
    stage.target(&mut client, "late", "/late", "");
    thread::scope(|scope| {
        let lock = scope.spawn(|| {
            run(
                &mut holder,
                "BEGIN; LOCK TABLE tms.targets IN ACCESS EXCLUSIVE MODE",
            )
        });
        is_waited_for(&stage);
        run(&mut client, "COMMIT");
        lock.join().unwrap();
    });
    stage
        .cluster
        .wait_for_log(mark, "tms: the dispatcher gives way", SOON);
    run(&mut holder, "COMMIT");
    let id = enqueue_for(&mut client, "late");
    stage.arrives("an event for the new target", id);
}

#[test]
fn a_table_rewritten_or_emptied_under_the_events_in_flight_hurts_nobody() {
    let stage = Stage::woken();
    let mark = stage.cluster.log_mark();
    let workers = stage.workers(DB);
    let mut client = stage.client();
    stage.receiver.behave(Behaviour::Delay(Duration::from_secs(2)));
    let in_flight = |events: usize| {
        stage
            .receiver
            .wait_for("all in flight", SOON, |seen| seen.in_flight() == events);
    };
    enqueue_many(&mut client, "hook", 10);
    in_flight(10);
    run(
        &mut client,
        "DELETE FROM tms.event_outbox WHERE processed_at IS NOT NULL",
    );
    run(&mut client, "VACUUM FULL tms.event_outbox");
    stage.all_done(DB);
    enqueue_many(&mut client, "hook", 10);
    in_flight(10);
    run(&mut client, "TRUNCATE tms.event_outbox");
    eventually("the answers have come", SOON, || {
        (stage.receiver.in_flight() == 0).then_some(())
    });
    stage.receiver.behave(Behaviour::Ok);
    let id = enqueue(&mut client);
    stage.arrives("a later event", id);
    is_written(&mut client, id);
    assert_eq!(stage.receiver.duplicates(), 0);
    assert_eq!(stage.workers(DB), workers);
    stage.is_quiet(mark);
}
