//! A hundred thousand keys in one transaction: the server's table of locks is finite, and is not used up.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use postgres::Client;
use serde_json::json;
use tms_e2e::story::{DB, Refusal, Story, number, run};

/// A hundred thousand events take a while on a machine that others use too.
const LONG: Duration = Duration::from_secs(120);

const SINGLY: &str = "INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key)
    SELECT 'load.moved', '{}', 'crowd', 'key ' || n FROM generate_series(FIRST, FIRST + MORE) n";
const IN_A_BATCH: &str = "SELECT tms_enqueue_batch('load.moved',
    array(SELECT '{}'::jsonb FROM generate_series(FIRST, FIRST + MORE)), 'crowd',
    ordering_keys => array(SELECT 'key ' || n FROM generate_series(FIRST, FIRST + MORE) n))";

fn statement(template: &str, first: u32, count: u32) -> String {
    template
        .replace("FIRST", &first.to_string())
        .replace("MORE", &(count - 1).to_string())
}

fn waiting(client: &mut Client) -> i64 {
    number(
        client,
        "SELECT count(*) FROM tms.event_outbox WHERE target_system = 'crowd' AND processed_at IS NULL",
    )
}

/// A crowd is looked at first and delivered to nobody: its target is paused.
fn story() -> Story {
    let story = Story::begin();
    story.target("crowd", json!({"max_concurrency": 32}));
    run(&mut story.client(), "SELECT tms_target_pause('crowd')");
    story
}

/// What became of statements that two sessions ran at the same time; neither waits for longer than two minutes.
fn at_once(story: &Story, statements: [String; 2]) -> [Result<(), Refusal>; 2] {
    let start = Barrier::new(2);
    let go = |statement: String| {
        let mut client = story.cluster.client(DB);
        run(&mut client, "SET statement_timeout = '120s'");
        start.wait();
        client
            .batch_execute(&statement)
            .map_err(|error| Refusal::of(&error))
    };
    let [one, other] = statements;
    thread::scope(|scope| {
        let one = scope.spawn(|| go(one));
        let other = scope.spawn(|| go(other));
        [one, other].map(|session| session.join().expect("a session"))
    })
}

#[test]
fn a_hundred_thousand_keys_in_one_transaction_are_enqueued_and_delivered() {
    let story = story();
    let mut client = story.client();
    run(&mut client, &statement(SINGLY, 1, 100_000));
    assert_eq!(waiting(&mut client), 100_000);
    run(&mut client, "SELECT tms_target_resume('crowd')");
    let delivered = story.receiver.wait_until(LONG, |seen| seen.distinct() == 100_000);
    assert!(delivered, "not within {LONG:?}: {:?}", story.receiver);
    story.all_done();
    assert_eq!(story.receiver.duplicates(), 0);
}

#[test]
fn two_such_transactions_at_once_end_with_one_deadlock_at_most() {
    let story = story();
    // Half of the keys are common to both.
    let ends = at_once(
        &story,
        [statement(SINGLY, 1, 100_000), statement(SINGLY, 50_001, 100_000)],
    );
    let refused: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
    assert!(refused.len() <= 1, "{refused:?}");
    assert!(
        refused.iter().all(|refused| refused.code == "40P01"),
        "{refused:?}"
    );
    let committed = i64::try_from(2 - refused.len()).expect("a number");
    assert_eq!(waiting(&mut story.client()), 100_000 * committed);
}

#[test]
fn two_batches_at_once_never_wait_for_each_other_in_a_circle() {
    let story = story();
    for (round, count) in [20, 300, 450, 600, 2_000]
        .into_iter()
        .cycle()
        .take(10)
        .enumerate()
    {
        let first = u32::try_from(round).expect("a round") * 100_000;
        // Common keys in another place of the batch, and keys of its own.
        let ends = at_once(
            &story,
            [
                statement(IN_A_BATCH, first, count),
                statement(IN_A_BATCH, first + count / 2, count),
            ],
        );
        assert!(ends.iter().all(Result::is_ok), "batches of {count}: {ends:?}");
    }
}

#[test]
fn many_events_of_one_key_are_one_lock() {
    let story = story();
    for round in 0..5 {
        let of = |key: &str| {
            format!(
                "INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key)
                 SELECT 'load.moved', '{{}}', 'crowd', '{key} {round}' FROM generate_series(1, 3000)"
            )
        };
        let ends = at_once(&story, [of("one"), of("other")]);
        assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    }
}
