//! What a prepared transaction did takes effect at COMMIT PREPARED, whichever session says it, as after any commit.

use postgres::Client;
use tms_e2e::cluster::Cluster;

use crate::stage::{DB, Stage, enqueue, enqueue_for, run};

fn stage() -> Stage {
    Stage::with(
        Cluster::builder()
            .conf("tms.rescan_interval", "600s")
            .conf("max_prepared_transactions", "5"),
    )
}

/// Prepares the open transaction of one session and commits it from another, after that one has ended.
fn commit_from_elsewhere(stage: &Stage, db: &str, mut client: Client) {
    run(&mut client, "PREPARE TRANSACTION 'one'");
    drop(client);
    run(&mut stage.cluster.client(db), "COMMIT PREPARED 'one'");
}

#[test]
fn its_events_are_delivered_when_another_session_commits_it() {
    let stage = stage();
    let mut client = stage.client();
    let mut other = stage.client();
    run(&mut client, "BEGIN");
    let prepared = enqueue(&mut client);
    run(&mut client, "PREPARE TRANSACTION 'one'");
    // The session goes on: what it notes from now on is another transaction's.
    let next = enqueue(&mut client);
    stage.arrives("the next transaction's event", next);
    assert_eq!(stage.times(prepared), 0, "prepared is not committed");
    drop(client);
    run(&mut other, "COMMIT PREPARED 'one'");
    stage.arrives("the event of the prepared transaction", prepared);
}

#[test]
fn its_events_are_gone_when_it_is_rolled_back() {
    let stage = stage();
    let (mut client, mut other) = (stage.client(), stage.client());
    run(&mut client, "BEGIN");
    let lost = enqueue(&mut client);
    run(&mut client, "PREPARE TRANSACTION 'two'");
    run(&mut other, "ROLLBACK PREPARED 'two'");
    stage.arrives("a later event", enqueue(&mut other));
    assert_eq!(stage.times(lost), 0);
}

#[test]
fn its_target_is_served() {
    let stage = stage();
    let mut client = stage.client();
    run(&mut client, "BEGIN");
    stage.target(&mut client, "late", "/late", "");
    commit_from_elsewhere(&stage, DB, client);
    let id = enqueue_for(&mut stage.client(), "late");
    stage.arrives("an event for the target of a prepared transaction", id);
}

#[test]
fn its_pause_is_obeyed() {
    let stage = stage();
    let mut client = stage.client();
    stage.target(&mut client, "other", "/other", "");
    run(&mut client, "BEGIN; SELECT tms_target_pause('hook')");
    commit_from_elsewhere(&stage, DB, client);
    let mut client = stage.client();
    let paused = enqueue(&mut client);
    stage.arrives("another target's event", enqueue_for(&mut client, "other"));
    assert_eq!(stage.times(paused), 0, "its target is paused");
}

#[test]
fn its_extension_gets_workers_and_loses_them() {
    let stage = stage();
    stage.cluster.create_database("rail");
    let mut client = stage.cluster.client("rail");
    run(&mut client, "BEGIN; CREATE EXTENSION tms");
    stage.target(&mut client, "hook", "/rail", "");
    commit_from_elsewhere(&stage, "rail", client);
    stage.serves("rail");

    let mut client = stage.cluster.client("rail");
    run(&mut client, "BEGIN; DROP EXTENSION tms");
    commit_from_elsewhere(&stage, "rail", client);
    stage.workers_leave("rail");
    stage.serves(DB);
}
