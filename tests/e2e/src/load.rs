//! Producers that commit events at a steady rate, survive crashes of the server, and keep the ledger.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, Config, NoTls, Statement};
use uuid::Uuid;

use crate::ledger::Ledger;
use crate::wait::Backoff;

/// One statement for a whole transaction, and the ids come back before COMMIT is sent.
const ENQUEUE: &str = "SELECT tms_enqueue($1, jsonb_build_object('n', n, 'producer', $2::int), $3, \
                                           ordering_key => $6) \
                       FROM generate_series($4::bigint, $5::bigint) AS n";

/// What is to be produced.
#[derive(Debug, Clone)]
pub struct Load {
    config: Config,
    producers: u32,
    rate: f64,
    batch: u32,
    rolled_back: f64,
    event_type: String,
    target: String,
    keys: u64,
}

impl Load {
    /// Two producers, 1,000 events a second together, ten to a transaction, none rolled back, to the target `crash`.
    pub fn on(config: Config) -> Self {
        Self {
            config,
            producers: 2,
            rate: 1_000.0,
            batch: 10,
            rolled_back: 0.0,
            event_type: "load.status".into(),
            target: "crash".into(),
            keys: 0,
        }
    }

    /// Threads, each with a connection of its own.
    pub fn producers(mut self, producers: u32) -> Self {
        self.producers = producers.max(1);
        self
    }

    /// Events a second, of all producers together; infinite for as fast as they can.
    pub fn rate(mut self, events_per_second: f64) -> Self {
        self.rate = events_per_second;
        self
    }

    /// Events in one transaction.
    pub fn batch(mut self, events: u32) -> Self {
        self.batch = events.max(1);
        self
    }

    /// The share of transactions that end with ROLLBACK, from 0 to 1.
    pub fn rolled_back(mut self, share: f64) -> Self {
        self.rolled_back = share;
        self
    }

    /// The event type instead of `load.status`.
    pub fn event_type(mut self, event_type: &str) -> Self {
        self.event_type = event_type.into();
        self
    }

    /// The target instead of `crash`.
    pub fn target(mut self, target: &str) -> Self {
        self.target = target.into();
        self
    }

    /// Each transaction's events have one of so many ordering keys, which all producers use in turn; 0 for none.
    pub fn ordering_keys(mut self, keys: u64) -> Self {
        self.keys = keys;
        self
    }

    /// Starts the producers; they go on until [`Running::stop`].
    pub fn start(self, ledger: Arc<Ledger>) -> Running {
        let progress = Arc::new(Progress::default());
        let threads = (0..self.producers)
            .map(|number| {
                let producer = Producer::new(self.clone(), number, ledger.clone(), progress.clone());
                thread::Builder::new()
                    .name(format!("producer {number}"))
                    .spawn(move || producer.run())
                    .expect("a thread for a producer")
            })
            .collect();
        Running { progress, threads }
    }
}

#[derive(Debug, Default)]
struct Progress {
    stop: AtomicBool,
    committed: AtomicU64,
    connections: AtomicU64,
}

/// Producers at work. Dropped without [`Self::stop`], they stop too.
#[derive(Debug)]
pub struct Running {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<()>>,
}

/// A moment to measure a rate from.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    at: Instant,
    committed: u64,
}

impl Mark {
    /// How long ago that was.
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

impl Running {
    /// Events whose COMMIT has returned.
    pub fn committed(&self) -> u64 {
        self.progress.committed.load(Ordering::Relaxed)
    }

    /// Connections made so far: more than there are producers means that some were lost.
    pub fn connections(&self) -> u64 {
        self.progress.connections.load(Ordering::Relaxed)
    }

    /// Now, to measure a rate from.
    pub fn mark(&self) -> Mark {
        Mark {
            at: Instant::now(),
            committed: self.committed(),
        }
    }

    /// Events committed a second since then.
    pub fn rate_since(&self, mark: Mark) -> f64 {
        (self.committed() - mark.committed) as f64 / mark.at.elapsed().as_secs_f64()
    }

    /// Lets every producer end its transaction and waits for them; panics if one of them did.
    pub fn stop(mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Producer {
    load: Load,
    number: u32,
    ledger: Arc<Ledger>,
    progress: Arc<Progress>,
    /// Transactions begun, which number the events and choose those that roll back.
    transactions: u64,
}

/// How a transaction ended when it did not end as planned.
enum Failure {
    /// The server said why, and the connection goes on.
    Refused(postgres::Error),
    /// The connection is gone.
    Lost,
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        if is_lost(&error) {
            Self::Lost
        } else {
            Self::Refused(error)
        }
    }
}

impl Producer {
    fn new(load: Load, number: u32, ledger: Arc<Ledger>, progress: Arc<Progress>) -> Self {
        Self {
            load,
            number,
            ledger,
            progress,
            transactions: 0,
        }
    }

    fn run(mut self) {
        while let Some((mut client, enqueue)) = self.connect() {
            match self.produce(&mut client, &enqueue) {
                Ok(()) => return,
                Err(Failure::Lost) => {}
                Err(Failure::Refused(error)) => panic!("producer {}: {error:?}", self.number),
            }
        }
    }

    /// Tries until the server takes it, as an application would after a crash; None when the load is stopped.
    fn connect(&self) -> Option<(Client, Statement)> {
        let mut config = self.load.config.clone();
        config.application_name(&format!("tms load {}", self.number));
        let mut backoff = Backoff::default();
        while !self.stopped() {
            let prepared = config.connect(NoTls).and_then(|mut client| {
                let enqueue = client.prepare(ENQUEUE)?;
                Ok((client, enqueue))
            });
            match prepared {
                Ok(ready) => {
                    self.progress.connections.fetch_add(1, Ordering::Relaxed);
                    return Some(ready);
                }
                Err(error) if is_lost(&error) => backoff.pause(),
                Err(error) => panic!("producer {}: {error:?}", self.number),
            }
        }
        None
    }

    /// One transaction after the other, each at its time. A schedule begins with the connection: what an outage
    /// made impossible is not caught up with in a burst.
    fn produce(&mut self, client: &mut Client, enqueue: &Statement) -> Result<(), Failure> {
        let per_second = self.load.rate / f64::from(self.load.producers) / f64::from(self.load.batch);
        let begin = Instant::now();
        let mut done = 0.0;
        while !self.stopped() {
            let due = begin + Duration::from_secs_f64(done / per_second);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.transaction(client, enqueue)?;
            done += 1.0;
        }
        Ok(())
    }

    fn transaction(&mut self, client: &mut Client, enqueue: &Statement) -> Result<(), Failure> {
        let number = self.transactions;
        self.transactions += 1;
        client.batch_execute("BEGIN")?;
        // Ids that never came back belong to a transaction that cannot commit any more: the ledger knows them as
        // strangers, should one arrive.
        let ids = self.enqueue(client, enqueue, number)?;
        if self.rolls_back(number) {
            self.ledger.rolled_back(&ids);
            client.batch_execute("ROLLBACK")?;
            return Ok(());
        }
        match client.batch_execute("COMMIT") {
            Ok(()) => {
                self.ledger.committed(&ids);
                self.progress
                    .committed
                    .fetch_add(ids.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let failure = Failure::from(error);
                match failure {
                    Failure::Lost => self.ledger.unknown(&ids),
                    Failure::Refused(_) => self.ledger.rolled_back(&ids),
                }
                Err(failure)
            }
        }
    }

    fn enqueue(&self, client: &mut Client, enqueue: &Statement, number: u64) -> Result<Vec<Uuid>, Failure> {
        let first = (number * u64::from(self.load.batch)) as i64;
        let last = first + i64::from(self.load.batch) - 1;
        let producer = self.number as i32;
        let key = self.key_of(number);
        let rows = client.query(
            enqueue,
            &[
                &self.load.event_type,
                &producer,
                &self.load.target,
                &first,
                &last,
                &key,
            ],
        )?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Producers come to the same key one shortly after the other, while events of the first are on their way.
    fn key_of(&self, number: u64) -> Option<String> {
        let turn = number + 7 * u64::from(self.number);
        (self.load.keys > 0).then(|| format!("key {}", turn % self.load.keys))
    }

    /// Spreads the share evenly, without chance: the n-th rolls back when the sum of shares passes a whole number.
    fn rolls_back(&self, number: u64) -> bool {
        let sum = |transactions: u64| (transactions as f64 * self.load.rolled_back).floor();
        sum(number + 1) > sum(number)
    }

    fn stopped(&self) -> bool {
        self.progress.stop.load(Ordering::Relaxed)
    }
}

/// Whether the connection is gone, or could not be made for now. A server that ends a session says so with a
/// message of its own, which may come in place of the answer to a COMMIT that was carried out.
fn is_lost(error: &postgres::Error) -> bool {
    const ENDINGS: [SqlState; 4] = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    match error.code() {
        Some(code) => ENDINGS.contains(code),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()),
    }
}
