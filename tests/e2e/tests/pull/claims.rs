//! Who gets which events, and in which order.

use std::collections::{BTreeMap, HashSet};

use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::stage::{A, B, SOON, ack, claim, count, enqueue, nack, numbers, run, stage};

#[test]
fn events_come_in_the_order_of_their_queue_and_once() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 3), "");
    enqueue(&mut owner, A, (4, 5), ", priority => 7");
    enqueue(&mut owner, A, (6, 6), ", priority => -7");
    enqueue(
        &mut owner,
        A,
        (7, 7),
        ", available_at => now() - interval '1 hour'",
    );
    enqueue(
        &mut owner,
        A,
        (8, 8),
        ", available_at => now() + interval '1 hour', priority => 9",
    );
    let mut consumer = cluster.client_as("consumer_a", "postgres");
    let first = claim(&mut consumer, 4, "1 minute");
    assert_eq!(numbers(&first), [4, 5, 7, 1]);
    assert!(
        first
            .iter()
            .all(|event| event.attempt == 1 && event.company == Uuid::parse_str(A).ok())
    );
    let second = claim(&mut consumer, 100, "1 minute");
    assert_eq!(numbers(&second), [2, 3, 6]);
    assert_eq!(claim(&mut consumer, 100, "1 minute"), []);
    let tokens: HashSet<Uuid> = first.iter().chain(&second).map(|event| event.token).collect();
    assert_eq!(tokens.len(), 7);
    assert!(tokens.iter().all(|token| token.get_version_num() == 4));
    assert_eq!(ack(&mut consumer, &first), 4);
    assert_eq!(ack(&mut consumer, &first), 0, "a second time");
    assert_eq!(ack(&mut consumer, &[]), 0);
    let done = "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NOT NULL AND lease_token IS NULL";
    assert_eq!(count(&mut owner, done), 4);
}

#[test]
fn companies_are_apart_and_the_platform_gives_each_its_share() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 5_000), "");
    enqueue(&mut owner, B, (1, 1), "");
    enqueue(&mut owner, "", (1, 2), "");
    let of_b = claim(&mut cluster.client_as("consumer_b", "postgres"), 100, "1 minute");
    assert_eq!(of_b.len(), 1);
    assert_eq!(
        ack(&mut cluster.client_as("consumer_a", "postgres"), &of_b),
        0,
        "another's lease"
    );
    assert_eq!(
        nack(
            &mut cluster.client_as("consumer_a", "postgres"),
            &of_b[0],
            "timeout"
        ),
        None
    );
    assert_eq!(nack(&mut owner, &of_b[0], "timeout"), Some("retry".to_owned()));
    let batch = eventually("B's event is due again", SOON, || {
        let batch = claim(&mut owner, 10, "1 minute");
        batch
            .iter()
            .any(|event| event.company == Uuid::parse_str(B).ok())
            .then_some(batch)
    });
    assert_eq!(batch.len(), 10, "what B and the platform do not need is A's");
    // Sixty companies, ten events a claim: each gets its turn before any gets a second one.
    run(&mut owner, "DELETE FROM tms.event_outbox");
    for company in 0..60 {
        enqueue(
            &mut owner,
            &format!("{company:08x}-0000-4000-8000-00000000000c"),
            (1, 40),
            "",
        );
    }
    let mut turns: BTreeMap<Option<Uuid>, usize> = BTreeMap::new();
    for _ in 0..12 {
        for event in claim(&mut owner, 10, "1 minute") {
            *turns.entry(event.company).or_default() += 1;
        }
    }
    assert_eq!(turns.len(), 60);
    assert!(turns.values().all(|turns| *turns == 2), "{turns:?}");
}

#[test]
fn a_target_that_is_paused_or_held_hands_out_nothing() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 1), "");
    run(&mut owner, "SELECT tms_target_pause('jobs')");
    assert_eq!(claim(&mut owner, 1, "1 minute"), []);
    run(
        &mut owner,
        "SELECT tms_target_resume('jobs'); UPDATE tms.targets SET installation = 'another'",
    );
    assert_eq!(claim(&mut owner, 1, "1 minute"), []);
    run(&mut owner, "SELECT tms_adopt()");
    assert_eq!(numbers(&claim(&mut owner, 1, "1 minute")), [1]);
}
