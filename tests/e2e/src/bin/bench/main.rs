//! `bench`: the figures that tms promises, measured on a private server with a real receiver beside it.
//!
//! `bench [--only NAME[,NAME]] [--quick] [--json PATH]` prints a table and writes the same as JSON. A figure below
//! what is required is said to be so and is no failure; one that could not be measured is.
//!
//! - one file a figure: `delivery`, `latency`, `enqueue`, `batch`, `pull`, `idle`, `memory`, `plans`
//! - what they compare with: `poll_loop` (a worker outside the server), `plain_outbox` (a table without tms)
//! - what they stand on: `ground` (server, target, queue), `receiving` (the receiver's process), `pgbench`, `explain`
//! - what they look at: `cpu` (by thread) and `proc` (memory, wake-ups)
//! - `options`, `report`, `numbers`

mod batch;
mod cpu;
mod delivery;
mod enqueue;
mod explain;
mod ground;
mod idle;
mod latency;
mod memory;
mod numbers;
mod options;
mod pgbench;
mod plain_outbox;
mod plans;
mod poll_loop;
mod proc;
mod pull;
mod receiving;
mod report;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use options::{Options, USAGE};
use report::{Figure, Report};

/// Fills one figure.
type Measure = fn(&Options, &mut Figure);

/// Name, what it is about, and how it is measured, in the order they run.
const FIGURES: [(&str, &str, Measure); 8] = [
    (
        "delivery",
        "due events to one http target, rows kept with processed_at",
        delivery::measure,
    ),
    (
        "latency",
        "commit to receiver at 500 events a second",
        latency::measure,
    ),
    (
        "enqueue",
        "tms_enqueue against a plain INSERT, 8 clients, one row a transaction",
        enqueue::measure,
    ),
    (
        "batch",
        "tms_enqueue_batch against INSERT ... SELECT",
        batch::measure,
    ),
    ("pull", "8 consumers claim and acknowledge", pull::measure),
    ("idle", "wake-ups of workers with nothing to do", idle::measure),
    (
        "memory",
        "the dispatcher with a long queue of due events",
        memory::measure,
    ),
    (
        "plans",
        "hot queries beside many delivered rows, never analyzed and analyzed",
        plans::measure,
    ),
];

fn main() -> ExitCode {
    let names: Vec<&str> = FIGURES.iter().map(|(name, _, _)| *name).collect();
    let options = match Options::parse(std::env::args().skip(1), &names) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}\nfigures: {}", names.join(", "));
            return ExitCode::from(2);
        }
    };
    receiving::assert_built();
    let mut report = Report::begin(options.quick);
    for (name, about, measure) in FIGURES {
        if options.wants(name) {
            let figure = run(&options, name, about, measure);
            print!("{figure}");
            report.figures.push(figure);
        }
    }
    print!("{report}");
    report.write(&options.json);
    println!("written to {}", options.json.display());
    if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One figure's failure must not cost the others.
fn run(options: &Options, name: &'static str, about: &'static str, measure: Measure) -> Figure {
    eprintln!("-- {name}: {about}");
    let began = Instant::now();
    let mut figure = Figure::new(name, about);
    let result = catch_unwind(AssertUnwindSafe(|| measure(options, &mut figure)));
    if let Err(panic) = result {
        let said = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        figure.failure = Some(said.unwrap_or_else(|| "it panicked".to_owned()));
    }
    figure.seconds = began.elapsed().as_secs_f64();
    figure
}
