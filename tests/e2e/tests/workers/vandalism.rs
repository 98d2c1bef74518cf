//! Who renames, cancels or terminates gets a clear line in the log; the workers come back and go on.

use std::thread;
use std::time::Duration;

use tms_e2e::cluster::Signal;
use tms_e2e::wait::{eventually, eventually_eq};

use crate::stage::{DB, SOON, Stage, count, enqueue, enqueue_many, run, status};

#[test]
fn a_renamed_table_is_reported_with_a_hint_and_no_crash_loop() {
    let stage = Stage::start();
    stage.workers(DB);
    let mut client = stage.client();
    let mark = stage.cluster.log_mark();
    run(&mut client, "ALTER TABLE tms.event_outbox RENAME TO mine");
    let line = stage
        .cluster
        .wait_for_log(mark, "tms: the dispatcher ends:", SOON);
    assert!(line.contains("tms.event_outbox"), "{line}");
    let hint = stage.cluster.wait_for_log(mark, "HINT:", SOON);
    assert!(hint.contains("renamed"), "{hint}");
    // A loop shows only over some time: with pauses of 1, 2, 4 and 8 seconds each worker has five tries at most.
    thread::sleep(Duration::from_secs(10));
    let ends = stage.log_lines(mark, |line| line.contains("ends:"));
    assert!(ends.len() <= 10, "{ends:#?}");
    let crashes = stage.log_lines(mark, |line| {
        line.contains("was terminated by signal") || line.contains("PANIC") || line.contains("panicked")
    });
    assert!(crashes.is_empty(), "{crashes:#?}");
    run(&mut client, "ALTER TABLE tms.mine RENAME TO event_outbox");
    stage.serves(DB);
}

#[test]
fn a_database_whose_workers_fail_says_so_in_the_status() {
    let stage = Stage::start();
    stage.workers(DB);
    let mut client = stage.client();
    run(&mut client, "ALTER TABLE tms.event_outbox RENAME TO mine");
    let line = stage.state(DB, "failing");
    assert!(line.hint.is_some_and(|hint| hint.contains("server log")));
    run(&mut client, "ALTER TABLE tms.mine RENAME TO event_outbox");
    stage.serves(DB);
    stage.state(DB, "running");
}

#[test]
fn a_dropped_column_is_reported_and_the_other_databases_deliver() {
    let stage = Stage::start();
    stage.furnish("rail");
    stage.workers("rail");
    let mut client = stage.client();
    let mark = stage.cluster.log_mark();
    run(
        &mut client,
        "ALTER TABLE tms.targets RENAME COLUMN options TO choices",
    );
    run(&mut client, "SELECT tms_target_pause('hook')");
    let line = stage
        .cluster
        .wait_for_log(mark, "tms: the dispatcher ends:", SOON);
    assert!(line.contains("options"), "{line}");
    stage.serves("rail");
    run(
        &mut client,
        "ALTER TABLE tms.targets RENAME COLUMN choices TO options",
    );
    run(&mut client, "SELECT tms_target_resume('hook')");
    stage.serves(DB);
}

#[test]
fn a_cancelled_worker_goes_on() {
    let stage = Stage::start();
    let workers = stage.workers(DB);
    let launcher = stage.worker(DB, "tms launcher");
    let mut client = stage.client();
    let mark = stage.cluster.log_mark();
    // At rest and at work.
    for _ in 0..20 {
        run(
            &mut client,
            "SELECT tms_enqueue('load.assigned', '{}', 'hook') FROM generate_series(1, 50);
             SELECT pg_cancel_backend(pid) FROM pg_stat_activity
              WHERE backend_type IN ('tms launcher', 'tms dispatcher', 'tms scheduler')",
        );
    }
    stage
        .receiver
        .wait_for("everything", SOON, |seen| seen.distinct() == 1_000);
    stage.all_done(DB);
    assert_eq!(stage.workers(DB), workers);
    assert_eq!(stage.worker(DB, "tms launcher"), launcher);
    stage.is_quiet(mark);
}

#[test]
fn a_terminated_worker_comes_back() {
    let stage = Stage::start();
    let workers = stage.workers(DB);
    let mark = stage.cluster.log_mark();
    run(
        &mut stage.client(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE backend_type IN ('tms dispatcher', 'tms scheduler')",
    );
    eventually("other workers", SOON, || {
        let now = stage.workers(DB);
        (now[0] != workers[0] && now[1] != workers[1]).then_some(())
    });
    stage.serves(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_terminated_launcher_comes_back_and_finds_its_workers() {
    let stage = Stage::start();
    stage.workers(DB);
    let mut client = stage.client();
    let first = stage.worker(DB, "tms launcher");
    assert!(stage.cluster.signal(first, Signal::SIGTERM));
    eventually("another launcher", SOON, || {
        stage
            .cluster
            .worker_pid(DB, "tms launcher")
            .filter(|pid| *pid != first)
    });
    enqueue_many(&mut client, "hook", 500);
    stage
        .receiver
        .wait_for("deliveries go on", SOON, |seen| seen.distinct() == 500);
    stage.all_done(DB);
    const EACH: &str =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('tms dispatcher', 'tms scheduler')";
    eventually_eq("one dispatcher and one scheduler", SOON, 2, || {
        count(&mut client, EACH)
    });
    assert_eq!(stage.receiver.duplicates(), 0, "two dispatchers would send twice");
    // It is the new launcher that knows them: what ends is replaced, and a new database is found.
    let dispatcher = stage.worker(DB, "tms dispatcher");
    assert!(stage.cluster.signal(dispatcher, Signal::SIGTERM));
    stage.serves(DB);
    stage.furnish("rail");
    stage.serves("rail");
    assert_eq!(status(&mut client)[0].state, "running");
}

#[test]
fn an_orderly_stop_writes_down_what_was_delivered() {
    use tms_e2e::cluster::Mode;
    use tms_e2e::receiver::Behaviour;
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    stage
        .receiver
        .behave(Behaviour::Delay(Duration::from_millis(300)));
    let mut client = stage.client();
    enqueue_many(&mut client, "hook", 1_000);
    stage
        .receiver
        .wait_for("requests in flight", SOON, |seen| seen.count() >= 32);
    drop(client);
    let took = stage.cluster.stop(Mode::Fast);
    assert!(took < Duration::from_secs(20), "{took:?}");
    let delivered = stage.receiver.distinct();
    assert!(delivered < 1_000, "it was in the middle");
    let complaints = stage.complaints(mark);
    assert!(complaints.is_empty(), "{complaints:#?}");
    stage.receiver.behave(Behaviour::Ok);
    stage.cluster.start();
    stage
        .receiver
        .wait_for("the rest", SOON, |seen| seen.distinct() == 1_000);
    stage.all_done(DB);
    assert_eq!(stage.receiver.duplicates(), 0, "an orderly stop forgets nothing");
    stage.arrives("an event after the restart", enqueue(&mut stage.client()));
}
