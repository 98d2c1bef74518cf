//! CREATE and DROP EXTENSION are followed without a restart, and nobody waits for the workers.

use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::eventually;

use crate::stage::{DB, SOON, Stage, enqueue, enqueue_many, run, timed};

/// A few seconds: the workers' grace for requests in flight (5 s), and room for a busy machine.
const FEW_SECONDS: Duration = Duration::from_secs(10);

#[test]
fn create_extension_starts_workers_and_drop_sends_them_away_and_so_again() {
    let stage = Stage::start();
    for _ in 0..3 {
        let mark = stage.cluster.log_mark();
        stage.workers(DB);
        let took = timed(&mut stage.client(), "DROP EXTENSION tms");
        assert!(took < FEW_SECONDS, "{took:?}");
        stage.workers_leave(DB);
        stage.install(DB);
        stage.serves(DB);
        stage.is_quiet(mark);
    }
}

#[test]
fn the_extension_may_live_in_any_schema() {
    let stage = Stage::start();
    stage.cluster.create_database("rail");
    let mut client = stage.cluster.client("rail");
    run(
        &mut client,
        "CREATE SCHEMA extensions; CREATE EXTENSION tms SCHEMA extensions; SET search_path = extensions",
    );
    stage.target(&mut client, "hook", "/rail", "");
    let id = enqueue(&mut client);
    stage.arrives("an event of an extension that is not in public", id);
}

#[test]
fn drop_extension_is_not_blocked_in_the_middle_of_a_backlog() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    stage.receiver.behave(Behaviour::Delay(Duration::from_millis(50)));
    enqueue_many(&mut client, "hook", 20_000);
    stage
        .receiver
        .wait_for("the first hundred", SOON, |seen| seen.count() >= 100);
    let took = timed(&mut client, "DROP EXTENSION tms");
    assert!(took < FEW_SECONDS, "{took:?}");
    stage.workers_leave(DB);
    assert!(stage.receiver.count() < 20_000, "it was in the middle");
    stage.is_quiet(mark);
}

#[test]
fn drop_extension_waits_for_a_silent_receiver_no_longer_than_the_grace() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    stage.receiver.behave(Behaviour::Hang);
    enqueue_many(&mut client, "hook", 100);
    stage
        .receiver
        .wait_for("requests without an answer", SOON, |seen| seen.in_flight() >= 32);
    let took = timed(&mut client, "DROP EXTENSION tms");
    assert!(took < FEW_SECONDS, "{took:?}");
    stage.workers_leave(DB);
    stage.is_quiet(mark);
}

#[test]
fn drop_extension_is_not_blocked_while_others_enqueue() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let producers: Vec<_> = (0..3)
        .map(|_| {
            let mut client = stage.client();
            // Not in a scope: that would wait for producers that go on for ever when what is below fails.
            thread::spawn(move || {
                let enqueue = "SELECT tms_enqueue('load.assigned', '{}', 'hook')";
                loop {
                    if let Err(error) = client.batch_execute(enqueue) {
                        return error.code().cloned();
                    }
                }
            })
        })
        .collect();
    stage
        .receiver
        .wait_for("a thousand events", SOON, |seen| seen.distinct() >= 1_000);
    let took = timed(&mut stage.client(), "DROP EXTENSION tms");
    for producer in producers {
        let code = producer.join().unwrap();
        // The function is gone, or what it needs went while it ran.
        assert_ne!(code, None, "the connection of a producer was lost");
    }
    assert!(took < FEW_SECONDS, "{took:?}");
    stage.workers_leave(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_drop_that_is_rolled_back_brings_the_workers_back() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    run(&mut client, "BEGIN; DROP EXTENSION tms");
    stage.workers_leave(DB);
    run(&mut client, "ROLLBACK");
    stage.serves(DB);

    run(
        &mut client,
        "BEGIN; SAVEPOINT a; DROP EXTENSION tms; ROLLBACK TO a",
    );
    let meanwhile = enqueue(&mut client);
    run(&mut client, "COMMIT");
    stage.arrives("the event beside a drop that was taken back", meanwhile);
    stage.is_quiet(mark);
}

#[test]
fn a_session_that_ends_before_its_drop_commits_brings_the_workers_back() {
    let stage = Stage::start();
    let mut client = stage.client();
    run(&mut client, "BEGIN; DROP EXTENSION tms");
    stage.workers_leave(DB);
    drop(client);
    stage.serves(DB);
}

#[test]
fn a_role_without_the_right_to_drop_does_not_disturb_the_workers() {
    let stage = Stage::start();
    let workers = stage.workers(DB);
    run(&mut stage.client(), "CREATE ROLE visitor LOGIN CREATEDB");
    let mut visitor = stage.cluster.client_as("visitor", DB);
    let mut outside = stage.cluster.client_as("visitor", "postgres");
    for statement in ["DROP EXTENSION tms", "ALTER EXTENSION tms UPDATE"] {
        let error = visitor.batch_execute(statement).unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}"
        );
    }
    for statement in [
        "DROP DATABASE freight",
        "DROP DATABASE freight WITH (FORCE)",
        "ALTER DATABASE freight RENAME TO mine",
        "ALTER DATABASE freight SET TABLESPACE pg_default",
        "CREATE DATABASE mine TEMPLATE freight",
    ] {
        let error = outside.batch_execute(statement).unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}"
        );
    }
    stage.serves(DB);
    assert_eq!(stage.workers(DB), workers);
}

#[test]
fn alter_extension_update_and_a_drop_that_fails_bring_the_workers_back() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    run(&mut client, "ALTER EXTENSION tms UPDATE");
    stage.serves(DB);
    run(
        &mut client,
        "CREATE VIEW waiting AS SELECT id FROM tms.event_outbox WHERE processed_at IS NULL",
    );
    let error = client.batch_execute("DROP EXTENSION tms").unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST));
    stage.serves(DB);
    let took = timed(&mut client, "DROP EXTENSION tms CASCADE");
    assert!(took < FEW_SECONDS, "{took:?}");
    stage.workers_leave(DB);
    stage.is_quiet(mark);
}

#[test]
fn an_extension_that_falls_with_its_schema_takes_the_workers_along() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    let took = timed(&mut client, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    assert!(took < FEW_SECONDS, "{took:?}");
    stage.workers_leave(DB);
    stage.install(DB);
    stage.serves(DB);
    let ends = stage.log_lines(mark, |line| line.contains("ends:"));
    assert!(ends.len() <= 2, "{ends:#?}");
}

#[test]
fn without_preload_events_wait_until_the_server_has_the_library() {
    let stage = Stage::bare(Cluster::builder().preload(false));
    stage.cluster.create_database(DB);
    let said = stage
        .cluster
        .psql(DB, "CREATE EXTENSION tms;")
        .expect_success()
        .stderr;
    assert!(
        said.contains("NOTICE") && said.contains("shared_preload_libraries"),
        "{said}"
    );
    assert!(said.contains("HINT"), "{said}");
    let mut client = stage.client();
    stage.target(&mut client, "hook", "/freight", "");
    let id = enqueue(&mut client);
    let lines = crate::stage::status(&mut client);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].detail.contains("shared_preload_libraries"), "{lines:?}");
    assert!(lines[0].hint.as_ref().unwrap().contains("restart"), "{lines:?}");
    assert_eq!(stage.receiver.count(), 0);
    drop(client);
    stage.cluster.set("shared_preload_libraries", "tms");
    stage.cluster.restart(tms_e2e::cluster::Mode::Fast);
    stage.arrives("the event that waited for the library", id);
    eventually("the launcher runs", SOON, || {
        let lines = crate::stage::status(&mut stage.client());
        if lines[0].state == "running" {
            Ok(())
        } else {
            Err(lines)
        }
    });
}

#[test]
fn two_sessions_that_want_the_workers_away_do_not_forget_each_other() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    run(&mut client, "BEGIN; DROP EXTENSION tms");
    stage.workers_leave(DB);
    // Fails, since the first session is connected, and gives back what is not its own to give.
    let error = stage
        .cluster
        .client("postgres")
        .batch_execute("CREATE DATABASE copy TEMPLATE freight")
        .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::OBJECT_IN_USE));
    let took = timed(&mut client, "COMMIT");
    assert!(took < FEW_SECONDS, "{took:?}");
    stage.workers_leave(DB);
    stage.install(DB);
    stage.serves(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_drop_behind_a_lock_of_the_same_transaction_is_not_blocked() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    enqueue_many(&mut client, "hook", 100);
    run(
        &mut client,
        "BEGIN; LOCK TABLE tms.event_outbox IN ACCESS EXCLUSIVE MODE",
    );
    let took = timed(&mut client, "DROP EXTENSION tms");
    assert!(took < FEW_SECONDS, "{took:?}");
    run(&mut client, "COMMIT");
    stage.workers_leave(DB);
    stage.is_quiet(mark);
}
