//! What a person does with one letter, and what is on record of it.

use tms_e2e::ask::{becomes, id, refusal, run, text};
use tms_e2e::receiver::Behaviour;

use crate::stage::{becomes_state, begin, event_of, letters, make_due, state};

#[test]
fn an_edited_payload_is_sent_and_the_former_one_is_kept() {
    let (story, mut client) = begin("1h");
    story.receiver.behave(Behaviour::choose(|request| {
        match serde_json::from_slice::<serde_json::Value>(request.body) {
            Ok(body) if body["vat"].is_string() => Behaviour::Ok,
            _ => Behaviour::status(422),
        }
    }));
    let event = id(
        &mut client,
        "SELECT tms_enqueue('invoice.issued', '{\"customer_name\": \"Ada Lovelace\", \"total\": 12345678901234567890.10}', 'erp')",
    );
    let letter = "SELECT id::text FROM tms.dead_letters WHERE state = 'resting'";
    becomes(
        &mut client,
        "SELECT count(*)::text FROM tms.dead_letters WHERE state = 'resting'",
        &[],
        "1",
    );
    let letter: uuid::Uuid = text(&mut client, letter).parse().expect("an id");
    // The letter shows a redacted copy; the event is what the producer wrote.
    let copy = format!("SELECT payload ->> 'customer_name' FROM tms.dead_letters WHERE id = '{letter}'");
    assert_ne!(text(&mut client, &copy), "Ada Lovelace");
    assert!(!text(&mut client, &copy).is_empty());
    let edited =
        "{\"customer_name\": \"Ada Lovelace\", \"vat\": \"GB 1\", \"total\": 12345678901234567890.10}";
    run(
        &mut client,
        &format!("SELECT tms_dlq_edit('{letter}', '{{\"vat\": null}}')"),
    );
    assert_eq!(
        state(&mut client, letter),
        "resting",
        "an edit alone brings nothing back"
    );
    run(
        &mut client,
        &format!("SELECT tms_dlq_retry('{letter}', '{edited}')"),
    );
    becomes_state(&mut client, letter, "closed replayed");
    let sent = story.arrivals_of("erp").pop().expect("a request").json();
    assert_eq!(
        (&sent["vat"], &sent["customer_name"]),
        (&"GB 1".into(), &"Ada Lovelace".into())
    );
    assert_eq!(story.times(event), 2);
    let kept = format!(
        "SELECT string_agg(concat_ws(' ', act, actor, former_payload ->> 'customer_name', former_payload ->> 'total', former_payload ? 'vat'),
                           ', ' ORDER BY at, id)
           FROM tms.dead_letter_acts WHERE letter_id = '{letter}'"
    );
    assert_eq!(
        text(&mut client, &kept),
        "edit postgres Ada Lovelace 12345678901234567890.10 f, edit postgres t, retry postgres"
    );
}

#[test]
fn every_act_is_on_record_and_in_the_event_s_history() {
    let (story, mut client) = begin("1h");
    let letter = letters(&story, &mut client, 1)[0];
    let event = event_of(&mut client, letter);
    for act in [
        "tms_dlq_snooze('{}', now() + interval '1 day')",
        "tms_dlq_edit('{}', '{\"n\": 2}')",
        "tms_dlq_discard('{}', 'mailed to ada@example.com instead')",
    ] {
        run(
            &mut client,
            &format!("SELECT {}", act.replace("{}", &letter.to_string())),
        );
    }
    let steps = format!(
        "SELECT string_agg(step, ' ' ORDER BY at, step = 'closed', step = 'discard') FROM tms.event_history WHERE event_id = '{event}'"
    );
    let steps = text(&mut client, &steps);
    assert!(steps.starts_with("enqueued attempt dead snooze edit"), "{steps}");
    for step in ["discard", "closed", "cancelled"] {
        assert!(steps.contains(step), "{steps}");
    }
    let reason = format!(
        "SELECT concat_ws(' ', actor, reason) FROM tms.dead_letter_acts WHERE letter_id = '{letter}' AND act = 'discard'"
    );
    let reason = text(&mut client, &reason);
    assert!(
        reason.starts_with("postgres mailed to") && !reason.contains("ada@example.com"),
        "{reason}"
    );
    for act in [
        "tms_dlq_retry('{}')",
        "tms_dlq_discard('{}', 'again')",
        "tms_dlq_edit('{}', '{}')",
    ] {
        let call = format!("SELECT {}", act.replacen("{}", &letter.to_string(), 1));
        let refused = refusal(&mut client, &call);
        assert_eq!(refused.code, "55000", "{refused:?}");
        assert!(refused.detail.contains("discarded at"), "{refused:?}");
    }
}

#[test]
fn cancelling_the_event_closes_its_letter() {
    let (story, mut client) = begin("1h");
    let letter = letters(&story, &mut client, 1)[0];
    let event = event_of(&mut client, letter);
    run(
        &mut client,
        &format!("SELECT tms_event_cancel('{event}', 'the load is gone')"),
    );
    assert_eq!(state(&mut client, letter), "closed cancelled");
    let act = format!(
        "SELECT concat_ws(' ', act, actor, reason) FROM tms.dead_letter_acts WHERE letter_id = '{letter}'"
    );
    assert_eq!(text(&mut client, &act), "cancel postgres the load is gone");
}

#[test]
fn an_event_that_was_brought_back_by_hand_takes_its_letter_along() {
    let (story, mut client) = begin("1h");
    let two = letters(&story, &mut client, 2);
    let (moved, gone) = (event_of(&mut client, two[0]), event_of(&mut client, two[1]));
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET available_at = now() WHERE id = '{moved}'"),
    );
    run(
        &mut client,
        &format!("DELETE FROM tms.event_outbox WHERE id = '{gone}'"),
    );
    story.arrives("the event", moved);
    make_due(&mut client);
    becomes_state(&mut client, two[0], "closed delivered");
    becomes_state(&mut client, two[1], "closed discarded");
    assert_eq!(story.times(moved), 1);
}

/// Who has a letter's row locked by hand keeps back that letter, and no other event.
#[test]
fn a_row_lock_on_a_letter_delays_that_one_alone() {
    let (story, mut client) = begin("1h");
    let letter = letters(&story, &mut client, 1)[0];
    let event = event_of(&mut client, letter);
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/erp" => Behaviour::status(503),
            _ => Behaviour::Ok,
        }));
    let mut holder = story.client();
    run(
        &mut holder,
        &format!("BEGIN; SELECT 1 FROM tms.dead_letter_queue WHERE id = '{letter}' FOR UPDATE"),
    );
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET available_at = now() WHERE id = '{event}'"),
    );
    story.arrives("the event that fails again", event);
    let other = id(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'first')");
    becomes(
        &mut client,
        &format!("SELECT (processed_at IS NOT NULL)::text FROM tms.event_outbox WHERE id = '{other}'"),
        &[],
        "true",
    );
    run(&mut holder, "ROLLBACK");
    let attempts = format!("SELECT attempts::text FROM tms.dead_letter_queue WHERE id = '{letter}'");
    becomes(&mut client, &attempts, &[], "2");
    assert_eq!(story.times(event), 1);
}

/// What cannot be redacted must be written down all the same.
#[test]
fn a_payload_that_cannot_be_redacted_is_not_in_its_letter() {
    let (story, mut client) = begin("1h");
    story.receiver.behave(Behaviour::status(422));
    run(
        &mut client,
        "SELECT tms_enqueue('load.deep', (repeat('[', 5000) || repeat(']', 5000))::jsonb, 'erp')",
    );
    becomes(
        &mut client,
        "SELECT count(*)::text FROM tms.dead_letters WHERE state = 'resting'",
        &[],
        "1",
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT (payload IS NULL)::text FROM tms.dead_letters"
        ),
        "true"
    );
}
