//! What is in force and how it came to be, for people.

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID, UUIDOID};

use super::{Company, of};
use crate::pg::spi::{self, Arg, Statement};

/// The version of an agent's policy that is in force. Times are texts in the caller's time zone.
pub(crate) struct Standing {
    pub(crate) number: i32,
    pub(crate) sha256: String,
    pub(crate) document: String,
    pub(crate) previous: Option<i32>,
    pub(crate) changed_at: String,
    pub(crate) changed_by: String,
}

/// What is in force for exactly this company, or for the platform.
pub(crate) fn standing(agent: &str, company: &Company) -> Option<Standing> {
    static STANDING: Statement = Statement::new(
        c"SELECT p.version, p.sha256, p.document, h.previous_version, h.changed_at::pg_catalog.text, h.changed_by
            FROM tms.policy_heads h
            JOIN tms.policies p ON p.agent_name OPERATOR(pg_catalog.=) h.agent_name
                               AND (p.company_id OPERATOR(pg_catalog.=) h.company_id
                                    OR (p.company_id IS NULL AND h.company_id IS NULL))
                               AND p.version OPERATOR(pg_catalog.=) h.version
           WHERE h.agent_name OPERATOR(pg_catalog.=) $1
             AND (h.company_id OPERATOR(pg_catalog.=) $2 OR (h.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&STANDING, &[Arg::Text(agent), of(company)]);
        let row = rows.first()?;
        Some(Standing {
            number: row.int4(1)?,
            sha256: row.text(2)?,
            document: row.text(3)?,
            previous: row.int4(4),
            changed_at: row.text(5)?,
            changed_by: row.text(6)?,
        })
    })
}

/// The canonical form of a version.
pub(crate) fn document(agent: &str, company: &Company, number: i32) -> Option<String> {
    static DOCUMENT: Statement = Statement::new(
        c"SELECT p.document FROM tms.policies p
           WHERE p.agent_name OPERATOR(pg_catalog.=) $1
             AND (p.company_id OPERATOR(pg_catalog.=) $2 OR (p.company_id IS NULL AND $2 IS NULL))
             AND p.version OPERATOR(pg_catalog.=) $3",
        &[TEXTOID, UUIDOID, INT4OID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&DOCUMENT, &[Arg::Text(agent), of(company), Arg::Int4(number)]);
        rows.first().and_then(|row| row.text(1))
    })
}

/// One change of what was in force.
pub(crate) struct Change {
    pub(crate) action: String,
    pub(crate) number: i32,
    pub(crate) previous: Option<i32>,
    pub(crate) changed_at: String,
    pub(crate) changed_by: String,
}

/// The last changes, newest first.
pub(crate) fn changes(agent: &str, company: &Company, most: i64) -> Vec<Change> {
    static CHANGES: Statement = Statement::new(
        c"SELECT c.action, c.version, c.previous_version, c.changed_at::pg_catalog.text, c.changed_by
            FROM tms.policy_changes c
           WHERE c.agent_name OPERATOR(pg_catalog.=) $1
             AND (c.company_id OPERATOR(pg_catalog.=) $2 OR (c.company_id IS NULL AND $2 IS NULL))
           ORDER BY c.id DESC LIMIT $3",
        &[TEXTOID, UUIDOID, INT8OID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&CHANGES, &[Arg::Text(agent), of(company), Arg::Int8(most)]);
        let changes = rows.iter().filter_map(|row| {
            Some(Change {
                action: row.text(1)?,
                number: row.int4(2)?,
                previous: row.int4(3),
                changed_at: row.text(4)?,
                changed_by: row.text(5)?,
            })
        });
        changes.collect()
    })
}
