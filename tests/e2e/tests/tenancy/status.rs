//! What the workers count is counted for all companies of the database; a company must not read the others' volume in it.

use std::time::Duration;

use tms_e2e::receiver::Receiver;
use tms_e2e::wait::eventually;

use crate::stage::{A, B, Ground, Stage};

const PATIENCE: Duration = Duration::from_secs(60);
/// A number that nothing else amounts to by chance.
const EVENTS: usize = 1_373;

#[test]
fn an_auditor_does_not_read_another_companys_volume_in_the_worker_status() {
    let stage = Stage::with_dispatch(Ground::Plain, "on");
    let receiver = Receiver::start();
    let target = format!(
        "SELECT tms_target_set('near', 'http', '{{\"url\": \"{}\", \"allow_private_network\": true}}')",
        receiver.url()
    );
    stage.ask(&mut stage.owner(), &target);
    stage.add_role("a_producer", Some(A), &["producer"]);
    stage.add_role("b_auditor", Some(B), &["auditor"]);
    let enqueue = format!(
        "SELECT cardinality(tms_enqueue_batch('load.moved', array_fill('{{}}'::jsonb, ARRAY[{EVENTS}]), 'near'))"
    );
    stage.ask(&mut stage.client("a_producer"), &enqueue);
    receiver.wait_for("the events of A", PATIENCE, |seen| seen.distinct() == EVENTS);

    let status = "SELECT string_agg(s::text, ' ') FROM tms_worker_status() s";
    let counted = EVENTS.to_string();
    eventually("the platform reads the count", PATIENCE, || {
        let status = stage.ask(&mut stage.owner(), status).unwrap_or_default();
        if status.contains(&counted) {
            Ok(())
        } else {
            Err(status)
        }
    });
    let seen = stage
        .ask(&mut stage.client("b_auditor"), status)
        .unwrap_or_default();
    assert!(seen.contains("dispatcher"), "{seen}");
    assert!(!seen.contains(&counted), "B reads what A delivers: {seen}");
}
