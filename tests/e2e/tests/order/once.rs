//! Idempotency keys: one event for a company, a target and a key, within a window.

use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;

use postgres::Client;
use tms_e2e::story::{DB, Refusal, SOON, Story, id, number, refusal, run};
use tms_e2e::wait::{eventually, eventually_eq};
use uuid::Uuid;

const SESSIONS: usize = 64;

fn with_key(key: &str) -> String {
    format!("SELECT tms_enqueue('load.once', '{{}}', 'first', idempotency_key => '{key}')")
}

fn events(client: &mut Client, key: &str) -> i64 {
    number(
        client,
        &format!("SELECT count(*) FROM tms.event_outbox WHERE idempotency_key = '{key}'"),
    )
}

/// Runs a statement in a session of its own; returns once the server says that it waits for a lock.
fn waits(story: &Story, begin: &str, statement: &str) -> mpsc::Receiver<Result<Uuid, Refusal>> {
    let mut session = story.client();
    run(&mut session, begin);
    let pid = number(&mut session, "SELECT pg_backend_pid()::bigint");
    let (answer, answered) = mpsc::channel();
    let statement = statement.to_owned();
    thread::spawn(move || {
        let end = session.query_one(&statement, &[]);
        let end = end.map(|row| row.get(0)).map_err(|error| Refusal::of(&error));
        drop(session.batch_execute("COMMIT"));
        drop(answer.send(end));
    });
    let mut looker = story.client();
    eventually("a session that waits for the key", SOON, || {
        let waiting =
            format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'");
        (number(&mut looker, &waiting) == 1).then_some(())
    });
    answered
}

#[test]
fn sixty_four_sessions_with_one_key_make_one_event() {
    let story = Story::with(Story::builder().conf("max_connections", "120"));
    let start = Barrier::new(SESSIONS);
    let answers: Vec<Vec<Uuid>> = thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|session| {
                let (story, start) = (&story, &start);
                scope.spawn(move || {
                    let mut client = story.cluster.client(DB);
                    start.wait();
                    (0..5)
                        .map(|round| {
                            // Some in a transaction of their own making, which goes on for a while.
                            let inside = session % 3 == 0;
                            run(&mut client, if inside { "BEGIN" } else { "SELECT 1" });
                            let event = id(&mut client, &with_key(&format!("round {round}")));
                            run(&mut client, if inside { "COMMIT" } else { "SELECT 1" });
                            event
                        })
                        .collect()
                })
            })
            .collect();
        sessions
            .into_iter()
            .map(|session| session.join().expect("a session"))
            .collect()
    });
    let mut client = story.client();
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "all got the same ids"
    );
    for (round, event) in answers[0].iter().enumerate() {
        assert_eq!(events(&mut client, &format!("round {round}")), 1);
        story.arrives("the one event", *event);
    }
    story.all_done();
    assert_eq!(story.receiver.count(), 5);
}

#[test]
fn another_company_or_target_has_the_key_for_itself() {
    let story = Story::begin();
    story.target("other", serde_json::Value::Null);
    let mut client = story.client();
    let mut made = Vec::new();
    for round in 0..2 {
        let mut ids = Vec::new();
        for target in ["first", "other"] {
            for company in [
                "NULL",
                "lpad('1', 32, '0')::uuid",
                "lpad('2', 32, '0')::uuid",
                "lpad('', 32, '0')::uuid",
            ] {
                ids.push(id(
                    &mut client,
                    &format!("SELECT tms_enqueue('load.once', '{{}}', '{target}', {company}, 'one')"),
                ));
            }
        }
        if round == 0 {
            made = ids;
        } else {
            assert_eq!(made, ids, "the same again");
        }
    }
    let mut distinct = made.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((distinct.len(), events(&mut client, "one")), (8, 8));
}

#[test]
fn a_holder_that_rolls_back_leaves_the_key_to_the_one_who_waits() {
    let story = Story::begin();
    let mut holder = story.client();
    run(&mut holder, "BEGIN");
    let lost = id(&mut holder, &with_key("one"));
    let waiter = waits(&story, "BEGIN", &with_key("one"));
    run(&mut holder, "ROLLBACK");
    let made = waiter.recv_timeout(SOON).expect("an answer").expect("an event");
    assert_ne!(made, lost);
    story.arrives("the waiter's event", made);
    assert_eq!(events(&mut holder, "one"), 1);
    assert_eq!(story.times(lost), 0);
}

#[test]
fn a_holder_that_commits_gives_his_event_to_the_one_who_waits() {
    let story = Story::begin();
    let mut holder = story.client();
    run(&mut holder, "BEGIN");
    let first = id(&mut holder, &with_key("one"));
    let waiter = waits(&story, "BEGIN", &with_key("one"));
    run(&mut holder, "COMMIT");
    assert_eq!(waiter.recv_timeout(SOON).expect("an answer"), Ok(first));
    assert_eq!(events(&mut holder, "one"), 1);
}

#[test]
fn above_read_committed_the_loser_is_told_to_try_again() {
    let story = Story::begin();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut holder = story.client();
        run(&mut holder, "BEGIN");
        let first = id(&mut holder, &with_key(level));
        // Its snapshot is taken before the holder commits.
        let begin = format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM tms.event_outbox");
        let waiter = waits(&story, &begin, &with_key(level));
        run(&mut holder, "COMMIT");
        let refused = waiter
            .recv_timeout(SOON)
            .expect("an answer")
            .expect_err("a loser");
        assert_eq!(refused.code, "40001", "{level}: {refused:?}");
        run(&mut holder, &format!("BEGIN ISOLATION LEVEL {level}"));
        assert_eq!(id(&mut holder, &with_key(level)), first, "{level}: tried again");
        run(&mut holder, "COMMIT");
    }
}

#[test]
fn a_rolled_back_savepoint_gives_the_key_back() {
    let story = Story::begin();
    let mut client = story.client();
    run(&mut client, "BEGIN; SAVEPOINT s");
    let lost = id(&mut client, &with_key("one"));
    run(&mut client, "ROLLBACK TO s");
    let made = id(&mut client, &with_key("one"));
    assert_eq!(
        id(&mut client, &with_key("one")),
        made,
        "in the same transaction too"
    );
    run(&mut client, "COMMIT");
    assert_ne!(made, lost);
    story.arrives("the event that was not rolled back", made);
    story.all_done();
    assert_eq!(story.receiver.count(), 1);
}

#[test]
fn a_plain_insert_with_a_used_key_is_refused_and_names_the_event() {
    let story = Story::begin();
    let mut client = story.client();
    const INSERT: &str = "INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key)
        VALUES ('load.once', '{}', 'first', 'one') RETURNING id";
    let first = id(&mut client, INSERT);
    let refused = refusal(&mut client, INSERT);
    assert_eq!(refused.code, "23505", "{refused:?}");
    assert!(refused.detail.contains(&first.to_string()), "{refused:?}");
    assert_eq!(
        id(&mut client, &with_key("one")),
        first,
        "the function knows it too"
    );
    let made = id(&mut client, &with_key("two"));
    let refused = refusal(&mut client, &INSERT.replace("'one'", "'two'"));
    assert!(refused.detail.contains(&made.to_string()), "{refused:?}");
    assert_eq!(events(&mut client, "one") + events(&mut client, "two"), 2);
}

#[test]
fn a_key_is_free_again_after_its_window() {
    let story = Story::with(Story::builder().conf("tms.idempotency_window", "1h"));
    let mut client = story.client();
    let first = id(&mut client, &with_key("one"));
    run(
        &mut client,
        "UPDATE tms.idempotency_keys SET created_at = now() - interval '59 minutes'",
    );
    assert_eq!(
        id(&mut client, &with_key("one")),
        first,
        "still within the window"
    );
    run(
        &mut client,
        "UPDATE tms.idempotency_keys SET created_at = now() - interval '61 minutes'",
    );
    let second = id(&mut client, &with_key("one"));
    assert_ne!(second, first);
    assert_eq!(id(&mut client, &with_key("one")), second, "a window of its own");
    story.arrives("the first event", first);
    story.arrives("the second event", second);
}

#[test]
fn the_scheduler_removes_keys_whose_window_is_over() {
    let story = Story::with(
        Story::builder()
            .conf("tms.idempotency_window", "1h")
            .conf("tms.scheduler_interval", "1s"),
    );
    let mut client = story.client();
    for n in 0..20 {
        id(&mut client, &with_key(&format!("key {n}")));
    }
    run(
        &mut client,
        "UPDATE tms.idempotency_keys SET created_at = now() - interval '2 hours' WHERE key <> 'key 7'",
    );
    eventually_eq("old keys are gone", SOON, 1, || {
        number(&mut client, "SELECT count(*) FROM tms.idempotency_keys")
    });
    let kept = "SELECT count(*) FROM tms.idempotency_keys WHERE key = 'key 7'";
    assert_eq!(number(&mut client, kept), 1);
    assert_eq!(events(&mut client, "key 3"), 1, "the event outlives its key");
}

#[test]
fn the_key_outlives_its_event() {
    let story = Story::begin();
    let mut client = story.client();
    let first = id(&mut client, &with_key("one"));
    story.arrives("the event", first);
    story.all_done();
    run(&mut client, "DELETE FROM tms.event_outbox");
    assert_eq!(id(&mut client, &with_key("one")), first);
    assert_eq!(events(&mut client, "one"), 0, "nothing is enqueued again");
}
