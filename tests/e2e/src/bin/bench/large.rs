//! The dispatcher's memory with payloads far larger than webhooks are meant for.

use std::time::Duration;

use serde_json::json;

use crate::ground::{Ground, TARGET, server};
use crate::memory;
use crate::options::Options;
use crate::proc::Memory;
use crate::report::{Bound, Figure};

/// Twice the memory for bodies in flight, twice one payload on its way from the table, and what the process has anyhow.
const REQUIRED_MB: f64 = 150.0;
const PAYLOAD: usize = 10_000_000;
const TARGETS: usize = 4;

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(100, 20);
    let settings = server()
        .conf("tms.max_payload_bytes", "16MB")
        .conf("tms.max_in_flight_size", "32MB");
    let mut ground = Ground::start(settings, &[]);
    for targets in [1, TARGETS] {
        let before = Memory::of(ground.dispatcher());
        ground.empty();
        ground.hold(true);
        for target in 0..targets {
            ground.set_http(&name(target), json!({ "timeout_ms": 60_000 }));
            enqueue(&mut ground, &name(target), events / targets);
        }
        ground.receiver.reset();
        let dispatcher = ground.dispatcher();
        ground.hold(false);
        let (most, delivered) = memory::watch(
            &mut ground,
            dispatcher,
            events / targets * targets,
            Duration::from_millis(2),
        );
        figure.line(
            format!("its own memory at most, {targets} targets"),
            most.own(),
            "MB",
            Some(Bound::AtMost(REQUIRED_MB)),
        );
        figure.line("  before the first of these events", before.own(), "MB", None);
        assert_eq!(delivered, events / targets * targets, "delivered events");
    }
    figure.note(format!(
        "{events} events of 10 MB, tms.max_in_flight_size 32MB (the default), max_concurrency 32; looked at every 2 ms"
    ));
}

fn name(target: usize) -> String {
    if target == 0 {
        TARGET.to_owned()
    } else {
        format!("{TARGET}-{target}")
    }
}

fn enqueue(ground: &mut Ground, target: &str, events: usize) {
    let enqueue = ground
        .client
        .prepare("SELECT tms_enqueue('load.scan', jsonb_build_object('n', $1::bigint, 'scan', repeat('x', $2)), $3)")
        .expect("tms_enqueue");
    for number in 0..events as i64 {
        let enqueued = ground
            .client
            .execute(&enqueue, &[&number, &(PAYLOAD as i32), &target]);
        enqueued.expect("tms_enqueue");
    }
}
