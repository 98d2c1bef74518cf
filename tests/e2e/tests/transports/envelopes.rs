//! What an event looks like on its way: body and headers by the target's envelope.

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::receiver::Recorded;
use tms_e2e::story::{DB, Story};
use uuid::Uuid;

use crate::looks::{arrival, enqueue, text};

/// Numbers that no float holds, text that JSON must escape, and keys in no order.
const PAYLOAD: &str = r#"{"weight": 12345678901234567890.12345678901234567890, "rate": 1.10, "tiny": 1e-40,
                          "note": "\"Grüße\"\t\\ €😀", "": null, "list": [1, [], {}, false]}"#;

/// The event's time as envelopes write it.
fn created(client: &mut Client, event: Uuid) -> String {
    let ask = r#"SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                   FROM tms.event_outbox WHERE id = $1"#;
    text(client, ask, &[&event])
}

/// What PostgreSQL writes for the payload.
fn written(client: &mut Client) -> String {
    text(client, "SELECT $1::text::jsonb::text", &[&PAYLOAD])
}

fn body(request: &Recorded) -> &str {
    std::str::from_utf8(&request.body).expect("a body in UTF-8")
}

/// The headers that say something of the event, by name.
fn headers_of(request: &Recorded) -> Value {
    const OF_ANY_REQUEST: [&str; 3] = ["content-length", "host", "webhook-timestamp"];
    let headers = request.headers.iter().cloned();
    let told = headers.filter(|(name, _)| !OF_ANY_REQUEST.contains(&name.as_str()));
    told.map(|(name, value)| (name, Value::from(value))).collect()
}

fn version(client: &mut Client) -> String {
    let ask = "SELECT extversion FROM pg_extension WHERE extname = 'tms'";
    format!("tms/{}", text(client, ask, &[]))
}

#[test]
fn each_envelope_wraps_the_payload_digit_for_digit() {
    let story = Story::begin();
    for envelope in ["payload", "standard", "cloudevents"] {
        story.target(envelope, json!({ "envelope": envelope }));
    }
    let mut client = story.client();
    let payload = written(&mut client);
    assert!(
        payload.contains("12345678901234567890.12345678901234567890"),
        "{payload}"
    );
    let agent = version(&mut client);

    let event = enqueue(&mut client, "payload", PAYLOAD);
    let request = arrival(&story, event);
    assert_eq!(
        (request.method.as_str(), body(&request)),
        ("POST", payload.as_str())
    );
    let always = json!({
        "content-type": "application/json",
        "user-agent": agent,
        "webhook-id": event.to_string(),
        "tms-event-type": "load.moved",
    });
    assert_eq!(headers_of(&request), always);

    let event = enqueue(&mut client, "standard", PAYLOAD);
    let request = arrival(&story, event);
    let time = created(&mut client, event);
    let expected = format!(r#"{{"type":"load.moved","timestamp":"{time}","data":{payload}}}"#);
    assert_eq!(body(&request), expected);
    assert_eq!(request.header("webhook-signature"), None);

    let event = enqueue(&mut client, "cloudevents", PAYLOAD);
    let request = arrival(&story, event);
    assert_eq!(body(&request), payload);
    let mut expected = always;
    for (name, value) in [
        ("webhook-id", event.to_string()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", event.to_string()),
        ("ce-type", "load.moved".to_owned()),
        ("ce-source", format!("/tms/{DB}")),
        ("ce-time", created(&mut client, event)),
    ] {
        expected[name] = value.into();
    }
    assert_eq!(headers_of(&request), expected);
}

#[test]
fn method_query_and_headers_are_the_target_s_and_the_event_s() {
    let story = Story::begin();
    let mut client = story.client();
    let options = json!({
        "method": "PUT",
        "headers": { "Authorization": "Bearer a-token", "User-Agent": "freight desk", "x-of-target": "1" },
    });
    let url = story.receiver.url_of("/loads?kind=moved&x=%20y");
    story.cluster.set_http_target(DB, "put", &url, options);
    let ask = r#"SELECT tms_enqueue('load.moved', '{}', 'put', headers => '{"x-trace": "abc", "X-Of-Event": "2"}')"#;
    let event = client.query_one(ask, &[]).expect("an event").get(0);
    let request = arrival(&story, event);
    assert_eq!(
        (request.method.as_str(), &*request.path),
        ("PUT", "/loads?kind=moved&x=%20y")
    );
    for (name, value) in [
        ("authorization", "Bearer a-token"),
        ("user-agent", "freight desk"),
        ("x-of-target", "1"),
        ("x-trace", "abc"),
        ("x-of-event", "2"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}
