//! `tms.redaction_rules` and `tms.redaction_keys`: what is redacted where rows land, and what tokens are made with.

use pgrx::pg_sys::{INT4OID, JSONBOID, OIDOID, TEXTOID, UUIDOID};
use serde_json::Value;

use crate::pg::jsonb;
use crate::pg::spi::{self, Arg, Statement};

/// A company's own rules, or with `None` the platform's.
pub(crate) type Company = Option<[u8; 16]>;

/// A master key.
pub(crate) struct Master {
    pub(crate) id: String,
    /// In base64.
    pub(crate) text: String,
}

fn of(company: &Company) -> Arg<'_> {
    company.as_ref().map_or(Arg::Null, Arg::Uuid)
}

/// The rules that hold for a company as they are committed now: its own, else the platform's.
pub(crate) fn rules(company: &Company) -> Option<Value> {
    static RULES: Statement = Statement::new(
        c"SELECT r.rules FROM tms.redaction_rules r
           WHERE r.company_id OPERATOR(pg_catalog.=) $1 OR r.company_id IS NULL
           ORDER BY r.company_id NULLS LAST LIMIT 1",
        &[UUIDOID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&RULES, &[of(company)]);
        rows.first()
            .and_then(|row| row.datum(1))
            .map(|datum| jsonb::value(datum).unwrap_or(Value::Null))
    })
}

/// Sets a company's rules, or the platform's.
pub(crate) fn set_rules(company: &Company, rules: &Value, role: u32) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.redaction_rules AS r (company_id, rules, set_by) VALUES ($1, $2, pg_catalog.pg_get_userbyid($3))
          ON CONFLICT ON CONSTRAINT redaction_rules_company
          DO UPDATE SET rules = EXCLUDED.rules, set_at = pg_catalog.now(), set_by = EXCLUDED.set_by",
        &[UUIDOID, JSONBOID, OIDOID],
    );
    let rules = jsonb::of_text(&rules.to_string());
    spi::connect(|session| {
        session.run(&SET, &[of(company), Arg::Datum(rules), Arg::Oid(role)], 0);
    });
}

/// Takes a company's own rules away, or the platform's.
pub(crate) fn remove_rules(company: &Company) {
    static REMOVE: Statement = Statement::new(
        c"DELETE FROM tms.redaction_rules r
           WHERE r.company_id OPERATOR(pg_catalog.=) $1 OR (r.company_id IS NULL AND $1 IS NULL)",
        &[UUIDOID],
    );
    spi::connect(|session| {
        session.run(&REMOVE, &[of(company)], 0);
    });
}

/// The newest master key.
pub(crate) fn newest_key() -> Option<Master> {
    static NEWEST: Statement = Statement::new(
        c"SELECT k.id, k.master FROM tms.redaction_keys k ORDER BY k.number DESC LIMIT 1",
        &[],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&NEWEST, &[]);
        let row = rows.first()?;
        Some(Master {
            id: row.text(1)?,
            text: row.text(2)?,
        })
    })
}

/// The number that the next key has.
pub(crate) fn next_key_number() -> i32 {
    // Who makes a key waits for another that is being made, so that no number is given twice.
    static NEXT: Statement = Statement::new(
        c"SELECT COALESCE(pg_catalog.max(k.number), 0) OPERATOR(pg_catalog.+) 1 FROM tms.redaction_keys k",
        &[],
    );
    spi::connect(|session| {
        session.run_once(c"LOCK TABLE tms.redaction_keys IN SHARE ROW EXCLUSIVE MODE");
        let rows = session.read_latest(&NEXT, &[]);
        rows.first().and_then(|row| row.int4(1)).unwrap_or(1)
    })
}

/// Adds a master key.
pub(crate) fn add_key(number: i32, key: &Master) {
    static ADD: Statement = Statement::new(
        c"INSERT INTO tms.redaction_keys (id, number, master) VALUES ($1, $2, $3)",
        &[TEXTOID, INT4OID, TEXTOID],
    );
    spi::connect(|session| {
        session.run(
            &ADD,
            &[Arg::Text(&key.id), Arg::Int4(number), Arg::Text(&key.text)],
            0,
        );
    });
}

/// Whether a role may have tokens made, itself or by a role it is a member of.
pub(crate) fn may_use_key(role: u32) -> bool {
    static MAY: Statement = Statement::new(
        c"SELECT pg_catalog.has_function_privilege($1, 'tms.use_redaction_key()', 'EXECUTE')",
        &[OIDOID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&MAY, &[Arg::Oid(role)]);
        rows.first().and_then(|row| row.bool(1)).unwrap_or(false)
    })
}
