//! A source, and the other side of it: a sender that signs.

use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
pub const UNKNOWN: &str = "cccccccc-0000-4000-8000-00000000000c";
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const OLD_SECRET: &str = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==";

/// The sender's side by PostgreSQL's own SHA-256: nothing of it is shared with what is tested.
pub const SENDER: &str = "
    CREATE FUNCTION sign(secret text, id text, at text, body text) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        key bytea := decode(substr(secret, 7), 'base64');
        inner_pad bytea := decode(repeat('36', 64), 'hex');
        outer_pad bytea := decode(repeat('5c', 64), 'hex');
    BEGIN
        FOR place IN 0 .. length(key) - 1 LOOP
            inner_pad := set_byte(inner_pad, place, get_byte(inner_pad, place) # get_byte(key, place));
            outer_pad := set_byte(outer_pad, place, get_byte(outer_pad, place) # get_byte(key, place));
        END LOOP;
        RETURN 'v1,' || encode(sha256(outer_pad || sha256(inner_pad || convert_to(concat_ws('.', id, at, body), 'UTF8'))), 'base64');
    END $$;
    CREATE FUNCTION unix_now() RETURNS bigint LANGUAGE sql AS 'SELECT floor(extract(epoch FROM clock_timestamp()))::bigint'";

pub fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    prepare(&mut cluster.client("postgres"));
    cluster
}

pub fn prepare(owner: &mut Client) {
    run(owner, "CREATE EXTENSION tms");
    run(owner, SENDER);
    run(
        owner,
        &format!("SELECT tms_webhook_source_set('carrier', '{{\"secret\": \"{SECRET}\"}}')"),
    );
}

#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{sql}: {error:?}");
    }
}

#[track_caller]
pub fn text(client: &mut Client, sql: &str) -> String {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

#[track_caller]
pub fn number(client: &mut Client, sql: &str) -> i64 {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

#[track_caller]
pub fn receipts(client: &mut Client) -> i64 {
    number(client, "SELECT count(*) FROM tms.webhook_receipts")
}

/// Everything a statement that must fail says.
#[track_caller]
pub fn refusal(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).expect_err(sql);
    let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let said = [Some(told.message()), told.detail(), told.hint()];
    (
        told.code().code().to_owned(),
        said.into_iter().flatten().collect::<Vec<_>>().join(" | "),
    )
}

/// A message as it arrives.
#[derive(Clone)]
pub struct Message {
    pub headers: Value,
    pub body: String,
}

/// A message signed so many seconds from now.
pub fn message(client: &mut Client, secret: &str, id: &str, age: i64, body: &str) -> Message {
    let at = number(client, "SELECT unix_now()") - age;
    Message {
        headers: json!({
            "webhook-id": id,
            "webhook-timestamp": at.to_string(),
            "webhook-signature": signature(client, secret, id, &at.to_string(), body),
        }),
        body: body.to_owned(),
    }
}

pub fn signature(client: &mut Client, secret: &str, id: &str, at: &str, body: &str) -> String {
    let row = client.query_one("SELECT sign($1, $2, $3, $4)", &[&secret, &id, &at, &body]);
    row.expect("a signature").get(0)
}

#[track_caller]
pub fn verify(client: &mut Client, message: &Message) -> Value {
    verify_from(client, "carrier", message)
}

#[track_caller]
pub fn verify_from(client: &mut Client, source: &str, message: &Message) -> Value {
    let verify = "SELECT tms_webhook_verify($1, $2, $3)";
    match client.query_one(verify, &[&source, &message.headers, &message.body]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{source}, {}: {error:?}", message.headers),
    }
}
