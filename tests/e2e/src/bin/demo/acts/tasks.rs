//! A task of an agent: it fails, waits, comes back by itself, and succeeds.

use std::time::Duration;

use uuid::Uuid;

use crate::report::Report;
use crate::screen;
use crate::stage::{Stage, poll_until};
use crate::trouble::Fallible;

/// Instead of a minute, so that nobody waits for it here.
const WAIT: &str = "2s";

const POLICY: &str = "agent_policies:
  rates_agent:
    allowed_functions: [rates.*]
    rate_limits: {requests_per_minute: 60, max_concurrent: 5}
    pii_rules: {redact_fields: [contact]}";

const CLAIM: &str = "SELECT id, lease_token, attempt, payload::text FROM tms_task_claim('rates_agent', 'demo', wait => '30 seconds')";

pub fn play(stage: &Stage, report: &mut Report) -> Fallible<()> {
    let company = &stage.companies[0];
    screen::heading("6. A task of an agent that fails, waits, returns and succeeds");
    let mut platform = stage.platform()?;
    stage.cluster.set("tms.dead_letter_backoff", WAIT);
    stage.cluster.set("tms.scheduler_interval", "500ms");
    platform.execute("SELECT tms_policy_load($1, $2)", &[&POLICY, &company.id])?;
    for capability in ["agent", "operator"] {
        platform.execute(
            "SELECT tms_grant($1::text::name, $2)",
            &[&company.role, &capability],
        )?;
    }
    let mut agent = stage.session(&company.role)?;
    let denied = agent
        .query("SELECT tms_task_submit('rates_agent', 'carriers.delete')", &[])
        .err()
        .and_then(|error| error.code().map(|code| code.code().to_owned()));
    report.claim(
        "a function the policy does not allow is refused: 42501",
        denied.as_deref() == Some("42501"),
    );
    let task: Uuid = agent
        .query_one(
            "SELECT tms_task_submit('rates_agent', 'rates.price_one', '{\"lane\": \"ATL-ORD\", \"contact\": \"Ada\"}')",
            &[],
        )?
        .get(0);
    let first = agent.query_one(CLAIM, &[])?;
    let payload: String = first.get(3);
    println!("  the agent has it, without what its policy hides: {payload}");
    let kind: String = agent
        .query_one(
            "SELECT tms_task_fail($1, $2, 'RateLimitError', '429 from the pricing service')",
            &[&first.get::<_, Uuid>(0), &first.get::<_, Uuid>(1)],
        )?
        .get(0);
    println!(
        "  it fails: {kind}; a dead letter has it for {WAIT} (a minute, if the demo had not changed that)"
    );
    // The agent waits inside the call, and is woken when the letter brings the task back.
    let mut again = None;
    poll_until(Duration::from_secs(60), || {
        again = agent.query_opt(CLAIM, &[])?;
        Ok(again.is_some())
    })?;
    let came_back = again
        .as_ref()
        .is_some_and(|row| row.get::<_, Uuid>(0) == task && row.get::<_, i32>(2) == 2);
    report.claim("the task came back by itself, as its second attempt", came_back);
    if let Some(row) = again {
        agent.execute(
            "SELECT tms_task_complete($1, $2, '{\"price_usd\": 1200.50}')",
            &[&row.get::<_, Uuid>(0), &row.get::<_, Uuid>(1)],
        )?;
    }
    let closed = poll_until(Duration::from_secs(60), || {
        let resolution = agent.query_opt(
            "SELECT 1 FROM tms.dead_letter_queue WHERE original_task_id = $1 AND resolution = 'delivered'",
            &[&task],
        )?;
        Ok(resolution.is_some())
    })?;
    report.claim("its success closed the letter", closed.is_some());
    show(&mut agent, task)
}

fn show(agent: &mut postgres::Client, task: Uuid) -> Fallible<()> {
    let rows = agent.query(
        "SELECT to_char(at, 'HH24:MI:SS.MS'), step, coalesce(detail, '') FROM tms.task_history WHERE task_id = $1 ORDER BY at",
        &[&task],
    )?;
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| (0..3).map(|column| row.get(column)).collect())
        .collect();
    screen::table(&["at", "step", "detail"], &rows);
    Ok(())
}
