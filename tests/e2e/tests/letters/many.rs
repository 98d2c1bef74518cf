//! `tms_dlq_replay`: letters by what they are like, first on paper, then for real and at a rate.

use serde_json::json;
use tms_e2e::ask::{becomes, number, run, text};
use tms_e2e::receiver::Behaviour;

use crate::stage::{becomes_state, begin, letters, letters_of, state};

#[test]
fn a_filter_means_what_it_says_on_paper_and_for_real() {
    let (story, mut client) = begin("1h");
    story.target("wms", json!({}));
    let erp = letters(&story, &mut client, 5);
    letters_of(&story, &mut client, "wms", 3, "");
    // Refused for good: another kind of error.
    story.receiver.behave(Behaviour::status(422));
    run(&mut client, "SELECT tms_enqueue('invoice.issued', '{}', 'wms')");
    becomes(
        &mut client,
        "SELECT count(*)::text FROM tms.dead_letters WHERE state = 'resting'",
        &[],
        "1",
    );
    story.receiver.behave(Behaviour::Ok);
    run(
        &mut client,
        &format!("SELECT tms_dlq_snooze('{}', now() + interval '1 day')", erp[0]),
    );
    for (filter, expected) in [
        ("{}".to_owned(), 8),
        (json!({ "target_system": "wms" }).to_string(), 4),
        (
            json!({ "target_system": "wms", "error_type": "validation" }).to_string(),
            1,
        ),
        (json!({ "event_type": "invoice.issued" }).to_string(), 1),
        (json!({ "event_type": "load.moved", "limit": 2 }).to_string(), 2),
        (json!({ "agent_name": "rates_agent" }).to_string(), 0),
        (
            json!({ "created_after": "2020-01-01", "created_before": "2021-01-01" }).to_string(),
            0,
        ),
        (json!({ "created_after": "2020-01-01" }).to_string(), 8),
        (
            json!({ "company_id": "aaaaaaaa-0000-4000-8000-00000000000a" }).to_string(),
            0,
        ),
        (
            json!({ "ids": [erp[0].to_string(), erp[1].to_string(), "cccccccc-0000-4000-8000-00000000000c"] }).to_string(),
            2,
        ),
    ] {
        let dry = format!("SELECT tms_dlq_replay('{filter}', dry_run => true)");
        assert_eq!(number(&mut client, &dry), expected, "{filter}");
    }
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM tms.dead_letter_acts WHERE act = 'replay'"
        ),
        0
    );
    assert_eq!(
        story.receiver.look(|seen| seen
            .requests()
            .iter()
            .filter(|seen| *seen.path == *"/erp")
            .count()),
        0
    );

    assert_eq!(
        number(
            &mut client,
            "SELECT tms_dlq_replay('{\"target_system\": \"erp\"}')"
        ),
        4
    );
    assert_eq!(
        number(
            &mut client,
            "SELECT tms_dlq_replay('{\"target_system\": \"erp\"}')"
        ),
        0,
        "they are out"
    );
    for letter in &erp[1..] {
        becomes_state(&mut client, *letter, "closed replayed");
    }
    assert_eq!(state(&mut client, erp[0]), "snoozed");
    let named = format!(
        "SELECT tms_dlq_replay('{}')",
        json!({ "ids": [erp[0].to_string()] })
    );
    assert_eq!(number(&mut client, &named), 1);
    becomes_state(&mut client, erp[0], "closed replayed");
    let acts = "SELECT string_agg(DISTINCT concat_ws(' ', actor, detail ->> 'filter'), ', ') FROM tms.dead_letter_acts WHERE act = 'replay'";
    assert_eq!(
        text(&mut client, acts),
        r#"postgres {"ids": "1 ids"}, postgres {"target_system": "erp"}"#
    );
}

#[test]
fn a_rate_spreads_them_in_time() {
    let (story, mut client) = begin("1h");
    letters(&story, &mut client, 20);
    run(&mut client, "SELECT tms_target_pause('erp')");
    assert_eq!(
        number(&mut client, "SELECT tms_dlq_replay('{\"rate_per_second\": 4}')"),
        20
    );
    let spread = "SELECT extract(epoch FROM max(available_at) - min(available_at))::float8::text || ' ' || count(DISTINCT available_at)
                    FROM tms.event_outbox WHERE target_system = 'erp'";
    assert_eq!(text(&mut client, spread), "4.75 20");
    run(&mut client, "SELECT tms_target_resume('erp')");
    story.wait_for("all of them", |seen| seen.distinct() == 20);
    assert_eq!(story.receiver.duplicates(), 0);
}
