//! The other company: it sees its own rows, none of its neighbour's, and cannot act for it.

use postgres::Client;
use postgres::error::SqlState;
use uuid::Uuid;

use crate::report::Report;
use crate::screen::{self, grouped};
use crate::stage::{Company, Stage};
use crate::trouble::Fallible;

const TABLES: [&str; 7] = [
    "tms.event_outbox",
    "tms.delivery_attempts",
    "tms.dead_letter_queue",
    "freight.loads",
    "freight.stops",
    "freight.tenders",
    "freight.journal",
];

pub fn play(stage: &Stage, report: &mut Report) -> Fallible<()> {
    let [neighbour, company] = &stage.companies[..] else {
        return Err(crate::trouble::Trouble::new("the demo needs two companies"));
    };
    screen::heading(&format!("7. {} beside {}", company.name, neighbour.name));
    let mut client = stage.session(&company.role)?;
    compare_rows(stage, &mut client, neighbour, company, report)?;
    try_what_is_forbidden(&mut client, neighbour, report)
}

/// Rows of a table, by company, as this session sees them.
fn count(client: &mut Client, table: &str, company: Uuid) -> Fallible<i64> {
    let ask = format!("SELECT count(*) FROM {table} WHERE company_id = $1");
    Ok(client.query_one(&ask, &[&company])?.get(0))
}

fn compare_rows(
    stage: &Stage,
    client: &mut Client,
    neighbour: &Company,
    company: &Company,
    report: &mut Report,
) -> Fallible<()> {
    let mut platform = stage.platform()?;
    let (mut foreign, mut there, mut complete) = (0, 0, true);
    let mut rows = Vec::new();
    for table in TABLES {
        let exist = count(&mut platform, table, neighbour.id)?;
        let seen = count(client, table, neighbour.id)?;
        let (own, own_seen) = (
            count(&mut platform, table, company.id)?,
            count(client, table, company.id)?,
        );
        foreign += seen;
        there += exist;
        complete &= own == own_seen;
        rows.push(vec![
            table.to_owned(),
            grouped(exist),
            grouped(seen),
            format!("{} of {}", grouped(own_seen), grouped(own)),
        ]);
    }
    let theirs = format!("rows of {}", neighbour.name);
    let seen = format!("seen by {}", company.role);
    screen::table(&["table", &theirs, &seen, "own rows seen"], &rows);
    report.claim(
        format!(
            "{} sees {foreign} of {} rows of its neighbour",
            company.name,
            grouped(there)
        ),
        foreign == 0 && there > 0,
    );
    report.claim(format!("{} sees every row of its own", company.name), complete);
    let figure = format!("rows of {} that {} saw", neighbour.name, company.name);
    report.figure(&figure, format!("{foreign} of {}", grouped(there)));
    Ok(())
}

/// Statements that reach for another company, or for what belongs to the platform.
fn forbidden(neighbour: &Company) -> [(String, String); 5] {
    let (id, role) = (neighbour.id, &neighbour.role);
    [
        (
            format!("enqueue for {role}"),
            format!("SELECT tms_enqueue('load.status_changed', '{{}}', 'n8n', '{id}')"),
        ),
        (
            format!("INSERT for {role}"),
            format!(
                "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id) \
                 VALUES ('load.status_changed', '{{}}', 'n8n', '{id}')"
            ),
        ),
        (
            "UPDATE the outbox".to_owned(),
            "UPDATE tms.event_outbox SET processed_at = NULL".to_owned(),
        ),
        (
            "read the secrets".to_owned(),
            "SELECT * FROM tms.target_secrets".to_owned(),
        ),
        (
            "pause a target".to_owned(),
            "SELECT tms_target_pause('n8n')".to_owned(),
        ),
    ]
}

fn try_what_is_forbidden(client: &mut Client, neighbour: &Company, report: &mut Report) -> Fallible<()> {
    let attempts = forbidden(neighbour);
    let (mut refused, tried) = (0, attempts.len());
    let mut rows = Vec::new();
    for (what, statement) in attempts {
        let (state, message) = match client.batch_execute(&statement) {
            Ok(()) => ("none".to_owned(), "IT WAS ALLOWED".to_owned()),
            Err(error) => match error.as_db_error() {
                Some(said) => (said.code().code().to_owned(), said.message().to_owned()),
                None => return Err(error.into()),
            },
        };
        refused += usize::from(state == SqlState::INSUFFICIENT_PRIVILEGE.code());
        rows.push(vec![what, state, message]);
    }
    screen::table(&["attempt", "SQLSTATE", "message"], &rows);
    report.claim(
        format!("{refused} of {tried} attempts were refused with 42501"),
        refused == tried,
    );
    report.figure("forbidden attempts refused", format!("{refused} of {tried}"));
    let touched = client.execute(
        "UPDATE freight.loads SET status = 'cancelled' WHERE company_id = $1",
        &[&neighbour.id],
    )?;
    report.claim(
        format!("an UPDATE of the neighbour's loads found {touched} rows"),
        touched == 0,
    );
    Ok(())
}
