//! The dispatcher's memory while it delivers from a queue that is far longer than what it may hold.

use std::thread;
use std::time::{Duration, Instant};

use crate::ground::{Ground, server};
use crate::options::Options;
use crate::proc::Memory;
use crate::report::{Bound, Figure};

const REQUIRED_MB: f64 = 150.0;

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(500_000, 100_000);
    let mut ground = Ground::start(server(), &[]);
    ground.pause();
    eprintln!("   enqueuing {events} events of 1 kB");
    ground.fill(events, 1_000);
    let dispatcher = ground.dispatcher();
    let before = Memory::of(dispatcher);
    ground.receiver.reset();
    ground.resume();
    let (most, delivered) = watch(&mut ground, dispatcher, events, Duration::from_millis(20));
    figure.line(
        "its own memory at most (RssAnon + RssFile)",
        most.own(),
        "MB",
        Some(Bound::AtMost(REQUIRED_MB)),
    );
    for (what, value) in [
        ("  RssAnon at most", most.anon),
        ("  RssFile at most", most.file),
        (
            "  RssShmem at most: pages of shared_buffers it touched",
            most.shmem,
        ),
        ("  VmHWM: all of that", most.peak),
        ("  its own memory before the first event", before.own()),
    ] {
        figure.line(what, value, "MB", None);
    }
    figure.note(format!(
        "{delivered} of {events} events of 1 kB arrived meanwhile"
    ));
    figure.note("looked at every 20 ms while it delivers; shared_buffers are 512 MB and belong to the server, not to the dispatcher");
}

/// The most of each kind of memory, looked at in intervals until the queue is empty or two minutes are over; and how many events
/// had arrived by then.
pub fn watch(ground: &mut Ground, dispatcher: i32, events: usize, interval: Duration) -> (Memory, usize) {
    let end = Instant::now() + Duration::from_secs(120);
    let mut most = Memory::default();
    loop {
        for _ in 0..10 {
            let now = Memory::of(dispatcher);
            assert!(now.peak > 0.0, "the dispatcher has ended");
            most = Memory {
                peak: most.peak.max(now.peak),
                anon: most.anon.max(now.anon),
                file: most.file.max(now.file),
                shmem: most.shmem.max(now.shmem),
            };
            thread::sleep(interval);
        }
        let delivered = ground.receiver.distinct();
        if delivered >= events || Instant::now() >= end {
            return (most, delivered);
        }
    }
}
