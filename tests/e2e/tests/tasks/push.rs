//! Agents that run elsewhere: their tasks go out through the outbox and come back by their lease.

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Receiver, Record};
use tms_e2e::wait::eventually;

use crate::stage::*;

fn pushing(cluster: &Cluster, more: &str) -> Receiver {
    let receiver = Receiver::builder().record(Record::Full).start();
    cluster.set_http_target("postgres", "n8n", &receiver.url(), json!({}));
    load(cluster, &format!("    push_to: n8n\n{more}"));
    receiver
}

fn sent(receiver: &Receiver, place: usize) -> Held {
    receiver.wait_for("a task", SOON, |seen| seen.count() > place);
    let body = receiver.requests()[place].json();
    let id = |key: &str| {
        body[key]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a uuid")
    };
    assert_eq!(
        (body["agent_name"].as_str(), body["fn_name"].as_str()),
        (Some("worker"), Some("rates.price"))
    );
    Held {
        id: id("id"),
        token: id("lease_token"),
        attempt: i32::try_from(body["attempt"].as_i64().expect("a number")).expect("few"),
        payload: body["payload"].clone(),
    }
}

#[test]
fn a_task_goes_out_and_comes_back() {
    let cluster = stage();
    let receiver = pushing(&cluster, "    pii_rules: {redact_fields: [driver]}\n");
    let mut producer = cluster.client_as("producer_a", "postgres");
    let task = submit(&mut producer, r#"{"driver": "Ann", "lane": 7}"#);
    let held = sent(&receiver, 0);
    assert_eq!((held.id, held.attempt), (task, 1));
    assert_eq!(held.payload, json!({"driver": "[REDACTED]", "lane": 7}));
    assert_eq!(status(&mut producer, task), "running");
    complete(&mut cluster.client_as("agent_a", "postgres"), &held);
    assert_eq!(status(&mut producer, task), "done");
}

#[test]
fn as_many_are_sent_as_may_run_and_the_next_when_one_ends() {
    let cluster = stage();
    let receiver = pushing(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..3 {
        submit(&mut producer, "{}");
    }
    for place in 0..3 {
        let held = sent(&receiver, place);
        let running = "SELECT count(*) FROM tms.agent_tasks WHERE status = 'running'";
        assert_eq!(number(&mut producer, running), 1);
        complete(&mut agent, &held);
    }
    assert_eq!(receiver.count(), 3);
}

#[test]
fn while_the_target_is_paused_tasks_wait_in_their_line() {
    let cluster = stage();
    let receiver = pushing(&cluster, "");
    let mut owner = cluster.client("postgres");
    run(&mut owner, "SELECT tms_target_pause('n8n')");
    let mut producer = cluster.client_as("producer_a", "postgres");
    let task = submit(&mut producer, "{}");
    let waits = "SELECT waits FROM tms.task_status";
    becomes(
        &mut producer,
        waits,
        &[],
        "held by push_to: the target takes nothing",
    );
    assert_eq!(status(&mut producer, task), "queued");
    run(&mut owner, "SELECT tms_target_resume('n8n')");
    assert_eq!(sent(&receiver, 0).id, task);
}

#[test]
fn what_is_never_answered_is_sent_again_when_the_lease_is_over() {
    let cluster = stage();
    cluster.set("tms.task_push_lease", "1s");
    let receiver = pushing(&cluster, "");
    let task = submit(&mut cluster.client_as("producer_a", "postgres"), "{}");
    let (first, second) = (sent(&receiver, 0), sent(&receiver, 1));
    assert_eq!((first.id, second.id, second.attempt), (task, task, 2));
    assert_ne!(first.token, second.token);
}

#[test]
fn a_policy_names_a_target_that_is_there() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let refused = refusal(
        &mut owner,
        "SELECT * FROM tms_policy_load('agent_policies: {worker: {push_to: nobody}}')",
    );
    assert_eq!(refused.code, "42704");
    eventually("the policy is as it was", SOON, || {
        (number(&mut owner, "SELECT count(*) FROM tms.policies") == 1).then_some(())
    });
}
