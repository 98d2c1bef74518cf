//! Crash after crash in the middle of the work: every committed task ends exactly once, none is lost, and none runs twice under a
//! valid lease. `TMS_CRASH_ROUNDS` says how many rounds; without it there are 10.
//!
//! The work of a task is a row under the task's id, in one transaction with its completion: a second run that counted would be refused
//! by the primary key, and is counted here. A lease that is in force is a row in `hands`, which excludes others by time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use postgres::Client;
use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::stage::*;

/// Completed tasks of a round before the blow falls.
const PROGRESS: i64 = 40;
const AGENTS: usize = 4;
const PRODUCERS: usize = 2;
/// Of one producer in a round: more than are done before the blow, and not so many that the end takes long.
const MOST_TASKS: usize = 60;

#[derive(Debug, Clone, Copy)]
enum Blow {
    Backend,
    Scheduler,
    Server,
}

const BLOWS: [Blow; 3] = [Blow::Backend, Blow::Scheduler, Blow::Server];

#[test]
fn every_committed_task_ends_exactly_once_in_crash_after_crash() {
    let rounds =
        std::env::var("TMS_CRASH_ROUNDS").map_or(10, |text| text.parse().expect("a number of rounds"));
    let cluster = stage();
    // Crashes take leases, and no task is to be given up for that.
    cluster.set("tms.task_lost_leases", "1000");
    load(&cluster, "    rate_limits: {max_concurrent: 3}\n");
    run(
        &mut cluster.client("postgres"),
        "CREATE TABLE work (task uuid PRIMARY KEY, attempt int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
         CREATE TABLE wrong (what text NOT NULL);
         GRANT INSERT, SELECT ON work, wrong TO agent_a",
    );
    let mut committed: HashSet<Uuid> = HashSet::new();
    for round in 0..rounds {
        committed.extend(play(&cluster, BLOWS[round % BLOWS.len()]));
    }
    let all = committed.len();
    assert!(all > rounds * 10, "{all} tasks in {rounds} rounds");
    drain(&cluster);
    let mut owner = cluster.client("postgres");
    let ended: HashSet<Uuid> = owner
        .query("SELECT id FROM tms.agent_tasks WHERE status = 'done'", &[])
        .expect("tasks")
        .iter()
        .map(|row| row.get(0))
        .collect();
    // What was committed may be more than the producers know: an answer can be lost, a task cannot.
    assert_eq!(committed.difference(&ended).count(), 0, "committed and not done");
    let unfinished = "SELECT count(*) FROM tms.agent_tasks WHERE status <> 'done'";
    assert_eq!(number(&mut owner, unfinished), 0);
    let apart = "SELECT count(*) FROM work FULL JOIN tms.agent_tasks t ON t.id = task WHERE task IS NULL OR t.id IS NULL OR t.attempts <> attempt";
    assert_eq!(number(&mut owner, apart), 0, "work and completions are the same");
    assert_eq!(number(&mut owner, "SELECT count(*) FROM wrong"), 0);
    println!(
        "{rounds} rounds: {all} tasks known to be committed, {} done, each once",
        ended.len()
    );
}

/// One round; the tasks whose commit was confirmed.
fn play(cluster: &Cluster, blow: Blow) -> Vec<Uuid> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut owner = cluster.client("postgres");
    let before = number(&mut owner, "SELECT count(*) FROM work");
    let producers: Vec<_> = (0..PRODUCERS).map(|_| producer(cluster, &stop)).collect();
    let agents: Vec<_> = (0..AGENTS).map(|_| agent(cluster, &stop)).collect();
    eventually("work is done", SOON, || {
        (number(&mut owner, "SELECT count(*) FROM work") >= before + PROGRESS).then_some(())
    });
    strike(cluster, &mut owner, blow);
    stop.store(true, Ordering::SeqCst);
    agents
        .into_iter()
        .for_each(|agent| agent.join().expect("an agent"));
    producers
        .into_iter()
        .flat_map(|producer| producer.join().expect("a producer"))
        .collect()
}

fn strike(cluster: &Cluster, owner: &mut Client, blow: Blow) {
    let one = |owner: &mut Client, sql: &str| {
        let row = owner.query_opt(sql, &[]).expect("a pid");
        row.map(|row| row.get::<_, i32>(0))
    };
    let victim = match blow {
        Blow::Backend => one(
            owner,
            "SELECT pid FROM pg_stat_activity WHERE usename = 'agent_a' ORDER BY random() LIMIT 1",
        ),
        Blow::Scheduler => one(
            owner,
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'tms scheduler'",
        ),
        Blow::Server => return cluster.restart(Mode::Immediate),
    };
    let mark = cluster.log_mark();
    cluster.kill9(victim.expect("somebody to kill"));
    // The postmaster ends everybody and begins anew.
    cluster.wait_for_log(mark, "database system is ready to accept connections", SOON);
}

/// Submits tasks until there are enough, it is told to stop, or its session breaks.
fn producer(cluster: &Cluster, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<Uuid>> {
    let mut client = cluster.client_as("producer_a", "postgres");
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut known = Vec::new();
        while !stop.load(Ordering::SeqCst) && known.len() < MOST_TASKS {
            match client.query_one("SELECT tms_task_submit('worker', 'rates.price')", &[]) {
                Ok(row) => known.push(row.get(0)),
                Err(_) => break,
            }
        }
        known
    })
}

/// Works until it is told to stop, or its session breaks.
fn agent(cluster: &Cluster, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let mut client = cluster.client_as("agent_a", "postgres");
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            if work(&mut client).is_err() {
                break;
            }
        }
    })
}

/// Takes a task and does it, if there is one.
fn work(client: &mut Client) -> Result<(), postgres::Error> {
    let claimed = client.query(
        "SELECT id, lease_token, attempt FROM tms_task_claim('worker', 'w', 1, '2 seconds', '200 milliseconds')",
        &[],
    )?;
    for row in &claimed {
        let (id, token, attempt): (Uuid, Uuid, i32) = (row.get(0), row.get(1), row.get(2));
        let running = client.query_one("SELECT count(*) FROM tms.agent_tasks WHERE status = 'running' AND leased_until > clock_timestamp()", &[])?;
        if running.get::<_, i64>(0) > 3 {
            client.execute("INSERT INTO wrong VALUES ('more than three run')", &[])?;
        }
        let mut both = client.transaction()?;
        let ended = both.execute("SELECT tms_task_complete($1, $2)", &[&id, &token]);
        match ended {
            Ok(_) => {
                both.execute(
                    "INSERT INTO work (task, attempt) VALUES ($1, $2)",
                    &[&id, &attempt],
                )?;
                both.commit()?;
            }
            // The lease ran out on a slow machine: the task is another's.
            Err(error) if error.code().is_some_and(|code| code.code() == "55000") => both.rollback()?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Works until nothing is left.
fn drain(cluster: &Cluster) {
    let mut agent = cluster.client_as("agent_a", "postgres");
    eventually("everything is done", SOON * 2, || {
        work(&mut agent).expect("a session that nobody breaks");
        let left = "SELECT count(*) FROM tms.agent_tasks WHERE status IN ('queued', 'running')";
        (number(&mut agent, left) == 0).then_some(())
    });
}
