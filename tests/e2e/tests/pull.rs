//! Pull targets: consumers claim events under leases, give them back or acknowledge them, and never hold two of one ordering key.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postgres::Client;
use postgres::types::ToSql;
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::{eventually, eventually_eq};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(60);
const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";

/// A claimed event, as far as the stories need it.
#[derive(Debug, Clone, PartialEq)]
struct Claimed {
    token: Uuid,
    company: Option<Uuid>,
    key: Option<String>,
    attempt: i32,
    n: i64,
}

/// A server without a dispatcher, with the pull target `jobs`, and consumers of two companies.
fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "off").start();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        &format!(
            r#"CREATE EXTENSION tms;
             SELECT tms_target_set('jobs', 'pull', '{{"retry": {{"base_ms": 1, "max_ms": 1}}}}');
             CREATE ROLE consumer_a LOGIN; CREATE ROLE consumer_b LOGIN;
             SELECT tms_bind_role('consumer_a', '{A}'), tms_bind_role('consumer_b', '{B}');
             SELECT tms_grant(r, 'consumer') FROM unnest(ARRAY['consumer_a', 'consumer_b']) r;"#
        ),
    );
    cluster
}

#[track_caller]
fn run(client: &mut Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{sql}: {error:?}");
    }
}

#[track_caller]
fn one<T: for<'a> postgres::types::FromSql<'a>>(
    client: &mut Client,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> T {
    match client.query_one(sql, values) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// Events `{"n": first..=last}` of a company, with options of `tms_enqueue` as SQL.
#[track_caller]
fn enqueue(client: &mut Client, company: &str, (first, last): (i64, i64), options: &str) {
    let company = if company.is_empty() {
        "NULL".to_owned()
    } else {
        format!("'{company}'")
    };
    run(
        client,
        &format!(
            "SELECT tms_enqueue('job', jsonb_build_object('n', n), 'jobs', {company}{options})
               FROM generate_series({first}, {last}) n"
        ),
    );
}

#[track_caller]
fn claim(client: &mut Client, events: i32, lease: &str) -> Vec<Claimed> {
    let sql = format!(
        "SELECT lease_token, company_id, ordering_key, attempt, (payload->>'n')::bigint
           FROM tms_outbox_claim('jobs', $1, '{lease}')"
    );
    let rows = client.query(&sql, &[&events]);
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter()
        .map(|row| Claimed {
            token: row.get(0),
            company: row.get(1),
            key: row.get(2),
            attempt: row.get(3),
            n: row.get(4),
        })
        .collect()
}

fn numbers(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|event| event.n).collect()
}

#[track_caller]
fn ack(client: &mut Client, claimed: &[Claimed]) -> i32 {
    let tokens: Vec<Uuid> = claimed.iter().map(|event| event.token).collect();
    one(client, "SELECT tms_outbox_ack($1)", &[&tokens])
}

#[track_caller]
fn nack(client: &mut Client, event: &Claimed, error_type: &str) -> Option<String> {
    one(
        client,
        "SELECT tms_outbox_nack($1, $2, 'the disk is full')",
        &[&event.token, &error_type],
    )
}

#[track_caller]
fn count(client: &mut Client, sql: &str) -> i64 {
    one(client, sql, &[])
}

#[test]
fn events_come_in_the_order_of_their_queue_and_once() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 3), "");
    enqueue(&mut owner, A, (4, 5), ", priority => 7");
    enqueue(&mut owner, A, (6, 6), ", priority => -7");
    enqueue(
        &mut owner,
        A,
        (7, 7),
        ", available_at => now() - interval '1 hour'",
    );
    enqueue(
        &mut owner,
        A,
        (8, 8),
        ", available_at => now() + interval '1 hour', priority => 9",
    );
    let mut consumer = cluster.client_as("consumer_a", "postgres");
    let first = claim(&mut consumer, 4, "1 minute");
    assert_eq!(numbers(&first), [4, 5, 7, 1]);
    assert!(
        first
            .iter()
            .all(|event| event.attempt == 1 && event.company == Uuid::parse_str(A).ok())
    );
    let second = claim(&mut consumer, 100, "1 minute");
    assert_eq!(numbers(&second), [2, 3, 6]);
    assert_eq!(claim(&mut consumer, 100, "1 minute"), []);
    let tokens: HashSet<Uuid> = first.iter().chain(&second).map(|event| event.token).collect();
    assert_eq!(tokens.len(), 7);
    assert!(tokens.iter().all(|token| token.get_version_num() == 4));
    assert_eq!(ack(&mut consumer, &first), 4);
    assert_eq!(ack(&mut consumer, &first), 0, "a second time");
    assert_eq!(ack(&mut consumer, &[]), 0);
    let done = "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NOT NULL AND lease_token IS NULL";
    assert_eq!(count(&mut owner, done), 4);
}

#[test]
fn companies_are_apart_and_the_platform_gives_each_its_share() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 5_000), "");
    enqueue(&mut owner, B, (1, 1), "");
    enqueue(&mut owner, "", (1, 2), "");
    let of_b = claim(&mut cluster.client_as("consumer_b", "postgres"), 100, "1 minute");
    assert_eq!(of_b.len(), 1);
    assert_eq!(
        ack(&mut cluster.client_as("consumer_a", "postgres"), &of_b),
        0,
        "another's lease"
    );
    assert_eq!(
        nack(
            &mut cluster.client_as("consumer_a", "postgres"),
            &of_b[0],
            "timeout"
        ),
        None
    );
    assert_eq!(nack(&mut owner, &of_b[0], "timeout"), Some("retry".to_owned()));
    let batch = eventually("B's event is due again", SOON, || {
        let batch = claim(&mut owner, 10, "1 minute");
        batch
            .iter()
            .any(|event| event.company == Uuid::parse_str(B).ok())
            .then_some(batch)
    });
    assert_eq!(batch.len(), 10, "what B and the platform do not need is A's");
    // Sixty companies, ten events a claim: each gets its turn before any gets a second one.
    run(&mut owner, "DELETE FROM tms.event_outbox");
    for company in 0..60 {
        enqueue(
            &mut owner,
            &format!("{company:08x}-0000-4000-8000-00000000000c"),
            (1, 40),
            "",
        );
    }
    let mut turns: BTreeMap<Option<Uuid>, usize> = BTreeMap::new();
    for _ in 0..12 {
        for event in claim(&mut owner, 10, "1 minute") {
            *turns.entry(event.company).or_default() += 1;
        }
    }
    assert_eq!(turns.len(), 60);
    assert!(turns.values().all(|turns| *turns == 2), "{turns:?}");
}

#[test]
fn a_lease_that_runs_out_is_a_failed_attempt_and_the_last_one_a_dead_letter() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 1), ", max_retries => 1");
    let first = claim(&mut owner, 1, "1 millisecond");
    let second = eventually("the lease runs out", SOON, || {
        claim(&mut owner, 1, "1 millisecond").pop()
    });
    assert_eq!((first[0].attempt, second.attempt), (1, 2));
    assert_ne!(first[0].token, second.token);
    assert_eq!(ack(&mut owner, &first), 0, "somebody else has it");
    let letter = "SELECT count(*) FROM tms.dead_letter_queue
                   WHERE error_type = 'timeout' AND attempts = 2 AND NOT permanent AND error_message LIKE '%lease%'";
    eventually_eq("a dead letter", SOON, 1, || {
        assert_eq!(claim(&mut owner, 1, "1 minute"), []);
        count(&mut owner, letter)
    });
    assert_eq!(ack(&mut owner, &[second]), 0, "it is dead");
    let dead =
        "SELECT count(*) FROM tms.event_outbox WHERE available_at = 'infinity' AND lease_token IS NULL";
    assert_eq!(count(&mut owner, dead), 1);
    assert_eq!(
        count(
            &mut owner,
            "SELECT count(*) FROM tms.delivery_attempts WHERE error_type = 'timeout'"
        ),
        2
    );
    // In time or late: an event that nobody claimed since is done.
    enqueue(&mut owner, A, (2, 2), "");
    let late = claim(&mut owner, 1, "1 millisecond");
    eventually("the lease runs out", SOON, || {
        let sql = "SELECT count(*) FROM tms.event_outbox WHERE lease_token IS NOT NULL AND available_at < clock_timestamp()";
        (count(&mut owner, sql) == 1).then_some(())
    });
    assert_eq!(ack(&mut owner, &late), 1);
}

#[test]
fn what_is_given_back_is_retried_or_dead() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 1), ", max_retries => 1");
    let first = claim(&mut owner, 1, "1 minute");
    assert_eq!(
        nack(&mut owner, &first[0], "external_api"),
        Some("retry".to_owned())
    );
    assert_eq!(
        nack(&mut owner, &first[0], "external_api"),
        None,
        "it is not held any more"
    );
    let second = eventually("the backoff is over", SOON, || {
        claim(&mut owner, 1, "1 minute").pop()
    });
    assert_eq!(second.attempt, 2);
    assert_eq!(
        nack(&mut owner, &second, "quota_exceeded"),
        Some("dead".to_owned())
    );
    enqueue(&mut owner, A, (2, 2), "");
    let third = claim(&mut owner, 1, "1 minute");
    assert_eq!(nack(&mut owner, &third[0], "validation"), Some("dead".to_owned()));
    let letters =
        "SELECT string_agg(concat_ws(' ', error_type, attempts, permanent), ', ' ORDER BY created_at)
                     FROM tms.dead_letter_queue WHERE error_message = 'the disk is full'";
    assert_eq!(
        one::<String>(&mut owner, letters, &[]),
        "quota_exceeded 2 f, validation 1 t"
    );
    let attempts = "SELECT string_agg(concat_ws(' ', attempt, outcome, error_type), ', ' ORDER BY id) FROM tms.delivery_attempts";
    assert_eq!(
        one::<String>(&mut owner, attempts, &[]),
        "1 retry external_api, 2 dead quota_exceeded, 1 dead validation"
    );
    // A consumer's word is cut, not refused.
    enqueue(&mut owner, A, (3, 3), "");
    let long = claim(&mut owner, 1, "1 minute");
    run(
        &mut owner,
        &format!(
            "SELECT tms_outbox_nack('{}', 'validation', repeat('ä', 5000))",
            long[0].token
        ),
    );
    assert_eq!(
        count(
            &mut owner,
            "SELECT max(length(error_message))::bigint FROM tms.dead_letter_queue"
        ),
        1_000
    );
}

#[test]
fn a_head_holds_its_key_alone_whatever_became_of_it() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(
        &mut owner,
        A,
        (1, 3),
        ", ordering_key => 'load 1', max_retries => 0",
    );
    enqueue(
        &mut owner,
        A,
        (10, 10),
        ", ordering_key => 'load 2', available_at => now() + interval '1 hour'",
    );
    enqueue(
        &mut owner,
        A,
        (11, 11),
        ", ordering_key => 'load 2', priority => 9",
    );
    enqueue(&mut owner, B, (20, 20), ", ordering_key => 'load 1'");
    let heads = claim(&mut owner, 100, "1 minute");
    let mut found = numbers(&heads);
    found.sort_unstable();
    assert_eq!(
        found,
        [1, 20],
        "a leased and a scheduled head hold their keys; another company's key is another key"
    );
    let head = heads.iter().find(|event| event.n == 1).expect("the head");
    assert_eq!(ack(&mut owner, std::slice::from_ref(head)), 1);
    let next = claim(&mut owner, 100, "1 minute");
    assert_eq!(numbers(&next), [2]);
    assert_eq!(nack(&mut owner, &next[0], "timeout"), Some("dead".to_owned()));
    assert_eq!(
        claim(&mut owner, 100, "1 minute"),
        [],
        "a dead head holds its key"
    );
    run(
        &mut owner,
        r#"SELECT tms_target_set('jobs', 'pull', '{"on_dead": "skip"}')"#,
    );
    assert_eq!(numbers(&claim(&mut owner, 100, "1 minute")), [3]);
}

#[test]
fn a_long_line_behind_one_head_hides_nobody() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 3_000), ", ordering_key => 'long'");
    enqueue(&mut owner, A, (3_001, 3_001), ", ordering_key => 'other'");
    enqueue(&mut owner, A, (3_002, 3_002), "");
    let mut consumer = cluster.client_as("consumer_a", "postgres");
    let mut found = numbers(&claim(&mut consumer, 10, "1 minute"));
    found.sort_unstable();
    assert_eq!(found, [1, 3_001, 3_002]);
    assert_eq!(claim(&mut consumer, 10, "1 minute"), []);
}

#[test]
fn a_target_that_is_paused_or_held_hands_out_nothing() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 1), "");
    run(&mut owner, "SELECT tms_target_pause('jobs')");
    assert_eq!(claim(&mut owner, 1, "1 minute"), []);
    run(
        &mut owner,
        "SELECT tms_target_resume('jobs'); UPDATE tms.targets SET installation = 'another'",
    );
    assert_eq!(claim(&mut owner, 1, "1 minute"), []);
    run(&mut owner, "SELECT tms_adopt()");
    assert_eq!(numbers(&claim(&mut owner, 1, "1 minute")), [1]);
}

const CONSUMERS: usize = 8;
const KEYS: i64 = 12;
const EVENTS_OF_A_KEY: i64 = 40;
const LOOSE_EVENTS: i64 = 400;

/// What the consumers saw, in the order of their claims.
#[derive(Default)]
struct Log {
    by_key: BTreeMap<String, Vec<i64>>,
    acknowledged: BTreeMap<i64, usize>,
}

/// Eight consumers at once; some events are given back, some leases are left to run out.
#[test]
fn eight_consumers_keep_every_key_in_order_and_lose_nothing() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for n in 0..EVENTS_OF_A_KEY {
        run(
            &mut owner,
            &format!(
                "SELECT tms_enqueue('job', jsonb_build_object('n', k * 1000 + {n}), 'jobs', CASE WHEN k % 2 = 0 THEN '{A}'::uuid ELSE '{B}' END,
                                    ordering_key => 'key ' || k, max_retries => 100)
                   FROM generate_series(1, {KEYS}) k"
            ),
        );
    }
    enqueue(
        &mut owner,
        A,
        (100_000, 100_000 + LOOSE_EVENTS - 1),
        ", max_retries => 100",
    );
    let (log, done, turn) = (
        Mutex::new(Log::default()),
        AtomicBool::new(false),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|_| scope.spawn(|| consume(&cluster, &log, &turn)))
            .collect();
        let watch = scope.spawn(|| watch(&cluster, &done));
        for consumer in consumers {
            consumer.join().expect("a consumer");
        }
        done.store(true, Ordering::SeqCst);
        watch.join().expect("the watch");
    });
    let log = log.into_inner().expect("the log");
    assert_eq!(log.by_key.len() as i64, KEYS);
    for (key, seen) in &log.by_key {
        let mut once = seen.clone();
        once.dedup();
        let expected: Vec<i64> = (0..EVENTS_OF_A_KEY).collect();
        assert_eq!(
            once.iter().map(|n| n % 1000).collect::<Vec<_>>(),
            expected,
            "{key}: {seen:?}"
        );
    }
    assert_eq!(
        log.acknowledged.len() as i64,
        KEYS * EVENTS_OF_A_KEY + LOOSE_EVENTS
    );
    assert!(
        log.acknowledged.values().all(|times| *times == 1),
        "acknowledged twice"
    );
    assert_eq!(
        count(
            &mut owner,
            "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL"
        ),
        0
    );
    assert_eq!(count(&mut owner, "SELECT count(*) FROM tms.dead_letter_queue"), 0);
}

fn consume(cluster: &Cluster, log: &Mutex<Log>, turn: &AtomicUsize) {
    let mut client = cluster.client("postgres");
    loop {
        if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(9) {
            // As if it had died with its events in its hands.
            claim(&mut client, 3, "1 millisecond");
        }
        let batch = claim(&mut client, 7, "1 minute");
        // Between the answer and the acknowledgement nobody else can have the next event of a key.
        {
            let mut log = log.lock().expect("the log");
            for event in &batch {
                if let Some(key) = &event.key {
                    log.by_key.entry(key.clone()).or_default().push(event.n);
                }
            }
        }
        for event in &batch {
            if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(5) {
                nack(&mut client, event, "external_api");
            } else if ack(&mut client, std::slice::from_ref(event)) == 1 {
                *log.lock()
                    .expect("the log")
                    .acknowledged
                    .entry(event.n)
                    .or_default() += 1;
            }
        }
        let left = "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL";
        if batch.is_empty() && count(&mut client, left) == 0 {
            return;
        }
    }
}

/// At no moment two events of one key are under a lease.
fn watch(cluster: &Cluster, done: &AtomicBool) {
    let mut client = cluster.client("postgres");
    let sql = "SELECT count(*) FROM (SELECT 1 FROM tms.event_outbox WHERE lease_token IS NOT NULL AND processed_at IS NULL
                 AND ordering_hash IS NOT NULL GROUP BY ordering_hash HAVING count(*) > 1) twice";
    while !done.load(Ordering::SeqCst) {
        assert_eq!(
            count(&mut client, sql),
            0,
            "two events of one key are in consumers' hands"
        );
    }
}
