//! Whether the dispatcher's statements keep the plans they were designed for, whatever is known of the table and however many
//! delivered rows lie beside the due ones.

use std::time::Duration;

use tms_e2e::cluster::Mode;
use tms_e2e::wait::eventually;

use crate::explain::{self, Plan};
use crate::ground::{Ground, server};
use crate::options::Options;
use crate::report::{Bound, Detail, Figure};

const DUE: usize = 1_000;
const LOAD_CHUNK: usize = 1_000_000;

pub fn measure(options: &Options, figure: &mut Figure) {
    let processed = options.size(10_000_000, 1_000_000);
    // Loading ten million rows is no part of the figure, so it need not wait for the disk.
    let settings = server()
        .durable(false)
        .conf("max_wal_size", "32GB")
        .conf("auto_explain.log_min_duration", "-1")
        .conf("auto_explain.log_analyze", "on")
        .conf("auto_explain.log_timing", "off")
        .conf("auto_explain.log_buffers", "on")
        .conf("auto_explain.log_format", "json");
    let mut ground = Ground::start(settings, &[]);
    load_auto_explain(&mut ground);
    stage(options, &mut ground, figure, "1,000 due alone, never analyzed");
    check_plans_of(
        &mut ground,
        figure,
        options.size(100_000, 10_000),
        "a long queue, never analyzed",
    );
    ground.empty();
    load_processed(&mut ground, processed);
    let beside = format!("1,000 due beside {} M", processed / 1_000_000);
    stage(options, &mut ground, figure, &format!("{beside}, never analyzed"));
    ground.command("ANALYZE tms.event_outbox");
    stage(options, &mut ground, figure, &format!("{beside}, analyzed"));
    ground.command("VACUUM (ANALYZE) tms.event_outbox");
    stage(options, &mut ground, figure, &format!("{beside}, vacuumed"));
    figure.note("plans: auto_explain's of every statement of the dispatcher on the outbox; designed: by an index with a condition or by place, no Sort, Seq Scan or Bitmap");
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

fn check_plans_of(ground: &mut Ground, figure: &mut Figure, due: usize, what: &str) {
    ground.pause();
    ground.fill(due, 60);
    let mark = ground.cluster.log_mark();
    explain(ground, true);
    ground.time_delivery(due);
    explain(ground, false);
    let plans = explain::plans_of_dispatcher(&ground.cluster.log_since(mark));
    let strange = plans.iter().filter(|plan| !plan.is_as_designed()).count();
    let seen = plans.iter().map(|plan| plan.runs).sum::<usize>();
    assert!(
        plans
            .iter()
            .any(|plan| plan.nodes.iter().any(|node| node == "Update")),
        "no completion among the {seen} plans that were logged"
    );
    figure.line(
        format!("  {what}: plans not as designed"),
        strange as f64,
        "plans",
        Some(Bound::AtMost(0.0)),
    );
    figure.detail(table(what, &plans));
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
            let explains = log.lines().any(explain::is_of_dispatcher);
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
