//! One load from the carrier's yes to the door, statement by statement.

use std::time::Duration;

use crate::office::Office;
use crate::report::Report;
use crate::screen;
use crate::stage::{Stage, poll_until};
use crate::trouble::Fallible;

/// What a dispatcher's day does to a load, and the events that each statement enqueues, in their order.
const DAY: [(&str, &[&str]); 6] = [
    (
        "UPDATE freight.tenders SET status = 'accepted' WHERE load_id = $1",
        &["tender.accepted", "load.status_changed"],
    ),
    (
        "UPDATE freight.loads SET status = 'dispatched' WHERE id = $1",
        &["load.status_changed"],
    ),
    (
        "UPDATE freight.stops SET arrived_at = now() WHERE load_id = $1 AND kind = 'pickup'",
        &["stop.arrived"],
    ),
    (
        "UPDATE freight.loads SET status = 'in_transit' WHERE id = $1",
        &["load.status_changed"],
    ),
    (
        "UPDATE freight.stops SET arrived_at = now() WHERE load_id = $1 AND kind = 'delivery'",
        &["stop.arrived"],
    ),
    (
        "UPDATE freight.loads SET status = 'delivered' WHERE id = $1",
        &["load.status_changed"],
    ),
];

pub fn play(stage: &Stage, office: &Office, report: &mut Report) -> Fallible<()> {
    let company = &stage.companies[0];
    screen::heading(&format!(
        "1. One load of {}: a business write, and its event",
        company.name
    ));
    let mut client = stage.session(&company.role)?;
    let load: i64 = client.query_one("SELECT freight.open_loads(1)", &[])?.get(0);
    office.trace(true);
    let mut as_expected = true;
    for (statement, expected) in DAY {
        client.execute(statement, &[&load])?;
        let arrived = poll_until(Duration::from_secs(30), || {
            Ok(office.trace_len() >= expected.len())
        })?;
        println!("  {}", statement.replace("$1", &load.to_string()));
        let mut seen: Vec<String> = Vec::new();
        for arrival in office.take_trace() {
            println!(
                "      -> {:<20} at the receiver after {}",
                arrival.event_type,
                screen::millis(arrival.after)
            );
            seen.push(arrival.event_type);
        }
        // Several requests are on the wire at once: their order is not promised.
        seen.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        as_expected &= arrived.is_some() && seen == expected;
    }
    office.trace(false);
    report.claim(
        "each write brought exactly its own events, with no code outside the database",
        as_expected,
    );
    Ok(())
}
