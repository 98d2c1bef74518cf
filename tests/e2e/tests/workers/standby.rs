//! A standby is quiet; promoted, it takes over by itself.

use std::time::Duration;

use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::eventually_eq;

use crate::stage::{DB, SOON, Stage, count, enqueue, enqueue_many, run};

const WORKERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'tms %'";

#[test]
fn a_standby_delivers_nothing_until_it_is_promoted() {
    let stage = Stage::start();
    let mut client = stage.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    let waiting = enqueue_many(&mut client, "hook", 20);
    run(&mut client, "SELECT tms_target_resume('hook')");
    stage
        .receiver
        .wait_for("all of them", SOON, |seen| seen.distinct() == 20);
    stage.all_done(DB);
    stage.receiver.stop();
    let left = enqueue(&mut client);

    let standby = Cluster::builder().standby_of(&stage.cluster).start();
    let mut reader = standby.client(DB);
    eventually_eq("the standby has everything", SOON, 22, || {
        count(&mut reader, "SELECT count(*) FROM tms.event_outbox")
    });
    assert_eq!(
        count(&mut reader, WORKERS),
        0,
        "no worker before the end of recovery"
    );
    drop(client);
    stage.cluster.stop(Mode::Immediate);
    stage.receiver.restart_on_same_port();
    stage.receiver.reset();

    run(&mut reader, "SELECT pg_promote(true, 60)");
    stage.arrives("what the primary left", left);
    let id = enqueue(&mut standby.client(DB));
    stage.arrives("an event of the new primary", id);
    assert!(
        waiting.iter().all(|id| stage.times(*id) == 0),
        "what was delivered stays delivered"
    );
    eventually_eq("one worker of each kind", Duration::from_secs(30), 3, || {
        count(&mut reader, WORKERS)
    });
}
