//! Who may do what with tasks, and what is said to wrong input.

use crate::stage::*;

#[test]
fn no_capability_changes_a_task_but_through_the_functions() {
    let cluster = stage();
    let task = submit(&mut cluster.client_as("agent_a", "postgres"), "{}");
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "CREATE ROLE auditor_a LOGIN; SELECT tms_bind_role('auditor_a', 'aaaaaaaa-0000-4000-8000-00000000000a'), tms_grant('auditor_a', 'auditor')",
    );
    for role in ["agent_a", "producer_a", "approver_a", "operator_a", "auditor_a"] {
        let mut client = cluster.client_as(role, "postgres");
        assert_eq!(
            number(&mut client, "SELECT count(*) FROM tms.agent_tasks"),
            1,
            "{role}"
        );
        for change in [
            "UPDATE tms.agent_tasks SET status = 'done'",
            "UPDATE tms.agent_tasks SET waits_for = NULL, turn = now()",
            "UPDATE tms.agent_tasks SET payload = '{}'",
            "DELETE FROM tms.agent_tasks",
            "INSERT INTO tms.agent_tasks (agent_name, fn_name, submitted_by) VALUES ('worker', 'rates.price', 'me')",
            "TRUNCATE tms.agent_tasks",
        ] {
            assert_eq!(refusal(&mut client, change).code, "42501", "{role}: {change}");
        }
    }
    assert_eq!(status(&mut owner, task), "queued");
}

#[test]
fn a_task_of_another_company_is_like_one_that_is_not_there() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut other = cluster.client_as("agent_b", "postgres");
    submit(&mut agent, "{}");
    assert!(claim_with(&mut other, "").is_empty());
    let held = claim(&mut agent);
    let nobody = Held {
        id: uuid::Uuid::from_u128(7),
        ..held.clone()
    };
    for call in [
        "SELECT tms_task_heartbeat($1, $2)",
        "SELECT tms_task_charge($1, $2)",
        "SELECT tms_task_complete($1, $2)",
        "SELECT tms_task_fail($1, $2, 'timeout', NULL)",
    ] {
        let (foreign, unknown) = (
            refused(&mut other, call, &held),
            refused(&mut other, call, &nobody),
        );
        assert_eq!(
            (foreign.code.as_str(), unknown.code.as_str()),
            ("42704", "42704"),
            "{call}"
        );
        assert_eq!(
            foreign.message.replace(&held.id.to_string(), ""),
            unknown.message.replace(&nobody.id.to_string(), "")
        );
    }
    let mut approver = cluster.client_as("approver_b", "postgres");
    let confirm = format!("SELECT tms_task_confirm('{}', true)", held.id);
    assert_eq!(refusal(&mut approver, &confirm).code, "42704");
    let mut operator = cluster.client_as("operator_b", "postgres");
    let cancel = format!("SELECT tms_task_cancel('{}', 'mine')", held.id);
    assert_eq!(refusal(&mut operator, &cancel).code, "42704");
    for table in ["tms.agent_tasks", "tms.task_status"] {
        assert_eq!(number(&mut other, &format!("SELECT count(*) FROM {table}")), 0);
    }
    let spied = "SELECT count(tms.task_held_by('worker', 'aaaaaaaa-0000-4000-8000-00000000000a'))";
    assert_eq!(number(&mut other, spied), 0);
    complete(&mut agent, &held);
}

#[test]
fn wrong_input_is_told_and_changes_nothing() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent_a", "postgres");
    for (statement, code) in [
        ("SELECT tms_task_submit('worker', 'rates.price', NULL)", "22004"),
        ("SELECT tms_task_submit(NULL, 'rates.price')", "22004"),
        ("SELECT tms_task_submit('worker', NULL)", "22004"),
        ("SELECT tms_task_submit('', 'rates.price')", "22023"),
        ("SELECT tms_task_submit('worker', '')", "22023"),
        (
            "SELECT tms_task_submit('worker', 'rates.price', '{}', NULL, NULL, 101)",
            "22023",
        ),
        (
            "SELECT tms_task_submit('worker', 'rates.price', '{}', NULL, NULL, 0, 'infinity')",
            "22023",
        ),
        (
            "SELECT tms_task_submit('worker', 'rates.price', '{}', 'bbbbbbbb-0000-4000-8000-00000000000b')",
            "42501",
        ),
        ("SELECT tms_task_submit('worker', 'admin.drop')", "42501"),
        ("SELECT tms_task_submit('stranger', 'rates.price')", "42501"),
        (
            "SELECT tms_task_submit('worker', 'rates.price', jsonb_build_object('x', repeat('y', 2000000)))",
            "54000",
        ),
        ("SELECT tms_task_claim('stranger', 'w')", "42501"),
        ("SELECT tms_task_claim('worker', '')", "22023"),
        ("SELECT tms_task_claim('worker', NULL)", "22004"),
        ("SELECT tms_task_claim('worker', 'w', 0)", "22023"),
        ("SELECT tms_task_claim('worker', 'w', 1001)", "22023"),
        ("SELECT tms_task_claim('worker', 'w', 1, '0')", "22023"),
        ("SELECT tms_task_claim('worker', 'w', 1, '-1 hour')", "22023"),
        ("SELECT tms_task_claim('worker', 'w', 1, '2 days')", "22023"),
        (
            "SELECT tms_task_claim('worker', 'w', 1, '1 minute', '31 seconds')",
            "22023",
        ),
        (
            "SELECT tms_task_claim('worker', 'w', 1, '1 minute', '-1 second')",
            "22023",
        ),
        ("SELECT tms_task_cancel(gen_random_uuid(), 'x')", "42501"),
        (
            "SELECT tms_task_complete(gen_random_uuid(), gen_random_uuid())",
            "42704",
        ),
        ("SELECT tms_task_complete(NULL, gen_random_uuid())", "22004"),
    ] {
        let refused = refusal(&mut agent, statement);
        assert_eq!(refused.code, code, "{statement}: {refused:?}");
        if !refused.message.starts_with("permission denied for function") {
            assert!(
                !refused.detail.is_empty() && !refused.hint.is_empty(),
                "{statement}: {refused:?}"
            );
        }
    }
    assert_eq!(number(&mut agent, "SELECT count(*) FROM tms.agent_tasks"), 0);
    submit(&mut agent, "{}");
    let held = claim(&mut agent);
    for (call, code) in [
        ("SELECT tms_task_heartbeat($1, $2, '-1 second')", "22023"),
        ("SELECT tms_task_charge($1, $2, -1)", "22023"),
        ("SELECT tms_task_charge($1, $2, 0, -1)", "22023"),
        ("SELECT tms_task_charge($1, $2, NULL)", "22004"),
        ("SELECT tms_task_complete($1, $2, NULL)", "22004"),
        (
            "SELECT tms_task_complete($1, $2, '{}', '{\"token\": 5}')",
            "22023",
        ),
        (
            "SELECT tms_task_complete($1, $2, jsonb_build_object('x', repeat('y', 100000000)))",
            "54000",
        ),
        ("SELECT tms_task_fail($1, $2, NULL, NULL)", "22004"),
    ] {
        assert_eq!(refused(&mut agent, call, &held).code, code, "{call}");
    }
    assert_eq!(status(&mut agent, held.id), "running");
    complete(&mut agent, &held);
}

#[test]
fn without_the_library_preloaded_tasks_without_limits_work() {
    let cluster = stage_with(tms_e2e::cluster::Cluster::builder().preload(false));
    let mut agent = cluster.client_as("agent_a", "postgres");
    submit(&mut agent, "{}");
    let held = claim_with(&mut agent, ", 1, '5 minutes', '1 second'");
    complete(&mut agent, &held[0]);
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    submit(&mut agent, "{}");
    let refused = refusal(&mut agent, "SELECT * FROM tms_task_claim('worker', 'w')");
    assert_eq!(refused.code, "55000");
}
