//! A receiver that answers 503, then refuses connections, then recovers, while the business goes on.

use std::time::{Instant, SystemTime};

use postgres::Client;

use super::RECORDED;
use crate::office::{Mood, Office};
use crate::report::Report;
use crate::screen::{self, grouped, seconds};
use crate::sessions::{Plan, Sessions};
use crate::stage::{Stage, poll_until};
use crate::trouble::Fallible;
use crate::watch::Watch;

const PLAN: Plan = Plan {
    sessions_per_company: 1,
    loads_per_session: 200,
    rate: Some(300.0),
};

/// Events before the trouble begins, and failures of each kind before it goes on to the next.
const BEFORE: u64 = 300;
const REFUSALS: u64 = 600;
const UNREACHABLE: i64 = 300;

pub fn play(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    let goal = PLAN.changes(stage);
    screen::heading("3. A receiver that fails for a while");
    let mut client = stage.platform()?;
    let mut watch = Watch::over(stage, office, goal);
    let sessions = Sessions::start(stage, &PLAN)?;
    watch.until(&sessions, "the first events did not arrive", |watch| {
        Ok(watch.accepted() >= BEFORE)
    })?;

    println!("\n  the receiver answers 503 from now on");
    let begun = Instant::now();
    office.set_mood(Mood::Failing);
    watch.until(&sessions, "the receiver was not asked often enough", |_| {
        Ok(office.unavailable() >= REFUSALS)
    })?;

    println!("\n  and now it refuses connections");
    office.refuse_connections();
    watch.until(&sessions, "no refused connections on record", |_| {
        Ok(unreachable(&mut client)? >= UNREACHABLE)
    })?;

    let outage = begun.elapsed();
    println!("\n  it recovers after {}", seconds(outage));
    let recovered = SystemTime::now();
    office.recover();
    let (done, _) = watch.finish(sessions)?;
    let caught_up = last_repaired(&mut client)?;
    show_attempts(&mut client)?;
    judge(&mut client, report, done.committed, goal)?;
    report.figure("outage of the receiver", seconds(outage));
    report.figure("  answers 503", grouped(office.unavailable()));
    let after = caught_up.and_then(|at| at.duration_since(recovered).ok());
    report.figure(
        "  last retried event delivered after its recovery",
        after.map_or("not measured".to_owned(), seconds),
    );
    Ok(())
}

/// When the last event that had needed a retry was on record as delivered; None when one of them never was.
fn last_repaired(client: &mut Client) -> Fallible<Option<SystemTime>> {
    let ask = "SELECT max(processed_at), count(*) FILTER (WHERE processed_at IS NULL) FROM tms.event_outbox \
                WHERE target_system = 'n8n' AND retry_count > 0";
    let mut at = None;
    let all = poll_until(RECORDED, || {
        let row = client.query_one(ask, &[])?;
        at = row.get(0);
        Ok(row.get::<_, i64>(1) == 0)
    })?;
    Ok(all.and(at))
}

/// Attempts that found nobody: they have no status.
fn unreachable(client: &mut Client) -> Fallible<i64> {
    let row = client.query_one(
        "SELECT count(*) FROM tms.delivery_attempts WHERE target_system = 'n8n' AND status_code IS NULL",
        &[],
    )?;
    Ok(row.get(0))
}

fn show_attempts(client: &mut Client) -> Fallible<()> {
    let rows = client.query(
        "SELECT error_type, error_message, outcome, count(*), max(attempt) FROM tms.delivery_attempts \
          WHERE target_system = 'n8n' GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 6",
        &[],
    )?;
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.get(0),
                row.get(1),
                row.get(2),
                grouped(row.get::<_, i64>(3)),
                row.get::<_, i32>(4).to_string(),
            ]
        })
        .collect();
    println!("  tms.delivery_attempts says:");
    screen::table(
        &[
            "error_type",
            "error_message",
            "outcome",
            "times",
            "highest attempt",
        ],
        &rows,
    );
    Ok(())
}

fn judge(client: &mut Client, report: &mut Report, committed: u64, goal: u64) -> Fallible<()> {
    let dead: i64 = client
        .query_one(
            "SELECT count(*) FROM tms.dead_letter_queue WHERE target_system = 'n8n'",
            &[],
        )?
        .get(0);
    report.claim(
        format!(
            "{} changes were committed meanwhile, and every event arrived",
            grouped(committed)
        ),
        committed == goal,
    );
    report.claim(format!("none of them became a dead letter: {dead}"), dead == 0);
    let retried: i64 = client
        .query_one(
            "SELECT count(*) FROM tms.event_outbox WHERE target_system = 'n8n' AND retry_count > 0",
            &[],
        )?
        .get(0);
    report.figure("events that needed a retry", grouped(retried));
    Ok(())
}
