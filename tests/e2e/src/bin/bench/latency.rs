//! From a producer's transaction to the receiver, at a steady rate, one event a transaction.
//!
//! The clock is read by the statement that enqueues, in the server, and put into the payload; its transaction is that one
//! statement, so the insert and the whole commit are inside what is measured. With fsync the commit waits for the disk, which
//! is the disk's figure: so the requirement is held against a server without fsync, and a durable one is measured beside it,
//! there also from the moment COMMIT has returned to the producer.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use postgres::{Config, NoTls};
use serde_json::Value;
use tms_e2e::latency::{Latencies, Summary, unix_micros};
use uuid::Uuid;

use crate::ground::{Ground, TARGET, server};
use crate::options::Options;
use crate::report::{Bound, Figure};

const SESSIONS: u32 = 4;
const RATE: u32 = 500;
const ENQUEUE: &str = "SELECT tms_enqueue('load.status', jsonb_build_object('load', $2::int, 't', \
     (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), $1)";
/// Milliseconds at most: p50, p95, p99.
const REQUIRED: [(&str, f64); 3] = [("p50", 0.5), ("p95", 2.0), ("p99", 5.0)];

pub fn measure(options: &Options, figure: &mut Figure) {
    let seconds = options.size(20, 3);
    let quick_disk = run(figure, false, seconds);
    for (quantile, bound) in REQUIRED {
        let value = in_stats(&quick_disk.in_payload, quantile);
        figure.line(
            format!("{quantile}, commit included, no fsync"),
            value,
            "ms",
            Some(Bound::AtMost(bound)),
        );
    }
    let durable = run(figure, true, seconds);
    for (quantile, _) in REQUIRED {
        let value = in_stats(&durable.in_payload, quantile);
        figure.line(
            format!("  {quantile}, commit included, fsync on"),
            value,
            "ms",
            None,
        );
    }
    for (what, summary) in [
        (
            "from COMMIT's return at the producer, fsync on",
            &durable.from_return,
        ),
        ("the producer's statement itself, fsync on", &durable.statement),
    ] {
        for (quantile, value) in [("p50", summary.p50), ("p95", summary.p95), ("p99", summary.p99)] {
            figure.line(
                format!("  {quantile}, {what}"),
                value.as_secs_f64() * 1e3,
                "ms",
                None,
            );
        }
    }
    figure.note("clock read in the enqueuing statement, so insert and commit are included; receiver's clock when the request is read");
    figure.note("an event that overtakes COMMIT's answer counts as 0 ms from COMMIT's return");
}

/// What one run measured.
struct Measured {
    /// The receiver's own statistics, from the time in the payload.
    in_payload: Value,
    from_return: Summary,
    statement: Summary,
}

fn run(figure: &mut Figure, durable: bool, seconds: u64) -> Measured {
    let record = Record::new();
    let arguments = ["--latency", "--record", record.path()];
    let mut ground = Ground::start(server().durable(durable), &arguments);
    let config = ground.cluster.config("postgres", "postgres");
    // The first transactions of a session fill its caches, the first requests open connections.
    produce(&config, RATE, Duration::from_secs(1));
    ground.receiver.reset();
    record.forget();
    let sent = produce(&config, RATE, Duration::from_secs(seconds));
    ground.wait_for_arrival(sent.len());
    let stats = ground.receiver.stats();
    let rate = sent.len() as f64 / seconds as f64;
    figure.note(format!(
        "{} events in {seconds} s ({rate:.0}/s), fsync {}",
        sent.len(),
        if durable { "on" } else { "off" }
    ));
    let arrived = record.read();
    let mut from_return = Latencies::default();
    let mut statement = Latencies::default();
    for (id, (began, returned)) in &sent {
        from_return.record(arrived[id] - returned);
        statement.record(returned - began);
    }
    Measured {
        in_payload: stats["latency"].clone(),
        from_return: from_return.summary().expect("events"),
        statement: statement.summary().expect("events"),
    }
}

/// The same with other options of the target, from the time in the payload alone and without fsync.
pub fn with_everything(seconds: u64, target: Value, figure: &mut Figure) {
    let mut ground = Ground::start(server().durable(false), &["--latency"]);
    ground.set_http(TARGET, target);
    let measured = steady(&mut ground, RATE, Duration::from_secs(seconds));
    for (quantile, bound) in REQUIRED {
        figure.line(
            format!("  {quantile} at {RATE}/s, everything switched on, no fsync"),
            in_stats(&measured, quantile),
            "ms",
            Some(Bound::AtMost(bound)),
        );
    }
}

/// Produces at a rate for so long, and returns the latencies that the receiver measured from the time in the payload.
pub fn steady(ground: &mut Ground, rate: u32, duration: Duration) -> Value {
    let config = ground.cluster.config("postgres", "postgres");
    let first = produce(&config, rate, Duration::from_secs(1));
    ground.wait_for_arrival(first.len());
    ground.receiver.reset();
    let sent = produce(&config, rate, duration);
    ground.wait_for_arrival(sent.len());
    ground.receiver.stats()["latency"].clone()
}

/// A quantile in milliseconds, such as `p99`.
pub fn in_stats(latency: &Value, quantile: &str) -> f64 {
    let micros = latency[format!("{quantile}_us")].as_u64();
    micros.unwrap_or_else(|| panic!("the receiver measured no {quantile}: {latency}")) as f64 / 1e3
}

/// When a producer's statement began and when its COMMIT had returned, by event.
type Sent = HashMap<Uuid, (i64, i64)>;

fn produce(config: &Config, rate: u32, duration: Duration) -> Sent {
    let began = Instant::now();
    let producers: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let config = config.clone();
            thread::spawn(move || session(&config, rate, number, began, duration))
        })
        .collect();
    producers
        .into_iter()
        .flat_map(|producer| producer.join().expect("a producer"))
        .collect()
}

/// One event at each of its times, whatever the ones before took: a slow server does not get an easier load.
fn session(config: &Config, rate: u32, number: u32, began: Instant, duration: Duration) -> Sent {
    let mut client = config.connect(NoTls).expect("a producer's session");
    let enqueue = client.prepare(ENQUEUE).expect("tms_enqueue");
    let interval = Duration::from_secs(1) / rate;
    let mut sent = Sent::new();
    for round in 0.. {
        let at = interval * (round * SESSIONS + number);
        if at >= duration {
            break;
        }
        thread::sleep((began + at).saturating_duration_since(Instant::now()));
        let before = unix_micros(SystemTime::now());
        let row = client
            .query_one(&enqueue, &[&TARGET, &(round as i32)])
            .expect("tms_enqueue");
        sent.insert(row.get(0), (before, unix_micros(SystemTime::now())));
    }
    sent
}

/// The receiver's file of arrivals; it goes with this value.
struct Record(PathBuf);

impl Record {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tms-bench-record-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of ours")
    }

    /// The receiver appends, so an emptied file goes on from its beginning.
    fn forget(&self) {
        let file = fs::File::options().write(true).truncate(true).open(&self.0);
        file.expect("the record");
    }

    fn read(&self) -> HashMap<Uuid, i64> {
        let text = fs::read_to_string(Path::new(&self.0)).expect("the record");
        let line = |line: &str| {
            let mut words = line.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        text.lines()
            .filter_map(line)
            .map(|(at, id): (i64, Uuid)| (id, at))
            .collect()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
