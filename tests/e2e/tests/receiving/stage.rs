//! A source, and the other side of it: a sender that signs.

use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::ask;
pub use tms_e2e::ask::{number, run, text};
use tms_e2e::cluster::Cluster;
use tms_e2e::foreign::SIGN;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
pub const UNKNOWN: &str = "cccccccc-0000-4000-8000-00000000000c";
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const OLD_SECRET: &str = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==";

const UNIX_NOW: &str = "CREATE FUNCTION unix_now() RETURNS bigint LANGUAGE sql AS 'SELECT floor(extract(epoch FROM clock_timestamp()))::bigint'";

pub fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    prepare(&mut cluster.client("postgres"));
    cluster
}

pub fn prepare(owner: &mut Client) {
    run(owner, "CREATE EXTENSION tms");
    run(owner, SIGN);
    run(owner, UNIX_NOW);
    run(
        owner,
        &format!("SELECT tms_webhook_source_set('carrier', '{{\"secret\": \"{SECRET}\"}}')"),
    );
}
#[track_caller]
pub fn receipts(client: &mut Client) -> i64 {
    number(client, "SELECT count(*) FROM tms.webhook_receipts")
}

/// Everything a statement that must fail says.
#[track_caller]
pub fn refusal(client: &mut Client, sql: &str) -> (String, String) {
    let refused = ask::refusal(client, sql);
    let said = [refused.message, refused.detail, refused.hint];
    let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
    (refused.code, said.join(" | "))
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
