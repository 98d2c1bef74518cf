//! Targets, two companies, and a look at what a publication made.

use std::time::Duration;

use postgres::Client;
use tms_e2e::ask::{self, Refusal};
pub use tms_e2e::ask::{run, text};
use tms_e2e::cluster::Cluster;
use uuid::Uuid;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
pub const UNKNOWN: &str = "cccccccc-0000-4000-8000-00000000000c";
pub const TARGETS: [&str; 4] = ["audit", "billing", "n8n", "warehouse"];

/// Targets, and a role of each company that may do everything its company may.
pub fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms");
    for target in TARGETS {
        run(
            &mut owner,
            &format!(
                "SELECT tms_target_set('{target}', 'http', '{{\"url\": \"https://{target}.example/\"}}')"
            ),
        );
    }
    for (role, company) in [("a", A), ("b", B)] {
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{company}');
                 SELECT tms_grant('{role}', c) FROM unnest(ARRAY['producer', 'operator']) c"
            ),
        );
    }
    cluster
}
#[track_caller]
pub fn truth(client: &mut Client, sql: &str) -> bool {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// SQLSTATE, message and hint of a statement that must fail.
#[track_caller]
pub fn refusal(client: &mut Client, sql: &str) -> (String, String, String) {
    let Refusal {
        code, message, hint, ..
    } = ask::refusal(client, sql);
    (code, message, hint)
}

/// The targets of the events a publication made, in the order of their ids; the owner looks, for rows are their company's.
#[track_caller]
pub fn published(owner: &mut Client, publisher: &mut Client, arguments: &str) -> String {
    let ids = publisher
        .query_one(&format!("SELECT tms_publish({arguments})"), &[])
        .unwrap_or_else(|error| panic!("{arguments}: {error:?}"))
        .get::<_, Vec<Uuid>>(0);
    let found = owner
        .query_one(
            "SELECT coalesce(string_agg(e.target_system, ' ' ORDER BY n), '')
               FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, n) JOIN tms.event_outbox e USING (id)",
            &[&ids],
        )
        .expect("the events");
    found.get(0)
}
