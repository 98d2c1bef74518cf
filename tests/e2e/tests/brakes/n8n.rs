//! Receivers that are not there: an inactive workflow of n8n holds its target, 410 pauses it, and no event is used up.

use serde_json::json;
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{SOON, Story, run};
use tms_e2e::wait::eventually_eq;

use crate::looks::{WAITING, batch, letter, reason, shows, text};

/// What n8n says while the workflow is inactive.
fn not_registered() -> Behaviour {
    let body =
        r#"{"code":404,"message":"The requested webhook \"POST n8n\" is not registered.","hint":"..."}"#;
    Behaviour::Status(404, vec![], body.as_bytes().to_vec())
}

/// Requests that may be on their way before the first answer was judged: that one, and the next one that its end let go.
const MET: usize = 2;

const UNTOUCHED: &str = "SELECT concat_ws(' ', count(*), sum(retry_count), count(processed_at),
                                          (SELECT count(*) FROM tms.dead_letter_queue))
                           FROM tms.event_outbox WHERE target_system = $1";

#[test]
fn an_inactive_workflow_holds_its_target_and_uses_no_event_up() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("n8n", json!({ "max_concurrency": 1 }));
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/n8n" => not_registered(),
            _ => Behaviour::Ok,
        }));
    let events = batch(&mut client, "n8n", 5);
    shows(&mut client, "n8n", "held");
    assert!(reason(&mut client, "n8n").contains("no active workflow"));
    assert_eq!(text(&mut client, UNTOUCHED, &[&"n8n"]), "5 0 0 0");
    let attempts =
        "SELECT string_agg(DISTINCT outcome, ' ') FROM tms.delivery_attempts WHERE target_system = 'n8n'";
    assert_eq!(text(&mut client, attempts, &[]), "held");
    // Others are not held with it, and nothing more is sent to it.
    for event in batch(&mut client, "first", 20) {
        story.arrives("an event of another target", event);
    }
    assert!(story.arrivals_of("n8n").len() <= MET);
    // The workflow is activated; a person does not wait for the next try.
    story.receiver.behave(Behaviour::Ok);
    run(&mut client, "SELECT tms_target_pause('n8n')");
    shows(&mut client, "n8n", "paused");
    run(&mut client, "SELECT tms_target_resume('n8n')");
    story.all_done();
    shows(&mut client, "n8n", "active");
    assert!(events.iter().all(|event| story.times(*event) >= 1));
    assert_eq!(text(&mut client, UNTOUCHED, &[&"n8n"]), "5 0 5 0");
}

#[test]
fn any_other_404_is_about_the_event() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("n8n", json!({}));
    story.target("carrier", json!({}));
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/n8n" => Behaviour::Status(404, vec![], b"no such load".to_vec()),
            _ => not_registered(),
        }));
    for target in ["n8n", "carrier"] {
        let event = batch(&mut client, target, 1)[0];
        let (kind, words, attempts, permanent) = letter(&mut client, event);
        assert_eq!(
            (kind.as_str(), attempts, permanent),
            ("validation", 1, true),
            "{words}"
        );
        shows(&mut client, target, "active");
    }
}

#[test]
fn a_receiver_that_is_gone_pauses_its_target_until_it_is_resumed() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("gone", json!({ "max_concurrency": 1 }));
    story.receiver.behave(Behaviour::status(410));
    let mark = story.cluster.log_mark();
    let events = batch(&mut client, "gone", 5);
    shows(&mut client, "gone", "paused");
    assert!(
        reason(&mut client, "gone").contains("410"),
        "{}",
        reason(&mut client, "gone")
    );
    story
        .cluster
        .wait_for_log(mark, "target \"gone\" is paused", SOON);
    assert_eq!(text(&mut client, UNTOUCHED, &[&"gone"]), "5 0 0 0");
    assert!(story.receiver.count() <= MET);
    // Also across a restart.
    story.cluster.restart(tms_e2e::cluster::Mode::Fast);
    let mut client = story.client();
    story.receiver.behave(Behaviour::Ok);
    let other = batch(&mut client, "first", 1)[0];
    story.arrives("an event of another target", other);
    assert!(story.arrivals_of("gone").len() <= MET);
    run(&mut client, "SELECT tms_target_resume('gone')");
    story.all_done();
    eventually_eq("all of them", SOON, true, || {
        events.iter().all(|event| story.times(*event) >= 1)
    });
    assert_eq!(text(&mut client, UNTOUCHED, &[&"gone"]), "5 0 5 0");
    assert_eq!(reason(&mut client, "gone"), "");
    assert_eq!(text(&mut client, WAITING, &[]), "0");
}
