//! What is shown, one act a file, and what is said before and after.

mod bulk;
mod crash;
mod letters;
mod outage;
mod story;
mod tasks;
mod tenancy;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use crate::after;
use crate::office::Office;
use crate::report::Report;
use crate::screen::{self, grouped};
use crate::stage::{DATABASE, Stage, poll_until};
use crate::trouble::Fallible;

/// How long outcomes may take from the receiver's answer into the table.
const RECORDED: Duration = Duration::from_secs(60);

/// All acts in their order, and then the reckoning.
pub fn play(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    story::play(stage, office, report)?;
    bulk::play(stage, office, report)?;
    outage::play(stage, office, report)?;
    crash::play(stage, office, report)?;
    letters::play(stage, report)?;
    tasks::play(stage, report)?;
    tenancy::play(stage, report)?;
    reckon(stage, office, report)
}

/// Holds the journal, which the business wrote, against what the receiver accepted.
fn reckon(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    screen::heading("The reckoning: the business's own journal against the receiver's book");
    let mut client = stage.platform()?;
    let waiting =
        "SELECT count(*) FROM tms.event_outbox WHERE target_system = 'n8n' AND processed_at IS NULL";
    let recorded = poll_until(RECORDED, || {
        Ok(client.query_one(waiting, &[])?.get::<_, i64>(0) == 0)
    })?;
    let journal: HashSet<Uuid> = client
        .query("SELECT event_id FROM freight.journal", &[])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let accepted = office.accepted_ids();
    let lost = journal.difference(&accepted).count();
    let invented = accepted.difference(&journal).count();
    report.claim(
        format!(
            "{} events in the journal, every one accepted: {lost} lost",
            grouped(journal.len() as u64)
        ),
        lost == 0 && !journal.is_empty(),
    );
    report.claim(
        format!("nothing else was accepted, no rolled-back change either: {invented} invented"),
        invented == 0,
    );
    report.claim(
        "every delivery to n8n is on record in tms.event_outbox",
        recorded.is_some(),
    );
    report.figure("events to n8n, all acts", grouped(journal.len() as u64));
    report.figure("lost / invented", format!("{lost} / {invented}"));
    let retries: i64 = client
        .query_one(
            "SELECT count(*) FROM tms.delivery_attempts WHERE outcome = 'retry'",
            &[],
        )?
        .get(0);
    report.figure("retries, all acts", grouped(retries as u64));
    report.figure("duplicates, all acts", grouped(office.duplicates()));
    Ok(())
}

/// Hands over to the receiver that stays, and sends one event to it. Returns the receiver's log.
pub fn farewell(stage: &Stage, office: Office, report: &mut Report) -> Fallible<PathBuf> {
    let port = office.port();
    drop(office);
    let log = after::leave_receiver(stage, port)?;
    let mut client = stage.platform()?;
    let id: Uuid = client
        .query_one(
            "SELECT tms_enqueue('demo.ended', '{\"hello\": \"receiver\"}', 'n8n')",
            &[],
        )?
        .get(0);
    let delivered = poll_until(RECORDED, || {
        let row = client.query_one(
            "SELECT processed_at IS NOT NULL FROM tms.event_outbox WHERE id = $1",
            &[&id],
        )?;
        Ok(row.get(0))
    })?;
    report.claim(
        "the receiver that stays for you takes events",
        delivered.is_some(),
    );
    Ok(log)
}

/// Says how to look around and how to stop.
pub fn invite(stage: &Stage, receiver_log: &Path) {
    screen::heading("Look around");
    println!("{}\n", stage.cluster.psql_line(DATABASE));
    println!("  SELECT * FROM tms.target_status;");
    println!("  SELECT * FROM tms_worker_status();");
    println!(
        "  SELECT target_system, agent_name, state, error_type, error_message, attempts FROM tms.dead_letters;"
    );
    println!("  SELECT * FROM tms.task_status;");
    println!(
        "  UPDATE freight.tenders SET status = 'accepted' WHERE id = (SELECT max(id) FROM freight.tenders);"
    );
    println!("\nServer and receiver keep running; what the receiver gets from now on is in");
    println!("  {}", receiver_log.display());
    println!("Both end with:  make demo-stop");
}
