//! Receivers that refuse: for a while, for good, or until a time they name.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::ledger::Ledger;
use tms_e2e::receiver::{Behaviour, Recorded};
use uuid::Uuid;

use crate::stage::{PATIENCE, Stage, TARGET};

#[test]
fn receiver_that_fails_for_a_while_gets_everything() {
    let builder = Cluster::builder().conf("tms.default_max_retries", "100");
    let options = json!({ "retry": { "base_ms": 100, "max_ms": 1_000 } });
    let stage = Stage::set(builder, Behaviour::Ok, options);
    let ledger = Arc::new(Ledger::default());
    let load = stage.load(200.0, &ledger);
    let more = |what: &str| {
        let before = stage.receiver.distinct();
        stage
            .receiver
            .wait_for(what, PATIENCE, |seen| seen.distinct() >= before + 200);
    };
    more("events before the failure");

    stage.receiver.stop();
    stage.wait_for_count(
        "tms.delivery_attempts WHERE status_code IS NULL AND outcome = 'retry'",
        50,
    );
    assert!(stage.count("tms.outbox_status WHERE retrying > 0") > 0);

    stage
        .receiver
        .behave(Behaviour::status_with(503, "retry-after", "1"));
    stage.receiver.restart_on_same_port();
    stage.wait_for_count(
        "tms.delivery_attempts WHERE status_code = 503 AND outcome = 'retry'",
        50,
    );

    stage.receiver.behave(Behaviour::Ok);
    more("events after the failure");
    load.stop();
    stage.settle(&ledger);
    let given_up = stage.count("tms.delivery_attempts WHERE outcome = 'dead'");
    assert_eq!(given_up, 0);
}

#[test]
fn undeliverable_event_becomes_a_dead_letter() {
    let answers = Behaviour::choose(|request| match request.path {
        "/fails" => Behaviour::status(500),
        "/refuses" => Behaviour::status(400),
        _ => Behaviour::Ok,
    });
    // A queue that is looked through often: a dead event that came back would be found.
    let builder = Cluster::builder().conf("tms.rescan_interval", "1s");
    let stage = Stage::set(builder, answers, json!({}));
    stage.target_at("failing", "/fails");
    stage.target_at("refusing", "/refuses");
    let exhausted = stage.enqueue("failing", 2);
    let refused = stage.enqueue("refusing", 2);
    stage.wait_for_count("tms.dead_letter_queue", 2);

    let gave_up = "HTTP 500 Internal Server Error; gave up after 3 attempts";
    assert_eq!(
        letter(&stage, exhausted),
        ("failing", "external_api", gave_up, 3, false)
    );
    assert_eq!(
        letter(&stage, refused),
        ("refusing", "validation", "HTTP 400 Bad Request", 1, true)
    );

    // At rest: an event that becomes due two rescans later is delivered, and these are not sent again.
    let later = "SELECT tms_enqueue('load.assigned', '{}', $1, available_at => now() + interval '2.5 s')";
    let later: Uuid = stage.row(later, &[&TARGET]).get(0);
    stage.wait_until_delivered(later);
    let times = stage
        .receiver
        .look(|seen| [exhausted, refused, later].map(|id| seen.times(id)));
    assert_eq!(times, [3, 1, 1]);
    let held = "tms.event_outbox WHERE processed_at IS NULL AND available_at = 'infinity'";
    assert_eq!(stage.count(held), 2);
    assert_eq!(stage.count("tms.target_status WHERE dead = 1 AND due = 0"), 2);
    assert_eq!(stage.count("tms.dead_letter_queue"), 2);
}

/// A letter as it can be compared; its event's type is looked at in passing.
fn letter(stage: &Stage, event: Uuid) -> Letter {
    let ask = "SELECT target_system, error_type, error_message, attempts, permanent FROM tms.dead_letter_queue \
               WHERE original_event_id = $1 AND event_type = 'load.assigned'";
    let row = stage.row(ask, &[&event]);
    Letter(row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
}

#[derive(Debug)]
struct Letter(String, String, String, i32, bool);

impl PartialEq<(&str, &str, &str, i32, bool)> for Letter {
    fn eq(&self, other: &(&str, &str, &str, i32, bool)) -> bool {
        (&*self.0, &*self.1, &*self.2, self.3, self.4) == *other
    }
}

/// The first two attempts of an event whose first answer is 503 with this header; retries would come at once without it.
fn arrivals(stage: &Stage, retry_after: &str) -> (Recorded, Recorded) {
    stage.receiver.reset();
    let header = retry_after.to_owned();
    stage
        .receiver
        .behave(Behaviour::choose(move |request| match request.attempt {
            1 => Behaviour::status_with(503, "retry-after", &header),
            _ => Behaviour::Ok,
        }));
    let event = stage.enqueue(TARGET, 3);
    stage.wait_until_delivered(event);
    let mut requests = stage.receiver.requests().into_iter();
    let attempts = (
        requests.next().expect("a first attempt"),
        requests.next().expect("a second"),
    );
    assert!(requests.next().is_none(), "a third attempt");
    attempts
}

#[test]
fn retry_after_is_honoured() {
    let options = json!({ "retry": { "base_ms": 10, "max_ms": 20 } });
    let stage = Stage::set(Cluster::builder(), Behaviour::Ok, options);

    let (first, second) = arrivals(&stage, "2");
    let waited = second.at - first.at;
    assert!(
        waited >= Duration::from_secs(2) && waited < PATIENCE,
        "{waited:?}"
    );

    // Far enough ahead that the first attempt comes before it also on a busy machine.
    let ahead = Duration::from_secs(5);
    let asked = "SELECT to_char(at AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS \"GMT\"'), at FROM \
                 (SELECT date_trunc('second', now() + make_interval(secs => $1)) AS at) AS date";
    let row = stage.row(asked, &[&ahead.as_secs_f64()]);
    let (header, date): (String, SystemTime) = (row.get(0), row.get(1));
    let (first, second) = arrivals(&stage, &header);
    assert!(first.wall < date, "too slow a machine for this test");
    assert!(
        second.wall >= date,
        "{:?} before {header}",
        date.duration_since(second.wall)
    );
}

#[test]
fn retry_after_beyond_the_cap_is_cut() {
    let builder = Cluster::builder().conf("tms.retry_after_cap", "1s");
    let options = json!({ "retry": { "base_ms": 10, "max_ms": 20 } });
    let stage = Stage::set(builder, Behaviour::Ok, options);
    let begin = Instant::now();
    let (first, second) = arrivals(&stage, "86400");
    let waited = second.at - first.at;
    assert!(
        waited >= Duration::from_secs(1) && begin.elapsed() < PATIENCE,
        "{waited:?}"
    );
}
