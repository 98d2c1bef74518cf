//! With nothing to do nobody works.

use std::thread;
use std::time::{Duration, Instant};

use crate::stage::{Stage, wakeups};

const COMPONENTS: [&str; 3] = ["launcher", "dispatcher", "scheduler"];

#[test]
fn each_worker_wakes_at_most_once_a_second() {
    let stage = Stage::start();
    stage.workers(crate::stage::DB);
    let mut client = stage.client();
    let begin = Instant::now();
    let before = COMPONENTS.map(|component| wakeups(&mut client, component));
    // A rate can only be seen while time passes.
    thread::sleep(Duration::from_secs(6));
    let after = COMPONENTS.map(|component| wakeups(&mut client, component));
    let most = begin.elapsed().as_secs();
    for (component, (before, after)) in COMPONENTS.iter().zip(before.iter().zip(after)) {
        let woken = after - before;
        assert!(woken <= most, "the {component} woke {woken} times in {most} s");
    }
}

#[test]
fn a_paused_backlog_is_nothing_to_do() {
    let stage = Stage::start();
    let mut client = stage.client();
    crate::stage::run(&mut client, "SELECT tms_target_pause('hook')");
    crate::stage::enqueue_many(&mut client, "hook", 500);
    // What is under way after the commit ends before the measurement begins.
    thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    let before = wakeups(&mut client, "dispatcher");
    // A rate can only be seen while time passes.
    thread::sleep(Duration::from_secs(4));
    let woken = wakeups(&mut client, "dispatcher") - before;
    assert!(woken <= begin.elapsed().as_secs(), "{woken} wake-ups");
    assert_eq!(stage.receiver.count(), 0);
}
