//! `tms.policy_spending`: what agents have used of their budgets, a row for each day. The scheduler alone writes it.

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID, UUIDOID};
use tms_domain::policy::budget::{Amounts, Booked, RESOURCES};

use super::policies::{Company, of};
use crate::pg::cache;
use crate::pg::spi::{self, Arg, Row, Session, Statement};

/// A row's key. The day is in days since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) agent: String,
    pub(crate) company: Company,
    pub(crate) day: i64,
}

fn date(day: i64) -> i32 {
    i32::try_from(day).unwrap_or(i32::MAX)
}

fn amount(row: &Row<'_>, column: i32) -> u64 {
    row.int8(column)
        .and_then(|amount| u64::try_from(amount).ok())
        .unwrap_or(0)
}

fn booked(row: &Row<'_>) -> [Booked; RESOURCES] {
    [1, 3].map(|column| Booked {
        allotted: amount(row, column),
        used: amount(row, column + 1),
    })
}

/// What the table says, for an update; nothing where there is no row.
pub(crate) fn read(session: &Session, place: &Place) -> [Booked; RESOURCES] {
    static READ: Statement = Statement::new(
        c"SELECT s.allotted_micro_usd, s.used_micro_usd, s.allotted_tokens, s.used_tokens
            FROM tms.policy_spending s
           WHERE s.agent_name OPERATOR(pg_catalog.=) $1
             AND (s.company_id OPERATOR(pg_catalog.=) $2 OR (s.company_id IS NULL AND $2 IS NULL))
             AND s.day OPERATOR(pg_catalog.=) ('1970-01-01'::pg_catalog.date OPERATOR(pg_catalog.+) $3)
             FOR UPDATE",
        &[TEXTOID, UUIDOID, INT4OID],
    );
    let args = [
        Arg::Text(&place.agent),
        of(&place.company),
        Arg::Int4(date(place.day)),
    ];
    let rows = session.run(&READ, &args, 0);
    rows.first().map(|row| booked(&row)).unwrap_or_default()
}

/// Writes a row, or writes it anew.
pub(crate) fn write(session: &Session, place: &Place, [cost, tokens]: &[Booked; RESOURCES]) {
    static WRITE: Statement = Statement::new(
        c"INSERT INTO tms.policy_spending AS s
                 (agent_name, company_id, day, allotted_micro_usd, used_micro_usd, allotted_tokens, used_tokens)
          VALUES ($1, $2, '1970-01-01'::pg_catalog.date OPERATOR(pg_catalog.+) $3, $4, $5, $6, $7)
          ON CONFLICT ON CONSTRAINT policy_spending_day DO UPDATE
             SET allotted_micro_usd = EXCLUDED.allotted_micro_usd, used_micro_usd = EXCLUDED.used_micro_usd,
                 allotted_tokens = EXCLUDED.allotted_tokens, used_tokens = EXCLUDED.used_tokens,
                 updated_at = pg_catalog.now()",
        &[TEXTOID, UUIDOID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID],
    );
    let amount = |amount: u64| Arg::Int8(i64::try_from(amount).unwrap_or(i64::MAX));
    let args = [
        Arg::Text(&place.agent),
        of(&place.company),
        Arg::Int4(date(place.day)),
        amount(cost.allotted),
        amount(cost.used),
        amount(tokens.allotted),
        amount(tokens.used),
    ];
    session.run(&WRITE, &args, 0);
}

/// What counts as spent, as it is committed now, whoever asks.
pub(crate) fn spent(agent: &str, company: &Company, day: i64) -> Amounts {
    static SPENT: Statement = Statement::new(
        c"SELECT s.allotted_micro_usd, s.used_micro_usd, s.allotted_tokens, s.used_tokens
            FROM tms.policy_spending s
           WHERE s.agent_name OPERATOR(pg_catalog.=) $1
             AND (s.company_id OPERATOR(pg_catalog.=) $2 OR (s.company_id IS NULL AND $2 IS NULL))
             AND s.day OPERATOR(pg_catalog.=) ('1970-01-01'::pg_catalog.date OPERATOR(pg_catalog.+) $3)",
        &[TEXTOID, UUIDOID, INT4OID],
    );
    let args = [Arg::Text(agent), of(company), Arg::Int4(date(day))];
    cache::as_owner(|| {
        spi::connect(|session| {
            let rows = session.read_latest(&SPENT, &args);
            let row = rows.first().map(|row| booked(&row)).unwrap_or_default();
            row.map(|booked| booked.allotted)
        })
    })
}

/// Removes the rows of days that began longer than `age_days` before `today`, and of none that calls may still be booked on; true
/// when there may be more.
pub(crate) fn purge(today: i64, age_days: i64, batch: i64) -> bool {
    static PURGE: Statement = Statement::new(
        c"DELETE FROM tms.policy_spending o
           WHERE o.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
                 SELECT s.ctid FROM tms.policy_spending s
                  WHERE s.day OPERATOR(pg_catalog.<) ('1970-01-01'::pg_catalog.date OPERATOR(pg_catalog.+) $1) LIMIT $2))",
        &[INT4OID, INT8OID],
    );
    let end = date(today.saturating_sub(age_days.max(2)));
    let removed = spi::connect(|session| {
        session
            .run(&PURGE, &[Arg::Int4(end), Arg::Int8(batch)], 0)
            .count()
    });
    i64::try_from(removed).is_ok_and(|removed| removed >= batch)
}
