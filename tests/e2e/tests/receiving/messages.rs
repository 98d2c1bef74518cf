//! What is accepted: every form a message may have, within its time.

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;

use crate::stage::{Message, SECRET, message, number, prepare, receipts, run, signature, stage, verify};

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
    let ask = "SELECT tms_webhook_verify('carrier', $1, $2)::text";
    for duplicate in [false, true, true] {
        let answer: String = owner
            .query_one(ask, &[&first.headers, &first.body])
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
    assert_eq!(verify(&mut owner, &again)["duplicate"], json!(true));
    let other = message(&mut owner, SECRET, "msg_2", 0, body);
    assert_eq!(verify(&mut owner, &other)["duplicate"], json!(false));
    assert_eq!(receipts(&mut owner), 2);
}

/// What a server does, and the headers it hands on of a message with this id, time and signature.
type Form = (&'static str, fn(&str, &str, &str) -> Value);

const FORMS: [Form; 8] = [
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

#[test]
fn headers_are_taken_as_servers_hand_them_on() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (number, (what, form)) in FORMS.into_iter().enumerate() {
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
