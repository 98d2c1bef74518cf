//! tms.dispatch, the kill switch: on, hold and off, for the server and for one database.

use std::time::Duration;

use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::eventually;

use crate::stage::{DB, SOON, Stage, count, enqueue, enqueue_many, run, wakeups};

/// ALTER SYSTEM or ALTER DATABASE, and the reload it takes effect with.
fn order(stage: &Stage, statement: &str) {
    let mut client = stage.cluster.client("postgres");
    run(&mut client, statement);
    run(&mut client, "SELECT pg_reload_conf()");
}

#[test]
fn hold_accepts_events_and_delivers_none_until_it_is_lifted() {
    let stage = Stage::woken();
    let workers = stage.workers(DB);
    let mut client = stage.client();
    order(&stage, "ALTER SYSTEM SET tms.dispatch = hold");
    let line = stage.state(DB, "held");
    assert!(
        line.hint.unwrap().contains("tms.dispatch is hold"),
        "the HINT says why"
    );
    let before = wakeups(&mut client, "dispatcher");
    let held = enqueue_many(&mut client, "hook", 20);
    // The dispatcher has looked, and let them lie.
    eventually("the dispatcher was woken", SOON, || {
        (wakeups(&mut client, "dispatcher") > before).then_some(())
    });
    assert_eq!(count(&mut client, "SELECT due FROM tms.outbox_status"), 20);
    assert_eq!(stage.receiver.count(), 0);
    order(&stage, "ALTER SYSTEM RESET tms.dispatch");
    stage.receiver.wait_for("what was held", SOON, |seen| {
        held.iter().all(|id| seen.times(*id) == 1)
    });
    stage.state(DB, "running");
    assert_eq!(stage.workers(DB), workers, "hold keeps the workers");
}

#[test]
fn what_is_in_flight_when_hold_comes_is_finished() {
    let stage = Stage::woken();
    let mut client = stage.client();
    stage.receiver.behave(Behaviour::Delay(Duration::from_secs(2)));
    enqueue_many(&mut client, "hook", 5);
    stage
        .receiver
        .wait_for("five in flight", SOON, |seen| seen.in_flight() == 5);
    order(&stage, "ALTER SYSTEM SET tms.dispatch = hold");
    stage.state(DB, "held");
    enqueue(&mut client);
    eventually("five outcomes are written", SOON, || {
        let left = count(
            &mut client,
            "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL",
        );
        if left == 1 { Ok(()) } else { Err(left) }
    });
    assert_eq!(stage.receiver.count(), 5);
}

#[test]
fn off_sends_the_workers_away_and_on_brings_them_back() {
    let stage = Stage::woken();
    stage.workers(DB);
    let mut client = stage.client();
    let mark = stage.cluster.log_mark();
    order(&stage, "ALTER SYSTEM SET tms.dispatch = off");
    stage.workers_leave(DB);
    let line = stage.state(DB, "off");
    assert!(
        line.hint.unwrap().contains("tms.dispatch is off"),
        "the HINT says why"
    );
    let waiting = enqueue_many(&mut client, "hook", 20);
    order(&stage, "ALTER SYSTEM SET tms.dispatch = on");
    stage.receiver.wait_for("what waited", SOON, |seen| {
        waiting.iter().all(|id| seen.times(*id) == 1)
    });
    stage.workers(DB);
    stage.state(DB, "running");
    stage.is_quiet(mark);
}

#[test]
fn one_database_is_held_while_another_delivers() {
    let stage = Stage::woken();
    stage.furnish("rail");
    stage.workers("rail");
    let mut client = stage.client();
    order(&stage, "ALTER DATABASE freight SET tms.dispatch = hold");
    stage.state(DB, "held");
    let held = enqueue(&mut client);
    stage.serves("rail");
    stage.state("rail", "running");
    assert_eq!(stage.times(held), 0);
    order(&stage, "ALTER DATABASE freight RESET tms.dispatch");
    stage.arrives("what was held", held);

    order(&stage, "ALTER DATABASE freight SET tms.dispatch = off");
    stage.workers_leave(DB);
    stage.serves("rail");
    order(&stage, "ALTER DATABASE freight RESET tms.dispatch");
    stage.serves(DB);
}

#[test]
fn a_database_may_deliver_where_the_server_holds() {
    let stage = Stage::with(Cluster::builder().conf("tms.rescan_interval", "600s"));
    stage.furnish("rail");
    stage.workers("rail");
    order(&stage, "ALTER DATABASE rail SET tms.dispatch = on");
    order(&stage, "ALTER SYSTEM SET tms.dispatch = hold");
    stage.state(DB, "held");
    let held = enqueue(&mut stage.client());
    stage.serves("rail");
    assert_eq!(stage.times(held), 0);
}

#[test]
fn a_held_server_is_still_held_after_a_restart() {
    let stage = Stage::woken();
    order(&stage, "ALTER SYSTEM SET tms.dispatch = hold");
    stage.state(DB, "held");
    stage.cluster.restart(tms_e2e::cluster::Mode::Fast);
    let held = enqueue(&mut stage.client());
    stage.state(DB, "held");
    stage.workers(DB);
    assert_eq!(stage.times(held), 0);
    order(&stage, "ALTER SYSTEM RESET tms.dispatch");
    stage.arrives("what was held", held);
}

#[test]
fn a_session_cannot_switch_for_itself() {
    let stage = Stage::woken();
    let mut client = stage.client();
    run(&mut client, "SET tms.dispatch = off");
    let id = enqueue(&mut client);
    stage.arrives("an event of a session that said off", id);
    run(&mut client, "CREATE ROLE anybody LOGIN");
    let mut anybody = stage.cluster.client_as("anybody", DB);
    let error = anybody.batch_execute("SET tms.dispatch = off").unwrap_err();
    assert_eq!(
        error.code(),
        Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE)
    );
}
