//! A company sees and touches its own letters alone, through the functions alone.

use postgres::Client;
use serde_json::json;
use tms_e2e::ask::{Refusal, ids, number, refusal, run, text};
use tms_e2e::story::{DB, Story};
use uuid::Uuid;

use crate::stage::{becomes_state, begin, letters_of, state};

const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";

fn people(story: &Story, client: &mut Client) -> (Client, Client) {
    for (role, company) in [("a", A), ("b", B)] {
        run(
            client,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{company}'), tms_grant('{role}', 'operator')"
            ),
        );
    }
    (story.cluster.client_as("a", DB), story.cluster.client_as("b", DB))
}

/// What is said, without the id that was asked for.
#[track_caller]
fn said(client: &mut Client, call: &str, id: Uuid) -> Refusal {
    let mut refused = refusal(client, &call.replace("{}", &id.to_string()));
    refused.message = refused.message.replace(&id.to_string(), "ID");
    refused
}

#[test]
fn a_company_sees_and_touches_its_own_letters_alone() {
    let (story, mut client) = begin("1h");
    let (mut a, mut b) = people(&story, &mut client);
    let of_a = letters_of(&story, &mut client, "erp", 2, &format!(", company_id => '{A}'"));
    run(
        &mut a,
        &format!("SELECT tms_dlq_snooze('{}', now() + interval '1 day')", of_a[0]),
    );
    for (name, expected) in [
        ("dead_letter_queue", 2),
        ("dead_letters", 2),
        ("dead_letter_acts", 1),
    ] {
        let count = format!("SELECT count(*) FROM tms.{name}");
        assert_eq!(number(&mut a, &count), expected, "{name}");
        assert_eq!(number(&mut b, &count), 0, "{name}");
    }
    assert!(number(&mut a, "SELECT count(*) FROM tms.event_history") >= 7);
    assert_eq!(number(&mut b, "SELECT count(*) FROM tms.event_history"), 0);
    for call in [
        "SELECT tms_dlq_retry('{}')",
        "SELECT tms_dlq_retry('{}', '{\"n\": 1}')",
        "SELECT tms_dlq_edit('{}', '[]')",
        "SELECT tms_dlq_snooze('{}', now() + interval '1 day')",
        "SELECT tms_dlq_discard('{}', 'mine now')",
    ] {
        let foreign = said(&mut b, call, of_a[1]);
        assert_eq!(foreign, said(&mut b, call, Uuid::from_u128(7)), "{call}");
        assert_eq!(foreign.code, "42704", "{call}");
    }
    let by_id = format!(
        "SELECT tms_dlq_replay('{}')",
        json!({ "ids": of_a.iter().map(Uuid::to_string).collect::<Vec<_>>() })
    );
    assert_eq!(number(&mut b, &by_id), 0);
    assert_eq!(number(&mut b, "SELECT tms_dlq_replay('{}')"), 0);
    run(
        &mut client,
        "UPDATE tms.dead_letter_queue SET retry_after = now() - interval '1 hour', snooze_until = NULL WHERE false",
    );
    let foreign = format!("SELECT tms_dlq_replay('{}')", json!({ "company_id": A }));
    assert_eq!(refusal(&mut b, &foreign).code, "42501");
    for table in ["dead_letter_queue", "dead_letter_acts"] {
        assert_eq!(refusal(&mut a, &format!("DELETE FROM tms.{table}")).code, "42501");
        assert_eq!(
            refusal(&mut a, &format!("UPDATE tms.{table} SET company_id = NULL")).code,
            "42501"
        );
    }
    assert_eq!(state(&mut client, of_a[1]), "waiting", "untouched");
    // Its own company may.
    run(&mut a, &format!("SELECT tms_dlq_retry('{}')", of_a[1]));
    becomes_state(&mut client, of_a[1], "closed replayed");
    let who = "SELECT string_agg(actor, ' ' ORDER BY at) FROM tms.dead_letter_acts";
    assert_eq!(text(&mut client, who), "a a");
}

#[test]
fn an_operator_brings_back_what_is_due_of_its_company() {
    let (story, mut client) = begin("1h");
    story.cluster.set("tms.scheduler_interval", "1h");
    let (mut a, _) = people(&story, &mut client);
    let of_b = letters_of(&story, &mut client, "erp", 1, &format!(", company_id => '{B}'"));
    story.target("wms", json!({}));
    let of_a = letters_of(&story, &mut client, "wms", 1, &format!(", company_id => '{A}'"));
    run(
        &mut client,
        "UPDATE tms.dead_letter_queue SET retry_after = now() - interval '1 minute'",
    );
    // The scheduler has its round every hour now, and may have had one at the reload.
    let due = ids(&mut client, "SELECT id FROM tms.dead_letters WHERE state = 'due'");
    let expected = i64::from(due.contains(&of_a[0]));
    assert_eq!(number(&mut a, "SELECT tms_dlq_requeue_due()"), expected);
    becomes_state(&mut client, of_a[0], "closed delivered");
    let _ = of_b;
}
