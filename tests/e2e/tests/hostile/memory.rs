//! Receivers that send without end cost no memory.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::ledger::Ledger;
use tms_e2e::wait::eventually;

use crate::cases;
use crate::stage::{DATABASE, PATIENCE, Stage};

/// What the dispatcher's own memory may grow by, in kB: a thirtieth of one of the bodies that are sent to it is less.
const GROWTH_KB: u64 = 12 << 10;
const ROUNDS: usize = 4;
const EVENTS: i32 = 40;

/// Memory that is a process's own and not a file's or shared, in kB.
fn own_memory_kb(pid: i32) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.unwrap_or_else(|| panic!("{path} has no RssAnon"))
}

#[test]
fn memory_stays_flat_while_receivers_send_without_end() {
    let stage = Stage::set(Cluster::builder());
    let behaviours: [cases::Named; 6] = [
        ("body", cases::hundred_megabytes),
        ("endless-body", cases::endless_body),
        ("refusal", cases::long_refusal),
        ("headers", cases::megabyte_of_headers),
        ("endless-headers", cases::endless_headers),
        ("interim", cases::endless_interim),
    ];
    let options = json!({ "timeout_ms": 2_000, "breaker": false });
    let _hostile: Vec<_> = behaviours
        .iter()
        .map(|(target, behaviour)| stage.hostile(target, options.clone(), *behaviour))
        .collect();
    let ledger = Arc::new(Ledger::default());
    let load = stage.load(&ledger);
    let dispatcher = eventually("a dispatcher", PATIENCE, || stage.cluster.dispatcher(DATABASE));
    let mut peaks = Vec::new();
    for _ in 0..ROUNDS {
        for (target, _) in behaviours {
            stage.enqueue(target, EVENTS, 10, 0);
        }
        let mut peak = own_memory_kb(dispatcher.pid);
        let open = "tms.event_outbox WHERE processed_at IS NULL AND available_at < 'infinity' AND target_system <> 'good'";
        eventually("the round's end", 2 * PATIENCE, || {
            peak = peak.max(own_memory_kb(dispatcher.pid));
            match stage.count(open) {
                0 => Ok(()),
                left => Err(left),
            }
        });
        peaks.push(peak);
    }
    println!("peaks of the dispatcher's own memory in kB: {peaks:?}");
    // The first round fills pools and caches; what a leak or a buffer without bound costs comes again each time.
    let grown = peaks[ROUNDS - 1].saturating_sub(peaks[0]);
    assert!(grown < GROWTH_KB, "{peaks:?}");
    assert!(peaks.iter().all(|peak| *peak < 100 << 10), "{peaks:?}");
    assert_eq!(stage.cluster.dispatcher(DATABASE), Some(dispatcher));
    stage.settle(load, &ledger);
}

#[test]
fn large_events_for_a_receiver_that_hangs_are_not_all_held_in_memory() {
    const LIMIT_KB: u64 = 8 << 10;
    let stage = Stage::set(Cluster::builder().conf("tms.max_in_flight_size", "8MB"));
    let options = json!({ "timeout_ms": 300_000, "max_concurrency": 200 });
    let hanging = stage.hostile("hangs", options, cases::hang);
    let dispatcher = eventually("a dispatcher", PATIENCE, || stage.cluster.dispatcher(DATABASE));
    stage.enqueue("hangs", 4, 500_000, 0);
    eventually("the first of them", PATIENCE, || {
        (hanging.open() == 4).then_some(())
    });
    let before = own_memory_kb(dispatcher.pid);
    // Ten times the limit.
    stage.enqueue("hangs", 160, 500_000, 0);
    eventually("as many as the limit lets through", PATIENCE, || {
        let open = hanging.open();
        if open >= 12 { Ok(()) } else { Err(open) }
    });
    // The good target goes on beside it, and its deliveries show that the dispatcher has had its chance to take more.
    for round in 1..=5 {
        stage.enqueue(crate::stage::GOOD, 100, 10, 0);
        stage
            .good
            .wait_for("the good target's events", Duration::from_secs(30), |seen| {
                seen.distinct() == 100 * round
            });
    }
    let (open, after) = (hanging.open(), own_memory_kb(dispatcher.pid));
    println!("{open} in flight; own memory {before} kB before, {after} kB after");
    assert!(open <= 20, "{open} events of 500 kB in flight");
    // Bodies are built from rows and sent from copies: some of them are there more than once.
    assert!(
        after.saturating_sub(before) < 4 * LIMIT_KB,
        "{before} kB, then {after} kB"
    );
}
