//! Letters that come back by themselves: delivered and closed, or at rest in the end.

use serde_json::json;
use tms_e2e::ask::{becomes, id, number, run, text};
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{SOON, Story};
use tms_e2e::wait::eventually_eq;

use crate::stage::{a_round_passes, becomes_state, begin, builder, event_of, letters, make_due, state};

#[test]
fn a_letter_comes_back_is_delivered_and_closed_and_its_story_can_be_read() {
    let (story, mut client) = begin("200ms");
    story.receiver.behave(Behaviour::status(503));
    let event = id(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{\"n\": 1}', 'erp', max_retries => 1)",
    );
    story.target("erp", json!({ "retry": { "base_ms": 1, "max_ms": 1 } }));
    // Two attempts, and two more in each round that fails.
    story.wait_for("two rounds", |seen| seen.times(event) >= 6);
    story.receiver.behave(Behaviour::Ok);
    let letter = "SELECT count(*) FROM tms.dead_letter_queue";
    becomes(
        &mut client,
        "SELECT string_agg(resolution, ' ') FROM tms.dead_letter_queue",
        &[],
        "delivered",
    );
    assert_eq!(number(&mut client, letter), 1, "one letter an event");
    let row = "SELECT concat_ws(' ', closed_at = (SELECT processed_at FROM tms.event_outbox WHERE id = original_event_id),
                                closed_by, rounds >= 2, attempts >= 6, permanent, backoff_multiplier >= 4) FROM tms.dead_letter_queue";
    assert_eq!(text(&mut client, row), "t t t f t");
    let failed = number(&mut client, "SELECT attempts::bigint FROM tms.dead_letter_queue");
    assert!(
        i64::from(story.times(event)) > failed,
        "the last one was no failure"
    );
    let steps = text(
        &mut client,
        &format!(
            "SELECT string_agg(step, ' ' ORDER BY at, step = 'closed') FROM tms.event_history WHERE event_id = '{event}'"
        ),
    );
    assert!(
        steps.starts_with("enqueued attempt attempt dead round attempt attempt failed round"),
        "{steps}"
    );
    assert!(steps.ends_with("round delivered closed"), "{steps}");
    story.all_done();
}

#[test]
fn a_success_shows_in_the_view_before_the_scheduler_has_seen_it() {
    let (story, mut client) = begin("1h");
    let letter = letters(&story, &mut client, 1)[0];
    assert_eq!(state(&mut client, letter), "waiting");
    // From here on nobody closes anything.
    story.cluster.set("tms.scheduler_interval", "1h");
    run(&mut client, &format!("SELECT tms_dlq_retry('{letter}')"));
    becomes_state(&mut client, letter, "closed replayed");
    let is_open =
        format!("SELECT (closed_at IS NULL)::text FROM tms.dead_letter_queue WHERE id = '{letter}'");
    assert!(["true", "false"].contains(&text(&mut client, &is_open).as_str()));
}

#[test]
fn rounds_are_used_up_and_then_it_rests() {
    let story = Story::with(
        builder()
            .conf("tms.dead_letter_backoff", "1ms")
            .conf("tms.dead_letter_rounds", "2"),
    );
    story.target(
        "erp",
        json!({ "retry": { "base_ms": 1, "max_ms": 1 }, "breaker": false }),
    );
    let mut client = story.client();
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/erp" => Behaviour::status(500),
            _ => Behaviour::Ok,
        }));
    let event = id(
        &mut client,
        "SELECT tms_enqueue('load.moved', '{}', 'erp', max_retries => 1)",
    );
    let row = "SELECT string_agg(concat_ws(' ', state, rounds, max_retries, attempts, retry_after IS NULL, next_round_at), '') FROM tms.dead_letters
                WHERE target_system = 'erp'";
    becomes(&mut client, row, &[], "resting 2 2 6 t");
    assert_eq!(story.times(event), 6, "three sets of two attempts");
    a_round_passes(&story, &mut client);
    assert_eq!(story.times(event), 6, "at rest is at rest");
    let told = text(&mut client, &format!("SELECT tms_event_explain('{event}')"));
    for words in ["2 of 2 rounds", "its 2 rounds are used up", "tms_dlq_retry"] {
        assert!(told.contains(words), "{told}");
    }
    // A person may try again; that fails as well, and uses no round.
    run(
        &mut client,
        "SELECT tms_dlq_retry(id) FROM tms.dead_letters WHERE target_system = 'erp'",
    );
    becomes(&mut client, row, &[], "resting 2 2 8 t");
}

#[test]
fn what_was_refused_for_good_rests_at_once() {
    let (story, mut client) = begin("1ms");
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/erp" => Behaviour::status(422),
            _ => Behaviour::Ok,
        }));
    let event = id(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'erp')");
    let row = "SELECT string_agg(concat_ws(' ', state, permanent, rounds, attempts, retry_after), '') FROM tms.dead_letters WHERE target_system = 'erp'";
    becomes(&mut client, row, &[], "resting t 0 1");
    a_round_passes(&story, &mut client);
    assert_eq!(story.times(event), 1);
    assert_eq!(text(&mut client, row), "resting t 0 1");
}

#[test]
fn a_snoozed_letter_is_left_alone() {
    let (story, mut client) = begin("1h");
    let two = letters(&story, &mut client, 2);
    let (asleep, awake) = (two[0], two[1]);
    run(
        &mut client,
        &format!("SELECT tms_dlq_snooze('{asleep}', now() + interval '1 hour')"),
    );
    make_due(&mut client);
    becomes_state(&mut client, awake, "closed delivered");
    a_round_passes(&story, &mut client);
    assert_eq!(state(&mut client, asleep), "snoozed");
    let event = event_of(&mut client, asleep);
    let told = text(&mut client, &format!("SELECT tms_event_explain('{event}')"));
    assert!(
        told.contains("snoozed until") && told.contains("round 1 of 5 begins then"),
        "{told}"
    );
    assert_eq!(story.times(event), 0);
    // A time that passes brings it back.
    run(
        &mut client,
        &format!("UPDATE tms.dead_letter_queue SET snooze_until = now() WHERE id = '{asleep}'"),
    );
    becomes_state(&mut client, asleep, "closed delivered");
}

#[test]
fn a_dead_head_holds_its_key_until_it_is_delivered_or_discarded() {
    let (story, mut client) = begin("1h");
    let key = ", ordering_key => 'truck 7'";
    for act in [
        "SELECT tms_dlq_retry('{}')",
        "SELECT tms_dlq_discard('{}', 'the load is gone')",
    ] {
        let head = crate::stage::letters_of(&story, &mut client, "erp", 1, key)[0];
        let first = event_of(&mut client, head);
        let next = id(
            &mut client,
            "SELECT tms_enqueue('load.moved', '{}', 'erp', ordering_key => 'truck 7')",
        );
        a_round_passes(&story, &mut client);
        assert_eq!(
            (story.times(first), story.times(next)),
            (0, 0),
            "the head holds its key"
        );
        run(&mut client, &act.replace("{}", &head.to_string()));
        story.arrives("the next of the key", next);
        let is_discarded = act.contains("discard");
        assert_eq!(story.times(first), u32::from(!is_discarded));
        if is_discarded {
            let row = format!(
                "SELECT concat_ws(' ', processed_at = cancelled_at, cancel_reason) FROM tms.event_outbox WHERE id = '{first}'"
            );
            assert_eq!(text(&mut client, &row), "t the load is gone");
            assert_eq!(state(&mut client, head), "closed discarded");
        } else {
            let order: Vec<_> = story
                .arrivals_of("erp")
                .iter()
                .filter_map(|seen| seen.id)
                .collect();
            assert_eq!(order, [first, next]);
            becomes_state(&mut client, head, "closed replayed");
        }
        story.all_done();
    }
}

#[test]
fn closed_letters_leave_by_age_and_open_ones_stay() {
    let (story, mut client) = begin("1h");
    let two = letters(&story, &mut client, 2);
    run(
        &mut client,
        &format!("SELECT tms_dlq_discard('{}', 'not needed')", two[0]),
    );
    a_round_passes(&story, &mut client);
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM tms.dead_letter_queue WHERE target_system = 'erp'"
        ),
        2
    );
    story.cluster.set("tms.event_retention", "0");
    story.cluster.set("tms.dead_letter_retention", "0");
    eventually_eq("the open one is left", SOON, 1, || {
        number(&mut client, "SELECT count(*) FROM tms.dead_letter_queue")
    });
    assert_eq!(state(&mut client, two[1]), "waiting");
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM tms.dead_letter_acts"),
        0
    );
    eventually_eq("its event stays with it", SOON, 1, || {
        number(&mut client, "SELECT count(*) FROM tms.event_outbox")
    });
}

#[test]
fn letters_of_consumers_come_back_to_be_claimed() {
    let (_story, mut client) = begin("1ms");
    run(&mut client, "SELECT tms_target_set('jobs', 'pull')");
    let event = id(
        &mut client,
        "SELECT tms_enqueue('load.print', '{}', 'jobs', max_retries => 0)",
    );
    let claim = "SELECT coalesce((SELECT lease_token::text FROM tms_outbox_claim('jobs', 1, '1 hour')), '')";
    let take = |client: &mut postgres::Client| {
        tms_e2e::wait::eventually("the event is claimed", SOON, || {
            Some(text(client, claim)).filter(|token| !token.is_empty())
        })
    };
    let token = take(&mut client);
    run(
        &mut client,
        &format!("SELECT tms_outbox_nack('{token}', 'external_api', 'no paper')"),
    );
    let token = take(&mut client);
    run(
        &mut client,
        &format!("SELECT tms_outbox_ack(ARRAY['{token}'::uuid])"),
    );
    becomes(
        &mut client,
        &format!(
            "SELECT concat_ws(' ', resolution, rounds, attempts) FROM tms.dead_letter_queue WHERE original_event_id = '{event}'"
        ),
        &[],
        "delivered 1 1",
    );
}
