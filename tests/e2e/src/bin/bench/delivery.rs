//! Events a second from the outbox to the receiver, and what each costs by thread.

use crate::ground::{Ground, SMALL, server};
use crate::options::Options;
use crate::poll_loop::PollLoop;
use crate::report::{Bound, Figure};
use crate::run::Run;

const REQUIRED: f64 = 25_000.0;
const SIZES: [(usize, &str); 2] = [(SMALL, "60 bytes"), (1_000, "1 kB")];

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(100_000, 10_000);
    let mut ground = Ground::start(server(), &[]);
    // Connections, caches and the shared memory of a server that has just started are nobody's steady state.
    Run::of(&mut ground, events / 10, SMALL);
    for (bytes, size) in SIZES {
        let mut rates = Vec::new();
        for number in 1..=options.size(3, 2) {
            let run = Run::of(&mut ground, events, bytes);
            figure.detail(run.cpu(&format!("{size}, run {number}")));
            rates.push(run.rate());
        }
        figure.spread(
            format!("{events} events of {size}"),
            &rates,
            "events/s",
            Some(Bound::AtLeast(REQUIRED)),
        );
    }
    with_autovacuum(&mut ground, figure, events);
    compare(&mut ground, figure, options.size(20_000, 4_000));
    figure.note("from tms_target_resume to the last row with processed_at and the last arrival; max_concurrency 32, one target");
    figure.note("the poll loop keeps a transaction open while its requests are on the wire, has no timeouts and no retries, and never sleeps");
    figure.note("fsync on; the outbox was never analyzed (reltuples -1): autovacuum is off but where the line says otherwise");
}

fn with_autovacuum(ground: &mut Ground, figure: &mut Figure, events: usize) {
    ground.cluster.set("autovacuum_naptime", "1s");
    ground.cluster.set("autovacuum", "on");
    for (bytes, size) in SIZES {
        let rate = Run::of(ground, events, bytes).rate();
        figure.line(
            format!("  the same, {size}, autovacuum looking every second"),
            rate,
            "events/s",
            None,
        );
    }
    ground.cluster.set("autovacuum", "off");
}

/// What a worker outside the server does with the same queue.
fn compare(ground: &mut Ground, figure: &mut Figure, events: usize) {
    ground.hold(true);
    ground.empty();
    ground.fill(events, SMALL);
    ground.receiver.reset();
    let took = PollLoop::to(ground).deliver(events);
    assert_eq!(ground.receiver.distinct(), events, "what the poll loop delivered");
    let rate = events as f64 / took.as_secs_f64();
    figure.line(
        "  beside it: a poll loop outside, SKIP LOCKED, 500 a batch",
        rate,
        "events/s",
        None,
    );
    ground.hold(false);
}
