//! Targets that the database itself carries: NOTIFY with a session that listens, and Supabase Realtime's table or, without it,
//! NOTIFY on the topic. Messages and completions are one transaction, which waits for the disk.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::fallible_iterator::FallibleIterator;
use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::foreign::SUPABASE;

use crate::ground::{DB, Ground, Mixture, server};
use crate::options::Options;
use crate::report::{Bound, Figure};

const REQUIRED: f64 = 20_000.0;
/// A listener that hears nothing for so long will hear nothing more.
const SILENCE: Duration = Duration::from_secs(60);
/// One partition for any day.
const PARTITION: &str = "SET ROLE supabase_realtime_admin;
    CREATE TABLE realtime.messages_of_any_day PARTITION OF realtime.messages
        FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
    RESET ROLE";

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(100_000, 10_000);
    let rounds = options.size(3, 2);
    let mut ground = Ground::start(server(), &[]);
    ground.set_other("bell", "notify", &json!({}));
    ground.set_other("realtime", "realtime", &json!({}));
    let series =
        |ground: &mut Ground, figure: &mut Figure, what: &str, once: fn(&mut Ground, usize) -> Duration| {
            let rates: Vec<f64> = (0..rounds)
                .map(|_| events as f64 / once(ground, events).as_secs_f64())
                .collect();
            figure.spread(
                format!("{events} events to {what}"),
                &rates,
                "events/s",
                Some(Bound::AtLeast(REQUIRED)),
            );
        };
    series(
        &mut ground,
        figure,
        "notify, one session listens",
        |ground, events| heard(ground, "bell", "bell", events),
    );
    series(
        &mut ground,
        figure,
        "realtime without Supabase, one session listens",
        |ground, events| heard(ground, "realtime", "events", events),
    );
    ground.command(SUPABASE);
    ground.command(PARTITION);
    series(&mut ground, figure, "realtime, into realtime.messages", written);
    figure.note("fsync on; from tms_target_resume to the last row with processed_at, and for NOTIFY to the last message that the listener has read");
}

/// Until a listener has heard everything.
fn heard(ground: &mut Ground, target: &str, channel: &'static str, events: usize) -> Duration {
    wait_in_line(ground, target, events);
    let listener = listen(&ground.cluster, channel, events);
    let began = Instant::now();
    release(ground, target);
    let last = listener.join().expect("a listener");
    last.max(Instant::now()) - began
}

/// Until everything is in Realtime's table.
fn written(ground: &mut Ground, events: usize) -> Duration {
    ground.command("TRUNCATE realtime.messages");
    wait_in_line(ground, "realtime", events);
    let began = Instant::now();
    release(ground, "realtime");
    let took = began.elapsed();
    let rows: i64 = ground.one("SELECT count(*) FROM realtime.messages").get(0);
    assert_eq!(rows as usize, events, "messages of Realtime");
    took
}

fn wait_in_line(ground: &mut Ground, target: &str, events: usize) {
    ground.command(&format!("SELECT tms_target_pause('{target}')"));
    ground.empty();
    let mixture = Mixture {
        target: &format!("'{target}'"),
        ..Mixture::default()
    };
    ground.insert(events, &mixture);
}

fn release(ground: &mut Ground, target: &str) {
    ground.command(&format!("SELECT tms_target_resume('{target}')"));
    ground.wait_until_processed("true");
}

/// A session that listens from now on, and when it had heard so many messages.
fn listen(cluster: &Cluster, channel: &str, events: usize) -> JoinHandle<Instant> {
    let mut client = cluster.client(DB);
    client
        .batch_execute(&format!("LISTEN {channel}"))
        .expect("LISTEN");
    thread::spawn(move || {
        let mut notifications = client.notifications();
        let mut messages = notifications.timeout_iter(SILENCE);
        for heard in 0..events {
            let message = messages.next().expect("a session that listens");
            assert!(message.is_some(), "{heard} of {events} messages, then silence");
        }
        Instant::now()
    })
}
