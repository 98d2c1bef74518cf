//! From a publication to its events.

use std::collections::BTreeSet;
use std::thread;

use serde_json::json;
use tms_e2e::receiver::Receiver;
use uuid::Uuid;

use crate::stage::{PATIENCE, published, refusal, run, stage, text, truth};

#[test]
fn each_target_that_is_meant_gets_the_event_once() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let mut a = cluster.client_as("a", "postgres");
    for (pattern, target) in [
        ("load.assigned", "n8n"),
        ("load.*", "n8n"),
        ("*", "n8n"),
        ("load.*", "billing"),
        ("load.*.added", "warehouse"),
        ("*", "audit"),
    ] {
        let subscribe = format!("SELECT tms_subscribe('{pattern}', '{target}')");
        assert!(truth(&mut a, &subscribe), "{pattern} is new");
        assert!(!truth(&mut a, &subscribe), "{pattern} is there");
    }
    for (event_type, targets) in [
        ("load.assigned", "audit billing n8n"),
        ("load.stop.added", "audit billing n8n warehouse"),
        ("load.a.b.added", "audit billing n8n"),
        ("load", "audit n8n"),
        ("loads.assigned", "audit n8n"),
        ("LOAD.assigned", "audit n8n"),
    ] {
        let arguments = format!("'{event_type}', '{{}}'");
        assert_eq!(published(&mut owner, &mut a, &arguments), targets, "{event_type}");
    }
    for pattern in ["load.assigned", "load.*", "*"] {
        let unsubscribe = format!("SELECT tms_unsubscribe('{pattern}', 'n8n')");
        assert!(truth(&mut a, &unsubscribe));
        assert!(!truth(&mut a, &unsubscribe));
    }
    assert_eq!(
        published(&mut owner, &mut a, "'load.assigned', '{}'"),
        "audit billing"
    );
    run(&mut owner, "DELETE FROM tms.subscriptions");
    assert_eq!(published(&mut owner, &mut a, "'load.assigned', '{}'"), "");
}

#[test]
fn every_argument_holds_for_each_of_the_events() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "SELECT tms_subscribe('*', 'n8n'), tms_subscribe('*', 'audit')",
    );
    run(
        &mut owner,
        "SELECT tms_publish(event_type => 'load.moved', payload => '{\"n\": 1.10}', ordering_key => 'load 7',
             available_at => '2100-01-01', max_retries => 9, priority => 5, headers => '{\"x-a\": \"b\"}')",
    );
    let events = "SELECT string_agg(concat_ws(' ', target_system, event_type, payload, ordering_key, priority, max_retries, headers,
                                              available_at = '2100-01-01'), E'\\n' ORDER BY target_system)
                    FROM tms.event_outbox";
    assert_eq!(
        text(&mut owner, events),
        "audit load.moved {\"n\": 1.10} load 7 5 9 {\"x-a\": \"b\"} t\n\
         n8n load.moved {\"n\": 1.10} load 7 5 9 {\"x-a\": \"b\"} t"
    );
}

#[test]
fn a_publication_that_is_repeated_with_its_key_makes_no_second_events() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let publish = "SELECT tms_publish('load.moved', '{}', idempotency_key => 'load 7 moved')::text";
    run(
        &mut owner,
        "SELECT tms_subscribe('*', 'n8n'), tms_subscribe('*', 'audit')",
    );
    let first = text(&mut owner, publish);
    assert_eq!(text(&mut owner, publish), first);
    // Who subscribed in between gets it by the repetition; the others have it.
    run(&mut owner, "SELECT tms_subscribe('*', 'billing')");
    let of_three = owner
        .query_one(
            "SELECT tms_publish('load.moved', '{}', idempotency_key => 'load 7 moved')",
            &[],
        )
        .unwrap()
        .get::<_, Vec<Uuid>>(0);
    assert_eq!(of_three.len(), 3);
    assert_eq!(first, format!("{{{},{}}}", of_three[0], of_three[2]));
    assert_eq!(
        text(&mut owner, "SELECT count(*)::text FROM tms.event_outbox"),
        "3"
    );
}

#[test]
fn what_is_published_is_delivered() {
    let cluster = stage();
    cluster.set("tms.dispatch", "on");
    let (near, far) = (Receiver::start(), Receiver::start());
    cluster.set_http_target("postgres", "n8n", &near.url(), json!({}));
    cluster.set_http_target("postgres", "audit", &far.url(), json!({}));
    let mut a = cluster.client_as("a", "postgres");
    run(
        &mut a,
        "SELECT tms_subscribe('load.*', 'n8n'), tms_subscribe('*', 'audit')",
    );
    run(
        &mut a,
        "SELECT tms_publish('load.moved', '{}'), tms_publish('driver.hired', '{}')",
    );
    far.wait_for("both events", PATIENCE, |seen| seen.distinct() == 2);
    near.wait_for("one event", PATIENCE, |seen| seen.distinct() == 1);
    let sent: BTreeSet<Uuid> = far.ids().into_iter().chain(near.ids()).collect();
    assert_eq!(sent.len(), 3, "each receiver has events of its own");
}

#[test]
fn what_is_wrong_is_refused_whether_or_not_somebody_subscribed() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (call, state, words) in [
        ("tms_subscribe(NULL, 'n8n')", "22004", "event_type_pattern"),
        ("tms_subscribe('*', NULL)", "22004", "target_system"),
        ("tms_subscribe('load*', 'n8n')", "22023", "\"load*\""),
        ("tms_subscribe('', 'n8n')", "22023", "empty"),
        ("tms_subscribe('*', 'n8')", "42704", "\"n8\""),
        ("tms_unsubscribe('load.', 'n8n')", "22023", "\"load.\""),
        ("tms_unsubscribe(NULL, 'n8n')", "22004", "event_type_pattern"),
        ("tms_publish(NULL, '{}')", "22004", "event_type"),
        ("tms_publish('load.moved', NULL)", "22004", "payload"),
        ("tms_publish('load moved', '{}')", "22023", "\"load moved\""),
    ] {
        let (got, message, hint) = refusal(&mut owner, &format!("SELECT {call}"));
        assert_eq!(got, state, "{call}: {message}");
        assert!(message.contains(words), "{call}: {message}");
        assert!(!hint.is_empty(), "{call}");
    }
    // Events of a target that was removed: the publisher hears of it instead of losing them.
    run(
        &mut owner,
        "SELECT tms_subscribe('*', 'audit'), tms_subscribe('*', 'n8n')",
    );
    run(&mut owner, "DELETE FROM tms.targets WHERE name = 'n8n'");
    let (state, message, _) = refusal(&mut owner, "SELECT tms_publish('load.moved', '{}')");
    assert_eq!(state, "42704", "{message}");
    assert_eq!(
        text(&mut owner, "SELECT count(*)::text FROM tms.event_outbox"),
        "0"
    );
}

#[test]
fn a_subscription_counts_from_its_own_transaction_on() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let (mut one, mut other) = (cluster.client("postgres"), cluster.client("postgres"));
    run(&mut one, "BEGIN; SELECT tms_subscribe('*', 'n8n')");
    assert_eq!(published(&mut owner, &mut other, "'load.moved', '{}'"), "");
    run(&mut one, "SELECT tms_publish('load.moved', '{}')");
    run(&mut one, "COMMIT");
    assert_eq!(
        text(&mut owner, "SELECT count(*)::text FROM tms.event_outbox"),
        "1"
    );
    run(&mut one, "BEGIN; SELECT tms_subscribe('*', 'audit'); ROLLBACK");
    assert_eq!(published(&mut owner, &mut other, "'load.moved', '{}'"), "n8n");
}

#[test]
fn of_sessions_that_subscribe_the_same_at_once_one_is_the_first() {
    let cluster = stage();
    let firsts = thread::scope(|scope| {
        let sessions: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    truth(
                        &mut cluster.client("postgres"),
                        "SELECT tms_subscribe('load.*', 'n8n')",
                    )
                })
            })
            .collect();
        sessions
            .into_iter()
            .map(|session| session.join().expect("a session"))
            .filter(|first| *first)
            .count()
    });
    assert_eq!(firsts, 1);
}
