//! Requests that were sent and never answered: the target's `on_ambiguous` says what they mean.

use serde_json::{Value, json};
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::Story;

use crate::looks::{batch, becomes, letter};

const TRIES: &str = "SELECT CASE WHEN processed_at IS NOT NULL THEN retry_count::text ELSE 'waiting' END
                       FROM tms.event_outbox WHERE id = $1";

fn quick(more: Value) -> Value {
    let mut options =
        json!({ "retry": { "base_ms": 50, "max_ms": 100 }, "timeout_ms": 1_000, "breaker": false });
    if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
        options.extend(more);
    }
    options
}

/// Whatever is done with the first attempt, the second one is taken.
fn first(behaviour: Behaviour) -> Behaviour {
    Behaviour::choose(move |request| match request.attempt {
        1 => behaviour.clone(),
        _ => Behaviour::Ok,
    })
}

#[test]
fn a_request_without_an_answer_is_sent_again_or_left_to_a_person() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("again", quick(json!({})));
    story.target("person", quick(json!({ "on_ambiguous": "dead" })));
    let cases = [
        (Behaviour::Close, "external_api"),
        (Behaviour::CloseMidBody, "external_api"),
        (Behaviour::Hang, "timeout"),
    ];
    for (behaviour, kind) in cases {
        let name = format!("{behaviour:?}");
        story.receiver.behave(first(behaviour));
        let event = batch(&mut client, "again", 1)[0];
        becomes(&mut client, TRIES, &[&event], "1");
        assert_eq!(story.times(event), 2, "{name}");

        let event = batch(&mut client, "person", 1)[0];
        let (error, words, attempts, permanent) = letter(&mut client, event);
        assert_eq!(
            (error.as_str(), attempts, permanent),
            (kind, 1, true),
            "{name}: {words}"
        );
        assert_eq!(story.times(event), 1, "{name}");
    }
}

#[test]
fn an_answer_or_a_request_that_was_never_sent_is_not_ambiguous() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("person", quick(json!({ "on_ambiguous": "dead" })));
    story.receiver.behave(first(Behaviour::status(503)));
    let event = batch(&mut client, "person", 1)[0];
    becomes(&mut client, TRIES, &[&event], "1");

    story.receiver.behave(Behaviour::Ok);
    story.receiver.stop();
    let ask = "SELECT tms_enqueue('load.moved', '{}', 'person', max_retries => 100)";
    let event = tms_e2e::story::id(&mut client, ask);
    let refused =
        "SELECT (count(*) > 0)::text FROM tms.delivery_attempts WHERE event_id = $1 AND outcome = 'retry'";
    becomes(&mut client, refused, &[&event], "true");
    story.receiver.restart_on_same_port();
    story.arrives("the event, once the receiver listens", event);
    story.all_done();
    assert_eq!(story.times(event), 1);
}
