//! The record of attempts: which are written, and how much of what the receiver said.

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::stage::{PATIENCE, Stage, TARGET};

const EXCERPT: usize = 100;

/// Fails once with a body that says where it ends; `/large` does so with five megabytes.
fn failing_once() -> Behaviour {
    Behaviour::choose(|request| match (request.attempt, request.path) {
        (1, "/large") => Behaviour::Status(500, vec![], vec![b'L'; 5 << 20]),
        (1, "/hook") => Behaviour::Status(503, vec![], b"0123456789".repeat(EXCERPT)),
        _ => Behaviour::Ok,
    })
}

/// One attempt on record.
#[derive(Debug, PartialEq)]
struct Attempt {
    number: i32,
    status: Option<i32>,
    outcome: String,
    error: Option<String>,
    message: Option<String>,
    excerpt: Option<String>,
}

fn attempts(stage: &Stage, event: Uuid) -> Vec<Attempt> {
    let ask = "SELECT attempt, status_code, outcome, error_type, error_message, response_excerpt \
               FROM tms.delivery_attempts \
               WHERE event_id = $1 AND duration_ms > 0 AND started_at BETWEEN now() - interval '1 hour' AND now() \
               ORDER BY attempt";
    let rows = stage.client().query(ask, &[&event]).expect("the attempts");
    let attempt = |row: &postgres::Row| Attempt {
        number: row.get(0),
        status: row.get(1),
        outcome: row.get(2),
        error: row.get(3),
        message: row.get(4),
        excerpt: row.get(5),
    };
    rows.iter().map(attempt).collect()
}

fn failed_once(status: i32, message: &str, excerpt: String) -> Attempt {
    Attempt {
        number: 1,
        status: Some(status),
        outcome: "retry".into(),
        error: Some("external_api".into()),
        message: Some(message.into()),
        excerpt: Some(excerpt),
    }
}

fn delivered(stage: &Stage, target: &str) -> Uuid {
    let event = stage.enqueue(target, 3);
    stage.wait_until_delivered(event);
    event
}

#[test]
fn attempts_are_on_record() {
    let builder = Cluster::builder().conf("tms.response_excerpt_bytes", &EXCERPT.to_string());
    let quick = json!({ "retry": { "base_ms": 20, "max_ms": 100 } });
    let stage = Stage::set(builder, failing_once(), quick);
    stage.target_at("large", "/large");

    // Failures only, and of the answer no more than the setting allows.
    let event = delivered(&stage, TARGET);
    let excerpt = "0123456789".repeat(EXCERPT / 10);
    let failed = failed_once(503, "HTTP 503 Service Unavailable", excerpt);
    assert_eq!(attempts(&stage, event), [failed]);
    assert_eq!(stage.receiver.count(), 2);

    let event = delivered(&stage, "large");
    let failed = failed_once(500, "HTTP 500 Internal Server Error", "L".repeat(EXCERPT));
    assert_eq!(attempts(&stage, event), [failed]);
    let stored: i64 = stage
        .row("SELECT pg_total_relation_size('tms.delivery_attempts')", &[])
        .get(0);
    assert!(stored < 1 << 20, "{stored} bytes");

    // All of them, once the dispatcher has read the setting again.
    stage.cluster.set("tms.record_attempts", "all");
    let recorded = eventually("a success on record", PATIENCE, || {
        let event = delivered(&stage, TARGET);
        Some(attempts(&stage, event))
            .filter(|recorded| recorded.len() == 2)
            .ok_or(event)
    });
    assert_eq!((recorded[0].number, recorded[0].status), (1, Some(503)));
    let success = Attempt {
        number: 2,
        status: Some(200),
        outcome: "delivered".into(),
        error: None,
        message: None,
        excerpt: None,
    };
    assert_eq!(recorded[1], success);
}
