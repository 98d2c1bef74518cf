//! A session that holds a snapshot, as a report or a dump does: no vacuum can remove what has been delivered since, and the queue's
//! index is full of entries that lead to dead rows.

use std::time::Duration;

use postgres::Client;
use tms_e2e::wait::eventually;

use crate::ground::{DB, Ground, SMALL, server};
use crate::latency;
use crate::options::Options;
use crate::paired::{Pair, Way};
use crate::report::{Bound, Figure};

const REQUIRED_SHARE: f64 = 95.0;
const RATE: u32 = 2_000;
const REQUIRED_P99_MS: f64 = 10.0;

pub fn measure(options: &Options, figure: &mut Figure) {
    let dead = options.size(200_000, 20_000);
    let events = options.size(300_000, 10_000);
    flat_out(options, figure, dead, events);
    steadily(options, figure, dead);
    figure.note(format!(
        "{dead} events are enqueued, and finished by UPDATE, after the snapshot was taken; the other way does the same without a snapshot, vacuumed"
    ));
}

fn flat_out(options: &Options, figure: &mut Figure, dead: usize, events: usize) {
    let mut ground = Ground::start(server(), &[]);
    let pair = Pair {
        what: "flat out, a snapshot held and dead rows in the queue",
        columns: ["held", "not held"],
        unit: "events/s",
        bound: Some(Bound::AtLeast(REQUIRED_SHARE)),
    };
    pair.measure(&mut ground, figure, options.size(5, 2), |ground, way| {
        ground.pause();
        ground.empty();
        let held = (way == Way::InQuestion).then(|| Snapshot::take(ground));
        bury(ground, dead, held.is_some());
        ground.fill(events, SMALL);
        let took = ground.time_delivery(events);
        if let Some(held) = held {
            held.release();
        }
        events as f64 / took.as_secs_f64()
    });
}

fn steadily(options: &Options, figure: &mut Figure, dead: usize) {
    let mut ground = Ground::start(server().durable(false), &["--latency"]);
    for held in [false, true] {
        ground.pause();
        ground.empty();
        let snapshot = held.then(|| Snapshot::take(&ground));
        bury(&mut ground, dead, held);
        ground.resume();
        // Long enough for the look through the whole queue that comes once a minute when it is expensive.
        let seconds = Duration::from_secs(options.size(if held { 70 } else { 20 }, 3));
        let measured = latency::steady(&mut ground, RATE, seconds);
        let (what, bound) = if held {
            ("held", Some(Bound::AtMost(REQUIRED_P99_MS)))
        } else {
            ("not held", None)
        };
        for (quantile, bound) in [("p50", None), ("p99", bound)] {
            let value = latency::in_stats(&measured, quantile);
            figure.line(
                format!("  {quantile} at {RATE}/s, {what}, no fsync"),
                value,
                "ms",
                bound,
            );
        }
        if let Some(snapshot) = snapshot {
            snapshot.release();
        }
    }
}

/// Leaves so many dead rows at the front of the queue, which stay if a snapshot is `held`.
fn bury(ground: &mut Ground, dead: usize, held: bool) {
    ground.fill(dead, SMALL);
    ground.command("UPDATE tms.event_outbox SET processed_at = now(), updated_at = now()");
    ground.command("VACUUM tms.event_outbox");
    if held {
        let sql = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'tms.event_outbox'::regclass";
        eventually("vacuum has left the dead rows", Duration::from_secs(30), || {
            let seen: i64 = ground.one(sql).get(0);
            (seen >= dead as i64).then_some(()).ok_or(seen)
        });
    }
}

/// A session whose snapshot keeps every row that dies from now on.
struct Snapshot(Client);

impl Snapshot {
    fn take(ground: &Ground) -> Self {
        let mut client = ground.cluster.client(DB);
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
            .expect("a snapshot");
        Self(client)
    }

    fn release(mut self) {
        self.0.batch_execute("COMMIT").expect("COMMIT");
    }
}
