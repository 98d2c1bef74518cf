//! Wake-ups of workers that have nothing to do, by their own counters and by the kernel's.

use std::thread;
use std::time::{Duration, Instant};

use crate::ground::{Ground, server};
use crate::options::Options;
use crate::proc;
use crate::report::{Bound, Figure};

/// What a worker says of itself and what the kernel says of it.
struct Worker {
    component: String,
    pid: i32,
    counted: f64,
    waits: u64,
}

pub fn measure(options: &Options, figure: &mut Figure) {
    let mut ground = Ground::start(server(), &[]);
    // A dispatcher that has delivered keeps connections open: that is the idleness that is met in practice.
    ground.pause();
    ground.fill(1_000, 60);
    ground.time_delivery(1_000);
    // What a delivery leaves to do is done by then: statistics, the launcher's look around.
    thread::sleep(Duration::from_secs(options.size(5, 3)));
    let before = look(&mut ground);
    let began = Instant::now();
    thread::sleep(Duration::from_secs(10));
    let after = look(&mut ground);
    let seconds = began.elapsed().as_secs_f64();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.pid, after.pid, "the {} was restarted", before.component);
        let name = &before.component;
        figure.line(
            format!("{name}: rounds it counted"),
            (after.counted - before.counted) / seconds,
            "/s",
            Some(Bound::AtMost(1.0)),
        );
        figure.line(
            format!("{name}: voluntary context switches, all threads"),
            (after.waits - before.waits) as f64 / seconds,
            "/s",
            Some(Bound::AtMost(1.0)),
        );
    }
    figure.note(format!(
        "over {seconds:.1} s, after 1,000 deliveries, connections to the receiver still open"
    ));
}

fn look(ground: &mut Ground) -> Vec<Worker> {
    let rows = ground
        .client
        .query(
            "SELECT component, pid, detail FROM tms_worker_status() ORDER BY component",
            &[],
        )
        .expect("tms_worker_status");
    let workers: Vec<Worker> = rows
        .iter()
        .map(|row| {
            let (pid, detail): (Option<i32>, String) = (row.get(1), row.get(2));
            let pid = pid.expect("a worker that runs");
            Worker {
                component: row.get(0),
                pid,
                counted: counted(&detail).unwrap_or_else(|| panic!("no counter in {detail:?}")),
                waits: proc::voluntary_waits(pid),
            }
        })
        .collect();
    assert_eq!(workers.len(), 3, "launcher, dispatcher and scheduler");
    workers
}

/// The number before `wake-ups` or `rounds`.
fn counted(detail: &str) -> Option<f64> {
    let words: Vec<&str> = detail.split([' ', ',', ';']).collect();
    let at = words
        .iter()
        .position(|word| matches!(*word, "wake-ups" | "rounds"))?;
    words[at.checked_sub(1)?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_in_what_workers_say() {
        assert_eq!(counted("17 rounds"), Some(17.0));
        assert_eq!(counted("12 wake-ups; 3 databases are left out"), Some(12.0));
        assert_eq!(
            counted("9 delivered, 0 in flight, 41 wake-ups since the server started"),
            Some(41.0)
        );
        assert_eq!(counted("nothing"), None);
    }
}
