//! `make demo`: the main job of tms on a small freight company's schema, and what happens when things break.
//!
//! - `stage`: server, schema, companies      - `office`: the receiver      - `sessions`: the application
//! - `acts`: what is shown, one file each    - `watch`: the live line      - `report`: figures and claims
//! - `after`: what stays and how it ends     - `screen`, `trouble`: words for people
//!
//! It checks what it claims: the exit code is 1 when anything did not hold.

mod acts;
mod after;
mod office;
mod report;
mod screen;
mod sessions;
mod stage;
mod trouble;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use office::Office;
use report::Report;
use stage::Stage;
use trouble::{Fallible, Trouble};

const USAGE: &str =
    "usage: demo         plays the demo; its server and a receiver stay for you to look around
       demo stop    ends them and removes what they kept";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The test harness panics with a message meant for people; where in the source that was helps nobody here.
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("the demo broke down");
        eprintln!("\nerror: {message}");
    }));
    let outcome = std::panic::catch_unwind(|| match words.as_slice() {
        [] => play(),
        ["stop"] => Ok(stop()),
        ["receive", port, directory] => serve(port, directory),
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    });
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(trouble)) => {
            eprintln!("\nerror: {trouble}");
            explain_failure()
        }
        Err(_) => explain_failure(),
    }
}

fn explain_failure() -> ExitCode {
    if let Some(state) = std::env::var_os("TMS_STATE_DIR") {
        let log = Path::new(&state).join(stage::CLUSTER).join("server.log");
        if log.exists() {
            eprintln!("       the server's log is {}", log.display());
            eprintln!("       `make demo-stop` removes what is there, `make demo` starts afresh");
        }
    }
    ExitCode::FAILURE
}

fn stop() -> ExitCode {
    if after::stop() {
        println!("The demo's server and receiver are stopped, their files removed.");
    } else {
        println!("There is no demo to stop.");
    }
    ExitCode::SUCCESS
}

fn serve(port: &str, directory: &str) -> Fallible<ExitCode> {
    let port = port
        .parse()
        .map_err(|_| Trouble::new(format!("not a port: {port}")))?;
    after::receive(port, Path::new(directory))?;
    Ok(ExitCode::SUCCESS)
}

fn play() -> Fallible<ExitCode> {
    let begin = Instant::now();
    after::stop();
    let office = Office::open();
    let stage = Stage::set(&office)?;
    let mut report = Report::default();
    acts::play(&stage, &office, &mut report)?;
    let log = acts::farewell(&stage, office, &mut report)?;
    report.figure("the whole demo", screen::seconds(begin.elapsed()));
    report.summarise();
    acts::invite(&stage, &log);
    Ok(verdict(&report))
}

fn verdict(report: &Report) -> ExitCode {
    let broken = report.broken();
    if broken.is_empty() {
        println!("\nEverything that was claimed held.");
        return ExitCode::SUCCESS;
    }
    eprintln!("\nerror: not everything that was claimed held:");
    for claim in broken {
        eprintln!("       {claim}");
    }
    ExitCode::FAILURE
}
