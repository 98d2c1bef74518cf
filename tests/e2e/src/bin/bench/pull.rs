//! Pull consumers: how many events a second eight of them claim in batches of 100, read, and acknowledge.

use std::thread;
use std::time::Instant;

use postgres::Client;
use tms_e2e::cluster::Cluster;
use uuid::Uuid;

use crate::ground::{DB, Ground, server};
use crate::options::Options;
use crate::report::{Bound, Figure};

const REQUIRED: f64 = 20_000.0;
const CONSUMERS: usize = 8;
const BATCH: i32 = 100;
const CLAIM: &str =
    "SELECT id, lease_token, event_type, payload FROM tms_outbox_claim('jobs', $1, '5 minutes')";
const ACK: &str = "SELECT tms_outbox_ack($1)";

/// What the queue is made of: SQL for an event's company and ordering key, by its number.
const QUEUES: [(&str, &str, &str, Option<Bound>); 3] = [
    (
        "of one company",
        "'aaaaaaaa-0000-4000-8000-00000000000a'",
        "NULL",
        Some(Bound::AtLeast(REQUIRED)),
    ),
    (
        "of 20 companies, claimed for the platform",
        "('aaaaaaaa-0000-4000-8000-0000000000' || 10 + n % 20)",
        "NULL",
        None,
    ),
    (
        "with 5,000 ordering keys",
        "'aaaaaaaa-0000-4000-8000-00000000000a'",
        "'key ' || n % 5000",
        None,
    ),
];

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(200_000, 40_000);
    let mut ground = Ground::start(server(), &[]);
    ground.command("SELECT tms_target_set('jobs', 'pull')");
    for (what, company, key, bound) in QUEUES {
        let rounds = if bound.is_some() { options.size(3, 1) } else { 1 };
        let rates: Vec<f64> = (0..rounds)
            .map(|_| {
                fill(&mut ground, events, company, key);
                let seconds = drain(&ground.cluster, events);
                events as f64 / seconds
            })
            .collect();
        figure.spread(format!("{events} events {what}"), &rates, "events/s", bound);
    }
    figure.note(format!(
        "{CONSUMERS} consumers, batches of {BATCH}, 60 bytes; fsync on, each claim and each ack a transaction that waits for the disk"
    ));
}

fn fill(ground: &mut Ground, events: usize, company: &str, key: &str) {
    ground.empty();
    ground.command(&format!(
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, ordering_key)
         SELECT 'load.status', jsonb_build_object('n', n, 'pad', repeat('x', 35)), 'jobs', ({company})::uuid, {key}
           FROM generate_series(1, {events}) AS n"
    ));
    ground.command("CHECKPOINT");
}

/// Seconds until every event is acknowledged.
fn drain(cluster: &Cluster, events: usize) -> f64 {
    let clients: Vec<Client> = (0..CONSUMERS).map(|_| cluster.client(DB)).collect();
    let began = Instant::now();
    let done: usize = thread::scope(|scope| {
        let consumers: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || consume(client)))
            .collect();
        consumers
            .into_iter()
            .map(|consumer| consumer.join().expect("a consumer"))
            .sum()
    });
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(done, events, "every event once");
    seconds
}

/// Claims and acknowledges until nothing is left; how many it had.
fn consume(mut client: Client) -> usize {
    let [claim, ack] = [CLAIM, ACK].map(|sql| client.prepare(sql).expect("a statement"));
    let mut done = 0;
    loop {
        let rows = client.query(&claim, &[&BATCH]).expect("tms_outbox_claim");
        if rows.is_empty() {
            return done;
        }
        let tokens: Vec<Uuid> = rows.iter().map(|row| row.get(1)).collect();
        assert!(
            rows.iter()
                .all(|row| row.get::<_, serde_json::Value>(3).is_object())
        );
        let acknowledged: i32 = client.query_one(&ack, &[&tokens]).expect("tms_outbox_ack").get(0);
        done += usize::try_from(acknowledged).unwrap_or(0);
    }
}
