//! Tasks and the budgets of a day.

use crate::stage::*;

#[test]
fn tokens_of_tasks_are_of_their_agents_day() {
    let cluster = stage();
    load(&cluster, "    cost_guardrails: {max_tokens_per_day: 1000}\n");
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..3 {
        submit(&mut agent, "{}");
    }
    let held = claim(&mut agent);
    run(
        &mut agent,
        &format!("SELECT tms_task_charge('{}', '{}', 900)", held.id, held.token),
    );
    let refused = refused(&mut agent, "SELECT tms_task_charge($1, $2, 101)", &held);
    assert_eq!(refused.code, "53400", "{refused:?}");
    assert!(
        refused.detail.contains("cost_guardrails.max_tokens_per_day"),
        "{refused:?}"
    );
    // What was used without being charged is booked in full, and then nothing more is handed out today.
    run(
        &mut agent,
        &format!(
            "SELECT tms_task_complete('{}', '{}', '{{}}', '{{\"tokens\": 200}}')",
            held.id, held.token
        ),
    );
    assert!(claim_with(&mut agent, "").is_empty());
    let mut operator = cluster.client_as("operator_a", "postgres");
    becomes(
        &mut operator,
        "SELECT tokens::text FROM tms.policy_budgets",
        &[],
        "1100",
    );
}
