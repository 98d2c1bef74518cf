//! Whether the statements of the dispatcher, of pull consumers and of retention keep the plans they were designed for, whatever is
//! known of the table and however many delivered rows lie beside the due ones.

use std::time::Duration;

use serde_json::json;
use tms_e2e::cluster::Mode;
use tms_e2e::port::free_port;
use tms_e2e::wait::eventually;

use crate::explain::{self, Plan};
use crate::ground::{DB, Ground, Mixture, server};
use crate::options::Options;
use crate::report::{Bound, Detail, Figure};

const DUE: usize = 1_000;
/// Events for a target that refuses connections: each is scheduled again, and ends as a dead letter.
const FAILING: usize = 20;
/// Events of the platform and of ten companies, of three priorities, every fifth with one of a hundred keys.
const MIXTURE: Mixture<'_> = Mixture {
    target: "'n8n'",
    company: "CASE WHEN n % 11 > 0 THEN 'aaaaaaaa-0000-4000-8000-0000000000' || 10 + n % 11 END",
    ordering_key: "CASE WHEN n % 5 = 0 THEN 'load ' || n / 5 % 100 END",
    priority: "n % 3",
};
const LOAD_CHUNK: usize = 500_000;

pub fn measure(options: &Options, figure: &mut Figure) {
    let processed = options.size(1_000_000, 200_000);
    // Loading a million rows is no part of the figure, so it need not wait for the disk.
    let settings = server()
        .durable(false)
        .conf("max_wal_size", "32GB")
        .conf("tms.scheduler_interval", "1s")
        .conf("auto_explain.log_min_duration", "-1")
        .conf("auto_explain.log_analyze", "on")
        .conf("auto_explain.log_timing", "off")
        .conf("auto_explain.log_buffers", "on")
        .conf("auto_explain.log_format", "json");
    let mut ground = Ground::start(settings, &[]);
    load_auto_explain(&mut ground);
    set_targets(&mut ground);
    stage(options, &mut ground, figure, "1,000 due alone, never analyzed");
    check_plans_of(
        &mut ground,
        figure,
        options.size(100_000, 10_000),
        "a long queue, never analyzed",
    );
    ground.empty();
    load_processed(&mut ground, processed);
    let beside = format!("1,000 due beside {} k", processed / 1_000);
    stage(options, &mut ground, figure, &format!("{beside}, never analyzed"));
    check_plans_of_consumers(&mut ground, figure, &format!("{beside}, never analyzed"));
    ground.command("ANALYZE tms.event_outbox");
    stage(options, &mut ground, figure, &format!("{beside}, analyzed"));
    ground.command("VACUUM (ANALYZE) tms.event_outbox");
    stage(options, &mut ground, figure, &format!("{beside}, vacuumed"));
    check_plans_of_consumers(&mut ground, figure, &format!("{beside}, vacuumed"));
    figure.note("due: of the platform and ten companies, three priorities, every fifth with an ordering key; and 20 that fail");
    figure.note("plans: auto_explain's of every statement of the dispatcher, the scheduler and tms_outbox_* on the outbox; designed: by an index with a condition or by place, no Sort, Seq Scan or Bitmap");
    figure.note(
        "delivery is timed with auto_explain silent; fsync off in this figure, for the sake of the load",
    );
}

fn load_auto_explain(ground: &mut Ground) {
    if let Err(error) = ground.client.batch_execute("LOAD 'auto_explain'") {
        panic!("this server has no auto_explain: {error}");
    }
    ground
        .cluster
        .set("shared_preload_libraries", "tms, auto_explain");
    ground.cluster.restart(Mode::Fast);
    ground.connect();
    ground.wait_for_state("running");
}

/// Times deliveries of 1,000 due events, then looks at the plans of one more.
fn stage(options: &Options, ground: &mut Ground, figure: &mut Figure, what: &str) {
    let millis: Vec<f64> = (0..options.size(5, 3))
        .map(|_| {
            ground.pause();
            ground.fill(DUE, 60);
            ground.time_delivery(DUE).as_secs_f64() * 1e3
        })
        .collect();
    figure.spread(what, &millis, "ms", None);
    check_plans_of(ground, figure, DUE, what);
}

fn set_targets(ground: &mut Ground) {
    ground.set_http(
        "gone",
        json!({
            "url": format!("http://127.0.0.1:{}/", free_port()), "breaker": false,
            "retry": { "base_ms": 1, "factor": 1, "max_ms": 1, "jitter": 0 }
        }),
    );
    ground.set_other("jobs", "pull", &json!({}));
}

fn check_plans_of(ground: &mut Ground, figure: &mut Figure, due: usize, what: &str) {
    ground.pause();
    ground.insert(due, &MIXTURE);
    let mark = ground.cluster.log_mark();
    explain(ground, true);
    ground.insert(
        FAILING,
        &Mixture {
            target: "'gone'",
            ..Mixture::default()
        },
    );
    ground.time_delivery(due);
    let open = "SELECT count(*) FROM tms.event_outbox
                 WHERE target_system = 'gone' AND processed_at IS NULL AND available_at < 'infinity'";
    eventually(
        "the failing ones are dead letters",
        Duration::from_secs(60),
        || {
            let open: i64 = ground.one(open).get(0);
            (open == 0).then_some(()).ok_or(open)
        },
    );
    eventually("retention was explained", Duration::from_secs(30), || {
        let plans = explain::plans_of(&ground.cluster.log_since(mark), "tms scheduler");
        runs(&plans, "Delete").then_some(())
    });
    explain(ground, false);
    let log = ground.cluster.log_since(mark);
    let dispatcher = explain::plans_of(&log, "tms dispatcher");
    for node in ["Update", "event_outbox_order", "Recursive Union"] {
        assert!(
            runs(&dispatcher, node),
            "no {node} among the plans of the dispatcher that were logged: {dispatcher:?}"
        );
    }
    verdict(figure, what, &dispatcher);
    verdict(
        figure,
        &format!("retention, {what}"),
        &explain::plans_of(&log, "tms scheduler"),
    );
}

/// Claims, acknowledges and gives back in a session of its own, whose statements are explained down to those within functions.
fn check_plans_of_consumers(ground: &mut Ground, figure: &mut Figure, what: &str) {
    let mixture = Mixture {
        target: "'jobs'",
        ..MIXTURE
    };
    ground.insert(10 * DUE, &mixture);
    let mark = ground.cluster.log_mark();
    let mut consumer = ground.cluster.client(DB);
    let consumed = consumer.batch_execute(
        "SET auto_explain.log_nested_statements = on;
         SET auto_explain.log_min_duration = 0;
         SELECT tms_outbox_ack(array_agg(lease_token)) FROM tms_outbox_claim('jobs', 100);
         SELECT tms_outbox_nack(lease_token, 'timeout', 'no time') FROM tms_outbox_claim('jobs', 10);",
    );
    consumed.expect("claim, ack and nack");
    let plans = explain::plans_of(&ground.cluster.log_since(mark), "client backend");
    assert!(runs(&plans, "Update"), "no lease among the plans: {plans:?}");
    verdict(figure, &format!("pull, {what}"), &plans);
    ground.command("DELETE FROM tms.event_outbox WHERE target_system = 'jobs' AND processed_at IS NULL");
}

/// Whether a plan has a node whose name contains this.
fn runs(plans: &[Plan], node: &str) -> bool {
    plans
        .iter()
        .any(|plan| plan.nodes.iter().any(|name| name.contains(node)))
}

fn verdict(figure: &mut Figure, what: &str, plans: &[Plan]) {
    let strange = plans.iter().filter(|plan| !plan.is_as_designed()).count();
    figure.line(
        format!("  {what}: plans not as designed"),
        strange as f64,
        "plans",
        Some(Bound::AtMost(0.0)),
    );
    figure.detail(table(what, plans));
}

/// Turns auto_explain on or off. It is on when the dispatcher is seen to explain: a change to the targets makes it read them.
fn explain(ground: &mut Ground, on: bool) {
    let value = if on { "0" } else { "-1" };
    ground.cluster.set("auto_explain.log_min_duration", value);
    let mark = ground.cluster.log_mark();
    eventually(
        "the setting of auto_explain is read",
        Duration::from_secs(30),
        || {
            let seen: String = ground.one("SHOW auto_explain.log_min_duration").get(0);
            if seen != value {
                return Err(seen);
            } else if !on {
                return Ok(());
            }
            ground.command("UPDATE tms.targets SET updated_at = now()");
            let log = ground.cluster.log_since(mark);
            let explains = log.lines().any(|line| explain::is_of(line, "tms dispatcher"));
            explains.then_some(()).ok_or(seen)
        },
    );
}

fn table(what: &str, plans: &[Plan]) -> Detail {
    let mut rows = Vec::new();
    for plan in plans {
        let verdict = if plan.is_as_designed() {
            ""
        } else {
            "  NOT AS DESIGNED"
        };
        let numbers = vec![plan.runs as f64, plan.most_blocks as f64];
        rows.push((format!("{}{verdict}", plan.statement), numbers));
        rows.push((format!("  {}", plan.nodes.join(" <- ")), Vec::new()));
    }
    Detail {
        title: format!("plans: {what}"),
        columns: vec!["runs", "most blocks"],
        rows,
    }
}

/// Rows that were delivered long ago as far as the table can tell; its triggers have no business with them.
fn load_processed(ground: &mut Ground, rows: usize) {
    ground.command("ALTER TABLE tms.event_outbox DISABLE TRIGGER before_insert");
    let mut loaded = 0;
    while loaded < rows {
        let last = (loaded + LOAD_CHUNK).min(rows);
        ground.command(&format!(
            "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, available_at, processed_at)
             SELECT 'load.status', jsonb_build_object('n', n, 'pad', repeat('x', 35)), 'n8n', NULL,
                    now() - interval '1 hour', now() - interval '59 minutes'
               FROM generate_series({loaded} + 1, {last}) AS n"
        ));
        loaded = last;
        eprintln!("   {loaded} processed rows");
    }
    ground.command("ALTER TABLE tms.event_outbox ENABLE ALWAYS TRIGGER before_insert; CHECKPOINT");
}
