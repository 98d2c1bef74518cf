//! An agent whose calls fail is stopped, tried again, and let go on.

use tms_e2e::wait::eventually;

use crate::stage::{SOON, call, called, load, release, stage, stopped};

const BREAKER: &str = "    cost_guardrails:
      circuit_breaker_threshold: 0.5
      circuit_breaker_min_calls: 4
      circuit_breaker_window_seconds: 600
      circuit_breaker_cooldown_seconds: 1
";

#[test]
fn failures_open_it_trials_decide_and_successes_close_it() {
    let cluster = stage();
    load(&cluster, BREAKER);
    let mut agent = cluster.client_as("agent_a", "postgres");
    for outcome in ["success", "failure", "success"] {
        let id = called(&mut agent);
        assert!(release(&mut agent, id, outcome));
    }
    let id = called(&mut agent);
    assert!(release(&mut agent, id, "failure"));
    let refusal = stopped(&mut agent);
    assert_eq!(refusal.code, "53400");
    assert!(
        refusal
            .detail
            .starts_with("The rule is cost_guardrails.circuit_breaker_threshold")
            && refusal.detail.contains("retry_after_ms"),
        "{refusal:?}"
    );
    assert!(
        call(&mut cluster.client_as("agent_b", "postgres")).is_ok(),
        "the other company's agent goes on"
    );

    let first = eventually("calls are tried", SOON, || call(&mut agent).ok());
    let mut trials = vec![first];
    while let Ok(id) = call(&mut agent) {
        trials.push(id);
    }
    assert_eq!(trials.len(), 3, "no more than these are tried");
    assert!(release(&mut agent, trials.remove(0), "failure"));
    assert!(call(&mut agent).is_err(), "open again");

    let first = eventually("calls are tried once more", SOON, || call(&mut agent).ok());
    let mut trials = vec![first];
    while let Ok(id) = call(&mut agent) {
        trials.push(id);
    }
    for id in trials {
        assert!(release(&mut agent, id, "success"));
    }
    for _ in 0..20 {
        called(&mut agent);
    }
}

#[test]
fn a_rollback_does_not_undo_an_outcome() {
    let cluster = stage();
    load(
        &cluster,
        &BREAKER.replace("cooldown_seconds: 1", "cooldown_seconds: 3600"),
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..4 {
        let id = called(&mut agent);
        let mut transaction = agent.transaction().unwrap();
        transaction
            .query_one("SELECT tms_policy_release($1, 'failure')", &[&id])
            .unwrap();
        transaction.rollback().unwrap();
    }
    assert_eq!(call(&mut agent), Err("53400".to_owned()));
}
