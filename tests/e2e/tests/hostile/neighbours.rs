//! Receivers that hold their senders up hold up nobody else's.

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::{eventually, eventually_eq};

use crate::cases;
use crate::stage::{GOOD, PATIENCE, Stage};

const PLACES: usize = 8;
const WAITING: i32 = 500;
const GOOD_EVENTS: i32 = 3_000;

#[test]
fn hanging_targets_with_a_backlog_do_not_hold_up_another() {
    // All of them together want twice what may be in flight.
    let stage = Stage::set(Cluster::builder().conf("tms.max_in_flight", "1000"));
    let behaviours: [cases::Named; 4] = [
        ("hangs", cases::hang),
        ("hangs-too", cases::hang),
        ("slow-head", cases::slow_head),
        ("slow-body", cases::slow_body),
    ];
    let options = json!({ "timeout_ms": 300_000, "max_concurrency": PLACES });
    let hostile: Vec<_> = behaviours
        .iter()
        .map(|(target, behaviour)| stage.hostile(target, options.clone(), *behaviour))
        .collect();
    for (target, _) in behaviours {
        stage.enqueue(target, WAITING, 10, 0);
    }
    let all_places_taken = || {
        let open: Vec<usize> = hostile.iter().map(|receiver| receiver.open()).collect();
        if open.iter().all(|open| *open == PLACES) {
            Ok(())
        } else {
            Err(open)
        }
    };
    eventually(
        "every place of the hanging targets is taken",
        PATIENCE,
        all_places_taken,
    );

    stage.enqueue(GOOD, GOOD_EVENTS, 10, 0);
    stage.good.wait_for("the good target's events", PATIENCE, |seen| {
        seen.distinct() == GOOD_EVENTS as usize
    });
    // All that time the others hung: not one of their requests has come to an end.
    assert_eq!(all_places_taken(), Ok(()));
    assert!(hostile.iter().all(|receiver| receiver.accepted() == PLACES));
    assert_eq!(stage.count("tms.delivery_attempts"), 0);
    assert_eq!(stage.good.duplicates(), 0);
    let waiting = i64::from(WAITING) * behaviours.len() as i64;
    let unfinished = format!("tms.event_outbox WHERE processed_at IS NULL AND target_system <> '{GOOD}'");
    assert_eq!(stage.count(&unfinished), waiting);
}

#[test]
fn targets_whose_attempts_fail_all_the_time_do_not_hold_up_another() {
    let builder = Cluster::builder().conf("tms.default_max_retries", "100");
    let stage = Stage::set(builder);
    let options = json!({ "timeout_ms": 500, "breaker": false, "retry": { "base_ms": 1, "max_ms": 1 } });
    let behaviours: [cases::Named; 4] = [
        ("closes", drop),
        ("headers", cases::megabyte_of_headers),
        ("interim", cases::endless_interim),
        ("long-refusal", cases::long_refusal),
    ];
    let hostile: Vec<_> = behaviours
        .iter()
        .map(|(target, behaviour)| stage.hostile(target, options.clone(), *behaviour))
        .collect();
    for (target, _) in behaviours {
        stage.enqueue(target, 1_000, 10, 100);
    }
    failing(&stage, 20);
    let before = stage.count(FAILED);
    stage.enqueue(GOOD, GOOD_EVENTS, 10, 0);
    stage.good.wait_for("the good target's events", PATIENCE, |seen| {
        seen.distinct() == GOOD_EVENTS as usize
    });
    // All that time the others failed, and go on to.
    assert!(stage.count(FAILED) > before);
    let unfinished = "(SELECT DISTINCT target_system FROM tms.event_outbox WHERE processed_at IS NULL) AS t";
    // What has arrived is written down a moment later.
    eventually_eq(
        "only the failing targets' events are not delivered",
        PATIENCE,
        behaviours.len() as i64,
        || stage.count(unfinished),
    );
    let of_the_good = format!("tms.delivery_attempts WHERE target_system = '{GOOD}'");
    assert_eq!(stage.count(&of_the_good), 0);
    assert_eq!(stage.good.duplicates(), 0);
    drop(hostile);
}

const FAILED: &str = "tms.delivery_attempts WHERE outcome = 'retry'";

/// Waits until each of four targets has had so many failed attempts.
#[track_caller]
fn failing(stage: &Stage, at_least: i64) {
    let each = format!("(SELECT target_system FROM {FAILED} GROUP BY 1 HAVING count(*) >= {at_least}) AS t");
    eventually("attempts of every hostile target", PATIENCE, || {
        match stage.count(&each) {
            4 => Ok(()),
            seen => Err(seen),
        }
    });
}
