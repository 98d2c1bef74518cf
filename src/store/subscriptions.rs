//! `tms.subscriptions`: which targets take which types of event.

use pgrx::pg_sys::{TEXTOID, UUIDOID};

use crate::pg::spi::{self, Arg, Statement};

/// Adds a subscription; true when it is new.
pub(crate) fn add(pattern: &str, target: &str, company: Option<[u8; 16]>) -> bool {
    static ADD: Statement = Statement::new(
        c"INSERT INTO tms.subscriptions (event_type_pattern, target_system, company_id) VALUES ($1, $2, $3)
          ON CONFLICT ON CONSTRAINT subscriptions_once DO NOTHING",
        &[TEXTOID, TEXTOID, UUIDOID],
    );
    change(&ADD, pattern, target, company)
}

/// Removes a subscription; true when there was one.
pub(crate) fn remove(pattern: &str, target: &str, company: Option<[u8; 16]>) -> bool {
    static REMOVE: Statement = Statement::new(
        c"DELETE FROM tms.subscriptions s
           WHERE s.event_type_pattern OPERATOR(pg_catalog.=) $1 AND s.target_system OPERATOR(pg_catalog.=) $2
             AND (s.company_id OPERATOR(pg_catalog.=) $3 OR (s.company_id IS NULL AND $3 IS NULL))",
        &[TEXTOID, TEXTOID, UUIDOID],
    );
    change(&REMOVE, pattern, target, company)
}

fn change(statement: &Statement, pattern: &str, target: &str, company: Option<[u8; 16]>) -> bool {
    let company = company.as_ref().map_or(Arg::Null, Arg::Uuid);
    spi::connect(|session| {
        session
            .run(statement, &[Arg::Text(pattern), Arg::Text(target), company], 0)
            .count()
    }) > 0
}

/// A subscription that may concern an event.
pub(crate) struct Candidate {
    pub(crate) pattern: String,
    pub(crate) target: String,
}

/// Those of the event's company and those of the platform.
pub(crate) fn candidates(company: Option<[u8; 16]>) -> Vec<Candidate> {
    static CANDIDATES: Statement = Statement::new(
        c"SELECT s.event_type_pattern, s.target_system FROM tms.subscriptions s
           WHERE s.company_id OPERATOR(pg_catalog.=) $1 OR s.company_id IS NULL",
        &[UUIDOID],
    );
    let company = company.as_ref().map_or(Arg::Null, Arg::Uuid);
    spi::connect(|session| {
        let rows = session.run(&CANDIDATES, &[company], 0);
        rows.iter()
            .filter_map(|row| {
                Some(Candidate {
                    pattern: row.text(1)?,
                    target: row.text(2)?,
                })
            })
            .collect()
    })
}
