//! The stage of these stories: a server with two companies, their agents, and a policy of the platform.

use std::time::Duration;

use postgres::Client;
pub use tms_e2e::ask::{Refusal, becomes, id, number, refusal, run, text};
use tms_e2e::cluster::{Builder, Cluster};
use uuid::Uuid;

pub const SOON: Duration = Duration::from_secs(60);
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";

/// A server with an agent, a producer, an approver and an operator of each company, and the policy of the agent `worker`.
pub fn stage() -> Cluster {
    stage_with(Cluster::builder())
}

pub fn stage_with(builder: Builder) -> Cluster {
    let cluster = builder.start();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms");
    for (letter, company) in [("a", A), ("b", B)] {
        for role in ["agent", "producer", "approver", "operator"] {
            run(
                &mut owner,
                &format!(
                    "CREATE ROLE {role}_{letter} LOGIN;
                     SELECT tms_bind_role('{role}_{letter}', '{company}'), tms_grant('{role}_{letter}', '{role}')"
                ),
            );
        }
    }
    load(&cluster, "");
    cluster
}

/// Puts a policy of the platform in force for the agent `worker`; `body` are more of its lines.
#[track_caller]
pub fn load(cluster: &Cluster, body: &str) {
    let mut owner = cluster.client("postgres");
    let document = format!(
        "agent_policies:\n  worker:\n    allowed_functions: [rates.*]\n    require_confirmation: [rates.delete]\n{body}"
    );
    owner
        .query("SELECT * FROM tms_policy_load($1)", &[&document])
        .unwrap_or_else(|error| panic!("{document}: {error:?}"));
}

pub fn submit(client: &mut Client, payload: &str) -> Uuid {
    id(
        client,
        &format!("SELECT tms_task_submit('worker', 'rates.price', '{payload}')"),
    )
}

/// A task in hand.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: Uuid,
    pub token: Uuid,
    pub attempt: i32,
    pub payload: serde_json::Value,
}

/// What a claim with these arguments after the worker's name hands out.
#[track_caller]
pub fn claim_with(client: &mut Client, more: &str) -> Vec<Held> {
    let ask = format!("SELECT id, lease_token, attempt, payload FROM tms_task_claim('worker', 'w'{more})");
    let rows = client
        .query(&ask, &[])
        .unwrap_or_else(|error| panic!("{ask}: {error:?}"));
    rows.iter()
        .map(|row| Held {
            id: row.get(0),
            token: row.get(1),
            attempt: row.get(2),
            payload: row.get(3),
        })
        .collect()
}

#[track_caller]
pub fn claim(client: &mut Client) -> Held {
    let held = claim_with(client, "");
    assert_eq!(held.len(), 1, "one task: {held:?}");
    held[0].clone()
}

#[track_caller]
pub fn complete(client: &mut Client, held: &Held) {
    client
        .execute("SELECT tms_task_complete($1, $2)", &[&held.id, &held.token])
        .unwrap_or_else(|error| panic!("{held:?}: {error:?}"));
}

/// What the server says to a call with the id and the token of a task.
#[track_caller]
pub fn refused(client: &mut Client, call: &str, held: &Held) -> Refusal {
    refusal(
        client,
        &call
            .replace("$1", &format!("'{}'", held.id))
            .replace("$2", &format!("'{}'", held.token)),
    )
}

pub fn status(client: &mut Client, task: Uuid) -> String {
    text(
        client,
        &format!("SELECT status FROM tms.agent_tasks WHERE id = '{task}'"),
    )
}
