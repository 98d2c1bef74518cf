//! The stage of these stories: a server with two companies, and agents of theirs.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use postgres::Client;
pub use tms_e2e::ask::{Refusal, number as count, refusal, run};
use tms_e2e::cluster::{Builder, Cluster};
use uuid::Uuid;

pub const SOON: Duration = Duration::from_secs(60);
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";

/// A server whose workers deliver nothing, with an agent's role and an operator's of each company.
pub fn stage() -> Cluster {
    stage_with(Cluster::builder())
}

pub fn stage_with(builder: Builder) -> Cluster {
    let cluster = builder.conf("tms.dispatch", "hold").start();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms");
    for (letter, company) in [("a", A), ("b", B)] {
        run(
            &mut owner,
            &format!(
                "CREATE ROLE agent_{letter} LOGIN; CREATE ROLE operator_{letter} LOGIN;
                 SELECT tms_bind_role('agent_{letter}', '{company}'), tms_bind_role('operator_{letter}', '{company}');
                 SELECT tms_grant('agent_{letter}', 'agent'), tms_grant('operator_{letter}', 'operator')"
            ),
        );
    }
    cluster
}

/// Puts a policy of the platform in force for the agent `caller`, who may call `rates.price`; `body` are more of its lines.
#[track_caller]
pub fn load(cluster: &Cluster, body: &str) {
    let mut owner = cluster.client("postgres");
    let document = format!("agent_policies:\n  caller:\n    allowed_functions: [rates.price]\n{body}");
    owner
        .query("SELECT * FROM tms_policy_load($1)", &[&document])
        .unwrap_or_else(|error| panic!("{document}: {error:?}"));
}

const ENFORCE: &str = "SELECT (tms_policy_enforce('caller', 'rates.price') ->> 'reservation_id')::uuid";

/// A call; its reservation, or the SQLSTATE it was stopped with.
pub fn call(client: &mut Client) -> Result<Uuid, String> {
    match client.query_one(ENFORCE, &[]) {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(error
            .code()
            .map_or(error.to_string(), |code| code.code().to_owned())),
    }
}

#[track_caller]
pub fn called(client: &mut Client) -> Uuid {
    call(client).unwrap_or_else(|error| panic!("stopped with {error}"))
}

/// A call that says what it uses, such as `{"cost_usd": 0.01}`; its reservation, or what it was stopped with.
pub fn spend(client: &mut Client, usage: &str) -> Result<Uuid, Refusal> {
    let sql = format!(
        "SELECT (tms_policy_enforce('caller', 'rates.price', usage => '{usage}') ->> 'reservation_id')::uuid"
    );
    match client.query_one(&sql, &[]) {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(Refusal::of(&error)),
    }
}

#[track_caller]
pub fn spent(client: &mut Client, usage: &str) -> Uuid {
    spend(client, usage).unwrap_or_else(|refusal| panic!("{usage}: {refusal:?}"))
}

/// What a call that ended has used.
#[track_caller]
pub fn ended(client: &mut Client, id: Uuid, usage: &str) -> bool {
    let sql = format!("SELECT tms_policy_release($1, 'success', '{usage}')");
    let row = client.query_one(&sql, &[&id]);
    row.unwrap_or_else(|error| panic!("{error:?}")).get(0)
}

/// What `sql` is stopped with.
#[track_caller]
pub fn stopped(client: &mut Client) -> Refusal {
    refusal(client, ENFORCE)
}

#[track_caller]
pub fn release(client: &mut Client, id: Uuid, outcome: &str) -> bool {
    let row = client.query_one("SELECT tms_policy_release($1, $2)", &[&id, &outcome]);
    row.unwrap_or_else(|error| panic!("{error:?}")).get(0)
}

/// So many sessions of a role at once, each doing `work` from the same moment on.
pub fn crowd<R: Send + 'static>(
    cluster: &Cluster,
    role: &str,
    sessions: usize,
    work: impl Fn(&mut Client) -> R + Send + Sync + 'static,
) -> Vec<(Client, R)> {
    let start = Arc::new(Barrier::new(sessions));
    let work = Arc::new(work);
    let threads: Vec<_> = (0..sessions)
        .map(|_| {
            let mut client = cluster.client_as(role, "postgres");
            let (start, work) = (Arc::clone(&start), Arc::clone(&work));
            thread::spawn(move || {
                start.wait();
                let result = work(&mut client);
                (client, result)
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a session of the crowd"))
        .collect()
}
