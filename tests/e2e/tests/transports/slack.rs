//! Slack: its own form of messages, its pace, and its words for errors.

use std::sync::OnceLock;
use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{Story, ids};

use crate::looks::{arrival, becomes, enqueue, letter, set_target, text};

/// What Slack says when it took a message.
fn ok() -> Behaviour {
    Behaviour::Status(200, vec![], b"ok".to_vec())
}

/// Slack's plain text for an error.
fn word(status: u16, word: &str) -> Behaviour {
    Behaviour::Status(status, vec![], word.as_bytes().to_vec())
}

fn begin() -> (Story, Client) {
    let story = Story::begin();
    story.receiver.behave(ok());
    let client = story.client();
    (story, client)
}

/// A Slack target that is not held back by its pace, plus these options.
fn quick(story: &Story, client: &mut Client, more: Value) {
    let mut options = json!({
        "url": story.receiver.url_of("/services/T0/B0/hidden"),
        "allow_private_network": true,
        "rate_per_second": 1_000,
        "retry": { "base_ms": 50, "max_ms": 50 },
    });
    if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
        options.extend(more);
    }
    set_target(client, "slack", "slack", options);
}

#[test]
fn an_event_becomes_a_message_and_a_message_stays_what_it_is() {
    let (story, mut client) = begin();
    quick(&story, &mut client, json!({}));
    let section = |text: &str| json!([{ "type": "section", "text": { "type": "mrkdwn", "text": text } }]);
    let made = "*load.moved*\n*eta:* 9:30\n*load:* 4711\n*note:* 1 &lt; 2 &amp; &lt;!channel&gt;";
    let blocks = json!([{ "type": "divider" }]);
    for (payload, expected) in [
        (
            json!({ "load": 4711, "note": "1 < 2 & <!channel>", "stops": [1, 2], "eta": "9:30" }),
            json!({ "text": made, "blocks": section(made) }),
        ),
        (
            json!({ "text": "Load <https://x.example|4711> moved", "blocks": blocks, "secret": "not Slack's" }),
            json!({ "text": "Load <https://x.example|4711> moved", "blocks": blocks }),
        ),
        (
            json!({ "blocks": blocks }),
            json!({ "text": "load.moved", "blocks": blocks }),
        ),
    ] {
        let event = enqueue(&mut client, "slack", &payload.to_string());
        let request = arrival(&story, event);
        assert_eq!(request.json(), expected, "{payload}");
        assert_eq!(
            (&*request.path, request.method.as_str()),
            ("/services/T0/B0/hidden", "POST")
        );
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("webhook-signature"), None);
    }
    story.all_done();
}

#[test]
fn messages_go_one_a_second() {
    let (story, mut client) = begin();
    // The known name alone makes it Slack's.
    let options = json!({ "url": story.receiver.url_of("/slack"), "allow_private_network": true });
    set_target(&mut client, "slack", "http", options);
    let batch = "SELECT unnest(tms_enqueue_batch('load.moved', array_fill('{}'::jsonb, ARRAY[3]), 'slack'))";
    let events = ids(&mut client, batch);
    story.wait_for("three messages", |seen| seen.distinct() == 3);
    let arrivals = story.arrivals_of("slack");
    assert_eq!(
        arrivals
            .iter()
            .filter_map(|request| request.id)
            .collect::<Vec<_>>(),
        events
    );
    for pair in arrivals.windows(2) {
        let between = pair[1].at.duration_since(pair[0].at);
        assert!(between >= Duration::from_millis(900), "{between:?}");
    }
}

#[test]
fn errors_for_good_and_errors_that_pass_are_told_apart() {
    let (story, mut client) = begin();
    quick(&story, &mut client, json!({}));
    for (status, said, kind) in [
        (400, "invalid_payload", "validation"),
        (403, "action_prohibited", "external_api"),
        (404, "channel_not_found", "validation"),
        (410, "channel_is_archived", "validation"),
        (200, "invalid_blocks", "validation"),
    ] {
        story.receiver.behave(word(status, said));
        let event = enqueue(&mut client, "slack", "{}");
        story.all_done();
        let dead = "SELECT (available_at = 'infinity')::text FROM tms.event_outbox WHERE id = $1";
        assert_eq!(text(&mut client, dead, &[&event]), "true", "{status} {said}");
        let (error, message, attempts, permanent) = letter(&mut client, event);
        assert_eq!(
            (error.as_str(), attempts, permanent),
            (kind, 1, true),
            "{message}"
        );
        assert!(message.contains(said), "{message}");
    }
    let state = "SELECT state FROM tms.target_status WHERE name = 'slack'";
    becomes(&mut client, state, &[], "active");
    for (status, said) in [(500, "rollup_error"), (503, ""), (200, "a login page")] {
        story
            .receiver
            .behave(Behaviour::choose(move |request| match request.attempt {
                1 => word(status, said),
                _ => ok(),
            }));
        let event = enqueue(&mut client, "slack", "{}");
        story.all_done();
        assert_eq!(story.times(event), 2, "{status} {said}");
    }
}

#[test]
fn too_many_requests_hold_the_whole_webhook_for_as_long_as_it_asks() {
    let (story, mut client) = begin();
    quick(&story, &mut client, json!({ "max_concurrency": 1 }));
    let began = OnceLock::new();
    story.receiver.behave(Behaviour::choose(move |request| {
        let first = *began.get_or_init(|| request.at);
        match request.at.duration_since(first) {
            Ok(age) if age > Duration::from_secs(1) => ok(),
            _ => Behaviour::Status(
                429,
                vec![("retry-after".into(), "2".into())],
                b"rate_limited".to_vec(),
            ),
        }
    }));
    let batch = "SELECT unnest(tms_enqueue_batch('load.moved', array_fill('{}'::jsonb, ARRAY[5]), 'slack'))";
    ids(&mut client, batch);
    let state = "SELECT concat_ws(' ', state, reason LIKE '%rate_limited%') FROM tms.target_status WHERE name = 'slack'";
    becomes(&mut client, state, &[], "held t");
    story.all_done();
    let arrivals = story.receiver.requests();
    let (early, late): (Vec<_>, Vec<_>) = arrivals
        .iter()
        .partition(|request| request.at.duration_since(arrivals[0].at) <= Duration::from_secs(1));
    // The end of the first request may have let the next one go before its answer was judged.
    assert!(
        early.len() <= 2 && late.len() == 5,
        "{} and {}",
        early.len(),
        late.len()
    );
    let pause = late[0].at.duration_since(early[early.len() - 1].at);
    assert!(pause >= Duration::from_millis(1_900), "{pause:?}");
    let retries = text(
        &mut client,
        "SELECT sum(retry_count)::text FROM tms.event_outbox",
        &[],
    );
    assert_eq!(retries, early.len().to_string());
}
