//! The rate of a target holds at the receiver, and nobody else waits for it.

use std::time::{Duration, Instant};

use serde_json::json;
use tms_e2e::story::Story;

use crate::looks::{batch, text};

const PER_SECOND: usize = 20;
const BURST: usize = 5;
const EVENTS: usize = 60;

#[test]
fn no_second_sees_more_than_the_rate_and_its_burst() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("slow", json!({ "rate_per_second": PER_SECOND, "burst": BURST }));
    batch(&mut client, "slow", EVENTS as i32);
    // Another target's events pass meanwhile.
    let others = batch(&mut client, "first", 200);
    story.wait_for("all events of the other", |seen| {
        others.iter().all(|id| seen.times(*id) > 0)
    });
    let passed = story.arrivals_of("slow").len();
    assert!(passed < EVENTS, "the others waited for all {passed}");
    story.wait_for("all events", |seen| seen.distinct() == EVENTS + others.len());

    let at: Vec<Instant> = story
        .arrivals_of("slow")
        .iter()
        .map(|request| request.at)
        .collect();
    assert_eq!(at.len(), EVENTS);
    for (n, begin) in at.iter().enumerate() {
        let within = at[n..]
            .iter()
            .filter(|other| other.duration_since(*begin) < Duration::from_secs(1))
            .count();
        assert!(
            within <= PER_SECOND + BURST + 2,
            "{within} within a second of number {n}"
        );
    }
    let took = at[EVENTS - 1].duration_since(at[0]);
    let fastest = Duration::from_secs_f64((EVENTS - BURST) as f64 / PER_SECOND as f64);
    assert!(took + Duration::from_millis(250) >= fastest, "{took:?}");
    let limit = "SELECT rate_limit::text FROM tms.target_status WHERE name = 'slow'";
    assert_eq!(text(&mut client, limit, &[]), PER_SECOND.to_string());
    story.all_done();
}
