//! Events that nobody can deliver: one kind is refused for good, the other uses up its retries.

use std::time::Duration;

use crate::report::Report;
use crate::screen;
use crate::stage::{Stage, poll_until};
use crate::trouble::Fallible;

/// Retries that billing's events get; its target waits 50 to 200 ms between them.
const RETRIES: i32 = 3;
const EVENTS: i64 = 2;

/// What a dead letter must say, by target: error_type, permanent, attempts.
const EXPECTED: [(&str, &str, bool, i32); 2] = [
    ("billing", "external_api", false, RETRIES + 1),
    ("customs", "validation", true, 1),
];

pub fn play(stage: &Stage, report: &mut Report) -> Fallible<()> {
    let company = &stage.companies[0];
    screen::heading("5. Events nobody can deliver");
    println!(
        "  customs answers 400 to everything; billing answers 500, and its events get {RETRIES} retries"
    );
    let mut client = stage.session(&company.role)?;
    for (event_type, target) in [("declaration.filed", "customs"), ("invoice.issued", "billing")] {
        client.execute(
            "SELECT tms_enqueue($1, jsonb_build_object('number', n), $2, max_retries => $3) \
               FROM generate_series(1, $4::bigint) AS n",
            &[&event_type, &target, &RETRIES, &EVENTS],
        )?;
    }
    let letters = "SELECT target_system, event_type, error_type, error_message, attempts, permanent \
                     FROM tms.dead_letter_queue ORDER BY target_system, created_at";
    let expected = EXPECTED.len() * EVENTS as usize;
    let all = poll_until(Duration::from_secs(60), || {
        Ok(client.query(letters, &[])?.len() >= expected)
    })?;
    let rows = client.query(letters, &[])?;
    show(&rows);
    let right = rows
        .iter()
        .all(|row| EXPECTED.contains(&(row.get(0), row.get(2), row.get(5), row.get(4))));
    report.claim(
        format!(
            "{} dead letters for {expected} events, each with its reason",
            rows.len()
        ),
        all.is_some() && rows.len() == expected && right,
    );
    report.figure("dead letters", rows.len().to_string());
    Ok(())
}

fn show(rows: &[postgres::Row]) {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.get(0),
                row.get(2),
                row.get(3),
                if row.get(5) {
                    "refused for good"
                } else {
                    "retries used up"
                }
                .to_owned(),
            ]
        })
        .collect();
    let head = ["target", "error_type", "error_message", "why"];
    screen::table(&head, &rows);
}
