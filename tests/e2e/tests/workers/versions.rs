//! A library and an extension script of different versions do not work together, and say so.

use std::thread;
use std::time::Duration;

use tms_e2e::cluster::{LogMark, Mode};

use crate::stage::{DB, SOON, Stage, enqueue, run};

const OLD: &str = "UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'tms'";

#[test]
fn an_old_extension_is_held_with_a_hint_until_it_fits() {
    let stage = Stage::start();
    stage.workers(DB);
    let mut client = stage.client();
    let fits: String = client
        .query_one("SELECT extversion FROM pg_extension WHERE extname = 'tms'", &[])
        .unwrap()
        .get(0);
    let mark = stage.cluster.log_mark();
    run(&mut client, OLD);
    stage.cluster.reload();
    is_held(&stage, mark);
    let held = enqueue(&mut client);
    // A loop shows only over some time. The database is looked into several times, and the log says it once.
    thread::sleep(Duration::from_secs(5));
    let lines = stage.log_lines(mark, |line| line.contains("tms: the extension has version"));
    assert!(lines.len() == 1, "{lines:#?}");

    drop(client);
    let mark = stage.cluster.log_mark();
    stage.cluster.restart(Mode::Fast);
    is_held(&stage, mark);
    assert_eq!(stage.receiver.count(), 0, "nothing is delivered");
    run(
        &mut stage.client(),
        &format!("UPDATE pg_extension SET extversion = '{fits}' WHERE extname = 'tms'"),
    );
    stage.cluster.reload();
    stage.arrives("what was held", held);
    stage.state(DB, "running");
}

fn is_held(stage: &Stage, mark: LogMark) {
    let line = stage
        .cluster
        .wait_for_log(mark, "tms: the extension has version 0.0.9", SOON);
    assert!(line.contains("nothing is delivered"), "{line}");
    let hint = stage.cluster.wait_for_log(mark, "HINT:", SOON);
    assert!(hint.contains("ALTER EXTENSION tms UPDATE"), "{hint}");
    let line = stage.state(DB, "held");
    assert!(line.hint.unwrap().contains("ALTER EXTENSION tms UPDATE"));
    stage.workers_leave(DB);
}
