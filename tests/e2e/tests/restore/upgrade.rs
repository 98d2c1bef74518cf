//! pg_upgrade makes another server of the same data: it keeps every row, and waits to be told that it is the one.

use tms_e2e::cluster::{Cluster, Mode};

use crate::people::{contents, is_silent, people};
use crate::stage::{DB, Stage, adopt, arrives, due, is_in_state, run, would_have_sent};

#[test]
fn an_upgraded_server_keeps_every_row_and_delivers_once_it_is_adopted() {
    let stage = Stage::start();
    people(&stage);
    let original = contents(&stage.cluster, DB);
    stage.cluster.stop(Mode::Fast);
    let upgraded = Cluster::builder().upgrade_of(&stage.cluster).start();
    for (table, rows) in contents(&upgraded, DB) {
        assert_eq!(original.get(&table), Some(&rows), "{table}");
    }
    run(
        &mut upgraded.client(DB),
        "ALTER DATABASE freight RESET tms.dispatch",
    );
    upgraded.reload();
    is_in_state(&upgraded, DB, "running");
    let waiting = due(&mut upgraded.client(DB), "hook");
    would_have_sent(&upgraded, DB);
    is_silent(&stage.receiver);
    adopt(&upgraded, DB);
    for id in waiting {
        arrives(&stage.receiver, "what waited", id);
    }
}
