//! The circuit breaker: it opens, asks again with a few, and closes; the queue waits untouched.

use std::time::Duration;

use serde_json::{Value, json};
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{SOON, Story};
use tms_e2e::wait::eventually;

use crate::looks::{WAITING, batch, reason, shows, text};

const MINIMUM: usize = 4;
const OPEN: Duration = Duration::from_millis(1_500);

/// A failure that takes its time, so that it is judged before the next few are under way. The receiver has one thread.
fn slow_failure(status: u16) -> Behaviour {
    std::thread::sleep(Duration::from_millis(100));
    Behaviour::status(status)
}

/// One request at a time, and a failed event waits longer than the story lasts, so that each request is another event.
fn fragile(trials: u32) -> Value {
    json!({
        "max_concurrency": 1,
        "retry": { "base_ms": 3_000_000, "max_ms": 3_000_000, "jitter": 0 },
        "breaker": { "failure_ratio": 0.5, "minimum_calls": MINIMUM, "open_ms": OPEN.as_millis() as u64, "trials": trials },
    })
}

const UNTRIED: &str = "SELECT count(*)::text FROM tms.event_outbox
                        WHERE target_system = 'fragile' AND processed_at IS NULL AND retry_count = 0 AND available_at <= now()";

#[test]
fn failures_open_it_and_the_queue_waits_untouched() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("fragile", fragile(1));
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/fragile" => slow_failure(500),
            _ => Behaviour::Ok,
        }));
    batch(&mut client, "fragile", 20);
    shows(&mut client, "fragile", "open");
    assert!(reason(&mut client, "fragile").contains("failed"));
    let opened_after = story.arrivals_of("fragile").len();
    assert!((MINIMUM..=MINIMUM + 4).contains(&opened_after), "{opened_after}");
    // Each pause ends with a single trial, which fails.
    story.wait_for("two trials", |seen| seen.count() >= opened_after + 2);
    let arrivals = story.arrivals_of("fragile");
    for pair in arrivals[opened_after - 1..].windows(2) {
        let pause = pair[1].at.duration_since(pair[0].at);
        assert!(pause >= OPEN - Duration::from_millis(100), "{pause:?}");
    }
    // Another target is served meanwhile.
    let other = batch(&mut client, "first", 1)[0];
    story.arrives("an event of another target", other);

    story.receiver.behave(Behaviour::Ok);
    let failed = story.arrivals_of("fragile").len();
    shows(&mut client, "fragile", "active");
    eventually("everything that was not tried before", SOON, || {
        (text(&mut client, UNTRIED, &[]) == "0").then_some(())
    });
    let waiting: usize = text(&mut client, WAITING, &[]).parse().expect("a number");
    assert!(
        (opened_after + 2..=failed + 1).contains(&waiting),
        "{waiting} of {failed}"
    );
    let untouched = "SELECT count(*)::text FROM tms.event_outbox
                      WHERE target_system = 'fragile' AND processed_at IS NOT NULL AND retry_count > 0";
    assert_eq!(text(&mut client, untouched, &[]), "0");
    assert_eq!(
        text(
            &mut client,
            "SELECT count(*)::text FROM tms.dead_letter_queue",
            &[]
        ),
        "0"
    );
}

#[test]
fn while_it_is_half_open_only_the_trials_are_on_their_way() {
    let story = Story::begin();
    let mut client = story.client();
    let mut options = fragile(2);
    options["max_concurrency"] = 8.into();
    options["breaker"]["open_ms"] = 5_000.into();
    story.target("fragile", options);
    story.receiver.behave(Behaviour::choose(|_| slow_failure(503)));
    batch(&mut client, "fragile", 40);
    shows(&mut client, "fragile", "open");
    let before = story.receiver.count();
    assert!(before <= 2 * MINIMUM + 8, "{before}");
    // What was under way when it opened has its answer before the pause ends.
    story.wait_for("the last answer", |seen| seen.in_flight() == 0);
    // Trials that take their time, to be seen at it.
    story.receiver.behave(Behaviour::Delay(Duration::from_secs(4)));
    story.wait_for("the trials", |seen| seen.in_flight() == 2);
    shows(&mut client, "fragile", "half_open");
    assert_eq!(story.receiver.in_flight(), 2);
    story.receiver.behave(Behaviour::Ok);
    shows(&mut client, "fragile", "active");
    eventually("everything that was not tried before", SOON, || {
        (text(&mut client, UNTRIED, &[]) == "0").then_some(())
    });
}

#[test]
fn what_a_receiver_says_of_one_event_does_not_open_it() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("fragile", fragile(1));
    story.receiver.behave(Behaviour::status(422));
    batch(&mut client, "fragile", 20);
    story.wait_for("all of them", |seen| seen.distinct() == 20);
    story.all_done();
    shows(&mut client, "fragile", "active");
    assert_eq!(
        text(
            &mut client,
            "SELECT count(*)::text FROM tms.dead_letter_queue",
            &[]
        ),
        "20"
    );
}
