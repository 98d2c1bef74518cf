//! Beginning, end, signals and the event.

use crate::support::{GENEROUS, Harness, OK, Receiver, readable, status};
use nix::sys::signal::{SigSet, Signal};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tms_delivery::{Engine, EngineConfig};

#[test]
fn shutdown_does_not_wait_for_requests_that_hang() {
    let (begun, begins) = channel();
    let (gone, went) = channel();
    let receiver = Receiver::start(move |mut peer, _| {
        peer.request();
        begun.send(()).unwrap();
        gone.send(peer.request().is_none()).unwrap();
    });
    let harness = Harness::to(receiver.spec());
    harness.submit(1, 0..100);
    for _ in 0..4 {
        begins.recv_timeout(GENEROUS).unwrap();
    }
    let begin = Instant::now();
    harness.engine.shutdown();
    assert!(begin.elapsed() < Duration::from_secs(2));
    for _ in 0..4 {
        assert!(went.recv_timeout(GENEROUS).unwrap());
    }
}

#[test]
fn an_idle_engine_stops_at_once_and_can_be_started_again() {
    for threads in [0, 1, 3] {
        let engine = Engine::start(EngineConfig {
            threads,
            ..EngineConfig::default()
        })
        .unwrap();
        assert!(engine.is_alive());
        drop(engine);
    }
}

#[test]
fn no_signal_reaches_a_thread_of_the_engine() {
    let before = SigSet::thread_get_mask().unwrap();
    assert!(!before.contains(Signal::SIGUSR1));
    let mut spec = Receiver::answering(OK).spec();
    // A name, so that a thread for the resolver is started too.
    spec.host = "localhost".into();
    let mut harness = Harness::with(EngineConfig {
        threads: 2,
        ..EngineConfig::default()
    });
    assert_eq!(
        SigSet::thread_get_mask().unwrap(),
        before,
        "the caller's mask is as before"
    );
    harness.engine.set_target(1, spec);
    assert_eq!(harness.send(), status(200));

    let mut names = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // Threads of other tests come and go.
        let Ok(text) = std::fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .trim()
        };
        if field("Name:").starts_with("tms-") {
            let blocked = u64::from_str_radix(field("SigBlk:"), 16).unwrap();
            for signal in
                Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP))
            {
                assert!(
                    blocked >> (signal as u32 - 1) & 1 == 1,
                    "{} takes {signal}",
                    field("Name:")
                );
            }
            names.push(field("Name:").to_owned());
        }
    }
    for name in ["tms-io-0", "tms-io-1", "tms-resolve-"] {
        assert!(
            names.iter().any(|seen| seen.starts_with(name)),
            "{name} in {names:?}"
        );
    }
}

#[test]
fn the_event_is_readable_while_something_waits() {
    let mut harness = Harness::to(Receiver::answering(OK).spec());
    assert!(!readable(&harness.engine, Duration::ZERO));
    harness.submit(1, [1]);
    assert!(readable(&harness.engine, GENEROUS));
    harness.engine.clear_event();
    assert!(
        readable(&harness.engine, Duration::ZERO),
        "clearing does not hide an outcome"
    );
    assert_eq!(harness.outcome().key, 1);
    assert!(!readable(&harness.engine, Duration::ZERO));
    harness.engine.clear_event();
    assert_eq!(harness.send(), status(200));
}

#[test]
fn a_lone_outcome_does_not_wait_for_others() {
    let long = Duration::from_secs(3600);
    let mut harness = Harness::with(EngineConfig {
        completion_batch: 1000,
        completion_delay: long,
        ..EngineConfig::default()
    });
    harness.engine.set_target(1, Receiver::answering(OK).spec());
    for _ in 0..5 {
        assert_eq!(harness.send(), status(200));
    }
    harness.submit(1, 0..100);
    for _ in 0..100 {
        harness.outcome();
    }
}

#[test]
fn times_without_end_are_no_overflow() {
    let mut harness = Harness::with(EngineConfig {
        idle_timeout: Duration::MAX,
        connect_timeout: Duration::MAX,
        completion_delay: Duration::MAX,
        ..EngineConfig::default()
    });
    let mut spec = Receiver::answering(OK).spec();
    spec.timeout = Duration::MAX;
    harness.engine.set_target(1, spec);
    assert_eq!(harness.send(), status(200));
    assert_eq!(harness.send(), status(200));
}
