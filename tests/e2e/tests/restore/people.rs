//! A row in every table that a dump must keep, made as users make them.

use std::collections::BTreeMap;

use postgres::Client;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver};
use tms_e2e::wait::eventually_eq;

use crate::stage::{DB, SOON, Stage, count, receiver, run, set_target};

pub const A: &str = "11111111-1111-1111-1111-111111111111";
pub const B: &str = "22222222-2222-2222-2222-222222222222";

/// What of the extension is not dumped, and why that is right.
pub const NOT_DUMPED: [(&str, &str); 3] = [
    ("installation", "is about this server's data directory"),
    ("target_health", "is what the dispatcher finds, and finds anew"),
    ("target_load", "is what the dispatcher counts since it started"),
];

/// What must not be in an auditor's dump.
pub const SECRET: &str = "s3cr3t-path-of-the-hook";

/// Delivered and dead events with their attempts first, then, with everything held, events of every other kind.
#[track_caller]
pub fn people(stage: &Stage) {
    let refusing = receiver();
    refusing.behave(Behaviour::status(422));
    set_target(&stage.cluster, DB, "refusing", &refusing);
    set_target(&stage.cluster, DB, SECRET, &stage.receiver);
    let mut client = stage.client();
    run(&mut client, &filled(stage, DONE));
    eventually_eq("delivered and dead", SOON, 0, || {
        count(
            &mut client,
            "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL AND available_at < 'infinity'",
        )
    });
    stage.hold();
    run(&mut client, &filled(stage, WAITING));
    stage.receiver.reset();
}

/// Nothing that was waiting has left.
#[track_caller]
pub fn is_silent(receiver: &Receiver) {
    assert_eq!(receiver.count(), 0, "a copy called: {:?}", receiver.requests());
}

const DONE: &str = "
CREATE ROLE auditor_of_a LOGIN; CREATE ROLE app LOGIN;
SELECT tms_bind_role('auditor_of_a', '{a}'), tms_grant('auditor_of_a', 'auditor'), tms_bind_role('app', NULL);
SELECT tms_enqueue('load.assigned', '{\"of\": \"a\"}', t, '{a}') FROM unnest('{hook,refusing}'::text[]) t;
SELECT tms_enqueue('load.assigned', '{\"of\": \"b\"}', t, '{b}') FROM unnest('{hook,refusing}'::text[]) t;";

const WAITING: &str = r#"
SELECT tms_enqueue('load.assigned', '{"of": "a"}', 'hook', '{a}', idempotency_key => 'once', ordering_key => 'truck 7',
                   priority => 3, max_retries => 9, headers => '{"x-load": "7"}');
SELECT tms_enqueue('load.assigned', '{"of": "b"}', 'hook', '{b}', idempotency_key => 'once', ordering_key => 'truck 7');
SELECT tms_enqueue('load.assigned', '{"number": 12345678901234567890.123456789, "text": "\\ \t Müller 車 \u2028"}', 'hook', '{a}');
SELECT tms_enqueue('load.planned', '{}', 'hook', '{a}', available_at => now() + interval '1 day');
SELECT tms_dlq_snooze(id, now() + interval '1 day') FROM tms.dead_letter_queue;
SELECT tms_enqueue_batch('load.moved', array(SELECT to_jsonb(n) FROM generate_series(1, 40) n), 'hook', '{b}');
SELECT tms_subscribe('load.*', 'hook', '{a}'), tms_subscribe('*', 'hook', '{b}');
SELECT tms_target_set('hook', 'http', '{"url": "{url}"}', '{a}');
SELECT tms_webhook_source_set('carrier', '{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}', c)
  FROM unnest('{{a},{b}}'::uuid[]) c;
SELECT tms_policy_load('agent_policies: {rates_agent: {mode: ' || mode || '}}', c)
  FROM unnest('{enforce,evaluate_only}'::text[]) mode, unnest('{{a},{b},NULL}'::uuid[]) c;
INSERT INTO tms.policy_decisions (id, decided_at, company_id, agent_name, fn_name, decision, effective)
SELECT tms.uuid_v7(), now(), c, 'rates_agent', 'rates.price', 'deny', 'deny' FROM unnest('{{a},{b}}'::uuid[]) c;
INSERT INTO tms.policy_spending (company_id, agent_name, day, allotted_micro_usd, used_micro_usd, allotted_tokens, used_tokens)
SELECT c, 'rates_agent', '2026-11-23', 250000, 240000, 1000, 900 FROM unnest('{{a},{b}}'::uuid[]) c;
SELECT tms_redaction_rotate_key(), tms_redaction_set('{"fields": ["pin"], "mode": "hmac"}', c) FROM unnest('{{a},{b},NULL}'::uuid[]) c;
INSERT INTO tms.agent_logs (company_id, message, meta)
SELECT c, 'wrote to ada@example.com', '{"pin": "1234", "load": 7}' FROM unnest('{{a},{b}}'::uuid[]) c;
INSERT INTO tms.agent_tasks (company_id, agent_name, fn_name, submitted_by, payload, status, finished_at)
SELECT c, 'rates_agent', 'rates.price', 'people', '{"load": 7}', 'done', now() FROM unnest('{{a},{b}}'::uuid[]) c;
INSERT INTO tms.webhook_receipts SELECT id, 'msg_1', now(), now() + interval '1 day' FROM tms.webhook_sources;
"#;

fn filled(stage: &Stage, statements: &str) -> String {
    statements
        .replace("{url}", &stage.receiver.url_of("/of-a"))
        .replace("{a},{b}", &format!("{A},{B}"))
        .replace("{a}", A)
        .replace("{b}", B)
}

/// Every table and sequence of the extension that is dumped, with its rows.
#[track_caller]
pub fn contents(cluster: &Cluster, db: &str) -> BTreeMap<String, Vec<String>> {
    let mut client = cluster.client(db);
    dumped(&mut client)
        .into_iter()
        .map(|Dumped { name, is_sequence }| {
            // Of a sequence where it stands; how many numbers the log has ahead is nobody's business.
            let row = if is_sequence {
                "concat(last_value, is_called)"
            } else {
                "t::text"
            };
            let ask = format!("SELECT {row} FROM tms.{name} t ORDER BY 1");
            let rows = client
                .query(&ask, &[])
                .unwrap_or_else(|error| panic!("{ask}: {error:?}"));
            let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            assert!(
                !rows.is_empty(),
                "{name}: a table without rows shows nothing, add some to people.rs"
            );
            (name, rows)
        })
        .collect()
}

/// A table or sequence that the extension marked for pg_dump.
pub struct Dumped {
    pub name: String,
    pub is_sequence: bool,
}

/// All of them.
pub fn dumped(client: &mut Client) -> Vec<Dumped> {
    let rows = client.query(
        "SELECT relname::text, relkind = 'S' FROM pg_extension, unnest(extconfig) AS c (oid) JOIN pg_class r ON r.oid = c.oid
          WHERE extname = 'tms' ORDER BY 1",
        &[],
    );
    rows.expect("the catalog can be read")
        .iter()
        .map(|row| Dumped {
            name: row.get(0),
            is_sequence: row.get(1),
        })
        .collect()
}

pub fn names(client: &mut Client, statement: &str) -> Vec<String> {
    let rows = client.query(statement, &[]);
    let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
