//! Limits are exact however many call at once.

use tms_e2e::cluster::Cluster;

use crate::stage::{call, called, crowd, load, release, run, stage, stage_with, stopped};

const SESSIONS: usize = 64;

#[test]
fn sixty_four_sessions_are_let_through_exactly_as_often_as_the_rate_allows() {
    let cluster = stage();
    // One a minute: no second call comes due while the test runs. 60 may come early.
    load(&cluster, "    rate_limits: {requests_per_minute: 1, burst: 60}\n");
    let results = crowd(&cluster, "agent_a", SESSIONS, |client| {
        (0..10).map(|_| call(client)).collect::<Vec<_>>()
    });
    let all: Vec<_> = results.iter().flat_map(|(_, results)| results).collect();
    assert_eq!(all.iter().filter(|result| result.is_ok()).count(), 61);
    let refused = all
        .iter()
        .filter(|result| matches!(result, Err(code) if code == "53400"));
    assert_eq!(refused.count(), 10 * SESSIONS - 61);
    assert!(
        call(&mut cluster.client_as("agent_b", "postgres")).is_ok(),
        "another company's rate"
    );
}

#[test]
fn a_rate_says_when_to_come_again_and_what_is_refused_is_not_charged() {
    let cluster = stage();
    load(
        &cluster,
        "    rate_limits: {requests_per_minute: 1, burst: 0, max_concurrent: 1}\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    let id = called(&mut agent);
    assert_eq!(
        stopped(&mut agent).detail,
        "The rule is rate_limits.max_concurrent, the policy version 1."
    );
    assert!(release(&mut agent, id, "success"));
    let refusal = stopped(&mut agent);
    assert_eq!(refusal.code, "53400");
    let wait = refusal
        .detail
        .split("retry_after_ms: ")
        .nth(1)
        .expect("a time to wait");
    let wait: u64 = wait.trim_end_matches('.').parse().expect("milliseconds");
    assert!((1..=60_000).contains(&wait), "{wait}");
}

#[test]
fn sixty_four_sessions_run_exactly_as_many_calls_as_may_run_at_one_time() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 7}\n");
    let mut results = crowd(&cluster, "agent_a", SESSIONS, call);
    let held: Vec<_> = results
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok().copied())
        .collect();
    assert_eq!(held.len(), 7);
    let (client, _) = &mut results[0];
    assert!(release(client, held[0], "success"));
    called(client);
    assert!(call(client).is_err(), "one was released, one was taken");
}

#[test]
fn sixty_four_sessions_that_come_and_go_give_back_each_call_once() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 7}\n");
    let rounds = crowd(&cluster, "agent_b", SESSIONS, |client| {
        let mut through = 0;
        for _ in 0..50 {
            if let Ok(id) = call(client) {
                through += 1;
                assert!(release(client, id, "success"));
            }
        }
        through
    });
    let through: i32 = rounds.iter().map(|(_, through)| through).sum();
    assert!(through >= 50, "{through}");
    let last: Vec<_> = rounds.into_iter().map(|(client, _)| client).collect();
    let mut client = last.into_iter().next().expect("a client");
    for _ in 0..7 {
        called(&mut client);
    }
    assert!(
        call(&mut client).is_err(),
        "every call that ran was given back once"
    );
}

#[test]
fn a_rollback_gives_nothing_back() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    let mut agent = cluster.client_as("agent_a", "postgres");
    run(
        &mut agent,
        "BEGIN; SELECT tms_policy_enforce('caller', 'rates.price'); ROLLBACK",
    );
    assert_eq!(call(&mut agent), Err("53400".to_owned()));
}

#[test]
fn a_clock_that_is_set_opens_no_limit_and_closes_none() {
    let cluster = stage_with(Cluster::builder().own_clock());
    load(&cluster, "    rate_limits: {requests_per_minute: 1, burst: 2}\n");
    let mut agent = cluster.client_as("agent_a", "postgres");
    called(&mut agent);
    cluster.shift_clock(7 * 24 * 3_600);
    called(&mut agent);
    cluster.shift_clock(-7 * 24 * 3_600);
    called(&mut agent);
    for shift in [0, 3_600, -3_600] {
        cluster.shift_clock(shift);
        assert_eq!(call(&mut agent), Err("53400".to_owned()), "{shift}");
    }
}
