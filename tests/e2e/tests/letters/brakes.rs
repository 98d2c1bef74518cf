//! While a target is paused, or not called at present, its letters wait and use no round.

use serde_json::json;
use tms_e2e::ask::{becomes, run, text};
use tms_e2e::receiver::Behaviour;

use crate::stage::{a_round_passes, begin, letters, letters_of, make_due};

const ERP: &str = "SELECT concat_ws(' ', count(*), sum(rounds), count(*) FILTER (WHERE state = 'due')) FROM tms.dead_letters
                    WHERE target_system = 'erp' AND state <> 'closed'";

#[test]
fn letters_of_a_paused_target_wait() {
    let (story, mut client) = begin("1h");
    letters(&story, &mut client, 3);
    run(&mut client, "SELECT tms_target_pause('erp')");
    make_due(&mut client);
    a_round_passes(&story, &mut client);
    assert_eq!(text(&mut client, ERP), "3 0 3");
    run(&mut client, "SELECT tms_target_resume('erp')");
    becomes(&mut client, ERP, &[], "0 0");
}

#[test]
fn letters_of_a_target_that_is_gone_wait() {
    let (story, mut client) = begin("1h");
    letters(&story, &mut client, 3);
    run(&mut client, "DELETE FROM tms.targets WHERE name = 'erp'");
    make_due(&mut client);
    a_round_passes(&story, &mut client);
    assert_eq!(text(&mut client, ERP), "3 0 3");
    story.target("erp", json!({}));
    becomes(&mut client, ERP, &[], "0 0");
}

#[test]
fn letters_of_a_target_whose_breaker_is_open_wait() {
    let (story, mut client) = begin("1h");
    story.target(
        "erp",
        json!({ "max_concurrency": 1, "breaker": { "minimum_calls": 4, "failure_ratio": 0.5, "open_ms": 600_000 } }),
    );
    letters_of(&story, &mut client, "erp", 4, "");
    let open = "SELECT coalesce((SELECT state FROM tms.target_health WHERE target = 'erp'), '')";
    becomes(&mut client, open, &[], "open");
    make_due(&mut client);
    a_round_passes(&story, &mut client);
    assert_eq!(text(&mut client, ERP), "4 0 4");
    // Who resumes a target by hand closes its breaker.
    run(&mut client, "SELECT tms_target_pause('erp')");
    becomes(
        &mut client,
        "SELECT state FROM tms.target_status WHERE name = 'erp'",
        &[],
        "paused",
    );
    run(&mut client, "SELECT tms_target_resume('erp')");
    becomes(&mut client, ERP, &[], "0 0");
}

/// Nothing but letters is left for it, so nobody else would find out that it is well again.
#[test]
fn a_breaker_that_has_rested_is_tried_by_a_single_letter() {
    let (story, mut client) = begin("1h");
    story.target(
        "erp",
        json!({ "max_concurrency": 1,
                "breaker": { "minimum_calls": 4, "failure_ratio": 0.5, "open_ms": 3_000, "trials": 1 } }),
    );
    letters_of(&story, &mut client, "erp", 4, "");
    story.receiver.behave(Behaviour::Ok);
    make_due(&mut client);
    becomes(&mut client, ERP, &[], "0 0");
    let first = "SELECT count(*)::text FROM tms.dead_letter_acts WHERE act = 'round'
                  AND at = (SELECT min(at) FROM tms.dead_letter_acts WHERE act = 'round')";
    assert_eq!(text(&mut client, first), "1");
}
