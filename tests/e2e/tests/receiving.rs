//! Receiving webhooks: what is accepted, what a sender's mistakes are answered with, and that no message counts twice.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually_eq;

const PATIENCE: Duration = Duration::from_secs(30);
const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
const UNKNOWN: &str = "cccccccc-0000-4000-8000-00000000000c";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ==";

/// The sender's side by PostgreSQL's own SHA-256: nothing of it is shared with what is tested.
const SENDER: &str = "
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

fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    prepare(&mut cluster.client("postgres"));
    cluster
}

fn prepare(owner: &mut Client) {
    run(owner, "CREATE EXTENSION tms");
    run(owner, SENDER);
    run(
        owner,
        &format!("SELECT tms_webhook_source_set('carrier', '{{\"secret\": \"{SECRET}\"}}')"),
    );
}

#[track_caller]
fn run(client: &mut Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{sql}: {error:?}");
    }
}

#[track_caller]
fn text(client: &mut Client, sql: &str) -> String {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

#[track_caller]
fn number(client: &mut Client, sql: &str) -> i64 {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

#[track_caller]
fn receipts(client: &mut Client) -> i64 {
    number(client, "SELECT count(*) FROM tms.webhook_receipts")
}

/// Everything a statement that must fail says.
#[track_caller]
fn refusal(client: &mut Client, sql: &str) -> (String, String) {
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
struct Message {
    headers: Value,
    body: String,
}

/// A message signed so many seconds from now.
fn message(client: &mut Client, secret: &str, id: &str, age: i64, body: &str) -> Message {
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

fn signature(client: &mut Client, secret: &str, id: &str, at: &str, body: &str) -> String {
    let row = client.query_one("SELECT sign($1, $2, $3, $4)", &[&secret, &id, &at, &body]);
    row.expect("a signature").get(0)
}

#[track_caller]
fn verify(client: &mut Client, message: &Message) -> Value {
    verify_from(client, "carrier", message)
}

#[track_caller]
fn verify_from(client: &mut Client, source: &str, message: &Message) -> Value {
    let verify = "SELECT tms_webhook_verify($1, $2, $3)";
    match client.query_one(verify, &[&source, &message.headers, &message.body]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{source}, {}: {error:?}", message.headers),
    }
}

#[test]
fn the_sender_of_these_tests_signs_as_the_standard_s_example_does() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let example = signature(
        &mut owner,
        SECRET,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        "{\"test\": 2432232314}",
    );
    assert_eq!(example, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_message_is_accepted_and_its_repetition_is_known() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let body = "{\"type\": \"load.moved\", \"timestamp\": \"2026-01-01T00:00:00Z\", \"data\": {\"n\": 12345678901234567890.10}}";
    let first = message(&mut owner, SECRET, "msg_1", 0, body);
    let at: i64 = first.headers["webhook-timestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let verify = "SELECT tms_webhook_verify('carrier', $1, $2)::text";
    for duplicate in [false, true, true] {
        let answer: String = owner
            .query_one(verify, &[&first.headers, &first.body])
            .unwrap()
            .get(0);
        // As text: the number must come out digit for digit.
        let expected = format!(
            "{{\"id\": \"msg_1\", \"data\": {{\"n\": 12345678901234567890.10}}, \"type\": \"load.moved\", \"valid\": true, \
             \"duplicate\": {duplicate}, \"timestamp\": {at}}}"
        );
        assert_eq!(answer, expected);
    }
    // Signed anew, with another body: the id decides.
    let again = message(&mut owner, SECRET, "msg_1", 10, "{}");
    assert_eq!(self::verify(&mut owner, &again)["duplicate"], json!(true));
    let other = message(&mut owner, SECRET, "msg_2", 0, body);
    assert_eq!(self::verify(&mut owner, &other)["duplicate"], json!(false));
    assert_eq!(receipts(&mut owner), 2);
}

#[test]
fn headers_are_taken_as_servers_hand_them_on() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let forms: [(&str, fn(&str, &str, &str) -> Value); 8] = [
        (
            "capitals",
            |id, at, by| json!({"Webhook-Id": id, "WEBHOOK-TIMESTAMP": at, "webhook-Signature": by}),
        ),
        (
            "lists of one",
            |id, at, by| json!({"webhook-id": [id], "webhook-timestamp": [at], "webhook-signature": [by]}),
        ),
        (
            "the older names",
            |id, at, by| json!({"svix-id": id, "Svix-Timestamp": [at], "svix-signature": by}),
        ),
        (
            "both, and the standard's count",
            |id, at, by| json!({"webhook-id": id, "webhook-timestamp": at, "webhook-signature": by, "svix-id": "x", "svix-signature": ["a", "b"]}),
        ),
        (
            "white space around",
            |id, at, by| json!({"webhook-id": format!(" {id}"), "webhook-timestamp": format!("{at}\t"), "webhook-signature": format!("  {by} ")}),
        ),
        (
            "other signatures beside",
            |id, at, by| json!({"webhook-id": id, "webhook-timestamp": at, "webhook-signature": format!("v1a,AAAA v1,AAAA v2 {by} ,")}),
        ),
        (
            "other headers beside",
            |id, at, by| json!({"webhook-id": id, "webhook-timestamp": at, "webhook-signature": by, "host": null, "n": 1, "x": {"y": []}}),
        ),
        (
            "the longest id",
            |id, at, by| json!({"webhook-id": id, "webhook-timestamp": at, "webhook-signature": by}),
        ),
    ];
    for (number, (what, form)) in forms.into_iter().enumerate() {
        let id = if what == "the longest id" {
            "i".repeat(256)
        } else {
            format!("msg_{number}")
        };
        let plain = message(&mut owner, SECRET, &id, 0, "body");
        let part = |name: &str| plain.headers[name].as_str().unwrap().to_owned();
        let headers = form(&id, &part("webhook-timestamp"), &part("webhook-signature"));
        let answer = verify(&mut owner, &Message { headers, ..plain });
        assert_eq!(answer["valid"], json!(true), "{what}: {answer}");
        assert_eq!(
            (answer["id"].as_str(), &answer["duplicate"]),
            (Some(&*id), &json!(false)),
            "{what}"
        );
    }
}

/// A change to a message that was all right, and a part of the answer to it.
type Fault = (fn(&mut Message), &'static str);

const FAULTS: [Fault; 24] = [
    (|m| m.body.push(' '), "does not belong"),
    (|m| m.body.clear(), "does not belong"),
    (
        |m| m.headers["webhook-id"] = json!("msg_other"),
        "does not belong",
    ),
    (|m| m.headers["webhook-id"] = json!(""), "malformed"),
    (|m| m.headers["webhook-id"] = json!("a.b"), "malformed"),
    (
        |m| m.headers["webhook-id"] = json!("i".repeat(257)),
        "longer than 256",
    ),
    (
        |m| m.headers["webhook-id"] = json!(7),
        "webhook-id is not one text",
    ),
    (
        |m| m.headers["webhook-id"] = json!([]),
        "webhook-id is not one text",
    ),
    (
        |m| m.headers["webhook-id"] = json!(["a", "b"]),
        "webhook-id is not one text",
    ),
    (
        |m| m.headers["Webhook-Id"] = json!("msg"),
        "webhook-id comes twice",
    ),
    (|m| drop_header(m, "webhook-id"), "webhook-id is missing"),
    (
        |m| drop_header(m, "webhook-timestamp"),
        "webhook-timestamp is missing",
    ),
    (
        |m| drop_header(m, "webhook-signature"),
        "webhook-signature is missing",
    ),
    (|m| m.headers["webhook-timestamp"] = json!("+1"), "whole number"),
    (
        |m| m.headers["webhook-timestamp"] = json!("99999999999999999999"),
        "whole number",
    ),
    (
        |m| m.headers["webhook-timestamp"] = json!("1614265330"),
        "too long ago",
    ),
    (
        |m| m.headers["webhook-timestamp"] = json!("9223372036854775807"),
        "in the future",
    ),
    (
        |m| m.headers["webhook-signature"] = json!(""),
        "no signature of version v1",
    ),
    (
        |m| m.headers["webhook-signature"] = json!("v1a,AAAA v2,BBBB"),
        "no signature of version v1",
    ),
    (
        |m| m.headers["webhook-signature"] = json!("v1,not base64"),
        "malformed",
    ),
    (|m| m.headers["webhook-signature"] = json!("v1,AAAA"), "malformed"),
    (|m| m.headers = json!([]), "not an object"),
    (|m| m.headers = Value::Null, "not an object"),
    (|m| m.headers = nested(2_000), "cannot be read"),
];

fn drop_header(message: &mut Message, name: &str) {
    message.headers.as_object_mut().expect("headers").remove(name);
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({ "a": inner }))
}

#[test]
fn what_a_sender_does_wrong_is_answered_and_leaves_no_receipt() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (number, (change, reason)) in FAULTS.iter().enumerate() {
        let mut wrong = message(&mut owner, SECRET, "msg_1", 0, "{\"type\": \"load.moved\"}");
        change(&mut wrong);
        let answer = verify(&mut owner, &wrong);
        let said = answer["reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason), "{number}: {reason}: {answer}");
        assert_eq!(answer, json!({"valid": false, "reason": said}), "{number}");
    }
    let by_another = message(&mut owner, OLD_SECRET, "msg_1", 0, "{}");
    assert_eq!(
        verify(&mut owner, &by_another)["reason"],
        "the signature does not belong to this message"
    );
    assert_eq!(receipts(&mut owner), 0);
    let right = message(&mut owner, SECRET, "msg_1", 0, "{}");
    assert_eq!(
        verify(&mut owner, &right)["duplicate"],
        json!(false),
        "nothing above used the id up"
    );
}

#[test]
fn any_body_that_is_signed_is_accepted() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_data = format!("{{\"type\": \"t\", \"data\": {deep}}}");
    for (number, (body, type_and_data)) in [
        ("", json!([null, null])),
        ("not json", json!([null, null])),
        ("{\"type\": \"t\", \"data\": 1", json!([null, null])),
        ("\"type\"", json!([null, null])),
        ("[\"type\", \"data\"]", json!([null, null])),
        ("null", json!([null, null])),
        ("{\"type\": 7, \"data\": []}", json!([null, []])),
        ("{\"type\": \"t\"}", json!(["t", null])),
        (
            "{\"data\": {\"a\": \"ü\"}, \"type\": \"ü\"}",
            json!(["ü", {"a": "ü"}]),
        ),
        ("{\"type\": \"t\", \"data\": \"\\u0000\"}", json!([null, null])),
        ("{\"type\": \"t\", \"data\": 1e999999}", json!([null, null])),
        ("{\"type\": \"t\", \"data\": \"\\ud800\"}", json!([null, null])),
        (&deep, json!([null, null])),
        (&deep_data, json!([null, null])),
        (&"x".repeat(5_000_000), json!([null, null])),
    ]
    .into_iter()
    .enumerate()
    {
        let shown: String = body.chars().take(60).collect();
        let signed = message(&mut owner, SECRET, &format!("msg_{number}"), 0, body);
        let answer = verify(&mut owner, &signed);
        assert_eq!(answer["valid"], json!(true), "{shown}: {answer}");
        assert_eq!(json!([answer["type"], answer["data"]]), type_and_data, "{shown}");
    }
    let of_null = message(&mut owner, SECRET, "msg_null", 0, "{\"data\": null}");
    let answer = verify(&mut owner, &of_null);
    assert!(answer.as_object().unwrap().contains_key("data"), "{answer}");
    assert!(!answer.as_object().unwrap().contains_key("type"), "{answer}");
}

#[test]
fn the_tolerance_holds_both_ways_and_can_be_set() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let mut messages = 0;
    let mut valid = |owner: &mut Client, age: i64| {
        messages += 1;
        let signed = message(owner, SECRET, &format!("msg_{messages}"), age, "{}");
        verify(owner, &signed)["valid"] == json!(true)
    };
    // Half a minute to each side of the limit: the test may be slow.
    for (tolerance, inside, outside) in [(300, 270, 330), (3600, 3570, 3630), (86_400, 86_370, 86_430)] {
        run(
            &mut owner,
            &format!("SELECT tms_webhook_source_set('carrier', '{{\"tolerance_seconds\": {tolerance}}}')"),
        );
        for sign in [1, -1] {
            assert!(valid(&mut owner, sign * inside), "{tolerance}");
            assert!(!valid(&mut owner, sign * outside), "{tolerance}");
        }
    }
    let window = "SELECT dedupe_seconds::bigint FROM tms.webhook_sources";
    assert_eq!(number(&mut owner, window), 172_800);
    run(&mut owner, "SELECT tms_webhook_source_set('carrier', '{}')");
    assert_eq!(
        number(&mut owner, window),
        86_400,
        "what is left out has its default again"
    );
}

#[test]
fn a_rotation_accepts_both_secrets_and_then_the_new_one() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let set = |owner: &mut Client, options: Value| {
        let set = "SELECT tms_webhook_source_set('carrier', $1)";
        owner.execute(set, &[&options]).unwrap();
    };
    let mut accepted = 0;
    for (options, by_old, by_new) in [
        (json!({"secret": OLD_SECRET}), true, false),
        (json!({"secrets": [SECRET, OLD_SECRET]}), true, true),
        (json!({"dedupe_seconds": 600}), true, true),
        (json!({"secrets": [SECRET]}), false, true),
        // The prefix and the padding get lost on the way between systems.
        (
            json!({"secret": OLD_SECRET.trim_start_matches("whsec_").trim_end_matches('=')}),
            true,
            false,
        ),
    ] {
        set(&mut owner, options.clone());
        for (secret, expected) in [(OLD_SECRET, by_old), (SECRET, by_new)] {
            accepted += 1;
            let signed = message(&mut owner, secret, &format!("msg_{accepted}"), 0, "{}");
            assert_eq!(verify(&mut owner, &signed)["valid"], json!(expected), "{options}");
        }
    }
}

#[test]
fn of_calls_at_the_same_time_one_is_the_first() {
    let cluster = stage();
    const SESSIONS: usize = 12;
    for round in 0..5 {
        let signed = message(
            &mut cluster.client("postgres"),
            SECRET,
            &format!("msg_{round}"),
            0,
            "{}",
        );
        let start = Barrier::new(SESSIONS);
        let firsts = thread::scope(|scope| {
            let sessions: Vec<_> = (0..SESSIONS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = cluster.client("postgres");
                        start.wait();
                        verify(&mut client, &signed)
                    })
                })
                .collect();
            let answers = sessions
                .into_iter()
                .map(|session| session.join().expect("a session"));
            answers
                .inspect(|answer| assert_eq!(answer["valid"], json!(true)))
                .filter(|answer| answer["duplicate"] == json!(false))
                .count()
        });
        assert_eq!(firsts, 1, "round {round}");
    }
}

#[test]
fn who_comes_second_waits_and_is_the_first_when_the_other_rolls_back() {
    let cluster = stage();
    for (end, duplicate) in [("ROLLBACK", false), ("COMMIT", true)] {
        let mut one = cluster.client("postgres");
        let signed = message(&mut one, SECRET, &format!("msg_{end}"), 0, "{}");
        run(&mut one, "BEGIN");
        assert_eq!(verify(&mut one, &signed)["duplicate"], json!(false));
        let second = thread::scope(|scope| {
            let second = scope.spawn(|| verify(&mut cluster.client("postgres"), &signed));
            let mut looker = cluster.client("postgres");
            eventually_eq("the second waits", PATIENCE, 1, || {
                number(
                    &mut looker,
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tms_webhook_verify%'",
                )
            });
            run(&mut one, end);
            second.join().expect("the second session")
        });
        assert_eq!(second["duplicate"], json!(duplicate), "{end}");
    }
}

#[test]
fn an_expired_receipt_counts_as_unseen_and_is_removed() {
    let cluster = Cluster::builder()
        .conf("tms.dispatch", "hold")
        .conf("tms.scheduler_interval", "1s")
        .start();
    let mut owner = cluster.client("postgres");
    prepare(&mut owner);
    let signed = message(&mut owner, SECRET, "msg_1", 0, "{}");
    let expire =
        "UPDATE tms.webhook_receipts SET expires_at = now() - interval '1 second' WHERE webhook_id = 'msg_1'";
    for _ in 0..3 {
        // In one transaction, so that the scheduler does not come between.
        run(&mut owner, "BEGIN");
        assert_eq!(verify(&mut owner, &signed)["duplicate"], json!(false));
        assert_eq!(verify(&mut owner, &signed)["duplicate"], json!(true));
        run(&mut owner, expire);
        assert_eq!(verify(&mut owner, &signed)["duplicate"], json!(false));
        run(&mut owner, "ROLLBACK");
    }
    run(
        &mut owner,
        "INSERT INTO tms.webhook_receipts
         SELECT gen_random_uuid(), 'old', now() - interval '2 days', now() - interval '1 day' FROM generate_series(1, 5000)",
    );
    verify(&mut owner, &signed);
    eventually_eq("the old receipts are gone", PATIENCE, 1, || receipts(&mut owner));
    let lasts = "SELECT extract(epoch FROM expires_at - received_at)::bigint FROM tms.webhook_receipts";
    assert_eq!(number(&mut owner, lasts), 86_401);
}

#[test]
fn a_source_is_its_company_s_own() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (role, company) in [("a", A), ("b", B)] {
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{company}');
                 SELECT tms_grant('{role}', c) FROM unnest(ARRAY['consumer', 'operator']) c"
            ),
        );
    }
    run(
        &mut owner,
        "CREATE ROLE nobody LOGIN; SELECT tms_grant('nobody', c) FROM unnest(ARRAY['consumer', 'operator']) c",
    );
    let (mut a, mut b) = (
        cluster.client_as("a", "postgres"),
        cluster.client_as("b", "postgres"),
    );
    run(
        &mut a,
        &format!("SELECT tms_webhook_source_set('partner', '{{\"secret\": \"{SECRET}\"}}')"),
    );
    let signed = message(&mut owner, SECRET, "msg_1", 0, "{}");
    assert_eq!(verify_from(&mut a, "partner", &signed)["duplicate"], json!(false));
    // The same name is B's to take, with its own secret and its own receipts.
    let unknown = |client: &mut Client, source: &str| {
        let (state, said) = refusal(
            client,
            &format!("SELECT tms_webhook_verify('{source}', '{{}}', '')"),
        );
        assert_eq!(state, "42704", "{said}");
        said.replace(source, "NAME")
    };
    assert_eq!(
        unknown(&mut b, "partner"),
        unknown(&mut b, "none"),
        "A's source is unknown to B"
    );
    assert_eq!(
        unknown(&mut b, "carrier"),
        unknown(&mut b, "none"),
        "and so is the platform's"
    );
    run(
        &mut b,
        &format!("SELECT tms_webhook_source_set('partner', '{{\"secret\": \"{OLD_SECRET}\"}}')"),
    );
    assert_eq!(verify_from(&mut b, "partner", &signed)["valid"], json!(false));
    let by_b = message(&mut owner, OLD_SECRET, "msg_1", 0, "{}");
    assert_eq!(verify_from(&mut b, "partner", &by_b)["duplicate"], json!(false));
    assert_eq!(
        text(
            &mut b,
            "SELECT string_agg(company_id::text, ' ') FROM tms.webhook_sources"
        ),
        B
    );
    the_company_is_asked_for(&mut owner, &mut b, &signed);
    let mut nobody = cluster.client_as("nobody", "postgres");
    for call in [
        "SELECT tms_webhook_verify('partner', '{}', '')",
        "SELECT tms_webhook_source_set('partner', '{}')",
    ] {
        assert_eq!(refusal(&mut nobody, call).0, "42501", "{call}");
    }
}

/// The platform may name any company, a company itself alone.
fn the_company_is_asked_for(owner: &mut Client, b: &mut Client, signed: &Message) {
    for company in [A, UNKNOWN] {
        for call in [
            format!("SELECT tms_webhook_verify('partner', '{{}}', '', '{company}')"),
            format!("SELECT tms_webhook_source_set('partner', '{{}}', '{company}')"),
        ] {
            assert_eq!(refusal(b, &call).0, "42501", "{call}");
        }
    }
    let answer: Value = owner
        .query_one(
            &format!("SELECT tms_webhook_verify('partner', $1, $2, '{A}')"),
            &[&signed.headers, &signed.body],
        )
        .unwrap()
        .get(0);
    assert_eq!(answer["duplicate"], json!(true), "{answer}");
}

#[test]
fn each_capability_gives_its_own_function() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let received = message(&mut owner, SECRET, "msg_1", 0, "{}");
    assert_eq!(self::verify(&mut owner, &received)["valid"], json!(true));
    let set = format!("SELECT tms_webhook_source_set('partner', '{{\"secret\": \"{SECRET}\"}}')");
    let verify = "SELECT tms_webhook_verify('partner', '{}', '')";
    for capability in ["operator", "consumer", "producer", "agent", "approver", "auditor"] {
        let role = format!("a_{capability}");
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{A}'), tms_grant('{role}', '{capability}')"
            ),
        );
        let mut client = cluster.client_as(&role, "postgres");
        for (call, who) in [(&*set, "operator"), (verify, "consumer")] {
            if capability == who {
                run(&mut client, call);
            } else {
                assert_eq!(refusal(&mut client, call).0, "42501", "{role}: {call}");
            }
        }
        for hidden in ["webhook_source_secrets", "webhook_receipts"] {
            sees_nothing(&mut client, &role, hidden);
        }
    }
}

/// Refused, or for an auditor's pg_dump answered with no row, though there are some.
fn sees_nothing(client: &mut Client, role: &str, table: &str) {
    match client.query_one(&format!("SELECT count(*) FROM tms.{table}"), &[]) {
        Ok(row) => assert_eq!((role, row.get::<_, i64>(0)), ("a_auditor", 0), "{table}"),
        Err(error) => assert_eq!(
            error.code().map(|code| code.code()),
            Some("42501"),
            "{role}: {table}"
        ),
    }
}

#[test]
fn a_caller_s_mistakes_are_errors_that_say_what_to_do() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let set = |options: &str| format!("tms_webhook_source_set('new', '{options}')");
    for (call, state, words) in [
        ("tms_webhook_verify(NULL, '{}', '')".to_owned(), "22004", "source"),
        (
            "tms_webhook_verify('carrier', NULL, '')".to_owned(),
            "22004",
            "headers",
        ),
        (
            "tms_webhook_verify('carrier', '{}', NULL)".to_owned(),
            "22004",
            "body",
        ),
        (
            "tms_webhook_verify('carrer', '{}', '')".to_owned(),
            "42704",
            "\"carrer\"",
        ),
        ("tms_webhook_source_set(NULL, '{}')".to_owned(), "22004", "name"),
        (
            "tms_webhook_source_set('new', NULL)".to_owned(),
            "22004",
            "options",
        ),
        (
            "tms_webhook_source_set('New', '{}')".to_owned(),
            "22023",
            "\"New\"",
        ),
        (
            "tms_webhook_source_set('', '{}')".to_owned(),
            "22023",
            "name for a source",
        ),
        (set("{}"), "22023", "\"secret\" is missing"),
        (set("[]"), "22023", "an array"),
        (set("{\"secert\": \"x\"}"), "22023", "Did you mean \"secret\"?"),
        (set("{\"secret\": 7}"), "22023", "a number"),
        (set("{\"secret\": \"whsec_AAAA\"}"), "22023", "3 bytes long"),
        (set("{\"secret\": \"whsec_###\"}"), "22023", "not base64"),
        (set("{\"secrets\": []}"), "22023", "1 to 8"),
        (set("{\"secrets\": \"x\"}"), "22023", "an array of 1 to 8"),
        (set("{\"secrets\": [null]}"), "22023", "\"secrets[0]\" is null"),
        (set("{\"secret\": \"x\", \"secrets\": []}"), "22023", "exclude"),
        (set("{\"tolerance_seconds\": 0}"), "22023", "from 1 to 86400"),
        (set("{\"tolerance_seconds\": 86401}"), "22023", "86401"),
        (set("{\"tolerance_seconds\": \"300\"}"), "22023", "a string"),
        (set("{\"tolerance_seconds\": 1.5}"), "22023", "1.5"),
        (set("{\"dedupe_seconds\": 599}"), "22023", "Use 600 or more"),
        (set("{\"dedupe_seconds\": 2592001}"), "22023", "2592001"),
        (set("{\"dedupe_seconds\": 1e999}"), "22023", "cannot be read"),
    ] {
        let (got, said) = refusal(&mut owner, &format!("SELECT {call}"));
        assert_eq!(got, state, "{call}: {said}");
        assert!(said.contains(words), "{call}: {said}");
        assert_eq!(
            said.matches(" | ").count(),
            2,
            "{call}: no DETAIL or no HINT: {said}"
        );
    }
    assert_eq!(number(&mut owner, "SELECT count(*) FROM tms.webhook_sources"), 1);
}

#[test]
fn a_secret_shows_nowhere() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "SET log_min_messages = info; SET log_min_error_statement = info; SET log_error_verbosity = verbose",
    );
    let hush = "whsec_aHVzaCBodXNoIGh1c2ggaHVzaCBodXNoIQ==";
    for call in [
        format!("SELECT tms_webhook_source_set('new', '{{\"secret\": \"{hush}\", \"oops\": 1}}')"),
        format!("SELECT tms_webhook_source_set('new', '{{\"secrets\": [\"{hush}!\"]}}')"),
        format!("SELECT tms_webhook_source_set('new', '{{\"secret\" \"{hush}\"}}')"),
        format!(
            "SELECT tms_webhook_source_set('new', '{{\"secret\": \"{hush}\", \"tolerance_seconds\": 0}}')"
        ),
    ] {
        let (_, said) = refusal(&mut owner, &call);
        // PostgreSQL's own parser tells the caller which word of his is no JSON.
        let is_no_json = call.contains("\"secret\" \"");
        assert!(is_no_json || !said.contains("aHVzaC"), "{call}: {said}");
    }
    run(
        &mut owner,
        "PREPARE setting(jsonb) AS SELECT tms_webhook_source_set('new', $1)",
    );
    refusal(
        &mut owner,
        &format!("EXECUTE setting('{{\"secret\": \"{hush}\", \"oops\": 1}}')"),
    );
    run(
        &mut owner,
        &format!("SELECT tms_webhook_source_set('new', '{{\"secret\": \"{hush}\"}}')"),
    );
    let by_another = message(&mut owner, SECRET, "msg_1", 0, "{}");
    let answer = verify_from(&mut owner, "new", &by_another).to_string();
    assert!(!answer.contains("aHVzaC"), "{answer}");
    let shown = text(
        &mut owner,
        "SELECT concat((SELECT string_agg(s::text, ' ') FROM tms.webhook_sources s), (SELECT string_agg(r::text, ' ') FROM tms.webhook_receipts r))",
    );
    assert!(!shown.contains("aHVzaC"), "{shown}");
    let log = cluster.log();
    assert!(!log.contains("aHVzaC"), "the server log shows the secret:\n{log}");
}

#[test]
fn a_database_in_another_encoding_checks_what_was_sent() {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    run(
        &mut cluster.client("postgres"),
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    );
    let mut owner = cluster.client("latin");
    prepare(&mut owner);
    let signed = message(
        &mut owner,
        SECRET,
        "msg_1",
        0,
        "{\"type\": \"t\", \"data\": \"Müller\"}",
    );
    let answer = verify(&mut owner, &signed);
    assert_eq!(answer["data"], json!("Müller"), "{answer}");
}
