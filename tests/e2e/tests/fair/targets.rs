//! One target's trouble is not another's.

use std::time::{Duration, Instant};

use serde_json::json;
use tms_e2e::port::free_port;
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{DB, SOON, Story, id, number, run};
use tms_e2e::wait::eventually;

use crate::{backlog, company};

/// Single events and a few thousand of them go to `hook`, while another target has 50,000 that it does not take.
fn is_not_stopped(story: &Story) {
    let mut client = story.client();
    let begin = Instant::now();
    backlog(&mut client, "hook", &company(2), 3_000);
    story.wait_for("three thousand events beside the trouble", |seen| {
        seen.requests()
            .iter()
            .filter(|request| &*request.path == "/hook")
            .count()
            >= 3_000
    });
    let took = begin.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "three thousand events took {took:?}"
    );
    for _ in 0..10 {
        let begin = Instant::now();
        let single = id(&mut client, "SELECT tms_enqueue('load.single', '{}', 'hook')");
        story.arrives("a single event beside the trouble", single);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(2), "a single event took {took:?}");
    }
    let left =
        "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL AND target_system = 'trouble'";
    assert!(number(&mut client, left) > 30_000, "the trouble is still there");
}

#[test]
fn a_target_that_hangs_does_not_stop_another() {
    let story = Story::begin();
    story.target("hook", json!({}));
    story.target("trouble", json!({"max_concurrency": 1000}));
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/trouble" => Behaviour::Hang,
            _ => Behaviour::Ok,
        }));
    backlog(&mut story.client(), "trouble", &company(1), 50_000);
    story.wait_for("the trouble has begun", |seen| seen.in_flight() > 100);
    is_not_stopped(&story);
}

#[test]
fn a_target_that_fails_does_not_stop_another() {
    let story = Story::begin();
    story.target("hook", json!({}));
    // Without a breaker each of its events is tried.
    story.target(
        "trouble",
        json!({"breaker": false, "retry": {"base_ms": 60_000}, "max_concurrency": 4}),
    );
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/trouble" => Behaviour::Status(503, Vec::new(), Vec::new()),
            _ => Behaviour::Ok,
        }));
    run(&mut story.client(), "SELECT tms_target_pause('trouble')");
    backlog(&mut story.client(), "trouble", &company(1), 50_000);
    run(&mut story.client(), "SELECT tms_target_resume('trouble')");
    story.wait_for("the trouble has begun", |seen| seen.count() > 100);
    is_not_stopped(&story);
}

#[test]
fn a_target_that_nobody_listens_at_does_not_stop_another() {
    let story = Story::begin();
    story.target("hook", json!({}));
    let url = format!("http://127.0.0.1:{}/trouble", free_port());
    let options = json!({"retry": {"base_ms": 60_000}});
    story.cluster.set_http_target(DB, "trouble", &url, options);
    let mut client = story.client();
    backlog(&mut client, "trouble", &company(1), 50_000);
    eventually("the trouble has begun", SOON, || {
        let tried = "SELECT count(*) FROM tms.delivery_attempts WHERE target_system = 'trouble'";
        (number(&mut client, tried) > 0).then_some(())
    });
    is_not_stopped(&story);
}

#[test]
fn a_place_is_kept_for_each_target_when_all_places_are_taken() {
    let story = Story::with(Story::builder().conf("tms.max_in_flight", "64"));
    story.target("hook", json!({"max_concurrency": 4}));
    story.target("trouble", json!({"max_concurrency": 1000}));
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/trouble" => Behaviour::Hang,
            _ => Behaviour::Ok,
        }));
    backlog(&mut story.client(), "trouble", &company(1), 50_000);
    story.wait_for("all places are taken", |seen| seen.in_flight() >= 64);
    is_not_stopped(&story);
}

#[test]
fn two_targets_with_a_backlog_share() {
    const EACH: u32 = 4_000;
    let story = Story::begin();
    story.target("one", json!({"max_concurrency": 8}));
    story.target("other", json!({"max_concurrency": 8}));
    story.receiver.behave(Behaviour::Delay(Duration::from_millis(2)));
    let mut client = story.client();
    run(
        &mut client,
        "SELECT tms_target_pause('one'), tms_target_pause('other')",
    );
    backlog(&mut client, "one", &company(1), EACH);
    backlog(&mut client, "other", &company(1), EACH);
    run(
        &mut client,
        "SELECT tms_target_resume('one'), tms_target_resume('other')",
    );
    story.wait_for("half of all", |seen| seen.count() >= EACH as usize);
    let of_one = story.receiver.look(|seen| {
        let first = seen.requests().iter().take(EACH as usize);
        first.filter(|request| &*request.path == "/one").count()
    });
    let even = EACH as usize / 2;
    println!("{of_one} of the first {EACH}");
    assert!(of_one.abs_diff(even) <= even / 5, "{of_one} of the first {EACH}");
}
