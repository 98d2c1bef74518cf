//! The targets of this database: as the HTTP engine wants them, with the state of each one's queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use tms_delivery::{Engine, Scheme, TargetSpec};
use tms_domain::backoff::RetryPolicy;
use tms_domain::{endpoint, headers};

use super::queue::Queue;
use crate::pg::shmem::{BUCKETS, Slot};
use crate::pg::wake;
use crate::store;

/// Most events of one target that wait in the I/O thread for a connection.
const WIDEST_WINDOW: usize = 1024;
/// The window of a target holds what it took in this share of a second lately.
const WINDOW_SECONDS: f64 = 0.1;
/// How often the rate is taken.
const RATE_INTERVAL: Duration = Duration::from_millis(50);

/// One target.
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) queue: Queue,
    /// Events the I/O thread has.
    pub(crate) on_their_way: usize,
    /// What a receiver's answer may repeat and nobody is to read: the URL behind the host, and the values of headers.
    pub(crate) secrets: Vec<String>,
    /// What the table says, to see what changed.
    row: store::targets::Target,
    /// The table does not have it any more; answers may still come.
    is_gone: bool,
    bucket: usize,
    completed: usize,
    rate_taken: Instant,
    rate: f64,
}

impl Target {
    fn new(row: store::targets::Target, secrets: Vec<String>) -> Target {
        Target {
            bucket: wake::bucket(&row.name),
            name: Arc::from(row.name.as_str()),
            queue: Queue::default(),
            on_their_way: 0,
            secrets,
            is_gone: false,
            completed: 0,
            rate_taken: Instant::now(),
            rate: 0.0,
            row,
        }
    }

    /// The table says something else of it now.
    fn change(&mut self, row: store::targets::Target, secrets: Vec<String>) {
        self.row = row;
        self.secrets = secrets;
        self.queue.rescan();
    }

    /// How its retries are spaced.
    pub(crate) fn retry(&self) -> RetryPolicy {
        self.row.retry
    }

    fn max_concurrency(&self) -> usize {
        usize::try_from(self.row.max_concurrency).unwrap_or(1)
    }

    fn is_served(&self) -> bool {
        !self.is_gone && !self.row.paused
    }

    /// How many events the I/O thread may have: enough to keep the connections busy until the next look, few for a target
    /// that does not answer.
    pub(crate) fn window(&self) -> usize {
        let lately = (self.rate * WINDOW_SECONDS) as usize;
        (2 * self.max_concurrency() + lately).min(WIDEST_WINDOW + self.max_concurrency())
    }

    /// What it may always have, however much the others hold.
    pub(crate) fn fair_share(&self) -> usize {
        self.max_concurrency()
    }

    /// Whether something may be sent to it, and is there as far as we know.
    pub(crate) fn wants_work(&self) -> bool {
        self.is_served() && self.queue.has_more()
    }

    fn answered(&mut self) {
        self.on_their_way -= 1;
        self.completed += 1;
        let elapsed = self.rate_taken.elapsed();
        if elapsed >= RATE_INTERVAL {
            let now = self.completed as f64 / elapsed.as_secs_f64();
            self.rate = 0.5 * self.rate + 0.5 * now;
            self.completed = 0;
            self.rate_taken = Instant::now();
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Targets {
    by_id: HashMap<u32, Target>,
    ids: HashMap<Arc<str>, u32>,
    last_id: u32,
    /// Which target is asked first; moves on with each round, so that none is always the last.
    first: usize,
    order: Vec<u32>,
}

impl Targets {
    /// Takes over what the table says. Returns the keys of jobs that were withdrawn unsent, of targets that were paused,
    /// changed or removed.
    pub(crate) fn load(&mut self, engine: &Engine, rows: Vec<store::targets::Target>) -> Vec<u64> {
        let mut withdrawn = Vec::new();
        let present: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let gone: Vec<Arc<str>> = self
            .ids
            .keys()
            .filter(|name| !present.contains(&&***name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(id) = self.ids.remove(&name) {
                withdrawn.extend(engine.remove_target(id));
                // Its state stays until the last answer came: completions still name it.
                if let Some(target) = self.by_id.get_mut(&id) {
                    target.is_gone = true;
                }
            }
        }
        for row in rows {
            let id = self.id_of(&row.name);
            if self.by_id.get(&id).is_some_and(|target| target.row == row) {
                continue;
            }
            let Some(spec) = spec_of(&row) else {
                warning!(
                    "tms: target \"{}\" cannot be used as it is stored; set it again with tms_target_set",
                    row.name
                );
                continue;
            };
            withdrawn.extend(engine.withdraw(Some(id)));
            let secrets = secrets_of(&row, &spec);
            engine.set_target(id, spec);
            match self.by_id.get_mut(&id) {
                Some(target) => target.change(row, secrets),
                None => {
                    self.by_id.insert(id, Target::new(row, secrets));
                }
            }
        }
        self.order = self.by_id.keys().copied().collect();
        self.order.sort_unstable();
        withdrawn
    }

    fn id_of(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.last_id += 1;
        self.ids.insert(Arc::from(name), self.last_id);
        self.last_id
    }

    /// Says which commits are worth a wake-up. To be said before the queues are looked through: what is committed before that
    /// is found there, what is committed after it is noted.
    pub(crate) fn publish(&self, slot: &Slot) {
        let mut served = [false; BUCKETS];
        for target in self.by_id.values().filter(|target| target.is_served()) {
            served[target.bucket] = true;
        }
        for (flag, served) in slot.served.iter().zip(served) {
            flag.store(served, Ordering::SeqCst);
        }
    }

    /// The target with this number.
    pub(crate) fn get(&self, id: u32) -> Option<&Target> {
        self.by_id.get(&id)
    }

    /// The target with this number, to change.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Target> {
        self.by_id.get_mut(&id)
    }

    /// Targets that want work, beginning with another one each time.
    pub(crate) fn round(&mut self) -> Vec<u32> {
        let wanting: Vec<u32> = self
            .order
            .iter()
            .filter(|id| self.by_id.get(id).is_some_and(Target::wants_work))
            .copied()
            .collect();
        self.first = self.first.wrapping_add(1);
        let start = if wanting.is_empty() {
            0
        } else {
            self.first % wanting.len()
        };
        wanting[start..]
            .iter()
            .chain(&wanting[..start])
            .copied()
            .collect()
    }

    /// An answer came.
    pub(crate) fn answered(&mut self, id: u32) {
        if let Some(target) = self.by_id.get_mut(&id) {
            target.answered();
        }
    }

    /// A job came back unsent.
    pub(crate) fn gave_back(&mut self, id: u32) {
        if let Some(target) = self.by_id.get_mut(&id) {
            target.on_their_way -= 1;
            target.queue.rescan();
        }
    }

    /// Everything from the beginning.
    pub(crate) fn rescan(&mut self) {
        self.by_id.values_mut().for_each(|target| target.queue.rescan());
    }

    /// Somebody used a priority or a schedule.
    pub(crate) fn look_for_special(&mut self) {
        self.by_id
            .values_mut()
            .for_each(|target| target.queue.look_for_special());
    }

    /// A commit added events for the targets of a bucket.
    pub(crate) fn noted(&mut self, bucket: usize, from: i64, now: i64) {
        for target in self.by_id.values_mut().filter(|target| target.bucket == bucket) {
            target.queue.noted(from, now);
        }
    }

    /// The clock has come so far.
    pub(crate) fn clock(&mut self, now: i64) {
        self.by_id.values_mut().for_each(|target| target.queue.clock(now));
    }

    /// When the clock alone makes something due for a target that is served.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.by_id
            .values()
            .filter(|target| target.is_served())
            .filter_map(|target| target.queue.next_due())
            .min()
    }
}

fn secrets_of(row: &store::targets::Target, spec: &TargetSpec) -> Vec<String> {
    let own = row
        .headers
        .as_object()
        .into_iter()
        .flat_map(|headers| headers.values());
    let values = own.filter_map(|value| value.as_str()).flat_map(|value| {
        // "Bearer TOKEN": the answer may repeat the token alone.
        std::iter::once(value).chain(value.split_whitespace().skip(1))
    });
    let mut secrets = tms_domain::mask::parts_of(&spec.path_and_query);
    secrets.extend(values.map(str::to_owned));
    secrets
}

fn spec_of(row: &store::targets::Target) -> Option<TargetSpec> {
    let endpoint = endpoint::parse(&row.url).ok()?;
    let mut all = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), format!("tms/{}", crate::VERSION)),
    ];
    for (name, value) in headers::parse(&row.headers, "headers").ok()? {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    Some(TargetSpec {
        scheme: match endpoint.scheme {
            endpoint::Scheme::Http => Scheme::Http,
            endpoint::Scheme::Https => Scheme::Https,
        },
        host: endpoint.host,
        port: endpoint.port,
        authority: endpoint.authority,
        path_and_query: endpoint.path_and_query,
        method: row.method.clone(),
        headers: all,
        timeout: Duration::from_millis(row.timeout_ms),
        max_concurrency: usize::try_from(row.max_concurrency).unwrap_or(1),
        allow_private_network: row.allow_private_network,
    })
}
