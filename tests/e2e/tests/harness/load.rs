//! Producers and the ledger, against a stand-in for tms_enqueue that only writes its row.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::ledger::Ledger;
use tms_e2e::load::Load;
use tms_e2e::wait::eventually;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(30);

const STAND_IN: &str = "
    CREATE SCHEMA tms;
    CREATE TABLE tms.event_outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_type text, payload jsonb,
                                   target_system text, ordering_key text);
    CREATE FUNCTION tms_enqueue(event_type text, payload jsonb, target_system text, ordering_key text DEFAULT NULL)
        RETURNS uuid LANGUAGE sql AS
        'INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key) VALUES ($1, $2, $3, $4) RETURNING id';";

fn stand_in() -> Cluster {
    let cluster = Cluster::builder().preload(false).start();
    cluster.create_database("load");
    cluster.psql("load", STAND_IN).expect_success();
    cluster
}

/// What a receiver without fault would have got.
fn delivered(cluster: &Cluster) -> HashMap<Uuid, u32> {
    let rows = cluster
        .client("load")
        .query("SELECT id FROM tms.event_outbox", &[])
        .unwrap();
    rows.iter().map(|row| (row.get(0), 1)).collect()
}

#[test]
fn the_ledger_agrees_with_the_table_through_crashes() {
    let cluster = stand_in();
    let ledger = Arc::new(Ledger::default());
    let load = Load::on(cluster.config("postgres", "load"))
        .rate(4_000.0)
        .batch(5)
        .rolled_back(0.2);
    let load = load.start(ledger.clone());
    for round in 1..=3 {
        let before = load.committed();
        eventually("commits before the crash", SOON, || {
            (load.committed() > before + 500).then_some(())
        });
        cluster.restart(Mode::Immediate);
        eventually("producers connected again", SOON, || {
            (load.connections() >= 2 + 2 * round).then_some(())
        });
    }
    load.stop();
    ledger.resolve(&mut cluster.client("load")).unwrap();
    let verdict = ledger.check(&delivered(&cluster));
    assert!(verdict.is_clean() && verdict.unknown == 0, "{verdict}");
    assert_eq!(verdict.committed, verdict.received);
    assert!(verdict.rolled_back > 0);
}

#[test]
fn the_rate_is_kept_and_the_share_of_rollbacks_too() {
    let cluster = stand_in();
    let ledger = Arc::new(Ledger::default());
    let load = Load::on(cluster.config("postgres", "load"))
        .producers(4)
        .rate(1_000.0)
        .batch(2)
        .rolled_back(0.5);
    let load = load.event_type("load.moved").target("n8n").start(ledger.clone());
    let mark = load.mark();
    eventually("500 commits", SOON, || (load.committed() >= 500).then_some(()));
    let rate = load.rate_since(mark);
    load.stop();
    assert!(rate < 600.0, "half of 1,000 a second commits, this was {rate}");
    let verdict = ledger.check(&delivered(&cluster));
    assert!(
        verdict.is_clean() && verdict.committed.abs_diff(verdict.rolled_back) <= 8,
        "{verdict}"
    );
    let asked =
        "SELECT count(*) FROM tms.event_outbox WHERE event_type = 'load.moved' AND target_system = 'n8n'";
    let written: i64 = cluster.client("load").query_one(asked, &[]).unwrap().get(0);
    assert_eq!(written as usize, verdict.committed);
}
