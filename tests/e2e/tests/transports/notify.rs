//! NOTIFY: each event is heard once, and the one who hears of it finds it completed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};
use tms_e2e::ledger::Ledger;
use tms_e2e::load::Load;
use tms_e2e::story::{DB, SOON, Story, ids, refusal, run};
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::looks::{enqueue, set_target, text};

/// The next notification: its channel and what it says.
#[track_caller]
fn hear(listener: &mut Client) -> (String, String) {
    let heard = listener
        .notifications()
        .timeout_iter(SOON)
        .next()
        .expect("a connection");
    let heard = heard.expect("a notification");
    (heard.channel().to_owned(), heard.payload().to_owned())
}

fn read(message: &str) -> Value {
    serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message}"))
}

#[test]
fn a_listener_hears_each_event_once_and_finds_it_completed() {
    let story = Story::begin();
    let (mut client, mut listener) = (story.client(), story.client());
    set_target(&mut client, "board", "notify", json!({}));
    set_target(
        &mut client,
        "other",
        "notify",
        json!({ "channel": "Dispatch Desk" }),
    );
    run(&mut listener, "LISTEN board; LISTEN \"Dispatch Desk\"");

    let event = enqueue(&mut client, "other", r#"{"rate": 1.10}"#);
    let (channel, message) = hear(&mut listener);
    let ask = r#"SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                   FROM tms.event_outbox WHERE id = $1 AND processed_at IS NOT NULL"#;
    let time = text(&mut client, ask, &[&event]);
    assert_eq!(channel, "Dispatch Desk");
    let expected =
        format!(r#"{{"id":"{event}","type":"load.moved","timestamp":"{time}","data":{{"rate": 1.10}}}}"#);
    assert_eq!(message, expected);

    // Equal payloads in one transaction: PostgreSQL would fold equal notifications into one.
    let batch =
        "SELECT unnest(tms_enqueue_batch('load.moved', array_fill('{}'::jsonb, ARRAY[700]), 'board'))";
    let events = ids(&mut client, batch);
    let mut heard: Vec<Uuid> = Vec::new();
    while heard.len() < events.len() {
        let (channel, message) = hear(&mut listener);
        assert_eq!(channel, "board");
        heard.push(
            read(&message)["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .expect("an id"),
        );
    }
    assert_eq!(heard, events, "in the order of the queue");
    let waiting = "SELECT count(*)::text FROM tms.event_outbox WHERE processed_at IS NULL";
    assert_eq!(text(&mut client, waiting, &[]), "0");
    let more = listener
        .notifications()
        .timeout_iter(Duration::from_millis(200))
        .next();
    assert!(more.expect("a connection").is_none());
}

#[test]
fn an_event_that_is_too_long_is_announced_by_its_id() {
    let story = Story::begin();
    let (mut client, mut listener) = (story.client(), story.client());
    set_target(&mut client, "board", "notify", json!({}));
    run(&mut listener, "LISTEN board");
    let quoted = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    enqueue(&mut client, "board", &quoted(2));
    let around = hear(&mut listener).1.len() - 2;

    enqueue(&mut client, "board", &quoted(7_999 - around));
    let longest = hear(&mut listener).1;
    assert_eq!(longest.len(), 7_999);
    assert_eq!(
        read(&longest)["data"].as_str().map(str::len),
        Some(7_999 - around - 2)
    );

    let event = enqueue(&mut client, "board", &quoted(8_000 - around));
    let announced = read(&hear(&mut listener).1);
    assert_eq!(announced["id"], event.to_string());
    assert_eq!(announced["truncated"], true);
    assert_eq!(
        (announced["type"].as_str(), announced.get("data")),
        (Some("load.moved"), None)
    );
    let there = text(
        &mut client,
        "SELECT length(payload #>> '{}')::text FROM tms.event_outbox WHERE id = $1",
        &[&event],
    );
    assert_eq!(there, (8_000 - around - 2).to_string());
}

#[test]
fn a_channel_that_cannot_be_is_refused_when_it_is_set() {
    let story = Story::begin();
    let mut client = story.client();
    for channel in ["", &"c".repeat(64)] {
        let set = format!("SELECT tms_target_set('board', 'notify', '{{\"channel\": \"{channel}\"}}')");
        assert_eq!(refusal(&mut client, &set).code, "22023");
    }
    // The longest there is can be heard.
    let (channel, mut listener) = ("c".repeat(63), story.client());
    set_target(&mut client, "board", "notify", json!({ "channel": channel }));
    run(&mut listener, &format!("LISTEN \"{channel}\""));
    enqueue(&mut client, "board", "{}");
    assert_eq!(hear(&mut listener).0, channel);
}

/// What a listener has heard in one life of the server, in order.
fn listen_until_lost(listener: &mut Client, enough: usize, on_enough: impl FnOnce()) -> Vec<Uuid> {
    let mut heard = Vec::new();
    let mut on_enough = Some(on_enough);
    loop {
        match listener.notifications().timeout_iter(SOON).next() {
            Ok(Some(heard_one)) => {
                let id = read(heard_one.payload())["id"]
                    .as_str()
                    .and_then(|id| id.parse().ok());
                heard.push(id.expect("an id"));
            }
            Ok(None) => panic!("nothing was heard any more after {} events", heard.len()),
            Err(_) => return heard,
        }
        if heard.len() == enough
            && let Some(on_enough) = on_enough.take()
        {
            on_enough();
        }
    }
}

/// When the server says that each event was completed, in microseconds.
fn completions(story: &Story) -> BTreeMap<(i64, Uuid), ()> {
    let ask = "SELECT (extract(epoch FROM processed_at) * 1000000)::bigint, id FROM tms.event_outbox
                WHERE target_system = 'board' AND processed_at IS NOT NULL";
    let rows = story.client().query(ask, &[]).expect("the events");
    rows.iter().map(|row| ((row.get(0), row.get(1)), ())).collect()
}

#[test]
fn crashes_repeat_and_lose_no_notification() {
    const ROUNDS: usize = 4;
    let story = Story::begin();
    set_target(&mut story.client(), "board", "notify", json!({}));
    let ledger = Arc::new(Ledger::default());
    let load = Load::on(story.cluster.config("postgres", DB))
        .target("board")
        .rate(500.0)
        .rolled_back(0.1);
    let load = load.start(ledger.clone());
    let mut lives = Vec::new();
    for _ in 0..ROUNDS {
        let mut listener = eventually("a connection", SOON, || {
            story.cluster.try_client_as("postgres", DB).ok()
        });
        if listener.batch_execute("LISTEN board").is_err() {
            continue;
        }
        lives.push(listen_until_lost(&mut listener, 200, || {
            let dispatcher = story.cluster.dispatcher(DB).expect("what was heard has a sender");
            assert!(story.cluster.kill9(dispatcher.pid));
        }));
    }
    load.stop();
    story.cluster.wait_until_accepting(SOON);
    story.all_done();
    ledger.resolve(&mut story.client()).expect("the ledger");

    let mut times: HashMap<Uuid, u32> = HashMap::new();
    lives
        .iter()
        .flatten()
        .for_each(|id| *times.entry(*id).or_default() += 1);
    assert!(times.values().all(|times| *times == 1), "heard more than once");
    // A listener hears what was committed while it listened: everything between the first and the last that it heard. What was
    // completed at the moment of the last may have been on its way when the server died.
    let completed = completions(&story);
    let when: HashMap<Uuid, i64> = completed.keys().map(|(at, id)| (*id, *at)).collect();
    assert!(lives.len() >= 2, "{} lives", lives.len());
    for heard in &lives {
        let moments: Vec<i64> = heard.iter().map(|id| when[id]).collect();
        let (first, last) = (
            moments.iter().min().expect("200"),
            moments.iter().max().expect("200"),
        );
        let between = completed
            .keys()
            .filter(|(at, _)| at >= first && at < last)
            .map(|(_, id)| id);
        let missed: Vec<&Uuid> = between.filter(|id| !times.contains_key(*id)).collect();
        assert!(missed.is_empty(), "completed and not heard: {missed:?}");
    }
    let never_committed: Vec<&Uuid> = times.keys().filter(|id| !when.contains_key(*id)).collect();
    assert!(never_committed.is_empty(), "{never_committed:?}");
    assert_eq!(completed.len(), ledger.committed_count());
}
