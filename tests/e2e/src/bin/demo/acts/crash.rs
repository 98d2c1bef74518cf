//! kill -9 of the dispatcher in the middle of its work. PostgreSQL answers that by restarting all of its processes.

use std::time::{Duration, Instant};

use crate::office::{Mood, Office};
use crate::report::Report;
use crate::screen::{self, grouped, seconds};
use crate::sessions::{Plan, Sessions};
use crate::stage::Stage;
use crate::trouble::{Fallible, Trouble};
use crate::watch::Watch;

const PLAN: Plan = Plan {
    sessions_per_company: 2,
    loads_per_session: 150,
    rate: Some(1_000.0),
};

/// The kill comes when so many have arrived and so many are on the wire.
const BEFORE: u64 = 600;
const ON_THE_WIRE: usize = 8;

pub fn play(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    let goal = PLAN.changes(stage);
    screen::heading("4. kill -9 of the dispatcher, with requests on the wire");
    let duplicates = office.duplicates();
    // Long enough for requests to be on the wire whenever one looks.
    office.set_mood(Mood::Slow(Duration::from_millis(15)));
    let mut watch = Watch::over(stage, office, goal);
    let sessions = Sessions::start(stage, &PLAN)?;
    watch.until(&sessions, "too little was on the wire to kill it", |watch| {
        Ok(watch.accepted() >= BEFORE && office.in_flight() >= ON_THE_WIRE)
    })?;
    let on_the_wire = office.in_flight();
    let victim = stage
        .dispatcher()
        .ok_or_else(|| Trouble::new("there is no dispatcher to kill"))?;
    stage.cluster.kill9(victim);
    let killed = Instant::now();
    println!("\n  kill -9 {victim}, with {on_the_wire} requests on the wire");

    let mut successor = None;
    watch.until(&sessions, "no dispatcher came back", |_| {
        successor = stage.dispatcher().filter(|pid| *pid != victim);
        Ok(successor.is_some())
    })?;
    let back = killed.elapsed();
    println!(
        "\n  dispatcher {} is at work after {}",
        successor.unwrap_or_default(),
        seconds(back)
    );
    let (done, _) = watch.finish(sessions)?;
    office.set_mood(Mood::Fine);
    let duplicates = office.duplicates() - duplicates;
    println!(
        "  the sessions reconnected {} times; {duplicates} deliveries were repeats, with the same webhook-id",
        done.reconnects
    );
    report.claim(
        format!(
            "{} changes were committed, every event arrived",
            grouped(done.committed)
        ),
        done.committed == goal,
    );
    report.figure("kill -9 of the dispatcher, next one at work after", seconds(back));
    report.figure(
        "  requests on the wire / duplicates",
        format!("{on_the_wire} / {duplicates}"),
    );
    Ok(())
}
