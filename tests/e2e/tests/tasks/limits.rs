//! The limits of the policy at the claim.

use std::sync::{Arc, Barrier};
use std::thread;

use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::eventually;

use crate::stage::*;

/// So many sessions claim at the same moment; what all of them got.
fn crowd(cluster: &Cluster, sessions: usize) -> Vec<Held> {
    let gate = Arc::new(Barrier::new(sessions));
    let claimers: Vec<_> = (0..sessions)
        .map(|_| {
            let mut agent = cluster.client_as("agent_a", "postgres");
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                gate.wait();
                claim_with(&mut agent, "")
            })
        })
        .collect();
    claimers
        .into_iter()
        .flat_map(|claimer| claimer.join().expect("a claimer"))
        .collect()
}

fn submit_many(cluster: &Cluster, count: usize) {
    let mut agent = cluster.client_as("agent_a", "postgres");
    run(
        &mut agent,
        &format!("SELECT tms_task_submit('worker', 'rates.price') FROM generate_series(1, {count})"),
    );
}

#[test]
fn as_many_run_as_may_whoever_claims_and_after_a_crash() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 5}\n");
    submit_many(&cluster, 100);
    let held = crowd(&cluster, 64);
    assert_eq!(held.len(), 5);
    let waits = "SELECT DISTINCT waits FROM tms.task_status WHERE status = 'queued'";
    let mut agent = cluster.client_as("agent_a", "postgres");
    assert_eq!(text(&mut agent, waits), "held by rate_limits.max_concurrent");
    cluster.restart(Mode::Immediate);
    assert!(crowd(&cluster, 64).is_empty(), "five still run");
    let mut agent = cluster.client_as("agent_a", "postgres");
    for task in &held[..2] {
        complete(&mut agent, task);
    }
    assert_eq!(crowd(&cluster, 64).len(), 2);
}

#[test]
fn a_claim_that_is_rolled_back_gives_its_place_back() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    submit_many(&cluster, 3);
    let mut agent = cluster.client_as("agent_a", "postgres");
    run(
        &mut agent,
        "BEGIN; SELECT tms_task_claim('worker', 'w'); ROLLBACK;
         BEGIN; SAVEPOINT s; SELECT tms_task_claim('worker', 'w'); ROLLBACK TO s; COMMIT",
    );
    let held = claim(&mut agent);
    assert!(claim_with(&mut agent, "").is_empty());
    complete(&mut agent, &held);
    claim(&mut agent);
}

#[test]
fn a_place_is_free_when_the_lease_is_over() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    submit_many(&cluster, 2);
    let mut agent = cluster.client_as("agent_a", "postgres");
    let lost = claim_with(&mut agent, ", 1, '200 milliseconds'");
    assert_eq!(lost.len(), 1);
    eventually("the place is free", SOON, || claim_with(&mut agent, "").pop());
}

#[test]
fn requests_are_charged_when_they_are_claimed() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {requests_per_minute: 1, burst: 2}\n");
    submit_many(&cluster, 10);
    assert_eq!(crowd(&cluster, 16).len(), 3);
    let mut agent = cluster.client_as("agent_a", "postgres");
    let waits = "SELECT DISTINCT waits FROM tms.task_status WHERE status = 'queued'";
    assert_eq!(text(&mut agent, waits), "held by rate_limits.requests_per_minute");
}

#[test]
fn failures_open_the_breaker_and_half_open_it_lets_trials_through() {
    let cluster = stage();
    load(
        &cluster,
        "    cost_guardrails:
      circuit_breaker_threshold: 0.5
      circuit_breaker_min_calls: 4
      circuit_breaker_cooldown_seconds: 1\n",
    );
    submit_many(&cluster, 20);
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..4 {
        let held = claim(&mut agent);
        run(
            &mut agent,
            &format!(
                "SELECT tms_task_fail('{}', '{}', 'external_api', 'no answer')",
                held.id, held.token
            ),
        );
    }
    assert!(claim_with(&mut agent, "").is_empty(), "the breaker is open");
    let waits = "SELECT DISTINCT waits FROM tms.task_status WHERE status = 'queued'";
    assert_eq!(
        text(&mut agent, waits),
        "held by cost_guardrails.circuit_breaker_threshold"
    );
    let trial = eventually("a trial is let through", SOON, || {
        claim_with(&mut agent, "").pop()
    });
    complete(&mut agent, &trial);
    eventually("the breaker is closed", SOON, || {
        let held = claim_with(&mut agent, ", 5");
        held.iter().for_each(|task| complete(&mut agent, task));
        (held.len() > 1).then_some(())
    });
}

#[test]
fn a_task_uses_no_more_than_the_policy_gives_it() {
    let cluster = stage();
    load(
        &cluster,
        "    cost_guardrails: {max_tokens_per_task: 1000, max_api_calls_per_task: 2}\n",
    );
    submit_many(&cluster, 1);
    let mut agent = cluster.client_as("agent_a", "postgres");
    let held = claim(&mut agent);
    run(
        &mut agent,
        &format!("SELECT tms_task_charge('{}', '{}', 900, 1)", held.id, held.token),
    );
    let refusal = refused(&mut agent, "SELECT tms_task_charge($1, $2, 101)", &held);
    assert_eq!(refusal.code, "53400");
    assert!(
        refusal.message.contains("100 tokens of 1000 tokens are left"),
        "{refusal:?}"
    );
    assert!(
        refusal.detail.contains("cost_guardrails.max_tokens_per_task"),
        "{refusal:?}"
    );
    assert_eq!(
        refused(&mut agent, "SELECT tms_task_charge($1, $2, 0, 2)", &held).code,
        "53400"
    );
    let left = text(
        &mut agent,
        &format!(
            "SELECT tms_task_charge('{}', '{}', 100, 1)::text",
            held.id, held.token
        ),
    );
    assert!(
        left.contains("\"tokens_left\": 0") && left.contains("\"api_calls_left\": 0"),
        "{left}"
    );
}

#[test]
fn what_the_policy_forbids_by_now_does_not_run() {
    let cluster = stage();
    submit_many(&cluster, 1);
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "SELECT * FROM tms_policy_load('agent_policies: {worker: {allowed_functions: [loads.find]}}')",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    assert!(claim_with(&mut agent, "").is_empty());
    let row = "SELECT concat_ws(' ', status, error_type) FROM tms.agent_tasks";
    assert_eq!(text(&mut agent, row), "failed validation");
}
