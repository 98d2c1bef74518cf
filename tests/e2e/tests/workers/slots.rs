//! Too few worker slots: a line in the log, a line of health, and everybody's turn.
//!
//! SLOW: a turn is 30 seconds, so these take a minute or two.

use std::time::Duration;

use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually;

use crate::stage::{DB, SOON, Stage, enqueue, run, status};

/// Two turns and the pauses between them, on a busy machine.
const TURNS: Duration = Duration::from_secs(150);

#[test]
fn databases_take_turns_where_there_is_room_for_one() {
    // One slot is the launcher's, one PostgreSQL's own logical replication launcher's.
    let stage = Stage::with(
        Cluster::builder()
            .conf("max_worker_processes", "4")
            .conf("tms.rescan_interval", "600s"),
    );
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    stage.furnish("rail");
    stage
        .cluster
        .wait_for_log(mark, "tms: no worker slot is free", SOON);
    let hint = stage.cluster.wait_for_log(mark, "HINT:", SOON);
    assert!(hint.contains("max_worker_processes"), "{hint}");
    let line = stage.state("rail", "waiting");
    assert!(line.hint.unwrap().contains("max_worker_processes"));

    for round in 1..=2 {
        let ids = [DB, "rail"].map(|db| enqueue(&mut stage.cluster.client(db)));
        stage
            .receiver
            .wait_for(&format!("both databases' events, round {round}"), TURNS, |seen| {
                ids.iter().all(|id| seen.times(*id) > 0)
            });
    }
    let lines = stage.log_lines(mark, |line| line.contains("no worker slot is free"));
    assert!(lines.len() <= 12, "a line a turn at most: {lines:#?}");
}

#[test]
fn a_database_that_waited_is_served_when_another_one_goes() {
    let stage = Stage::with(Cluster::builder().conf("max_worker_processes", "4"));
    stage.workers(DB);
    stage.furnish("rail");
    stage.state("rail", "waiting");
    let waiting = enqueue(&mut stage.cluster.client("rail"));
    run(&mut stage.client(), "DROP EXTENSION tms");
    stage.arrives("the event of the database that waited", waiting);
}

#[test]
fn without_room_for_a_single_worker_the_status_says_so() {
    let stage = Stage::bare(Cluster::builder().conf("max_worker_processes", "2"));
    let mark = stage.cluster.log_mark();
    stage.furnish(DB);
    let id = enqueue(&mut stage.client());
    stage
        .cluster
        .wait_for_log(mark, "tms: no worker slot is free", SOON);
    let line = stage.state(DB, "waiting");
    assert!(line.hint.unwrap().contains("max_worker_processes"));
    assert_eq!(status(&mut stage.client())[0].state, "running");
    stage.cluster.set("max_worker_processes", "8");
    stage.cluster.restart(tms_e2e::cluster::Mode::Fast);
    stage.arrives("the event that waited for a slot", id);
    eventually("both workers", SOON, || {
        let lines = status(&mut stage.client());
        let running = lines.iter().filter(|line| line.pid.is_some()).count();
        if running >= 3 { Ok(()) } else { Err(lines) }
    });
}
