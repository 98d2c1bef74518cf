//! A sender's mistakes are answers, a caller's are errors.

use serde_json::{Value, json};

use crate::stage::{Message, OLD_SECRET, SECRET, message, number, receipts, refusal, stage, verify};

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
