//! One key: at most one event on its way, the first that is not finished, whatever becomes of it.

use std::time::Duration;

use serde_json::json;
use tms_e2e::receiver::{Behaviour, Recorded};
use tms_e2e::story::{SOON, Story, id, ids, number, refusal, run};
use tms_e2e::wait::eventually_eq;
use uuid::Uuid;

use crate::came_in_order;

/// Retries come at once, and a receiver that fails does not open a breaker: these stories are about order.
fn quick() -> serde_json::Value {
    json!({"retry": {"base_ms": 1, "factor": 1, "jitter": 0}, "breaker": false, "max_concurrency": 16})
}

fn arrived(requests: &[Recorded]) -> Vec<Uuid> {
    requests.iter().filter_map(|request| request.id).collect()
}

#[test]
fn an_event_waits_for_the_answer_to_the_one_before_it() {
    const DELAY: Duration = Duration::from_millis(15);
    let story = Story::begin();
    story.target("hook", quick());
    story.receiver.behave(Behaviour::Delay(DELAY));
    let mut client = story.client();
    ids(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'key ' || n % 5)
           FROM generate_series(1, 100) n",
    );
    story.all_done();
    came_in_order(&story);
    let keys = tms_e2e::keys::of_database(&mut client).expect("the keys");
    let requests = story.receiver.requests();
    for key in keys {
        let times: Vec<_> = requests
            .iter()
            .filter(|request| request.id.is_some_and(|id| key.events.contains(&id)))
            .map(|request| request.at)
            .collect();
        assert_eq!(times.len(), 20, "{}", key.name);
        let early = times.windows(2).filter(|pair| pair[1] - pair[0] < DELAY).count();
        assert_eq!(early, 0, "{}: sent before the answer to the one before", key.name);
    }
    assert!(
        story.receiver.max_in_flight() > 1,
        "different keys do not wait for each other"
    );
}

#[test]
fn retries_do_not_let_a_later_event_pass() {
    let story = Story::begin();
    story.target("hook", quick());
    // Every event fails twice, and every third one without an answer.
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.attempt {
            1 => Behaviour::status(503),
            2 => Behaviour::Close,
            _ => Behaviour::Ok,
        }));
    ids(
        &mut story.client(),
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'key ' || n % 4)
           FROM generate_series(1, 80) n",
    );
    story.all_done();
    came_in_order(&story);
    assert_eq!(story.receiver.count(), 240);
}

#[test]
fn a_later_time_or_a_higher_priority_waits_inside_a_key() {
    let story = Story::begin();
    story.target("hook", quick());
    let mut client = story.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    let keyed = ids(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'one',
                    priority => n, available_at => now() - n * interval '1 minute')
           FROM generate_series(1, 20) n",
    );
    run(&mut client, "SELECT tms_target_resume('hook')");
    story.all_done();
    assert_eq!(
        arrived(&story.arrivals_of("hook")),
        keyed,
        "the order of enqueueing, not of priority or time"
    );
}

#[test]
fn the_others_of_a_key_wait_for_a_head_that_is_not_due() {
    let story = Story::begin();
    story.target("hook", quick());
    let mut client = story.client();
    let head = id(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'one', available_at => now() + '2 seconds')",
    );
    let due = number(
        &mut client,
        &format!(
            "SELECT (extract(epoch FROM available_at) * 1000)::bigint FROM tms.event_outbox WHERE id = '{head}'"
        ),
    );
    let follower = id(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'one', priority => 9)",
    );
    let other = id(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'two')",
    );
    story.all_done();
    assert_eq!(arrived(&story.arrivals_of("hook")), [other, head, follower]);
    let requests = story.arrivals_of("hook");
    let came = requests[1]
        .wall
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a time");
    assert!(came.as_millis() as i64 >= due, "not before its time");
}

#[test]
fn a_failing_head_holds_its_key_alone() {
    let story = Story::begin();
    story.target(
        "hook",
        json!({"retry": {"base_ms": 50, "factor": 1, "jitter": 0}, "breaker": false, "max_concurrency": 4}),
    );
    story.receiver.behave(Behaviour::choose(|request| {
        if request.header("tms-event-type") == Some("load.stuck") {
            Behaviour::status(503)
        } else {
            Behaviour::Ok
        }
    }));
    let mut client = story.client();
    let head = id(
        &mut client,
        "SELECT tms_enqueue('load.stuck', '{}', 'hook', ordering_key => 'stuck', max_retries => 100)",
    );
    let waiting = ids(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'stuck') FROM generate_series(1, 500)",
    );
    let free = ids(
        &mut client,
        "SELECT tms_enqueue('load.free', '{}', 'hook', ordering_key => CASE n % 2 WHEN 0 THEN 'key ' || n % 10 END)
           FROM generate_series(1, 300) n",
    );
    story.wait_for("all that is free", |seen| {
        free.iter().all(|id| seen.times(*id) > 0)
    });
    story.wait_for("the head is still tried", |seen| seen.times(head) > 3);
    assert!(
        waiting.iter().all(|id| story.times(*id) == 0),
        "its followers wait for it"
    );
    story.receiver.behave(Behaviour::Ok);
    story.all_done();
    came_in_order(&story);
}

/// Of each of these keys an event that died, with ten that wait behind it.
fn with_dead_heads(options: serde_json::Value, keys: &[&str]) -> (Story, Vec<Uuid>) {
    let story = Story::begin();
    story.target("hook", options);
    story.receiver.behave(Behaviour::choose(|request| {
        if request.header("tms-event-type") == Some("load.refused") && request.attempt == 1 {
            Behaviour::status(400)
        } else {
            Behaviour::Ok
        }
    }));
    let mut client = story.client();
    let heads = keys.iter().map(|key| {
        let enqueue = |event_type| {
            format!("SELECT tms_enqueue('{event_type}', '{{}}', 'hook', ordering_key => '{key}')")
        };
        let head = id(&mut client, &enqueue("load.refused"));
        for _ in 0..10 {
            id(&mut client, &enqueue("load.moved"));
        }
        head
    });
    let heads = heads.collect();
    eventually_eq("dead letters", SOON, keys.len() as i64, || {
        number(&mut client, "SELECT count(*) FROM tms.dead_letter_queue")
    });
    (story, heads)
}

#[test]
fn a_dead_head_blocks_its_key_until_somebody_does_something_about_it() {
    let (story, heads) = with_dead_heads(quick(), &["cancelled", "deleted", "sent again"]);
    let mut client = story.client();
    let free = id(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'free')",
    );
    story.arrives("another key's event", free);
    assert_eq!(
        story.receiver.distinct(),
        4,
        "the heads, and the event of the key that is free"
    );
    for (act, key) in [
        (
            format!("SELECT tms_event_cancel('{}', 'the customer is gone')", heads[0]),
            "cancelled",
        ),
        (
            format!("DELETE FROM tms.event_outbox WHERE id = '{}'", heads[1]),
            "deleted",
        ),
        (
            format!(
                "BEGIN;
                 UPDATE tms.event_outbox SET available_at = now(), retry_count = 0 WHERE id = '{0}';
                 DELETE FROM tms.dead_letter_queue WHERE original_event_id = '{0}';
                 COMMIT",
                heads[2]
            ),
            "sent again",
        ),
    ] {
        let followers = ids(
            &mut client,
            &format!(
                "SELECT id FROM tms.event_outbox WHERE ordering_key = '{key}' AND event_type = 'load.moved'"
            ),
        );
        assert!(followers.iter().all(|id| story.times(*id) == 0), "{key}");
        run(&mut client, &act);
        story.wait_for(key, |seen| followers.iter().all(|id| seen.times(*id) == 1));
    }
    story.all_done();
    came_in_order(&story);
    let times: Vec<u32> = heads.iter().map(|head| story.times(*head)).collect();
    assert_eq!(
        times,
        [1, 1, 2],
        "what was cancelled or deleted is not sent again"
    );
}

#[test]
fn a_dead_head_is_passed_where_the_target_says_so() {
    let mut options = quick();
    options["on_dead"] = json!("skip");
    let (story, heads) = with_dead_heads(options, &["one", "two"]);
    story.all_done();
    came_in_order(&story);
    assert_eq!(story.receiver.count(), 22, "each once, the dead ones too");
    assert!(heads.iter().all(|head| story.times(*head) == 1));
}

#[test]
fn one_key_in_two_companies_and_two_targets_is_four_keys() {
    let story = Story::begin();
    story.target("hook", quick());
    story.target("other", quick());
    let mut client = story.client();
    story.receiver.behave(Behaviour::choose(|request| {
        if request.header("tms-event-type") == Some("load.stuck") {
            Behaviour::Hang
        } else {
            Behaviour::Ok
        }
    }));
    let mut enqueue = |event_type: &str, company: u8, target: &str| {
        id(
            &mut client,
            &format!(
                "SELECT tms_enqueue('{event_type}', '{{}}', '{target}', lpad('{company}', 32, '0')::uuid,
                             ordering_key => 'one')"
            ),
        )
    };
    enqueue("load.stuck", 1, "hook");
    let behind = enqueue("load.moved", 1, "hook");
    for (company, target) in [(2, "hook"), (1, "other"), (2, "other")] {
        let free = enqueue("load.moved", company, target);
        story.arrives("the same key elsewhere", free);
    }
    assert_eq!(story.times(behind), 0);
}

#[test]
fn a_batch_takes_a_key_for_each_payload() {
    let story = Story::begin();
    story.target("hook", quick());
    let mut client = story.client();
    ids(
        &mut client,
        "SELECT unnest(tms_enqueue_batch('load.moved',
                    array(SELECT jsonb_build_object('n', n) FROM generate_series(1, 300) n), 'hook',
                    ordering_keys => array(SELECT CASE n % 4 WHEN 0 THEN NULL ELSE 'key ' || n % 40 END
                                             FROM generate_series(1, 300) n)))",
    );
    story.all_done();
    came_in_order(&story);
    let out_of_turn = "SELECT count(*) FROM (
        SELECT seq < lag(seq) OVER (PARTITION BY ordering_key ORDER BY (payload->>'n')::int) AS wrong
          FROM tms.event_outbox WHERE ordering_key IS NOT NULL) s WHERE wrong";
    assert_eq!(
        number(&mut client, out_of_turn),
        0,
        "numbered as the payloads stand"
    );
    assert_eq!(story.receiver.count(), 300);
    let refused = refusal(
        &mut client,
        "SELECT tms_enqueue_batch('load.moved', array['{}', '{}']::jsonb[], 'hook', ordering_keys => array['a'])",
    );
    assert_eq!(refused.code, "22023", "{refused:?}");
}

#[test]
fn a_key_of_ten_kilobytes_is_refused_clearly() {
    let story = Story::begin();
    let mut client = story.client();
    for statement in [
        "SELECT tms_enqueue('load.moved', '{}', 'first', ordering_key => KEY)",
        "SELECT tms_enqueue('load.moved', '{}', 'first', idempotency_key => KEY)",
        "SELECT tms_enqueue_batch('load.moved', array['{}']::jsonb[], 'first', ordering_keys => array[KEY])",
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key)
         VALUES ('load.moved', '{}', 'first', KEY)",
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key)
         VALUES ('load.moved', '{}', 'first', KEY)",
    ] {
        let refused = refusal(&mut client, &statement.replace("KEY", "repeat('k', 10240)"));
        assert_eq!(refused.code, "22023", "{statement}: {refused:?}");
        assert!(
            refused.message.contains("10240 bytes"),
            "{statement}: {refused:?}"
        );
        assert!(refused.detail.contains("512"), "{statement}: {refused:?}");
        let empty = refusal(&mut client, &statement.replace("KEY", "''"));
        assert_eq!(empty.code, "22023", "{statement}: {empty:?}");
    }
}
