//! Stops in order: what is in flight gets its answer, and what was answered is written.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tms_e2e::cluster::{Cluster, DispatcherLife, Mode};
use tms_e2e::ledger::Ledger;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::eventually;

use crate::stage::{DATABASE, PATIENCE, Stage};

/// Well within the default grace of five seconds, also on a busy machine.
const DELAY: Duration = Duration::from_millis(100);

/// Many at once, so that a stop finds some on their way.
fn busy_stage() -> Stage {
    let options = json!({ "max_concurrency": 200 });
    Stage::set(Cluster::builder(), Behaviour::Delay(DELAY), options)
}

fn wait_for_traffic(stage: &Stage) {
    let before = stage.receiver.count();
    stage.receiver.wait_for("traffic", PATIENCE, |seen| {
        seen.count() >= before + 300 && seen.in_flight() >= 30
    });
}

fn dispatcher_after(stage: &Stage, last: DispatcherLife) -> DispatcherLife {
    eventually("the next dispatcher", PATIENCE, || {
        stage.cluster.dispatcher(DATABASE).filter(|next| *next != last)
    })
}

#[test]
fn graceful_stop_writes_outcomes_and_repeats_nothing() {
    let stage = busy_stage();
    let ledger = Arc::new(Ledger::default());
    let load = stage.load(800.0, &ledger);
    for _ in 0..2 {
        wait_for_traffic(&stage);
        stage.cluster.stop(Mode::Fast);
        stage.cluster.start();
    }
    wait_for_traffic(&stage);
    load.stop();
    let verdict = stage.settle(&ledger);
    assert_eq!(verdict.duplicates, 0, "{verdict}");
}

#[test]
fn stop_waits_no_longer_than_the_grace_and_repeats_what_was_not_answered() {
    let grace = Duration::from_secs(1);
    let patient = json!({ "timeout_ms": 300_000 });
    let builder = Cluster::builder().conf("tms.shutdown_grace", "1s");
    let stage = Stage::set(builder, Behaviour::Hang, patient);
    let event = stage.enqueue(crate::stage::TARGET, 0);
    stage
        .receiver
        .wait_for("the event", PATIENCE, |seen| seen.in_flight() == 1);
    let took = stage.cluster.stop(Mode::Fast);
    assert!(took >= grace && took < PATIENCE, "{took:?}");
    stage.receiver.behave(Behaviour::Ok);
    stage.cluster.start();
    stage.wait_until_delivered(event);
    assert_eq!(stage.receiver.ids(), [event, event]);
    // A stop is no failure of the receiver: with no retry allowed, the event is alive all the same.
    assert_eq!(stage.count("tms.dead_letter_queue"), 0);
}

#[test]
fn dispatcher_that_is_terminated_comes_back_and_loses_nothing() {
    let stage = busy_stage();
    let ledger = Arc::new(Ledger::default());
    let load = stage.load(800.0, &ledger);
    for _ in 0..3 {
        wait_for_traffic(&stage);
        let dispatcher = stage
            .cluster
            .dispatcher(DATABASE)
            .expect("a dispatcher under way");
        let told = stage.row("SELECT pg_terminate_backend($1)", &[&dispatcher.pid]);
        assert!(told.get::<_, bool>(0));
        dispatcher_after(&stage, dispatcher);
    }
    wait_for_traffic(&stage);
    assert_eq!(load.connections(), 2, "the producers noticed");
    load.stop();
    let verdict = stage.settle(&ledger);
    assert_eq!(verdict.duplicates, 0, "{verdict}");
}
