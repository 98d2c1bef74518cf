//! Many consumers at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tms_e2e::cluster::Cluster;

use crate::stage::{A, B, ack, claim, count, enqueue, nack, run, stage};

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
