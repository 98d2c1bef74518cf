//! Ten thousand status changes, as fast as the sessions can; then fewer, at a steady pace, to see how soon each arrives.

use tms_e2e::latency::Summary;

use crate::office::Office;
use crate::report::Report;
use crate::screen::{self, grouped, millis, seconds};
use crate::sessions::{Plan, Sessions};
use crate::stage::Stage;
use crate::trouble::Fallible;
use crate::watch::Watch;

const AT_FULL_SPEED: Plan = Plan {
    sessions_per_company: 2,
    loads_per_session: 500,
    rate: None,
};

const AT_A_PACE: Plan = Plan {
    sessions_per_company: 2,
    loads_per_session: 100,
    rate: Some(500.0),
};

pub fn play(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    full_speed(stage, office, report)?;
    steady_pace(stage, office, report)
}

fn full_speed(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    let goal = AT_FULL_SPEED.changes(stage);
    screen::heading(&format!(
        "2. {} status changes by {} sessions of {} companies",
        grouped(goal),
        AT_FULL_SPEED.sessions(stage),
        stage.companies.len()
    ));
    let duplicates = office.duplicates();
    office.measure_afresh();
    let watch = Watch::over(stage, office, goal);
    let (done, took) = watch.finish(Sessions::start(stage, &AT_FULL_SPEED)?)?;
    let duplicates = office.duplicates() - duplicates;
    println!(
        "  {} changes were rolled back on the way",
        grouped(done.rolled_back)
    );
    report.claim(
        format!(
            "{} committed changes, each at the receiver; {duplicates} duplicates",
            grouped(done.committed)
        ),
        done.committed == goal && duplicates == 0,
    );
    let rate = (done.committed as f64 / took.as_secs_f64()) as u64;
    report.figure(
        "status changes, first commit to last arrival",
        grouped(done.committed),
    );
    report.figure("  seconds", seconds(took));
    report.figure("  events/s, the sessions' own work included", grouped(rate));
    report_latency(report, "  trigger to receiver at full speed", office.latencies());
    Ok(())
}

fn steady_pace(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    let goal = AT_A_PACE.changes(stage);
    let rate = AT_A_PACE.rate.unwrap_or_default();
    println!("\n  and {} more at {rate:.0} a second:", grouped(goal));
    office.measure_afresh();
    let watch = Watch::over(stage, office, goal);
    let (done, _) = watch.finish(Sessions::start(stage, &AT_A_PACE)?)?;
    report.claim(
        format!(
            "{} committed changes, each at the receiver",
            grouped(done.committed)
        ),
        done.committed == goal,
    );
    let name = format!("trigger to receiver at {rate:.0} events/s");
    report_latency(report, &name, office.latencies());
    Ok(())
}

/// The time in the payload is the trigger's, so that the COMMIT is part of what is measured.
fn report_latency(report: &mut Report, name: &str, measured: Option<Summary>) {
    let value = measured.map_or("not measured".to_owned(), |summary| {
        format!(
            "p50 {}  p95 {}  p99 {}",
            millis(summary.p50),
            millis(summary.p95),
            millis(summary.p99)
        )
    });
    println!("  {}: {value}", name.trim_start());
    report.figure(name, value);
}
