//! The stage of these stories: a server with a pull target, and what its consumers do.

use std::time::Duration;

use postgres::Client;
use postgres::types::ToSql;
pub use tms_e2e::ask::{number as count, run};
use tms_e2e::cluster::Cluster;
use uuid::Uuid;

pub const SOON: Duration = Duration::from_secs(60);
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";

/// A claimed event, as far as the stories need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub token: Uuid,
    pub company: Option<Uuid>,
    pub key: Option<String>,
    pub attempt: i32,
    pub n: i64,
}

/// A server without a dispatcher, with the pull target `jobs`, and consumers of two companies.
pub fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "off").start();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        &format!(
            r#"CREATE EXTENSION tms;
             SELECT tms_target_set('jobs', 'pull', '{{"retry": {{"base_ms": 1, "max_ms": 1}}}}');
             CREATE ROLE consumer_a LOGIN; CREATE ROLE consumer_b LOGIN;
             SELECT tms_bind_role('consumer_a', '{A}'), tms_bind_role('consumer_b', '{B}');
             SELECT tms_grant(r, 'consumer') FROM unnest(ARRAY['consumer_a', 'consumer_b']) r;"#
        ),
    );
    cluster
}
#[track_caller]
pub fn one<T: for<'a> postgres::types::FromSql<'a>>(
    client: &mut Client,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> T {
    match client.query_one(sql, values) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// Events `{"n": first..=last}` of a company, with options of `tms_enqueue` as SQL.
#[track_caller]
pub fn enqueue(client: &mut Client, company: &str, (first, last): (i64, i64), options: &str) {
    let company = if company.is_empty() {
        "NULL".to_owned()
    } else {
        format!("'{company}'")
    };
    run(
        client,
        &format!(
            "SELECT tms_enqueue('job', jsonb_build_object('n', n), 'jobs', {company}{options})
               FROM generate_series({first}, {last}) n"
        ),
    );
}

#[track_caller]
pub fn claim(client: &mut Client, events: i32, lease: &str) -> Vec<Claimed> {
    let sql = format!(
        "SELECT lease_token, company_id, ordering_key, attempt, (payload->>'n')::bigint
           FROM tms_outbox_claim('jobs', $1, '{lease}')"
    );
    let rows = client.query(&sql, &[&events]);
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter()
        .map(|row| Claimed {
            token: row.get(0),
            company: row.get(1),
            key: row.get(2),
            attempt: row.get(3),
            n: row.get(4),
        })
        .collect()
}

pub fn numbers(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|event| event.n).collect()
}

#[track_caller]
pub fn ack(client: &mut Client, claimed: &[Claimed]) -> i32 {
    let tokens: Vec<Uuid> = claimed.iter().map(|event| event.token).collect();
    one(client, "SELECT tms_outbox_ack($1)", &[&tokens])
}

#[track_caller]
pub fn nack(client: &mut Client, event: &Claimed, error_type: &str) -> Option<String> {
    one(
        client,
        "SELECT tms_outbox_nack($1, $2, 'the disk is full')",
        &[&event.token, &error_type],
    )
}
