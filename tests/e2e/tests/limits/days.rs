//! The stage of budgets for a day: a server whose clock begins at noon, so that no test meets a midnight it did not ask for.

use std::time::{SystemTime, UNIX_EPOCH};

use tms_e2e::ask::text;
use tms_e2e::cluster::{Builder, Cluster};
use tms_e2e::wait::eventually;

use crate::stage::{SOON, load, stage_with};

pub const DAY: i64 = 86_400;

/// A server at noon, and by how much its clock is wrong.
pub fn noon(builder: Builder) -> (Cluster, i64) {
    let cluster = stage_with(builder.own_clock());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time of day");
    let shift = DAY / 2 - i64::try_from(now.as_secs()).expect("seconds") % DAY;
    cluster.shift_clock(shift);
    attended(&cluster);
    (cluster, shift)
}

/// Waits until somebody sets budgets aside.
pub fn attended(cluster: &Cluster) {
    eventually("the scheduler is there", SOON, || {
        let ask = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'tms scheduler' AND datname = 'postgres' AND state = 'idle'";
        let mut owner = cluster.try_client_as("postgres", "postgres").ok()?;
        owner.query_opt(ask, &[]).ok()?
    });
}

/// Puts a policy in force that has these guardrails.
pub fn guard(cluster: &Cluster, guardrails: &str) {
    load(cluster, &format!("    cost_guardrails: {{{guardrails}}}\n"));
}

/// What a role is shown of today's budgets: used, set aside, and the budget, in dollars.
pub fn shown(cluster: &Cluster, role: &str) -> String {
    let ask = "SELECT coalesce(string_agg(concat_ws(' ', company_id, cost_usd, set_aside_usd, max_cost_usd_per_day), '; '), 'nothing')
                 FROM tms.policy_budgets WHERE agent_name = 'caller'";
    text(&mut cluster.client_as(role, "postgres"), ask)
}
