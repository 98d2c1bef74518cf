//! Each misbehaviour ends in the right outcome, within the target's timeout.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::ledger::Ledger;
use tms_e2e::port::free_port;
use tms_e2e::receiver::Receiver;

use crate::cases::{CASES, Fate};
use crate::stage::{PATIENCE, Stage};

const TIMEOUT_MS: f64 = 1_000.0;
/// A busy machine wakes a timer late.
const MARGIN_MS: f64 = 4_000.0;
const EVENTS: i32 = 2;

/// A row of tms.delivery_attempts.
#[derive(Debug, Clone)]
struct Attempt {
    number: i32,
    status: Option<i32>,
    outcome: String,
    error: Option<String>,
    message: Option<String>,
    duration_ms: f64,
}

fn attempts(stage: &Stage) -> HashMap<String, Vec<Attempt>> {
    let ask = "SELECT target_system, attempt, status_code, outcome, error_type, error_message, duration_ms \
               FROM tms.delivery_attempts ORDER BY id";
    let mut found: HashMap<String, Vec<Attempt>> = HashMap::new();
    for row in stage.client().query(ask, &[]).expect("the attempts") {
        found.entry(row.get(0)).or_default().push(Attempt {
            number: row.get(1),
            status: row.get(2),
            outcome: row.get(3),
            error: row.get(4),
            message: row.get(5),
            duration_ms: row.get(6),
        });
    }
    found
}

/// How many letters a target has, by whether they are permanent and by their kind of error.
fn letters(stage: &Stage) -> HashMap<String, Vec<(bool, String, i64)>> {
    let ask =
        "SELECT target_system, permanent, error_type, count(*) FROM tms.dead_letter_queue GROUP BY 1, 2, 3";
    let mut found: HashMap<String, Vec<(bool, String, i64)>> = HashMap::new();
    for row in stage.client().query(ask, &[]).expect("the letters") {
        let letter = (row.get(1), row.get(2), row.get(3));
        found.entry(row.get(0)).or_default().push(letter);
    }
    found
}

/// Whether this is the record of an attempt that must come to `fate`; each event has one retry.
fn fits(fate: Fate, attempt: &Attempt) -> bool {
    let (outcome, status, error, words) = match fate {
        Fate::Delivered(status) => ("delivered", Some(status), None, ""),
        Fate::Again(error, status, words) if attempt.number == 1 => ("retry", status, Some(error), words),
        Fate::Again(error, status, words) | Fate::Dead(error, status, words) => {
            ("dead", status, Some(error), words)
        }
    };
    let message = attempt.message.as_deref().unwrap_or_default();
    attempt.outcome == outcome
        && attempt.status == status
        && attempt.error.as_deref() == error
        && message.contains(words)
        && attempt.duration_ms < TIMEOUT_MS + MARGIN_MS
        && (error != Some("timeout") || attempt.duration_ms >= TIMEOUT_MS * 0.9)
}

/// What is wrong with the records of a target, if anything.
fn mistake(fate: Fate, attempts: &[Attempt], letters: Option<&Vec<(bool, String, i64)>>) -> Option<String> {
    let (count, letter) = match fate {
        Fate::Delivered(_) => (EVENTS, None),
        Fate::Again(error, ..) => (2 * EVENTS, Some((false, error.to_owned(), i64::from(EVENTS)))),
        Fate::Dead(error, ..) => (EVENTS, Some((true, error.to_owned(), i64::from(EVENTS)))),
    };
    let expected: Vec<_> = letter.into_iter().collect();
    let seen = letters.cloned().unwrap_or_default();
    let good = attempts.len() == count as usize
        && attempts.iter().all(|attempt| fits(fate, attempt))
        && seen == expected;
    (!good).then(|| format!("{fate:?}: attempts {attempts:?}, letters {seen:?}"))
}

#[test]
fn each_misbehaviour_ends_in_its_outcome_beside_a_target_under_load() {
    let stage = Stage::set(Cluster::builder().conf("tms.record_attempts", "all"));
    let ledger = Arc::new(Ledger::default());
    let load = stage.load(&ledger);
    let options = json!({ "timeout_ms": TIMEOUT_MS, "retry": { "base_ms": 10, "max_ms": 10 } });
    let receivers: Vec<_> = CASES
        .iter()
        .map(|case| stage.hostile(case.name, options.clone(), case.behaviour))
        .collect();
    stage.target_at("refuses", free_port(), options);
    let refused = Fate::Again("external_api", None, "could not connect");
    let mut expected: Vec<_> = CASES.iter().map(|case| (case.name, case.fate)).collect();
    expected.push(("refuses", refused));
    for (target, _) in &expected {
        stage.enqueue(target, EVENTS, 10, 1);
    }
    stage.wait_until_ended();
    stage.settle(load, &ledger);

    let (attempts, letters) = (attempts(&stage), letters(&stage));
    let mistakes: Vec<String> = expected
        .iter()
        .filter_map(|(target, fate)| {
            let own = attempts.get(*target).map_or(&[][..], Vec::as_slice);
            mistake(*fate, own, letters.get(*target)).map(|mistake| format!("{target}: {mistake}"))
        })
        .collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(receivers.iter().all(|receiver| receiver.accepted() > 0));
}

#[test]
fn a_redirect_is_not_followed_even_to_a_place_that_is_allowed() {
    let stage = Stage::set(Cluster::builder());
    let elsewhere = Receiver::start();
    let there = elsewhere.url();
    let redirecting = Receiver::builder()
        .behaviour(tms_e2e::receiver::Behaviour::status_with(308, "location", &there))
        .start();
    stage.target_at("redirecting", redirecting.port(), json!({}));
    stage.enqueue("redirecting", 3, 10, 1);
    redirecting.wait_for("the requests", PATIENCE, |seen| seen.count() == 3);
    stage.wait_until_ended();
    assert_eq!((redirecting.count(), elsewhere.count()), (3, 0));
}

#[test]
fn a_receiver_that_reads_nothing_of_a_large_event_ends_in_time() {
    let stage = Stage::set(Cluster::builder());
    let options = json!({ "timeout_ms": 1_000 });
    // Held until the test ends, unread: the sockets' buffers are smaller than the event.
    let held = std::sync::Mutex::new(Vec::new());
    let deaf = tms_e2e::peer::RawReceiver::start(move |stream| {
        held.lock().expect("nobody panics with it").push(stream);
    });
    stage
        .client()
        .batch_execute("ALTER DATABASE freight SET tms.max_payload_bytes = '64MB'")
        .expect("a larger limit");
    stage.target_at("deaf", deaf.port(), options);
    stage.enqueue("deaf", 2, 32 << 20, 0);
    stage.wait_until_ended();
    let timed_out =
        "tms.delivery_attempts WHERE outcome = 'dead' AND error_type = 'timeout' AND duration_ms < 5000";
    assert_eq!(stage.count(timed_out), 2);
}
