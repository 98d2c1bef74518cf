//! Backlogs of others: one company's million due events beside another company's single ones, and a million for a target that is
//! gone beside a target that is well.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tms_e2e::port::free_port;
use uuid::Uuid;

use crate::ground::{Ground, Mixture, SMALL, TARGET, server};
use crate::latency::in_stats;
use crate::options::Options;
use crate::paired::{Pair, Way};
use crate::report::{Bound, Figure};

const REQUIRED_P95_MS: f64 = 100.0;
const REQUIRED_SHARE: f64 = 95.0;
/// One event of the other company each.
const INTERVAL: Duration = Duration::from_millis(25);
const CROWD: &str = "'aaaaaaaa-0000-4000-8000-00000000000a'";
const SINGLE: Uuid = Uuid::from_u128(0xbbbb_bbbb_0000_4000_8000_0000_0000_000b);
const ENQUEUE: &str = "SELECT tms_enqueue('load.status', jsonb_build_object('t', \
     (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), $1, $2)";
const GONE: &str = "gone";

pub fn companies(options: &Options, figure: &mut Figure) {
    let backlog = options.size(1_000_000, 100_000);
    let mut ground = Ground::start(server(), &["--latency"]);
    ground.pause();
    eprintln!("   enqueuing {backlog} events of one company");
    ground.insert(
        backlog,
        &Mixture {
            company: CROWD,
            ..Mixture::default()
        },
    );
    ground.command("CHECKPOINT");
    ground.receiver.reset();
    ground.resume();
    let enqueue = ground.client.prepare(ENQUEUE).expect("tms_enqueue");
    let began = Instant::now();
    let mut singles = 0;
    // As long as there is a backlog to wait behind; the last events before its end are no less delayed than the others.
    while ground.receiver.distinct() < backlog * 9 / 10 && began.elapsed() < Duration::from_secs(30) {
        ground
            .client
            .query_one(&enqueue, &[&TARGET, &SINGLE])
            .expect("tms_enqueue");
        singles += 1;
        let next = began + INTERVAL * singles;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let seconds = began.elapsed().as_secs_f64();
    let delivered = ground.receiver.distinct();
    // All of them: one that is left behind must not be left out.
    ground.wait_for_arrival(backlog + singles as usize);
    let measured = ground.receiver.stats()["latency"].clone();
    assert_eq!(measured["count"], singles, "single events that were measured");
    for (quantile, bound) in [
        ("p50", None),
        ("p95", Some(Bound::AtMost(REQUIRED_P95_MS))),
        ("p99", None),
    ] {
        figure.line(
            format!("{quantile} of single events, beside {backlog} of another company"),
            in_stats(&measured, quantile),
            "ms",
            bound,
        );
    }
    figure.line(
        "  meanwhile delivered, nearly all of the backlog",
        delivered as f64 / seconds,
        "events/s",
        None,
    );
    figure.note(format!(
        "{singles} single events in {seconds:.0} s, from the clock read in the enqueuing statement to the receiver, fsync on; one target, max_concurrency 32"
    ));
}

pub fn targets(options: &Options, figure: &mut Figure) {
    let backlog = options.size(1_000_000, 100_000);
    let events = options.size(300_000, 10_000);
    let mut ground = Ground::start(server(), &[]);
    ground.set_http(
        GONE,
        json!({ "url": format!("http://127.0.0.1:{}/", free_port()) }),
    );
    ground.command("SELECT tms_target_pause('gone')");
    eprintln!("   enqueuing {backlog} events for a target that is gone");
    ground.insert(
        backlog,
        &Mixture {
            target: "'gone'",
            ..Mixture::default()
        },
    );
    ground.command("CHECKPOINT");
    let pair = Pair {
        what: "a target beside one that refuses connections, breaker as by default",
        columns: ["served", "paused"],
        unit: "events/s",
        bound: Some(Bound::AtLeast(REQUIRED_SHARE)),
    };
    pair.measure(&mut ground, figure, options.size(5, 2), |ground, way| {
        ground.pause();
        ground.fill(events, SMALL);
        let served = way == Way::InQuestion;
        let took = ground.time(events, "target_system = 'n8n'", |ground| {
            let other = if served { "resume" } else { "pause" };
            ground.command(&format!(
                "SELECT tms_target_{other}('{GONE}'), tms_target_resume('{TARGET}')"
            ));
        });
        ground.command("SELECT tms_target_pause('gone')");
        events as f64 / took.as_secs_f64()
    });
    let failed: i64 = ground
        .one("SELECT count(*) FROM tms.delivery_attempts WHERE target_system = 'gone'")
        .get(0);
    assert!(failed > 0, "the target that is gone was never tried");
    figure.note(format!(
        "{backlog} events are due for the other target in both ways; {failed} attempts at it failed in all"
    ));
}
