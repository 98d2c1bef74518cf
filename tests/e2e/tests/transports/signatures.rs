//! Standard Webhooks signatures, held against HMAC-SHA256 written out in SQL.

use std::io::Read;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::foreign::SIGN;
use tms_e2e::receiver::{Behaviour, Recorded};
use tms_e2e::story::{SOON, Story, run};
use tms_e2e::wait::eventually;

use crate::looks::{arrival, arrivals, enqueue, text};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn begin() -> (Story, Client) {
    let story = Story::begin();
    let mut client = story.client();
    run(&mut client, SIGN);
    (story, client)
}

/// What the signature of this request by this secret has to be.
fn signed(client: &mut Client, secret: &str, request: &Recorded) -> String {
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    text(
        client,
        "SELECT sign($1, $2, $3, $4::bytea)",
        &[&secret, &id, &at, &request.body],
    )
}

fn signature(request: &Recorded) -> &str {
    request.header("webhook-signature").expect("a signature")
}

fn timestamp(request: &Recorded) -> i64 {
    let header = request.header("webhook-timestamp").expect("a timestamp");
    header.parse().expect("whole seconds")
}

/// The signing secrets of a target, the newest first, each with its end.
fn secrets(client: &mut Client, target: &str) -> Vec<(String, Option<i64>)> {
    let ask = "SELECT k ->> 'key', (k ->> 'until')::bigint
                 FROM tms.target_secrets, jsonb_array_elements(signing_keys) WITH ORDINALITY AS u (k, n)
                WHERE target = $1 AND company_id IS NULL ORDER BY n";
    let rows = client.query(ask, &[&target]).expect("the secrets");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn every_attempt_is_signed_anew_under_one_id() {
    let (story, mut client) = begin();
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.attempt {
            1 => Behaviour::status(503),
            _ => Behaviour::Ok,
        }));
    // Longer than a second, so that the clock's second is another one.
    let retry = json!({ "base_ms": 1_100, "jitter": 0 });
    story.target(
        "signed",
        json!({ "secret": SECRET, "envelope": "standard", "retry": retry }),
    );
    let event = enqueue(&mut client, "signed", r#"{"load": 4711}"#);
    story.all_done();
    let attempts = arrivals(&story, event);
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        assert_eq!(signature(attempt), signed(&mut client, SECRET, attempt));
        let seen = attempt
            .wall
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        assert!(
            (seen.as_secs() as i64 - timestamp(attempt)).abs() <= 30,
            "{attempt:?}"
        );
    }
    assert!(timestamp(&attempts[0]) < timestamp(&attempts[1]));
    assert_ne!(signature(&attempts[0]), signature(&attempts[1]));

    // The other side of tms itself takes it too, and knows the second one for a duplicate.
    let set = "SELECT tms_webhook_source_set('ourselves', $1)";
    client
        .execute(set, &[&json!({ "secret": SECRET })])
        .expect("a source");
    for (attempt, duplicate) in attempts.iter().zip([false, true]) {
        let headers: Value = attempt
            .headers
            .iter()
            .cloned()
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
        let body = String::from_utf8(attempt.body.clone()).expect("UTF-8");
        let verify = "SELECT tms_webhook_verify('ourselves', $1, $2)";
        let answer: Value = client
            .query_one(verify, &[&headers, &body])
            .expect("an answer")
            .get(0);
        assert_eq!(
            (&answer["valid"], &answer["duplicate"]),
            (&json!(true), &json!(duplicate)),
            "{answer}"
        );
        assert_eq!(
            (&answer["type"], &answer["data"]["load"]),
            (&json!("load.moved"), &json!(4711)),
            "{answer}"
        );
    }
}

#[test]
fn a_secret_is_made_where_none_is_given_and_stays() {
    let (story, mut client) = begin();
    story.target("made", json!({ "signing": true }));
    let made = secrets(&mut client, "made");
    assert_eq!(made.len(), 1);
    let bytes = text(
        &mut client,
        "SELECT length(decode(substr($1, 7), 'base64'))::text",
        &[&made[0].0],
    );
    assert_eq!(
        (made[0].0.starts_with("whsec_"), bytes.as_str(), made[0].1),
        (true, "32", None)
    );
    let event = enqueue(&mut client, "made", "{}");
    let request = arrival(&story, event);
    assert_eq!(signature(&request), signed(&mut client, &made[0].0, &request));
    // Other options, the same secret; no secret, no signature; and signing again begins with another one.
    story.target("made", json!({ "signing": true, "timeout_ms": 5_000 }));
    assert_eq!(secrets(&mut client, "made"), made);
    story.target("made", json!({}));
    let event = enqueue(&mut client, "made", "{}");
    assert_eq!(arrival(&story, event).header("webhook-signature"), None);
    story.target("other", json!({ "signing": true }));
    assert_ne!(secrets(&mut client, "other")[0].0, made[0].0);
    // What everybody may read of a target does not hold it.
    let public = text(
        &mut client,
        "SELECT string_agg(t::text, ' ') FROM tms.targets t",
        &[],
    );
    assert!(!public.contains("whsec_"), "{public}");
}

#[test]
fn a_rotated_secret_signs_beside_the_new_one_until_its_overlap_ends() {
    let (story, mut client) = begin();
    story.target("rotated", json!({ "secret": SECRET }));
    let new = text(
        &mut client,
        "SELECT tms_target_rotate_secret('rotated', '5 seconds')",
        &[],
    );
    assert!(new.starts_with("whsec_") && new != SECRET);
    let stored = secrets(&mut client, "rotated");
    assert_eq!(
        (stored.len(), stored[0].0.as_str(), stored[1].0.as_str()),
        (2, new.as_str(), SECRET)
    );
    let until = stored[1].1.expect("the old secret ends");

    let mut doubles = 0;
    let last = eventually("a request with one signature", SOON, || {
        let event = enqueue(&mut client, "rotated", "{}");
        let request = arrival(&story, event);
        let by_new = signed(&mut client, &new, &request);
        if signature(&request) == by_new {
            return Some(request);
        }
        let both = format!("{by_new} {}", signed(&mut client, SECRET, &request));
        assert_eq!(signature(&request), both);
        doubles += 1;
        None
    });
    assert!(
        doubles > 0 || timestamp(&last) >= until,
        "one signature at {} of {until}",
        timestamp(&last)
    );
    assert!(
        timestamp(&last) >= until,
        "one signature at {} of {until}",
        timestamp(&last)
    );

    // No overlap: the old one is gone at once.
    let newest = text(
        &mut client,
        "SELECT tms_target_rotate_secret('rotated', '0')",
        &[],
    );
    assert_eq!(secrets(&mut client, "rotated"), [(newest.clone(), None)]);
    eventually("the newest secret alone", SOON, || {
        let event = enqueue(&mut client, "rotated", "{}");
        let request = arrival(&story, event);
        (signature(&request) == signed(&mut client, &newest, &request)).then_some(())
    });
}

#[test]
fn a_large_body_is_compressed_and_signed_as_it_is_sent() {
    let (story, mut client) = begin();
    story.target("gzip", json!({ "secret": SECRET, "gzip": 1_000 }));
    let small = enqueue(&mut client, "gzip", r#"{"load": 1}"#);
    let request = arrival(&story, small);
    assert_eq!(
        (request.header("content-encoding"), request.body.as_slice()),
        (None, br#"{"load": 1}"#.as_slice())
    );

    let note = "a load of pipes, ".repeat(10_000);
    let large = enqueue(&mut client, "gzip", &json!({ "note": note }).to_string());
    let request = arrival(&story, large);
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    let unpacked = flate2::read::GzDecoder::new(request.body.as_slice()).read_to_string(&mut plain);
    unpacked.expect("gzip");
    assert_eq!(
        plain,
        text(
            &mut client,
            "SELECT payload::text FROM tms.event_outbox WHERE id = $1",
            &[&large]
        )
    );
    assert!(
        request.body.len() * 10 < plain.len(),
        "{} bytes",
        request.body.len()
    );
    assert_eq!(
        request.header("content-length"),
        Some(request.body.len().to_string().as_str())
    );
    assert_eq!(signature(&request), signed(&mut client, SECRET, &request));
}
