//! Tasks that fail: they wait, come back by themselves, and rest where a person finds them.

use tms_e2e::cluster::{Builder, Cluster};
use tms_e2e::wait::eventually;

use crate::stage::*;

/// A server on which a minute of a letter's wait is a few milliseconds.
fn quick() -> Builder {
    Cluster::builder()
        .conf("tms.scheduler_interval", "100ms")
        .conf("tms.dead_letter_backoff", "20ms")
}

fn fail(client: &mut postgres::Client, held: &Held, error: &str, message: &str) -> String {
    text(
        client,
        &format!(
            "SELECT tms_task_fail('{}', '{}', '{error}', '{message}')",
            held.id, held.token
        ),
    )
}

const LETTER: &str = "SELECT concat_ws(' ', state, error_type, agent_name, rounds) FROM tms.dead_letters";

#[test]
fn a_task_that_failed_comes_back_and_its_success_closes_the_letter() {
    let cluster = stage_with(quick());
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut operator = cluster.client_as("operator_a", "postgres");
    let task = submit(&mut agent, r#"{"customer_name": "Ada"}"#);
    let held = claim(&mut agent);
    assert_eq!(
        fail(&mut agent, &held, "RateLimitError", "429, says ada@example.com"),
        "quota_exceeded"
    );
    let held = eventually("it comes back", SOON, || claim_with(&mut agent, "").pop());
    assert_eq!((held.id, held.attempt), (task, 2));
    assert_eq!(text(&mut operator, LETTER), "out quota_exceeded worker 1");
    let copy = "SELECT concat(payload, error_message) FROM tms.dead_letters";
    let landed = text(&mut operator, copy);
    assert!(
        !landed.contains("Ada") && !landed.contains("ada@example.com"),
        "{landed}"
    );
    complete(&mut agent, &held);
    assert_eq!(text(&mut operator, LETTER), "closed quota_exceeded worker 1");
    becomes(
        &mut operator,
        "SELECT resolution FROM tms.dead_letter_queue",
        &[],
        "delivered",
    );
    let path = "SELECT string_agg(DISTINCT step, ' ' ORDER BY step) FROM tms.task_history";
    assert_eq!(
        text(&mut operator, path),
        "claimed closed dead done round submitted"
    );
}

#[test]
fn rounds_are_used_up_and_a_person_brings_it_back() {
    let cluster = stage_with(quick().conf("tms.dead_letter_rounds", "1"));
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut operator = cluster.client_as("operator_a", "postgres");
    submit(&mut agent, "{}");
    for _ in 0..2 {
        let held = eventually("it is handed out", SOON, || claim_with(&mut agent, "").pop());
        fail(&mut agent, &held, "TimeoutError", "no answer");
    }
    assert_eq!(text(&mut operator, LETTER), "resting timeout worker 1");
    let dry = "SELECT tms_dlq_replay('{\"agent_name\": \"worker\"}', true)";
    assert_eq!(number(&mut operator, dry), 1);
    assert!(claim_with(&mut agent, "").is_empty());
    let letter = id(&mut operator, "SELECT id FROM tms.dead_letters");
    run(
        &mut operator,
        &format!("SELECT tms_dlq_retry('{letter}', '{{\"lane\": 8}}')"),
    );
    let held = claim(&mut agent);
    assert_eq!(held.payload["lane"], 8);
    complete(&mut agent, &held);
    becomes(
        &mut operator,
        "SELECT resolution FROM tms.dead_letter_queue",
        &[],
        "replayed",
    );
    let former = "SELECT former_payload::text FROM tms.dead_letter_acts WHERE act = 'edit'";
    assert_eq!(text(&mut operator, former), "{}");
}

#[test]
fn what_a_retry_cannot_help_rests_at_once_and_is_discarded() {
    let cluster = stage_with(quick());
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut operator = cluster.client_as("operator_a", "postgres");
    let task = submit(&mut agent, "{}");
    let held = claim(&mut agent);
    assert_eq!(
        fail(&mut agent, &held, "ValidationError", "no lane"),
        "validation"
    );
    assert_eq!(text(&mut operator, LETTER), "resting validation worker 0");
    let letter = id(&mut operator, "SELECT id FROM tms.dead_letters");
    run(
        &mut operator,
        &format!("SELECT tms_dlq_discard('{letter}', 'not needed')"),
    );
    assert_eq!(status(&mut agent, task), "failed");
    let end = "SELECT cancel_reason FROM tms.agent_tasks";
    assert_eq!(text(&mut agent, end), "not needed");
}

#[test]
fn while_the_breaker_is_open_letters_wait_and_use_no_rounds() {
    let cluster = stage_with(quick());
    load(
        &cluster,
        "    cost_guardrails:
      circuit_breaker_threshold: 0.5
      circuit_breaker_min_calls: 2
      circuit_breaker_cooldown_seconds: 3600\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut operator = cluster.client_as("operator_a", "postgres");
    for _ in 0..2 {
        submit(&mut agent, "{}");
        let held = claim(&mut agent);
        fail(&mut agent, &held, "503", "no answer");
    }
    let due = "SELECT count(*) FROM tms.dead_letters WHERE state = 'due'";
    eventually("both are due", SOON, || {
        (number(&mut operator, due) == 2).then_some(())
    });
    // A round of the scheduler, and another, after they were.
    let seen = number(
        &mut cluster.client("postgres"),
        "SELECT count(*) FROM tms_worker_status()",
    );
    assert!(seen > 0);
    assert_eq!(number(&mut operator, "SELECT tms_dlq_requeue_due()"), 0);
    assert_eq!(number(&mut operator, due), 2);
    // Another version without a breaker lets them go.
    load(&cluster, "");
    eventually("they come back", SOON, || {
        (number(
            &mut operator,
            "SELECT count(*) FROM tms.dead_letters WHERE state = 'out' AND rounds = 1",
        ) == 2)
            .then_some(())
    });
}

#[test]
fn what_the_policy_forbids_and_what_kills_its_agents_is_found_among_the_letters() {
    let cluster = stage_with(quick().conf("tms.task_lost_leases", "0"));
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut operator = cluster.client_as("operator_a", "postgres");
    submit(&mut agent, "{}");
    claim_with(&mut agent, ", 1, '10 milliseconds'");
    let lost = "SELECT count(*) FROM tms.dead_letters WHERE error_type = 'timeout'";
    eventually("the lease is lost", SOON, || {
        (number(&mut operator, lost) == 1).then_some(())
    });
    run(
        &mut cluster.client("postgres"),
        "SELECT * FROM tms_policy_load('agent_policies: {worker: {allowed_functions: [loads.find]}}')",
    );
    eventually("the policy forbids it by now", SOON, || {
        claim_with(&mut agent, "");
        let resting =
            "SELECT count(*) FROM tms.dead_letters WHERE state = 'resting' AND error_type = 'validation'";
        (number(&mut operator, resting) == 1).then_some(())
    });
}
