//! The clock of the server is set: back by an hour, and forward. No event waits for the clock to come round again.

use std::time::Duration;

use postgres::Client;
use tms_e2e::cluster::Cluster;
use tms_e2e::story::{Story, id, ids, number, run};
use uuid::Uuid;

use crate::{backlog, company};

const HOUR: i64 = 3_600;
const PROMISED: Duration = Duration::from_secs(5);

/// Default settings: five seconds are promised with them.
fn story() -> Story {
    let story = Story::with(Cluster::builder().own_clock());
    story.target("hook", serde_json::json!({"max_concurrency": 16}));
    story
}

/// Where the clock of a session stands, against this machine's: the test of the test.
fn is_set(client: &mut Client, seconds: i64) {
    let server = number(client, "SELECT extract(epoch FROM clock_timestamp())::bigint");
    let here = tms_e2e::latency::unix_micros(std::time::SystemTime::now()) / 1_000_000;
    assert!(
        (server - here - seconds).abs() <= 2,
        "the server's clock is not set: {server} {here}"
    );
}

#[track_caller]
fn all_within_the_promise(story: &Story, what: &str, events: &[Uuid]) {
    story
        .receiver
        .wait_for(what, PROMISED, |seen| events.iter().all(|id| seen.times(*id) > 0));
}

fn of_some_companies(client: &mut Client) -> Vec<Uuid> {
    let statement = "SELECT tms_enqueue('load.moved', '{}', 'hook',
            CASE n % 3 WHEN 0 THEN NULL ELSE lpad((n % 3)::text, 32, '0')::uuid END,
            ordering_key => CASE n % 2 WHEN 0 THEN 'key ' || pg_backend_pid() END, priority => n % 3)
       FROM generate_series(1, 20) n";
    ids(client, statement)
}

#[test]
fn events_that_are_committed_after_the_clock_was_set_back_are_delivered() {
    let story = story();
    let mut client = story.client();
    // A walk has come to the end of what there was.
    backlog(&mut client, "hook", &company(1), 500);
    story.all_done();
    story.cluster.shift_clock(-HOUR);
    is_set(&mut client, -HOUR);
    let after = of_some_companies(&mut client);
    all_within_the_promise(&story, "events after the step", &after);
    story.cluster.shift_clock(-2 * HOUR);
    let again = of_some_companies(&mut client);
    all_within_the_promise(&story, "events after another step", &again);
}

#[test]
fn events_of_a_transaction_that_was_open_while_the_clock_was_set_back_are_delivered() {
    let story = story();
    let (mut open, mut client) = (story.client(), story.client());
    run(&mut open, "BEGIN");
    let early = of_some_companies(&mut open);
    story.cluster.shift_clock(-HOUR);
    let after = of_some_companies(&mut client);
    all_within_the_promise(&story, "events after the step", &after);
    run(&mut open, "COMMIT");
    all_within_the_promise(&story, "events from before the step", &early);
}

#[test]
fn an_urgent_event_of_such_a_transaction_is_delivered_too() {
    let story = story();
    let (mut open, mut client) = (story.client(), story.client());
    run(&mut open, "BEGIN");
    let urgent = id(
        &mut open,
        "SELECT tms_enqueue('load.urgent', '{}', 'hook', priority => 5)",
    );
    story.cluster.shift_clock(-HOUR);
    let after = of_some_companies(&mut client);
    all_within_the_promise(&story, "events after the step", &after);
    run(&mut open, "COMMIT");
    all_within_the_promise(&story, "the urgent event from before the step", &[urgent]);
}

#[test]
fn events_that_waited_when_the_clock_was_set_back_are_delivered() {
    let story = story();
    let mut client = story.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    let waiting = of_some_companies(&mut client);
    story.cluster.shift_clock(-HOUR);
    run(&mut client, "SELECT tms_target_resume('hook')");
    all_within_the_promise(&story, "events that waited", &waiting);
}

#[test]
fn a_schedule_holds_when_the_clock_was_set_back() {
    let story = story();
    let mut client = story.client();
    let scheduled = id(
        &mut client,
        "SELECT tms_enqueue('load.later', '{}', 'hook', available_at => now() + '2 seconds')",
    );
    story.cluster.shift_clock(-HOUR);
    let after = of_some_companies(&mut client);
    all_within_the_promise(&story, "events after the step", &after);
    assert_eq!(story.times(scheduled), 0, "its time has become an hour away");
    story.cluster.shift_clock(HOUR);
    all_within_the_promise(&story, "what the step forward made due", &[scheduled]);
}
