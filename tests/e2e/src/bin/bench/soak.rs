//! A steady load for minutes, with retention running: whether the outbox stops growing, and what throughput, latency and WAL do
//! meanwhile. Every few seconds are a sample; all of them become a plot beside the JSON.
//!
//! - `load`: the producers    - `sample`: what is looked at    - `svg`: the plot

mod load;
mod sample;
mod svg;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::ground::{Ground, server};
use crate::options::Options;
use crate::report::{Bound, Detail, Figure};
use load::Load;
use sample::{Sample, Sampler};
use svg::{Panel, Series};

const RATE: u32 = 5_000;
const INTERVAL: Duration = Duration::from_secs(5);
/// Percent of table and indexes together.
const REQUIRED_GROWTH: f64 = 5.0;
/// Percent of the rate that must have arrived.
const REQUIRED_SHARE: f64 = 99.0;

pub fn measure(options: &Options, figure: &mut Figure) {
    figure.must_hold = true;
    let length = Duration::from_secs(60) * options.minutes;
    let settings = server()
        .conf("autovacuum", "on")
        .conf("checkpoint_timeout", "5min")
        .conf("tms.event_retention", "1min")
        .conf("tms.scheduler_interval", "1s");
    let mut ground = Ground::start(settings, &["--latency"]);
    ground.command("RESET ALL");
    let samples = run(&mut ground, length);
    state(&samples, figure);
    let plot = options.json.with_extension("svg");
    fs::write(&plot, draw(&samples)).unwrap_or_else(|error| panic!("{}: {error}", plot.display()));
    figure.note(format!("plotted in {}", plot.display()));
    figure.note(format!(
        "{RATE} events/s for {} minutes, 10 a transaction, fsync on, tms.event_retention 1min, autovacuum as PostgreSQL has it; a sample every {} s",
        options.minutes,
        INTERVAL.as_secs()
    ));
    figure.note(format!(
        "WAL per event: enqueue, completion, retention, vacuum and full pages; autovacuum came {} times",
        vacuums(&mut ground)
    ));
}

fn run(ground: &mut Ground, length: Duration) -> Vec<Sample> {
    let config = ground.cluster.config("postgres", "postgres");
    let dispatcher = ground.dispatcher();
    let load = Load::start(&config, RATE);
    let began = Instant::now();
    let mut sampler = Sampler::begin(ground, dispatcher);
    let mut samples = Vec::new();
    for number in 1.. {
        let at = INTERVAL * number;
        if at > length {
            break;
        }
        thread::sleep((began + at).saturating_duration_since(Instant::now()));
        let sample = sampler.take(ground, began.elapsed());
        eprintln!("   {sample}");
        samples.push(sample);
    }
    load.stop();
    samples
}

fn state(samples: &[Sample], figure: &mut Figure) {
    let (half, end) = (&samples[(samples.len() - 1) / 2], &samples[samples.len() - 1]);
    let of = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
    let growth = |value: fn(&Sample) -> f64| 100.0 * (value(end) / value(half) - 1.0);
    figure.line(
        "growth of table and indexes over the second half",
        growth(Sample::size),
        "%",
        Some(Bound::AtMost(REQUIRED_GROWTH)),
    );
    figure.line("  of the table", growth(|sample| sample.table), "%", None);
    figure.line("  of its indexes", growth(|sample| sample.indexes), "%", None);
    figure.line("  table at the end", end.table, "MB", None);
    figure.line("  its indexes at the end", end.indexes, "MB", None);
    let rates = of(|sample| sample.rate);
    figure.line(
        "delivered, as a share of the rate",
        100.0 * rates.iter().sum::<f64>() / rates.len() as f64 / f64::from(RATE),
        "%",
        Some(Bound::AtLeast(REQUIRED_SHARE)),
    );
    for (what, runs, unit) in [
        ("  delivered", rates, "events/s"),
        (
            "  p50, commit included, of each sample",
            of(|sample| sample.p50),
            "ms",
        ),
        (
            "  p99, commit included, of each sample",
            of(|sample| sample.p99),
            "ms",
        ),
        ("  WAL per event", of(|sample| sample.wal), "bytes"),
        ("  the dispatcher's own memory", of(|sample| sample.memory), "MB"),
    ] {
        figure.spread(what, &runs, unit, None);
    }
    figure.detail(Detail {
        title: "samples".into(),
        columns: Sample::COLUMNS.to_vec(),
        rows: samples.iter().map(Sample::row).collect(),
    });
}

fn draw(samples: &[Sample]) -> String {
    let series = |name, value: fn(&Sample) -> f64| Series {
        name,
        points: samples
            .iter()
            .map(|sample| (sample.minutes(), value(sample)))
            .collect(),
    };
    svg::plot(
        "tms: a steady load with retention",
        "minutes",
        &[
            Panel {
                title: "delivered, events/s",
                series: vec![series("events/s", |sample| sample.rate)],
            },
            Panel {
                title: "commit to receiver, ms",
                series: vec![
                    series("p99", |sample| sample.p99),
                    series("p50", |sample| sample.p50),
                ],
            },
            Panel {
                title: "tms.event_outbox, MB",
                series: vec![
                    series("table", |sample| sample.table),
                    series("indexes", |sample| sample.indexes),
                ],
            },
            Panel {
                title: "WAL per event, bytes",
                series: vec![series("bytes", |sample| sample.wal)],
            },
            Panel {
                title: "the dispatcher's own memory, MB",
                series: vec![series("MB", |sample| sample.memory)],
            },
        ],
    )
}

fn vacuums(ground: &mut Ground) -> i64 {
    ground
        .one("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relid = 'tms.event_outbox'::regclass")
        .get(0)
}
