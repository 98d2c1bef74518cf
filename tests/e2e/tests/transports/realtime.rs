//! The realtime target where no Supabase is: notifications on the topic, without any setting.

use std::collections::BTreeSet;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};
use tms_e2e::story::{SOON, Story, run};

use crate::looks::{becomes, enqueue, set_target};

const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";

#[track_caller]
fn hear(listener: &mut Client) -> (String, Value) {
    let heard = listener
        .notifications()
        .timeout_iter(SOON)
        .next()
        .expect("a connection");
    let heard = heard.expect("a notification");
    let message = serde_json::from_str(heard.payload()).expect("JSON");
    (heard.channel().to_owned(), message)
}

#[test]
fn it_works_without_any_setting_and_keeps_companies_apart() {
    let story = Story::begin();
    let (mut client, mut listener) = (story.client(), story.client());
    run(
        &mut listener,
        &format!("LISTEN events; LISTEN \"events:{COMPANY}\""),
    );
    enqueue(&mut client, "realtime", r#"{"load": 1}"#);
    let (channel, message) = hear(&mut listener);
    assert_eq!(
        (channel.as_str(), &message["data"]),
        ("events", &json!({ "load": 1 }))
    );

    let for_company = format!("SELECT tms_enqueue('load.moved', '{{\"load\": 2}}', 'realtime', '{COMPANY}')");
    run(&mut client, &for_company);
    let (channel, message) = hear(&mut listener);
    assert_eq!(
        (channel, &message["data"]),
        (format!("events:{COMPANY}"), &json!({ "load": 2 }))
    );
    assert_eq!(message["type"], "load.moved");
}

#[test]
fn a_topic_of_one_s_own_is_for_all_events() {
    let story = Story::begin();
    let (mut client, mut listener) = (story.client(), story.client());
    run(&mut listener, "LISTEN \"yard:board\"; LISTEN events");
    set_target(
        &mut client,
        "realtime",
        "realtime",
        json!({ "topic": "yard:board" }),
    );
    let first = enqueue(&mut client, "realtime", "{}");
    let second = format!("SELECT tms_enqueue('load.moved', '[]', 'realtime', '{COMPANY}')");
    run(&mut client, &second);
    let heard = [hear(&mut listener), hear(&mut listener)];
    assert!(heard.iter().all(|(channel, _)| channel == "yard:board"));
    let ids: BTreeSet<_> = heard
        .iter()
        .map(|(_, message)| message["id"].to_string())
        .collect();
    assert!(ids.len() == 2 && ids.contains(&format!("\"{first}\"")), "{ids:?}");
    let left = "SELECT count(*)::text FROM tms.event_outbox WHERE processed_at IS NULL";
    becomes(&mut client, left, &[], "0");
}
