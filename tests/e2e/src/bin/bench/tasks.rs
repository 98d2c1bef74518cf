//! Agent tasks: what submitting, claiming and completing costs beside the plainest SQL that is correct, how soon a waiting agent
//! has a task, what a long line costs, and what somebody else's open snapshot does.
//!
//! Every task of ours is held against a policy with a rate, a limit of running tasks and a breaker, and each decision is put on
//! record meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tms_e2e::latency::Latencies;
use uuid::Uuid;

use crate::ground::{DB, Ground, server};
use crate::options::Options;
use crate::paired::{Pair, Way};
use crate::pgbench::Pgbench;
use crate::report::{Bound, Figure};

const APPLICATION: &str = "agent_app";
const RATE: u32 = 200;

const POLICY: &str = "SELECT tms_policy_load('agent_policies: {worker: {allowed_functions: [rates.*],
    rate_limits: {requests_per_minute: 6000000, max_concurrent: 5000},
    cost_guardrails: {max_tokens_per_task: 10000, circuit_breaker_threshold: 0.5}}}')";

const PLAIN: &str = "
    CREATE TABLE plain_tasks (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), agent_name text NOT NULL, fn_name text NOT NULL,
        payload jsonb NOT NULL, status text NOT NULL DEFAULT 'queued', priority int NOT NULL DEFAULT 0, lease uuid,
        leased_until timestamptz, result jsonb, created_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz);
    CREATE INDEX ON plain_tasks (agent_name, priority, created_at) WHERE status = 'queued';
    GRANT SELECT, INSERT, UPDATE ON plain_tasks TO agent_app";

const OURS_ONE: &str = "SELECT tms_task_submit('worker', 'rates.price', :payload::jsonb);
SELECT id, lease_token FROM tms_task_claim('worker', 'w') \\gset
SELECT tms_task_complete(:id::uuid, :lease_token::uuid);";
const PLAIN_ONE: &str = "INSERT INTO plain_tasks (agent_name, fn_name, payload) VALUES ('worker', 'rates.price', :payload::jsonb);
UPDATE plain_tasks SET status = 'running', lease = gen_random_uuid(), leased_until = now() + interval '5 minutes' WHERE id = (SELECT id FROM plain_tasks WHERE agent_name = 'worker' AND status = 'queued' ORDER BY priority, created_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, lease \\gset
UPDATE plain_tasks SET status = 'done', result = '{}', finished_at = now() WHERE id = :id::uuid AND lease = :lease::uuid;";
const OURS_TEN: &str = "SELECT count(tms_task_submit('worker', 'rates.price', :payload::jsonb)) FROM generate_series(1, 10);
SELECT array_agg(id) AS ids, array_agg(lease_token) AS leases FROM tms_task_claim('worker', 'w', 10) \\gset
SELECT count(*) FROM (SELECT tms_task_complete(u.id, u.lease) FROM unnest(:ids::uuid[], :leases::uuid[]) u (id, lease)) done;";
const PLAIN_TEN: &str = "INSERT INTO plain_tasks (agent_name, fn_name, payload) SELECT 'worker', 'rates.price', :payload::jsonb FROM generate_series(1, 10);
WITH taken AS (UPDATE plain_tasks t SET status = 'running', lease = gen_random_uuid(), leased_until = now() + interval '5 minutes' FROM (SELECT id FROM plain_tasks WHERE agent_name = 'worker' AND status = 'queued' ORDER BY priority, created_at LIMIT 10 FOR UPDATE SKIP LOCKED) n WHERE t.id = n.id RETURNING t.id, t.lease) SELECT array_agg(id) AS ids, array_agg(lease) AS leases FROM taken \\gset
UPDATE plain_tasks t SET status = 'done', result = '{}', finished_at = now() FROM unnest(:ids::uuid[], :leases::uuid[]) u (id, lease) WHERE t.id = u.id AND t.lease = u.lease;";

pub fn measure(options: &Options, figure: &mut Figure) {
    let mut ground = Ground::start(server(), &[]);
    ground.command(POLICY);
    ground.command(
        "CREATE ROLE agent_app LOGIN;
         SELECT tms_bind_role('agent_app', '0190c0de-0000-7000-8000-00000000000a'), tms_grant('agent_app', 'agent')",
    );
    ground.command(PLAIN);
    for (what, ours, plain, batch) in [
        (
            "submit, claim and complete, one at a time",
            OURS_ONE,
            PLAIN_ONE,
            1.0,
        ),
        (
            "submit, claim and complete, batches of 10",
            OURS_TEN,
            PLAIN_TEN,
            10.0,
        ),
    ] {
        rates(options, &mut ground, figure, what, [ours, plain], batch);
    }
    latency(options, &mut ground, figure);
    long_line(options, &mut ground, figure);
    held_snapshot(options, &mut ground, figure);
    figure.note(
        "pgbench -M prepared -c 8 -j 2, each step a transaction of its own; fsync and synchronous_commit on",
    );
    figure.note("plain: INSERT; UPDATE ... FOR UPDATE SKIP LOCKED; UPDATE, on a table with a primary key and one index, no policy, no RLS");
}

fn empty(ground: &mut Ground) {
    ground
        .command("TRUNCATE tms.agent_tasks; TRUNCATE tms.policy_decisions; TRUNCATE plain_tasks; CHECKPOINT");
}

/// So that no client finds the line empty because the others were faster.
fn fill(ground: &mut Ground, count: u32) {
    ground.command(&format!(
        "INSERT INTO tms.agent_tasks (company_id, agent_name, fn_name, payload, submitted_by, turn)
         SELECT '0190c0de-0000-7000-8000-00000000000a', 'worker', 'rates.price', '{{}}', 'bench', now() - interval '1 hour' + n * interval '1 microsecond'
           FROM generate_series(1, {count}) n;
         INSERT INTO plain_tasks (agent_name, fn_name, payload)
         SELECT 'worker', 'rates.price', '{{}}' FROM generate_series(1, {count}) n WHERE {count} < 10000"
    ));
}

fn run(ground: &Ground, seconds: u32, statement: &str) -> f64 {
    Pgbench {
        cluster: &ground.cluster,
        user: APPLICATION,
        clients: 8,
        seconds,
        synchronous_commit: true,
    }
    .run(statement)
}

fn rates(
    options: &Options,
    ground: &mut Ground,
    figure: &mut Figure,
    what: &str,
    statements: [&str; 2],
    batch: f64,
) {
    let seconds = options.size(8, 2);
    Pair {
        what,
        columns: ["tms", "plain SQL"],
        unit: "tasks/s",
        bound: Some(Bound::AtLeast(70.0)),
    }
    .measure(ground, figure, options.size(5, 1), |ground, way| {
        empty(ground);
        fill(ground, 2_000);
        batch * run(ground, seconds, statements[usize::from(way == Way::Compared)])
    });
}

/// From the call that submits to the answer of a waiting agent's claim: the commit lies in between.
fn latency(options: &Options, ground: &mut Ground, figure: &mut Figure) {
    empty(ground);
    let count = options.size(4_000_u32, 400);
    let sent: Arc<Mutex<HashMap<Uuid, Instant>>> = Arc::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let agents: Vec<_> = (0..4)
        .map(|_| {
            let mut client = ground.cluster.client_as(APPLICATION, DB);
            let (sent, is_over) = (Arc::clone(&sent), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut late = Latencies::default();
                while !is_over.load(Ordering::Relaxed) {
                    let claimed = client
                        .query("SELECT id, lease_token, payload ->> 'n' FROM tms_task_claim('worker', 'w', 1, '5 minutes', '1 second')", &[])
                        .expect("a claim");
                    let now = Instant::now();
                    for row in &claimed {
                        let number: String = row.get(2);
                        let key = Uuid::from_u128(number.parse().expect("a number"));
                        if let Some(begun) = sent.lock().expect("nobody panics").remove(&key) {
                            late.record(i64::try_from((now - begun).as_micros()).unwrap_or(i64::MAX));
                        }
                        let (id, token): (Uuid, Uuid) = (row.get(0), row.get(1));
                        client
                            .execute("SELECT tms_task_complete($1, $2)", &[&id, &token])
                            .expect("a completion");
                    }
                }
                late
            })
        })
        .collect();
    let mut producer = ground.cluster.client_as(APPLICATION, DB);
    let begun = Instant::now();
    for number in 0..count {
        let due = begun + Duration::from_secs(1) / RATE * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        sent.lock()
            .expect("nobody panics")
            .insert(Uuid::from_u128(u128::from(number)), Instant::now());
        let payload = format!("SELECT tms_task_submit('worker', 'rates.price', '{{\"n\": \"{number}\"}}')");
        producer.batch_execute(&payload).expect("a task");
    }
    thread::sleep(Duration::from_secs(1));
    is_over.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for agent in agents {
        let late = agent.join().expect("an agent");
        all.extend(late.summary());
    }
    let worst = |pick: fn(&tms_e2e::latency::Summary) -> Duration| {
        all.iter().map(pick).max().unwrap_or_default().as_secs_f64() * 1e3
    };
    figure.line(
        "a waiting agent has a task, 200/s, p50",
        worst(|late| late.p50),
        "ms",
        None,
    );
    figure.line(
        "a waiting agent has a task, 200/s, p95",
        worst(|late| late.p95),
        "ms",
        Some(Bound::AtMost(5.0)),
    );
    figure.line(
        "a waiting agent has a task, 200/s, p99",
        worst(|late| late.p99),
        "ms",
        None,
    );
}

/// What one claim takes at the front of a short line and of a long one.
fn long_line(options: &Options, ground: &mut Ground, figure: &mut Figure) {
    let long = options.size(1_000_000_u32, 100_000);
    let mut times = Vec::new();
    for queued in [1_000, long] {
        empty(ground);
        fill(ground, queued);
        let mut client = ground.cluster.client_as(APPLICATION, DB);
        let mut each: Vec<f64> = (0..500)
            .map(|_| {
                let begun = Instant::now();
                client
                    .batch_execute("SELECT * FROM tms_task_claim('worker', 'w')")
                    .expect("a claim");
                begun.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        each.sort_by(f64::total_cmp);
        times.push(each[each.len() / 2]);
    }
    figure.line("a claim with 1,000 queued, median", times[0], "us", None);
    figure.line(
        format!("a claim with {long} queued, median"),
        times[1],
        "us",
        None,
    );
    figure.line(
        "a long line, against a short one",
        times[1] / times[0],
        "times",
        Some(Bound::AtMost(2.0)),
    );
}

/// The rate of the last seconds as a share of the first, while another session keeps a snapshot.
fn held_snapshot(options: &Options, ground: &mut Ground, figure: &mut Figure) {
    empty(ground);
    fill(ground, 2_000);
    run(ground, options.size(5, 1), OURS_ONE);
    let mut keeper = ground.cluster.client(DB);
    keeper
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
        .expect("a snapshot");
    let seconds = options.size(10, 1);
    let rounds: Vec<f64> = (0..options.size(6, 2))
        .map(|_| run(ground, seconds, OURS_ONE))
        .collect();
    keeper.batch_execute("COMMIT").expect("the end of it");
    let (first, last) = (rounds[0], rounds[rounds.len() - 1]);
    figure.line(
        "under a snapshot of another session, first 10 s",
        first,
        "tasks/s",
        None,
    );
    figure.line(
        "under a snapshot of another session, last 10 s of 60",
        last,
        "tasks/s",
        None,
    );
    figure.line(
        "the last of it as a share of the first",
        100.0 * last / first,
        "%",
        Some(Bound::AtLeast(95.0)),
    );
}
