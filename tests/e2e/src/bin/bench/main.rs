//! `bench`: the figures that tms promises, measured on a private server with a real receiver beside it.
//!
//! `bench [--only NAME[,NAME]] [--quick] [--minutes N] [--json PATH]` prints a table and writes the same as JSON. A figure
//! below what is required is said to be so and is no failure but in the soak; one that could not be measured is.
//!
//! - one file a figure: `delivery`, `everything`, `latency`, `enqueue`, `batch`, `keys`, `pull`, `in_database`, `held`, `many`,
//!   `idle`, `memory`, `large`, `plans`, `policy`, `redaction`, `tasks`; two in `fair`; and `soak`, which runs on request alone
//! - what they compare with: `poll_loop` (a worker outside the server), `plain_outbox` (a table without tms), `paired`
//! - what they stand on: `ground` (server, target, queue), `receiving` (the receiver's process), `run`, `pgbench`, `explain`
//! - what they look at: `cpu` (by thread) and `proc` (memory, wake-ups)
//! - `options`, `report`, `numbers`

mod batch;
mod cpu;
mod delivery;
mod enforce;
mod enqueue;
mod everything;
mod explain;
mod fair;
mod ground;
mod held;
mod idle;
mod in_database;
mod keys;
mod large;
mod latency;
mod many;
mod memory;
mod numbers;
mod options;
mod paired;
mod pgbench;
mod plain_outbox;
mod plans;
mod policy;
mod poll_loop;
mod proc;
mod pull;
mod receiving;
mod redaction;
mod report;
mod run;
mod soak;
mod tasks;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use options::{Options, USAGE};
use report::{Figure, Report};

/// Fills one figure.
type Measure = fn(&Options, &mut Figure);

/// Name, what it is about, and how it is measured, in the order they run.
const FIGURES: [(&str, &str, Measure); 20] = [
    (
        "delivery",
        "due events to one http target, rows kept with processed_at",
        delivery::measure,
    ),
    (
        "everything",
        "signatures against none; then envelope, breaker and ordering keys too",
        everything::measure,
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
    (
        "keys",
        "enqueueing with keys against without; delivering in their order",
        keys::measure,
    ),
    (
        "in_database",
        "NOTIFY and Supabase Realtime, exactly once",
        in_database::measure,
    ),
    (
        "held",
        "a snapshot held open, 200,000 dead rows in the queue",
        held::measure,
    ),
    (
        "fair",
        "single events beside another company's backlog of 1,000,000",
        fair::companies,
    ),
    (
        "dead_target",
        "a target beside one that is gone with 1,000,000 due",
        fair::targets,
    ),
    ("many", "1,000 targets against one", many::measure),
    ("pull", "8 consumers claim and acknowledge", pull::measure),
    (
        "tasks",
        "agent tasks against the plainest SQL that is correct, 8 clients",
        tasks::measure,
    ),
    ("idle", "wake-ups of workers with nothing to do", idle::measure),
    (
        "memory",
        "the dispatcher with a long queue of due events",
        memory::measure,
    ),
    (
        "large",
        "the dispatcher's memory with payloads of 10 MB",
        large::measure,
    ),
    (
        "plans",
        "hot queries beside many delivered rows, never analyzed and analyzed",
        plans::measure,
    ),
    (
        "policy",
        "tms_policy_check against the same rules in PL/pgSQL over tables",
        policy::measure,
    ),
    (
        "redaction",
        "tms_redact against the native -, serde_json and PL/pgSQL",
        redaction::measure,
    ),
    (
        "soak",
        "5,000 events a second for minutes, retention running",
        soak::measure,
    ),
];

/// Measured when they are named: they take long.
const ON_REQUEST: [&str; 1] = ["soak"];

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
        if options.wants(name, ON_REQUEST.contains(&name)) {
            let figure = run(&options, name, about, measure);
            print!("{figure}");
            report.figures.push(figure);
        }
    }
    print!("{report}");
    report.write(&options.json);
    println!("written to {}", options.json.display());
    if report.is_well() {
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
