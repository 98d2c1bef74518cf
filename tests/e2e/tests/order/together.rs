//! Many sessions at once: the order of a key is the order of its commits.

use std::sync::Barrier;
use std::thread;

use serde_json::json;
use tms_e2e::chance::Chance;
use tms_e2e::story::{DB, Story, ids, number, run};

use crate::came_in_order;

const SESSIONS: usize = 16;
const TRANSACTIONS: usize = 40;
const KEYS: usize = 8;

#[test]
fn commits_of_sixteen_sessions_are_delivered_in_their_order() {
    let story = Story::with(Story::builder().conf("track_commit_timestamp", "on"));
    story.target("hook", json!({"max_concurrency": 32}));
    let mut chance = Chance::printed();
    let seeds: Vec<u64> = (0..SESSIONS).map(|_| chance.bits()).collect();
    let start = Barrier::new(SESSIONS);
    thread::scope(|scope| {
        for seed in seeds {
            let (story, start) = (&story, &start);
            scope.spawn(move || {
                let mut client = story.cluster.client(DB);
                start.wait();
                produce(&mut client, Chance::of(seed));
            });
        }
    });
    story.all_done();
    came_in_order(&story);
    // By the server's own record of when each transaction committed, the numbers of a key are in the order of commits.
    let mut client = story.client();
    let out_of_turn = "SELECT count(*) FROM (
        SELECT at < lag(at) OVER (PARTITION BY ordering_key ORDER BY seq) AS wrong
          FROM (SELECT ordering_key, seq, pg_xact_commit_timestamp((payload->>'x')::xid) AS at
                  FROM tms.event_outbox WHERE ordering_key IS NOT NULL) committed) s WHERE wrong";
    assert_eq!(number(&mut client, out_of_turn), 0);
    let sessions = "SELECT count(DISTINCT payload->>'x') FROM tms.event_outbox WHERE ordering_key = 'key 0'";
    assert!(
        number(&mut client, sessions) > 10,
        "a key that many transactions used"
    );
}

/// Transactions that use one key, or several in the order that a batch takes care of; some are rolled back.
fn produce(client: &mut postgres::Client, mut chance: Chance) {
    for _ in 0..TRANSACTIONS {
        run(client, "BEGIN");
        let key = chance.below(KEYS);
        match chance.below(3) {
            0 => drop(ids(
                client,
                &format!(
                    "SELECT tms_enqueue('load.moved', jsonb_build_object('x', pg_current_xact_id()::xid::text),
                                 'hook', ordering_key => 'key {key}') FROM generate_series(1, 3)"
                ),
            )),
            1 => run(
                client,
                &format!(
                    "INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key)
                     SELECT 'load.moved', jsonb_build_object('x', pg_current_xact_id()::xid::text), 'hook', 'key {key}'
                       FROM generate_series(1, 2)"
                ),
            ),
            _ => drop(ids(
                client,
                &format!(
                    "SELECT unnest(tms_enqueue_batch('load.moved',
                            array(SELECT jsonb_build_object('x', pg_current_xact_id()::xid::text)
                                    FROM generate_series(1, 6)), 'hook',
                            ordering_keys => array(SELECT 'key ' || (n + {key}) % {KEYS} FROM generate_series(1, 6) n)))"
                ),
            )),
        }
        run(client, if chance.once_in(5) { "ROLLBACK" } else { "COMMIT" });
    }
}
