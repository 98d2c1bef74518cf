//! How many connections there are, which jobs use them, and what happens when the target changes.

use crate::support::{GENEROUS, Harness, OK, Receiver, eventually, job, status};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tms_delivery::{EngineConfig, Failure, Job};

/// A door that receivers wait at until the test opens it.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(
            self.0
                .1
                .wait_while(self.0.0.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }
}

#[test]
fn one_connection_is_used_again_and_again() {
    let receiver = Receiver::answering(OK);
    let mut harness = Harness::to(receiver.spec());
    for _ in 0..100 {
        assert_eq!(harness.send(), status(200));
    }
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn concurrency_is_reached_and_never_exceeded() {
    for (threads, limit) in [(1, 4), (2, 3), (3, 1), (2, 8)] {
        let door = Door::default();
        let (inside, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let receiver = Receiver::start({
            let (door, inside, peak) = (door.clone(), Arc::clone(&inside), Arc::clone(&peak));
            move |mut peer, number| {
                peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                while peer.request().is_some() {
                    door.pass();
                    // Some connections end, so that others are opened in their place.
                    if !peer.write(OK) || number % 3 == 0 {
                        break;
                    }
                }
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        });
        let mut harness = Harness::with(EngineConfig {
            threads,
            ..EngineConfig::default()
        });
        let mut spec = receiver.spec();
        spec.max_concurrency = limit;
        harness.engine.set_target(1, spec);
        for keys in [0..1, 1..20, 20..200] {
            harness.submit(1, keys);
        }
        eventually("all connections are in use", || {
            inside.load(Ordering::SeqCst) == limit
        });
        door.open();
        let mut keys: Vec<u64> = (0..200)
            .map(|_| {
                let outcome = harness.outcome();
                // A connection that is closed without notice may take a request with it.
                assert!(
                    matches!(outcome.result, Ok(_) | Err(Failure::Closed(_))),
                    "{:?}",
                    outcome.result
                );
                outcome.key
            })
            .collect();
        keys.sort();
        assert_eq!(keys, (0..200).collect::<Vec<_>>());
        assert!(
            peak.load(Ordering::SeqCst) <= limit,
            "threads {threads}, limit {limit}: {peak:?}"
        );
    }
}

#[test]
fn the_jobs_of_one_connection_go_in_order() {
    let (seen, bodies) = channel();
    let receiver = Receiver::start(move |mut peer, _| {
        while let Some(request) = peer.request() {
            seen.send(String::from_utf8(request.body).unwrap()).unwrap();
            peer.write(OK);
        }
    });
    let mut spec = receiver.spec();
    spec.max_concurrency = 0;
    let mut harness = Harness::to(spec);
    harness.submit(1, 0..50);
    for key in 0..50 {
        assert_eq!(harness.outcome().key, key);
        assert_eq!(bodies.recv().unwrap(), format!("body {key}"));
    }
}

/// A company with a thousand jobs waiting, and another with one: at most the job on each connection is before it.
#[test]
fn a_crowded_lane_does_not_hold_up_another() {
    for connections in [1, 4] {
        let door = Door::default();
        let receiver = Receiver::start({
            let door = door.clone();
            move |mut peer, _| {
                while peer.request().is_some() {
                    door.pass();
                    peer.write(OK);
                }
            }
        });
        let mut spec = receiver.spec();
        spec.max_concurrency = connections;
        let mut harness = Harness::to(spec);
        harness.submit(1, 0..1000);
        eventually("all connections are in use", || {
            receiver.connections() == connections
        });
        let lone = [(7, 5000), (8, 6000)];
        harness
            .engine
            .submit(lone.map(|(lane, key)| Job { lane, ..job(1, key) }).into());
        door.open();
        let order: Vec<u64> = (0..1002).map(|_| harness.outcome().key).collect();
        for (_, key) in lone {
            let place = order.iter().position(|found| *found == key).unwrap();
            // Those on the wire, the other lone one, one turn of the crowd, and who overtakes on another connection.
            assert!(
                place <= 3 * connections + 2,
                "{connections} connections: place {place}"
            );
        }
        if connections == 1 {
            assert_eq!(order[..4], [0, 5000, 1, 6000]);
        }
    }
}

#[test]
fn idle_connections_are_closed() {
    let (gone, went) = channel();
    let receiver = Receiver::start(move |mut peer, _| {
        while peer.request().is_some() {
            peer.write(OK);
        }
        gone.send(()).unwrap();
    });
    let mut harness = Harness::with(EngineConfig {
        idle_timeout: Duration::from_millis(50),
        ..EngineConfig::default()
    });
    harness.engine.set_target(1, receiver.spec());
    for sent in 1..=3 {
        assert_eq!(harness.send(), status(200));
        went.recv_timeout(GENEROUS).unwrap();
        assert_eq!(receiver.connections(), sent);
    }
}

#[test]
fn what_has_not_begun_can_be_withdrawn() {
    let door = Door::default();
    let receiver = Receiver::start({
        let door = door.clone();
        move |mut peer, _| {
            while peer.request().is_some() {
                door.pass();
                peer.write(OK);
            }
        }
    });
    let mut spec = receiver.spec();
    spec.max_concurrency = 1;
    let mut harness = Harness::to(spec.clone());
    harness.engine.set_target(2, spec);
    harness.submit(1, 0..5);
    harness.submit(2, 10..15);
    eventually("one job of each target has begun", || receiver.connections() == 2);
    assert_eq!(harness.engine.withdraw(Some(1)), [1, 2, 3, 4]);
    assert!(harness.engine.withdraw(Some(1)).is_empty());
    assert!(harness.engine.withdraw(Some(9)).is_empty());
    assert_eq!(harness.engine.withdraw(None), [11, 12, 13, 14]);
    door.open();
    let mut keys = [harness.outcome().key, harness.outcome().key];
    keys.sort();
    assert_eq!(keys, [0, 10]);
    // And the target goes on.
    assert_eq!(harness.send(), status(200));
}

#[test]
fn a_replaced_target_is_used_by_what_is_submitted_later() {
    let door = Door::default();
    let (gone, went) = channel();
    let old = Receiver::start({
        let door = door.clone();
        move |mut peer, _| {
            while peer.request().is_some() {
                door.pass();
                peer.write("HTTP/1.1 201 Old\r\ncontent-length: 0\r\n\r\n");
            }
            gone.send(()).unwrap();
        }
    });
    let new = Receiver::answering("HTTP/1.1 202 New\r\ncontent-length: 0\r\n\r\n");
    let mut spec = old.spec();
    spec.max_concurrency = 1;
    let mut harness = Harness::to(spec);
    harness.submit(1, 0..3);
    eventually("the first job has begun", || old.connections() == 1);
    harness.engine.set_target(1, new.spec());
    harness.submit(1, 3..6);
    door.open();
    for _ in 0..6 {
        let outcome = harness.outcome();
        let expected = if outcome.key < 3 { 201 } else { 202 };
        assert_eq!(outcome.result, status(expected), "job {}", outcome.key);
    }
    // Nothing is left open to where nothing is sent any more.
    for _ in 0..old.connections() {
        went.recv_timeout(GENEROUS).unwrap();
    }
}

#[test]
fn an_idle_connection_to_where_a_target_was_is_closed() {
    let (gone, went) = channel();
    let old = Receiver::start(move |mut peer, _| {
        while peer.request().is_some() {
            peer.write(OK);
        }
        gone.send(()).unwrap();
    });
    let mut harness = Harness::to(old.spec());
    assert_eq!(harness.send(), status(200));
    harness.engine.set_target(1, old.spec());
    assert_eq!(harness.send(), status(200));
    assert_eq!(old.connections(), 1, "the same origin keeps its connection");
    harness.engine.set_target(1, Receiver::answering(OK).spec());
    went.recv_timeout(GENEROUS).unwrap();
}

#[test]
fn a_removed_target_gives_back_what_it_has() {
    let door = Door::default();
    let receiver = Receiver::start({
        let door = door.clone();
        move |mut peer, _| {
            while peer.request().is_some() {
                door.pass();
                peer.write(OK);
            }
        }
    });
    let mut spec = receiver.spec();
    spec.max_concurrency = 1;
    let mut harness = Harness::to(spec);
    harness.submit(1, 0..3);
    eventually("the first job has begun", || receiver.connections() == 1);
    assert_eq!(harness.engine.remove_target(1), [1, 2]);
    assert!(harness.engine.remove_target(1).is_empty());
    harness.submit(1, [9]);
    let unknown = harness.outcome();
    assert_eq!(unknown.key, 9);
    assert!(matches!(unknown.result, Err(Failure::InvalidRequest(_))));
    door.open();
    let last = harness.outcome();
    assert_eq!((last.key, last.result), (0, status(200)));
}

#[test]
fn many_targets_and_threads_lose_nothing() {
    let receiver = Receiver::answering(OK);
    let mut harness = Harness::with(EngineConfig {
        threads: 2,
        ..EngineConfig::default()
    });
    for target in 0..10 {
        harness.engine.set_target(target, receiver.spec());
    }
    for round in 0..50u64 {
        harness.engine.submit(
            (0..100)
                .map(|n| crate::support::job((n % 10) as u32, round * 100 + n))
                .collect(),
        );
    }
    let mut keys: Vec<u64> = (0..5000)
        .map(|_| harness.outcome())
        .map(|outcome| {
            assert_eq!(outcome.result, status(200));
            outcome.key
        })
        .collect();
    keys.sort();
    assert_eq!(keys, (0..5000).collect::<Vec<_>>());
    assert!(receiver.connections() <= 40);
}
