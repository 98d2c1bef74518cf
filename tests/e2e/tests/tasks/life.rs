//! The whole life of a task.

use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::stage::*;

#[test]
fn a_task_is_submitted_claimed_charged_prolonged_and_completed() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = submit(&mut producer, r#"{"lane": "ATL-ORD"}"#);
    assert_eq!(status(&mut producer, task), "queued");
    let held = claim(&mut agent);
    assert_eq!((held.id, held.attempt), (task, 1));
    assert_eq!(held.payload["lane"], "ATL-ORD");
    assert_eq!(status(&mut producer, task), "running");
    assert!(claim_with(&mut agent, "").is_empty(), "nobody else gets it");
    let left = text(
        &mut agent,
        &format!(
            "SELECT tms_task_charge('{}', '{}', 1200, 2)::text",
            held.id, held.token
        ),
    );
    assert!(
        left.contains("\"tokens_used\": 1200") && left.contains("\"tokens_left\": null"),
        "{left}"
    );
    let until = text(
        &mut agent,
        &format!(
            "SELECT (tms_task_heartbeat('{}', '{}', '10 minutes') > now() + '9 minutes')::text",
            held.id, held.token
        ),
    );
    assert_eq!(until, "true");
    run(
        &mut agent,
        &format!(
            "SELECT tms_task_complete('{}', '{}', '{{\"price\": 0.10}}', '{{\"tokens\": 300, \"cost_usd\": 0.02}}')",
            held.id, held.token
        ),
    );
    let row = text(
        &mut producer,
        &format!(
            "SELECT concat_ws(' ', status, result, tokens_used, api_calls_used, round(cost_usd, 4), leased_by)
               FROM tms.agent_tasks WHERE id = '{task}'"
        ),
    );
    assert_eq!(row, "done {\"price\": 0.10} 1500 2 0.0200 w");
    // Its answer was lost: the same call again is no error.
    complete(&mut agent, &held);
}

#[test]
fn what_the_agent_writes_is_there_with_the_completion_or_not_at_all() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = submit(&mut agent, "{}");
    let held = claim(&mut agent);
    let mut work = agent.transaction().expect("a transaction");
    work.batch_execute(&format!(
        "SELECT tms_log('info', 'worked', '{{}}', 'worker', '{task}');
         SELECT tms_task_complete('{}', '{}')",
        held.id, held.token
    ))
    .expect("both");
    work.rollback().expect("a rollback");
    assert_eq!(status(&mut agent, task), "running");
    let lines = "SELECT count(*) FROM tms.agent_logs";
    assert_eq!(number(&mut cluster.client("postgres"), lines), 0);
    complete(&mut agent, &held);
    assert_eq!(status(&mut agent, task), "done");
}

#[test]
fn payload_and_result_do_not_land_with_what_the_policy_hides() {
    let cluster = stage();
    load(&cluster, "    pii_rules: {redact_fields: [driver]}\n");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let given = r#"{"driver": "Ann", "stop": {"customer_name": "Bob"}, "weight": 0.10}"#;
    let task = submit(&mut agent, given);
    let held = claim(&mut agent);
    assert_eq!(held.payload["driver"], "[REDACTED]");
    run(
        &mut agent,
        &format!(
            "SELECT tms_task_complete('{}', '{}', '{{\"Driver\": \"Ann\"}}')",
            held.id, held.token
        ),
    );
    let stored = "SELECT concat(payload, result) FROM tms.agent_tasks";
    let expected = r#"{"stop": {"customer_name": "[REDACTED]"}, "driver": "[REDACTED]", "weight": 0.10}{"Driver": "[REDACTED]"}"#;
    assert_eq!(text(&mut agent, stored), expected);
    // Nor when somebody writes past the functions, replicating or not.
    let mut owner = cluster.client("postgres");
    for role in ["origin", "replica"] {
        run(
            &mut owner,
            &format!(
                "SET session_replication_role = {role};
                 UPDATE tms.agent_tasks SET payload = '{{\"driver\": \"Ann\"}}' WHERE id = '{task}'"
            ),
        );
        let payload = "SELECT payload::text FROM tms.agent_tasks";
        assert_eq!(text(&mut owner, payload), r#"{"driver": "[REDACTED]"}"#, "{role}");
    }
}

#[test]
fn the_same_key_is_the_same_task() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut other = cluster.client_as("producer_b", "postgres");
    let keyed = "SELECT tms_task_submit('worker', 'rates.price', '{}', NULL, 'load-7')";
    let first = id(&mut producer, keyed);
    assert_eq!(id(&mut producer, keyed), first);
    assert_ne!(
        id(&mut other, keyed),
        first,
        "another company's key is another one"
    );
    assert_eq!(number(&mut producer, "SELECT count(*) FROM tms.agent_tasks"), 1);
}

#[test]
fn a_task_waits_for_its_time() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    let later = "SELECT tms_task_submit('worker', 'rates.price', '{}', NULL, NULL, 100, clock_timestamp() + '700 milliseconds')";
    let task = id(&mut agent, later);
    assert!(claim_with(&mut agent, "").is_empty(), "its time has not come");
    let waits = text(&mut agent, "SELECT waits FROM tms.task_status");
    assert_eq!(waits, "its time has not come: available_at");
    // Nobody asks in between: the scheduler knows when.
    eventually("it is in line", SOON, || {
        let line = "SELECT count(*) FROM tms.agent_tasks WHERE turn IS NOT NULL";
        (number(&mut agent, line) == 1).then_some(())
    });
    assert_eq!(claim(&mut agent).id, task);
}

#[test]
fn a_task_is_cancelled_whoever_has_it() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut operator = cluster.client_as("operator_a", "postgres");
    let (first, second) = (submit(&mut agent, "{}"), submit(&mut agent, "{}"));
    let held = claim(&mut agent);
    assert_eq!(held.id, first);
    let cancel = |task: Uuid| format!("SELECT tms_task_cancel('{task}', 'not needed')::text");
    assert_eq!(text(&mut operator, &cancel(first)), "true");
    assert_eq!(text(&mut operator, &cancel(second)), "true");
    assert_eq!(text(&mut operator, &cancel(second)), "false");
    let refused = refused(&mut agent, "SELECT tms_task_complete($1, $2)", &held);
    assert_eq!(refused.code, "55000");
    assert!(claim_with(&mut agent, "").is_empty());
    let row = "SELECT string_agg(DISTINCT concat_ws(' ', status, cancel_reason), ', ') FROM tms.agent_tasks";
    assert_eq!(text(&mut agent, row), "failed not needed");
}

#[test]
fn finished_tasks_go_with_age_and_others_stay() {
    let cluster = stage();
    cluster.set("tms.scheduler_interval", "1s");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut owner = cluster.client("postgres");
    submit(&mut agent, "{}");
    let held = claim(&mut agent);
    complete(&mut agent, &held);
    let waiting = submit(&mut agent, "{}");
    run(
        &mut owner,
        "UPDATE tms.agent_tasks SET finished_at = now() - interval '2 years' WHERE status = 'done';
         UPDATE tms.agent_tasks SET created_at = now() - interval '2 years'",
    );
    eventually("the finished one is gone", SOON, || {
        (number(&mut owner, "SELECT count(*) FROM tms.agent_tasks") == 1).then_some(())
    });
    assert_eq!(status(&mut owner, waiting), "queued");
}
