//! Confirmation: by another role, and of what was shown.

use crate::stage::*;

const DELETE: &str = "SELECT tms_task_submit('worker', 'rates.delete', '{\"lane\": 7}')";

#[test]
fn a_task_runs_once_another_role_agreed() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut approver = cluster.client_as("approver_a", "postgres");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = id(&mut producer, DELETE);
    assert!(claim_with(&mut agent, "").is_empty());
    let waits = text(&mut producer, "SELECT waits FROM tms.task_status");
    assert_eq!(waits, "a person must agree: tms_task_confirm");
    run(
        &mut approver,
        &format!("SELECT tms_task_confirm('{task}', true, 'checked')"),
    );
    assert_eq!(claim(&mut agent).id, task);
    let again = refusal(&mut approver, &format!("SELECT tms_task_confirm('{task}', true)"));
    assert_eq!(again.code, "55000");
    let said =
        "SELECT concat_ws(' ', confirmed_by, confirm_note, length(confirmed_sha256)) FROM tms.agent_tasks";
    assert_eq!(text(&mut producer, said), "approver_a checked 64");
}

#[test]
fn who_is_refused_is_told_and_the_task_is_over() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut approver = cluster.client_as("approver_a", "postgres");
    let task = id(&mut producer, DELETE);
    run(
        &mut approver,
        &format!("SELECT tms_task_confirm('{task}', false, 'no')"),
    );
    let row = "SELECT concat_ws(' ', status, cancel_reason) FROM tms.agent_tasks";
    assert_eq!(text(&mut producer, row), "failed a person refused it");
    assert!(claim_with(&mut cluster.client_as("agent_a", "postgres"), "").is_empty());
}

#[test]
fn nobody_agrees_to_a_task_of_its_own() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "SELECT tms_grant('agent_a', 'approver'); GRANT approver_a TO agent_a",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = id(&mut agent, DELETE);
    let confirm = format!("SELECT tms_task_confirm('{task}', true)");
    let refused = refusal(&mut agent, &confirm);
    assert_eq!(refused.code, "42501");
    assert!(refused.detail.contains("cannot agree"), "{refused:?}");
    // Nor by way of another role.
    run(&mut agent, "SET ROLE approver_a");
    assert_eq!(refusal(&mut agent, &confirm).code, "42501");
    run(&mut agent, "RESET ROLE");
    assert_eq!(status(&mut agent, task), "queued");
}

#[test]
fn what_was_changed_after_somebody_agreed_waits_again() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut approver = cluster.client_as("approver_a", "postgres");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let task = id(&mut producer, DELETE);
    run(&mut approver, &format!("SELECT tms_task_confirm('{task}', true)"));
    run(
        &mut cluster.client("postgres"),
        "UPDATE tms.agent_tasks SET payload = '{\"lane\": 8}'",
    );
    assert!(claim_with(&mut agent, "").is_empty());
    let waits = text(&mut producer, "SELECT waits FROM tms.task_status");
    assert_eq!(waits, "a person must agree: tms_task_confirm");
    run(&mut approver, &format!("SELECT tms_task_confirm('{task}', true)"));
    assert_eq!(claim(&mut agent).payload["lane"], 8);
}

#[test]
fn a_function_that_needs_a_person_by_now_waits_for_one() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let task = submit(&mut producer, "{}");
    run(
        &mut cluster.client("postgres"),
        "SELECT * FROM tms_policy_load('agent_policies: {worker: {allowed_functions: [rates.*], require_confirmation: [rates.price]}}')",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    assert!(claim_with(&mut agent, "").is_empty());
    run(
        &mut cluster.client_as("approver_a", "postgres"),
        &format!("SELECT tms_task_confirm('{task}', true)"),
    );
    assert_eq!(claim(&mut agent).id, task);
}
