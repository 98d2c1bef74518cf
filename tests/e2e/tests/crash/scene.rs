//! The server, the receiver and the producers; one crash after the other; and what was there in the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use postgres::fallible_iterator::FallibleIterator;
use serde_json::json;
use tms_e2e::cluster::{Cluster, DispatcherLife};
use tms_e2e::keys::Key;
use tms_e2e::ledger::{Ledger, Verdict};
use tms_e2e::load::{Load, Running};
use tms_e2e::receiver::{Behaviour, Receiver, Seen};
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::blow::{Blow, Kind};
use crate::{COMMITTED_PER_SECOND, IN_FLIGHT};

pub const DATABASE: &str = "freight";

/// Targets whose events have ordering keys, and one whose events have none. All of them are signed.
pub const ORDERED: [&str; 3] = ["orders", "billing", "audit"];
const UNORDERED: &str = "metrics";

/// Ordering keys of a target. An event of a key waits for the answer to the one before it, so there must be enough of them to
/// carry the load: rate times delay of them are in use at any time.
const KEYS: u64 = 600;

/// For what takes a second or two on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long the receiver keeps each request: rate times delay is what is in flight.
pub const DELAY: Duration = Duration::from_millis(120);

/// The rate is measured over this time before the blow, at least.
const WINDOW: Duration = Duration::from_secs(1);

/// Asked of the producers, a tenth of whose transactions roll back: enough above what is demanded that a busy machine
/// does not miss it for long, and below what the connections can carry, so that no queue builds up.
const RATE: f64 = 2_800.0;
const ROLLED_BACK: f64 = 0.1;
const CONNECTIONS: u32 = 250;
/// For each target, so that several have to do with the same key.
const PRODUCERS: u32 = 2;

/// Several events share a commit, as a commit waits for the disk.
pub const BATCH: u32 = 10;

pub struct Scene {
    cluster: Cluster,
    receiver: Receiver,
    ledger: Arc<Ledger>,
    loads: Vec<Running>,
    unsigned: Arc<AtomicUsize>,
    dispatcher: DispatcherLife,
}

/// One crash, as it was seen from outside.
#[derive(Debug)]
pub struct Strike {
    pub kind: Kind,
    /// Events committed a second, over the last second or two before the blow.
    pub rate: f64,
    /// Requests that the receiver had read and not answered when the dispatcher was dead.
    pub in_flight: usize,
    /// Requests it had read by then.
    pub arrived: usize,
    pub at: SystemTime,
    /// When the next dispatcher began.
    pub next_life: SystemTime,
    /// From the blow to that dispatcher.
    pub outage: Duration,
}

/// What was there when everything had come to rest.
pub struct End {
    pub verdict: Verdict,
    pub dead_letters: i64,
    /// Attempts on record that did not deliver.
    pub failed_attempts: i64,
    /// COMMITs that were never answered, and what had become of them.
    pub unanswered: usize,
    /// Ids in order of arrival, with the time.
    pub arrivals: Vec<(Uuid, SystemTime)>,
    /// When each event's delivery was recorded.
    pub processed: HashMap<Uuid, SystemTime>,
    /// Ordering keys with their events.
    pub keys: Vec<Key>,
    /// Requests without a signature.
    pub unsigned: usize,
}

impl Scene {
    pub fn set() -> Self {
        let cluster = Cluster::builder().durable(true).start();
        let unsigned = Arc::new(AtomicUsize::new(0));
        let receiver = receiver(unsigned.clone());
        cluster.create_database_with_tms(DATABASE);
        for target in ORDERED.into_iter().chain([UNORDERED]) {
            let options = json!({ "max_concurrency": CONNECTIONS, "signing": true });
            let url = receiver.url_of(&format!("/{target}"));
            cluster.set_http_target(DATABASE, target, &url, options);
        }
        let dispatcher = eventually("a dispatcher", PATIENCE, || cluster.dispatcher(DATABASE));
        let ledger = Arc::new(Ledger::default());
        let targets = ORDERED
            .map(|target| (target, KEYS))
            .into_iter()
            .chain([(UNORDERED, 0)]);
        let loads = targets.map(|(target, keys)| {
            let load = Load::on(cluster.config("postgres", DATABASE)).target(target);
            let load = load.producers(PRODUCERS).rate(RATE / 4.0).ordering_keys(keys);
            load.batch(BATCH).rolled_back(ROLLED_BACK).start(ledger.clone())
        });
        Self {
            loads: loads.collect(),
            cluster,
            receiver,
            ledger,
            unsigned,
            dispatcher,
        }
    }

    /// Waits until the load is on, strikes, and waits until the next dispatcher is there.
    pub fn round(&mut self, number: usize) -> Strike {
        let kind = Kind::of_round(number);
        let blow = Blow::prepare(kind, &self.cluster, self.dispatcher.pid, &self.ledger);
        let mark = self.cluster.log_mark();
        let mut strike = self.strike(kind, &blow);
        let begin = Instant::now();
        blow.recover(&self.cluster, mark);
        let last = self.dispatcher;
        self.dispatcher = eventually("the next dispatcher", PATIENCE, || {
            self.cluster.dispatcher(DATABASE).filter(|next| *next != last)
        });
        strike.next_life = self.dispatcher.began;
        strike.outage = begin.elapsed();
        println!("round {:>3}: {}", number + 1, crate::report::line(&strike));
        strike
    }

    /// The blow falls while the receiver stands still: what it has read and not answered at that moment is exactly
    /// what was in flight, and nothing is answered any more before the dispatcher is dead.
    fn strike(&self, kind: Kind, blow: &Blow) -> Strike {
        let mark = || self.loads.iter().map(Running::mark).collect::<Vec<_>>();
        let mut marks = mark();
        eventually("the load that a crash needs", PATIENCE, || {
            let rates = self
                .loads
                .iter()
                .zip(&marks)
                .map(|(load, mark)| load.rate_since(*mark));
            let (age, rate) = (marks[0].age(), rates.sum::<f64>());
            if age > 2 * WINDOW {
                marks = mark();
            }
            self.receiver.look(|seen| {
                if age < WINDOW || rate < COMMITTED_PER_SECOND || seen.in_flight() < IN_FLIGHT {
                    return Err(format!(
                        "{rate:.0} events a second, {} in flight",
                        seen.in_flight()
                    ));
                }
                let at = SystemTime::now();
                blow.fall(&self.cluster);
                Ok(Strike {
                    kind,
                    rate,
                    in_flight: seen.in_flight(),
                    arrived: seen.count(),
                    at,
                    next_life: at,
                    outage: Duration::ZERO,
                })
            })
        })
    }

    /// No new events; everything due is delivered; the books are closed.
    pub fn settle(mut self) -> End {
        self.loads.drain(..).for_each(Running::stop);
        self.receiver.behave(Behaviour::Ok);
        let mut client = self.cluster.client(DATABASE);
        let mut number = |ask: &str| -> i64 { client.query_one(ask, &[]).expect(ask).get(0) };
        eventually(
            "an outbox with nothing to deliver",
            2 * PATIENCE,
            || match number("SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL") {
                0 => Ok(()),
                left => Err(left),
            },
        );
        let dead_letters = number("SELECT count(*) FROM tms.dead_letter_queue");
        let failed_attempts =
            number("SELECT count(*) FROM tms.delivery_attempts WHERE outcome <> 'delivered'");
        let unanswered = self.ledger.unknown_count();
        self.ledger.resolve(&mut client).expect("the ledger");
        let rows = client
            .query_raw("SELECT id, processed_at FROM tms.event_outbox", None::<i32>)
            .expect("the outbox");
        let processed = rows.map(|row| Ok((row.get(0), row.get(1)))).collect();
        End {
            verdict: self.ledger.check(&self.receiver.per_id()),
            dead_letters,
            failed_attempts,
            unanswered,
            arrivals: self.receiver.look(arrivals),
            processed: processed.expect("the outbox"),
            keys: tms_e2e::keys::of_database(&mut client).expect("the keys"),
            unsigned: self.unsigned.load(Ordering::Relaxed),
        }
    }
}

/// Answers late, and counts what is not signed.
fn receiver(unsigned: Arc<AtomicUsize>) -> Receiver {
    let builder = Receiver::builder().behaviour(Behaviour::Delay(DELAY));
    let builder = builder.observe(move |request| {
        let signature = request.header("webhook-signature");
        if !signature.is_some_and(|signature| signature.starts_with("v1,")) {
            unsigned.fetch_add(1, Ordering::Relaxed);
        }
    });
    builder.start()
}

fn arrivals(seen: &Seen) -> Vec<(Uuid, SystemTime)> {
    let requests = seen.requests().iter();
    requests
        .filter_map(|request| Some((request.id?, request.wall)))
        .collect()
}
