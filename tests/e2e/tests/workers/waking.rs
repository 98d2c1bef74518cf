//! An event is delivered because its commit woke the dispatcher, whichever way it was written.
//!
//! The queue is not looked through by the clock here (`Stage::woken`), so a missed wake-up is an event that does not arrive.

use std::io::Write;
use std::time::{Duration, SystemTime};

use tms_e2e::wait::{eventually, eventually_eq};
use uuid::Uuid;

use crate::stage::{SOON, Stage, count, enqueue, id_of, run, wakeups};

const INSERT: &str = "INSERT INTO tms.event_outbox (event_type, payload, target_system)
                      VALUES ('load.assigned', '{\"load\": 8}', 'hook') RETURNING id";

#[test]
fn tms_enqueue_and_a_plain_insert_are_delivered_at_their_commit() {
    let stage = Stage::woken();
    let mut client = stage.client();
    for statement in [
        "SELECT tms_enqueue('load.assigned', '{}', 'hook')",
        INSERT,
        "WITH made AS (INSERT INTO tms.event_outbox (event_type, payload, target_system, priority)
                       VALUES ('load.assigned', '{}', 'hook', 40) RETURNING id) SELECT id FROM made",
    ] {
        let id = id_of(&mut client, statement);
        stage.arrives(statement, id);
    }
    run(&mut client, "BEGIN");
    let id = enqueue(&mut client);
    assert_eq!(stage.times(id), 0, "nothing leaves before its commit");
    run(&mut client, "COMMIT");
    stage.arrives("an event in a transaction of several statements", id);
}

#[test]
fn copied_rows_are_delivered() {
    let stage = Stage::woken();
    let mut client = stage.client();
    let ids: Vec<Uuid> = (1..=50).map(Uuid::from_u128).collect();
    let mut copy = client
        .copy_in("COPY tms.event_outbox (id, event_type, payload, target_system) FROM STDIN")
        .unwrap();
    for id in &ids {
        writeln!(copy, "{id}\tload.copied\t{{}}\thook").unwrap();
    }
    copy.finish().unwrap();
    stage.receiver.wait_for("every copied row", SOON, |seen| {
        ids.iter().all(|id| seen.times(*id) > 0)
    });
}

#[test]
fn a_released_savepoint_counts_and_a_rolled_back_one_does_not() {
    let stage = Stage::woken();
    let mut client = stage.client();
    run(&mut client, "BEGIN; SAVEPOINT a");
    let kept = enqueue(&mut client);
    run(&mut client, "RELEASE a; COMMIT");
    stage.arrives("the event of a released savepoint", kept);

    run(&mut client, "BEGIN; SAVEPOINT a; SAVEPOINT b");
    let dropped = [enqueue(&mut client), id_of(&mut client, INSERT)];
    run(&mut client, "RELEASE b; ROLLBACK TO a");
    let outer = enqueue(&mut client);
    run(&mut client, "COMMIT");
    stage.arrives("the event beside a rolled-back savepoint", outer);
    // What comes later has arrived, so what was rolled back would have, too.
    stage.arrives("a later event", enqueue(&mut client));
    assert_eq!(dropped.map(|id| stage.times(id)), [0, 0]);
}

#[test]
fn the_only_event_in_a_savepoint_of_a_savepoint_is_delivered() {
    let stage = Stage::woken();
    let mut client = stage.client();
    run(&mut client, "BEGIN; SAVEPOINT a; SAVEPOINT b; SAVEPOINT c");
    let deep = enqueue(&mut client);
    run(&mut client, "RELEASE c; SAVEPOINT d");
    let undone = enqueue(&mut client);
    run(&mut client, "ROLLBACK TO d; RELEASE a; COMMIT");
    stage.arrives("the event of the innermost savepoint", deep);
    assert_eq!(stage.times(undone), 0);
    run(
        &mut client,
        "DO $$ BEGIN
             BEGIN
                 PERFORM tms_enqueue('load.undone', '{}', 'hook');
                 RAISE EXCEPTION 'a failure that is caught';
             EXCEPTION WHEN OTHERS THEN
                 PERFORM tms_enqueue('load.caught', '{}', 'hook');
             END;
         END $$",
    );
    stage.receiver.wait_for("the event of the handler", SOON, |seen| {
        seen.requests()
            .iter()
            .any(|request| request.header("tms-event-type") == Some("load.caught"))
    });
}

#[test]
fn a_scheduled_event_comes_at_its_time_and_not_before() {
    let stage = Stage::woken();
    let mut client = stage.client();
    // Something far ahead must not hide what is near.
    let far = id_of(
        &mut client,
        "SELECT tms_enqueue('load.far', '{}', 'hook', available_at => now() + '1 hour')",
    );
    let row = client
        .query_one(
            "SELECT tms_enqueue('load.near', '{}', 'hook', available_at => due), due
               FROM (SELECT clock_timestamp() + '1.5 s' AS due) AS soon",
            &[],
        )
        .unwrap();
    let (near, due): (Uuid, SystemTime) = (row.get(0), row.get(1));
    stage.arrives("the scheduled event", near);
    let requests = stage.receiver.requests();
    let arrival = requests
        .iter()
        .find(|request| request.id == Some(near))
        .unwrap()
        .wall;
    let late = arrival.duration_since(due).expect("not before its time");
    assert!(late < Duration::from_secs(5), "{late:?} after its time");
    assert_eq!(stage.times(far), 0);
}

#[test]
fn a_scheduled_event_beside_a_due_one_comes_at_its_time() {
    let stage = Stage::woken();
    let mut client = stage.client();
    run(&mut client, "BEGIN");
    let now = enqueue(&mut client);
    let soon = id_of(
        &mut client,
        "SELECT tms_enqueue('load.soon', '{}', 'hook', available_at => clock_timestamp() + '1 s')",
    );
    run(&mut client, "COMMIT");
    stage.arrives("the event that was due", now);
    stage.arrives("the event that was scheduled in the same transaction", soon);
}

#[test]
fn a_failed_attempt_is_repeated_at_its_time() {
    use tms_e2e::receiver::Behaviour;
    let stage = Stage::woken();
    let mut client = stage.client();
    stage.target(
        &mut client,
        "flaky",
        "/flaky",
        r#", "retry": {"base_ms": 300, "factor": 2, "jitter": 0}"#,
    );
    stage.receiver.behave(Behaviour::choose(|request| {
        if request.attempt < 4 {
            Behaviour::status(503)
        } else {
            Behaviour::Ok
        }
    }));
    let id = crate::stage::enqueue_for(&mut client, "flaky");
    stage
        .receiver
        .wait_for("the fourth attempt", SOON, |seen| seen.times(id) == 4);
    crate::stage::is_written(&mut client, id);
    let at: Vec<_> = stage
        .receiver
        .requests()
        .iter()
        .map(|request| request.at)
        .collect();
    for (pair, pause) in at.windows(2).zip([300, 600, 1_200]) {
        let waited = pair[1] - pair[0];
        assert!(
            waited >= Duration::from_millis(pause),
            "{waited:?} instead of {pause} ms"
        );
    }
}

#[test]
fn a_transaction_that_commits_late_is_not_left_behind() {
    let stage = Stage::woken();
    let (mut slow, mut quick) = (stage.client(), stage.client());
    run(&mut slow, "BEGIN");
    let early = enqueue(&mut slow);
    // The time itself is the story: the dispatcher's place in the queue moves past the open transaction's.
    let mut later = Vec::new();
    eventually("a transaction open for 4 seconds", SOON, || {
        later.push(enqueue(&mut quick));
        let open = count(
            &mut slow,
            "SELECT extract(epoch FROM clock_timestamp() - now())::bigint",
        );
        (open >= 4).then_some(())
    });
    stage
        .receiver
        .wait_for("everything that was committed later", SOON, |seen| {
            later.iter().all(|id| seen.times(*id) > 0)
        });
    assert_eq!(stage.times(early), 0);
    run(&mut slow, "COMMIT");
    stage.arrives("the event that was written first", early);
    stage.all_done(crate::stage::DB);
    assert_eq!(stage.receiver.duplicates(), 0);
}

#[test]
fn replicated_rows_wake_too() {
    let stage = Stage::woken();
    let mut client = stage.client();
    run(&mut client, "SET session_replication_role = replica");
    let id = id_of(&mut client, INSERT);
    stage.arrives("a row written in replica mode", id);
    let updated = id_of(
        &mut client,
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, available_at)
         VALUES ('load.assigned', '{}', 'hook', now() + '1 hour') RETURNING id",
    );
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET available_at = now() WHERE id = '{updated}'"),
    );
    stage.arrives("a row changed in replica mode", updated);
}

#[test]
fn a_rollback_wakes_nobody() {
    let stage = Stage::woken();
    let mut client = stage.client();
    let mut before = 0;
    eventually("a dispatcher at rest", SOON, || {
        let seen = wakeups(&mut client, "dispatcher");
        // Long enough for what is under way to end, and for the figures of targets, which are written once a second: rest is
        // told from the next look alone.
        std::thread::sleep(Duration::from_millis(1_500));
        let rests = seen == wakeups(&mut client, "dispatcher") && seen > 0;
        before = seen;
        rests.then_some(())
    });
    for _ in 0..50 {
        run(&mut client, "BEGIN");
        enqueue(&mut client);
        run(
            &mut client,
            "UPDATE tms.event_outbox SET priority = 3; SELECT tms_target_pause('hook'); ROLLBACK",
        );
    }
    // Transactions that commit without an event wake nobody either.
    run(
        &mut client,
        "CREATE TABLE loads (id int); INSERT INTO loads VALUES (1)",
    );
    eventually_eq("no wake-up", Duration::ZERO, before, || {
        wakeups(&mut client, "dispatcher")
    });
    stage.arrives("a committed event", enqueue(&mut client));
    // Fifty wake-ups that were late would show by now; delivering one event takes a few.
    let after = wakeups(&mut client, "dispatcher");
    assert!(
        (before + 1..before + 10).contains(&after),
        "{before} and then {after}"
    );
}
