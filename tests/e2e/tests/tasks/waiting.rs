//! Agents that wait inside the claim.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually;

use crate::stage::*;

const LONG: &str = ", 1, '5 minutes', '30 seconds'";

fn waiting(watcher: &mut Client, sessions: i64) {
    eventually("they wait", SOON, || {
        let count = number(
            watcher,
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%tms_task_claim%' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()",
        );
        (count == sessions).then_some(())
    });
}

/// A session that waits and reports what it got.
fn waiter(cluster: &Cluster, role: &str, done: &mpsc::Sender<Vec<Held>>) -> thread::JoinHandle<()> {
    let mut agent = cluster.client_as(role, "postgres");
    let done = done.clone();
    thread::spawn(move || drop(done.send(claim_with(&mut agent, LONG))))
}

#[test]
fn a_commit_wakes_who_waits_and_only_as_many_as_it_has_tasks_for() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let (done, told) = mpsc::channel();
    let waiters: Vec<_> = (0..20).map(|_| waiter(&cluster, "agent_a", &done)).collect();
    waiting(&mut owner, 20);
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut work = producer.transaction().expect("a transaction");
    work.batch_execute("SELECT tms_task_submit('worker', 'rates.price') FROM generate_series(1, 3)")
        .expect("three tasks");
    // Until the commit nobody hears of it.
    work.commit().expect("a commit");
    let got: Vec<Held> = (0..3)
        .flat_map(|_| told.recv_timeout(SOON).expect("a task"))
        .collect();
    assert_eq!(got.len(), 3);
    waiting(&mut owner, 17);
    run(
        &mut producer,
        "SELECT tms_task_submit('worker', 'rates.price') FROM generate_series(1, 17)",
    );
    for waiter in waiters {
        waiter.join().expect("everybody got one");
    }
    assert_eq!(told.try_iter().flatten().count(), 17);
}

#[test]
fn who_waits_for_another_company_sleeps_on() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let (done, told) = mpsc::channel();
    let (other_done, other_told) = mpsc::channel();
    let own = waiter(&cluster, "agent_a", &done);
    let _other = waiter(&cluster, "agent_b", &other_done);
    waiting(&mut owner, 2);
    submit(&mut cluster.client_as("producer_a", "postgres"), "{}");
    assert_eq!(told.recv_timeout(SOON).expect("a task").len(), 1);
    own.join().expect("the waiter");
    waiting(&mut owner, 1);
    assert!(other_told.try_recv().is_err());
    // So that the test need not wait for its thirty seconds.
    submit(&mut cluster.client_as("producer_b", "postgres"), "{}");
    assert_eq!(other_told.recv_timeout(SOON).expect("a task").len(), 1);
}

#[test]
fn a_wait_ends_by_cancel_by_timeout_and_by_termination_and_the_task_is_anothers() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let mut timed = cluster.client_as("agent_a", "postgres");
    run(&mut timed, "SET statement_timeout = '200ms'");
    let refused = refusal(
        &mut timed,
        "SELECT * FROM tms_task_claim('worker', 'w', 1, '5 minutes', '30 seconds')",
    );
    assert_eq!(refused.code, "57014");
    for end in ["pg_cancel_backend", "pg_terminate_backend"] {
        let mut agent = cluster.client_as("agent_a", "postgres");
        let waits = thread::spawn(move || {
            agent
                .query(
                    "SELECT * FROM tms_task_claim('worker', 'w', 1, '5 minutes', '30 seconds')",
                    &[],
                )
                .map_err(|error| error.code().map(|code| code.code().to_owned()))
        });
        waiting(&mut owner, 1);
        let begun = Instant::now();
        run(
            &mut owner,
            &format!(
                "SELECT {end}(pid) FROM pg_stat_activity WHERE query LIKE '%tms_task_claim%' AND pid <> pg_backend_pid() AND state = 'active'"
            ),
        );
        let told = waits
            .join()
            .expect("the waiter")
            .expect_err("it does not end well");
        // A client may see its connection go before it reads the server's last word.
        let expected = match end {
            "pg_cancel_backend" => told.as_deref() == Some("57014"),
            _ => matches!(told.as_deref(), Some("57P01") | None),
        };
        assert!(expected, "{end}: {told:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "at once, not when the wait is over"
        );
    }
    // Nobody who left is woken instead of who is there.
    let (done, told) = mpsc::channel();
    let there = waiter(&cluster, "agent_a", &done);
    waiting(&mut owner, 1);
    submit(&mut cluster.client_as("producer_a", "postgres"), "{}");
    assert_eq!(told.recv_timeout(SOON).expect("a task").len(), 1);
    there.join().expect("the waiter");
}

#[test]
fn a_place_that_comes_free_wakes_who_waits_for_it() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    let mut agent = cluster.client_as("agent_a", "postgres");
    submit(&mut agent, "{}");
    submit(&mut agent, "{}");
    let held = claim(&mut agent);
    let (done, told) = mpsc::channel();
    let waits = waiter(&cluster, "agent_a", &done);
    waiting(&mut cluster.client("postgres"), 1);
    complete(&mut agent, &held);
    assert_eq!(told.recv_timeout(SOON).expect("a task").len(), 1);
    waits.join().expect("the waiter");
}

#[test]
fn a_task_whose_time_comes_wakes_who_waits() {
    let cluster = stage();
    let (done, told) = mpsc::channel();
    let waits = waiter(&cluster, "agent_a", &done);
    waiting(&mut cluster.client("postgres"), 1);
    let mut producer = cluster.client_as("producer_a", "postgres");
    id(
        &mut producer,
        "SELECT tms_task_submit('worker', 'rates.price', '{}', NULL, NULL, 0, clock_timestamp() + '500 milliseconds')",
    );
    assert_eq!(told.recv_timeout(SOON).expect("a task").len(), 1);
    waits.join().expect("the waiter");
}

#[test]
fn above_read_committed_nobody_waits() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    let begun = Instant::now();
    let mut work = agent
        .build_transaction()
        .isolation_level(postgres::IsolationLevel::RepeatableRead)
        .start()
        .expect("a transaction");
    let rows = work
        .query(
            "SELECT * FROM tms_task_claim('worker', 'w', 1, '5 minutes', '30 seconds')",
            &[],
        )
        .expect("a claim");
    assert!(rows.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn who_waits_holds_no_task_of_others() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    let mut agent = cluster.client_as("agent_a", "postgres");
    submit(&mut agent, "{}");
    let second = submit(&mut agent, "{}");
    claim(&mut agent);
    let (done, told) = mpsc::channel();
    let waits = waiter(&cluster, "agent_a", &done);
    waiting(&mut cluster.client("postgres"), 1);
    let mut operator = cluster.client_as("operator_a", "postgres");
    run(&mut operator, "SET lock_timeout = '5s'");
    run(
        &mut operator,
        &format!("SELECT tms_task_cancel('{second}', 'not needed')"),
    );
    run(
        &mut cluster.client("postgres"),
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query LIKE '%tms_task_claim%'",
    );
    drop(told);
    drop(waits.join());
}

#[test]
fn who_listens_is_told_by_the_scheduler() {
    use postgres::fallible_iterator::FallibleIterator;

    let cluster = stage();
    let mut listener = cluster.client_as("agent_a", "postgres");
    run(&mut listener, "LISTEN tms_tasks");
    let mut owner = cluster.client("postgres");
    let scheduler = number(
        &mut owner,
        "SELECT pid::bigint FROM pg_stat_activity WHERE backend_type = 'tms scheduler' AND datname = 'postgres'",
    );
    submit(&mut cluster.client_as("producer_a", "postgres"), "{}");
    let told = listener
        .notifications()
        .timeout_iter(SOON)
        .next()
        .expect("a connection")
        .expect("a notification");
    assert_eq!((told.channel(), told.payload()), ("tms_tasks", "worker"));
    assert_eq!(i64::from(told.process_id()), scheduler);
    assert_eq!(claim_with(&mut listener, "").len(), 1);
}
