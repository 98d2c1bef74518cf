//! Leases: one at a time, and a late word changes nothing.

use tms_e2e::cluster::Mode;
use tms_e2e::wait::eventually;

use crate::stage::*;

const CALLS: [&str; 4] = [
    "SELECT tms_task_heartbeat($1, $2)",
    "SELECT tms_task_charge($1, $2, 5)",
    "SELECT tms_task_complete($1, $2)",
    "SELECT tms_task_fail($1, $2, 'timeout', 'too late')",
];

fn everything(client: &mut postgres::Client) -> String {
    text(client, "SELECT string_agg(t::text, '|') FROM tms.agent_tasks t")
}

#[test]
fn a_lease_that_ran_out_is_anothers_and_the_first_ones_words_change_nothing() {
    let cluster = stage();
    let mut first = cluster.client_as("agent_a", "postgres");
    let mut second = cluster.client_as("agent_a", "postgres");
    let task = submit(&mut first, "{}");
    let lost = claim_with(&mut first, ", 1, '100 milliseconds'")[0].clone();
    let held = eventually("the task is another's", SOON, || {
        claim_with(&mut second, "").pop()
    });
    assert_eq!((held.id, held.attempt), (task, 2));
    assert_ne!(held.token, lost.token);
    let before = everything(&mut second);
    for call in CALLS {
        let refusal = refused(&mut first, call, &lost);
        assert_eq!(refusal.code, "55000", "{call}");
        assert!(refusal.message.contains("is over"), "{refusal:?}");
        assert!(refusal.detail.contains("Another lease"), "{refusal:?}");
        assert!(refusal.hint.contains("Stop working"), "{refusal:?}");
    }
    assert_eq!(everything(&mut second), before);
    complete(&mut second, &held);
}

#[test]
fn a_lease_that_ran_out_is_over_before_anybody_else_has_the_task() {
    let cluster = stage();
    cluster.set("tms.dispatch", "off");
    let mut agent = cluster.client_as("agent_a", "postgres");
    submit(&mut agent, "{}");
    let lost = claim_with(&mut agent, ", 1, '50 milliseconds'")[0].clone();
    eventually("the lease is over", SOON, || {
        let over = "SELECT count(*) FROM tms.agent_tasks WHERE leased_until < clock_timestamp()";
        (number(&mut agent, over) == 1).then_some(())
    });
    for call in CALLS {
        let refusal = refused(&mut agent, call, &lost);
        assert_eq!(
            (refusal.code.as_str(), refusal.detail.contains("ran out")),
            ("55000", true),
            "{call}"
        );
    }
}

#[test]
fn the_scheduler_takes_back_what_nobody_asks_for() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = submit(&mut agent, "{}");
    claim_with(&mut agent, ", 1, '100 milliseconds'");
    eventually("it is back in line", SOON, || {
        (status(&mut agent, task) == "queued").then_some(())
    });
}

#[test]
fn a_task_that_kills_whoever_takes_it_is_given_up() {
    let cluster = stage();
    cluster.set("tms.task_lost_leases", "1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = submit(&mut agent, "{}");
    for attempt in 1..3 {
        let held = eventually("it is handed out", SOON, || {
            claim_with(&mut agent, ", 1, '50 milliseconds'").pop()
        });
        assert_eq!(held.attempt, attempt);
    }
    eventually("it is given up", SOON, || {
        (status(&mut agent, task) == "failed").then_some(())
    });
    let error = "SELECT error_type || ': ' || error_message FROM tms.agent_tasks";
    assert_eq!(text(&mut agent, error), "timeout: the lease ran out");
}

#[test]
fn leases_outlive_the_server() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    submit(&mut agent, "{}");
    let held = claim(&mut agent);
    cluster.restart(Mode::Immediate);
    let mut agent = cluster.client_as("agent_a", "postgres");
    assert!(claim_with(&mut agent, "").is_empty(), "it is in somebody's hands");
    complete(&mut agent, &held);
}

#[test]
fn a_wrong_token_is_refused_as_a_lease_that_is_over() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    submit(&mut agent, "{}");
    let mut held = claim(&mut agent);
    held.token = uuid::Uuid::nil();
    for call in CALLS {
        assert_eq!(refused(&mut agent, call, &held).code, "55000", "{call}");
    }
}
