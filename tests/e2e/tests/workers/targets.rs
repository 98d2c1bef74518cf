//! One target's trouble is no other target's.

use std::time::{Duration, Instant};

use tms_e2e::receiver::{Behaviour, Receiver};

use crate::stage::{SOON, Stage, count, enqueue_for, enqueue_many, run};

#[test]
fn a_target_that_never_answers_does_not_slow_another() {
    let stage = Stage::start();
    let silent = Receiver::builder().behaviour(Behaviour::Hang).start();
    let mut client = stage.client();
    let options = format!(r#"{{"url": "{}", "allow_private_network": true}}"#, silent.url());
    run(
        &mut client,
        &format!("SELECT tms_target_set('silent', 'http', '{options}')"),
    );
    // More than all that may be in flight.
    enqueue_many(&mut client, "silent", 5_000);
    silent.wait_for("requests without an answer", SOON, |seen| seen.in_flight() >= 32);
    let begin = Instant::now();
    enqueue_many(&mut client, "hook", 5_000);
    stage
        .receiver
        .wait_for("the other target's events", SOON, |seen| seen.distinct() == 5_000);
    let took = begin.elapsed();
    assert!(silent.in_flight() > 0);
    assert!(
        took < Duration::from_secs(15),
        "{took:?}, while the silent target times out at 15 s"
    );
}

#[test]
fn a_target_that_refuses_connections_does_not_slow_another() {
    let stage = Stage::start();
    let closed = Receiver::start();
    closed.stop();
    let mut client = stage.client();
    let options = format!(r#"{{"url": "{}", "allow_private_network": true}}"#, closed.url());
    run(
        &mut client,
        &format!("SELECT tms_target_set('closed', 'http', '{options}')"),
    );
    enqueue_many(&mut client, "closed", 2_000);
    let ids = enqueue_many(&mut client, "hook", 2_000);
    stage
        .receiver
        .wait_for("the other target's events", SOON, |seen| {
            seen.distinct() == ids.len()
        });
    closed.restart_on_same_port();
    closed.wait_for("the backlog, once it listens", SOON, |seen| {
        seen.distinct() == 2_000
    });
    assert_eq!(
        count(&mut client, "SELECT count(*) FROM tms.dead_letter_queue"),
        0
    );
}

#[test]
fn a_hundred_targets_are_all_served() {
    let stage = Stage::woken();
    let mut client = stage.client();
    for n in 0..100 {
        stage.target(&mut client, &format!("t{n}"), &format!("/t{n}"), "");
    }
    for n in 0..100 {
        enqueue_for(&mut client, &format!("t{n}"));
    }
    stage
        .receiver
        .wait_for("one event each", SOON, |seen| seen.distinct() == 100);
    let mut paths: Vec<_> = stage
        .receiver
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 100);
}
