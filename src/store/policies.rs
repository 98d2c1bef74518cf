//! `tms.policies`, `tms.policy_heads` and `tms.policy_changes`: versions, which of them is in force, and how it came to be.

use pgrx::pg_sys::{INT4OID, OIDOID, TEXTOID, UUIDOID};
use tms_domain::policy::{AgentPolicy, canonical};

use crate::pg::spi::{self, Arg, Session, Statement};

mod history;
pub(crate) mod known;
pub(crate) mod recorded;

pub(crate) use history::{Change, Standing, changes, document, standing};

/// A company's own policies, or with `None` the platform's.
pub(crate) type Company = Option<[u8; 16]>;

pub(super) fn of(company: &Company) -> Arg<'_> {
    company.as_ref().map_or(Arg::Null, Arg::Uuid)
}

/// A version of an agent's policy.
pub(crate) struct Version {
    pub(crate) number: i32,
    pub(crate) sha256: String,
}

/// Puts a policy in force: as the version that it was before, if it was one, else as a new one.
pub(crate) fn put(policy: &AgentPolicy, company: &Company, role: u32) -> Version {
    let (document, sha256) = (canonical::text(policy), canonical::sha256(policy));
    let agent = policy.agent.as_str();
    let number = spi::connect(|session| match begin(session, agent, company, role) {
        None => {
            insert(session, agent, company, 1, &sha256, &document, role);
            record(session, agent, company, "load", 1, None, role);
            1
        }
        Some(current) => {
            let number = number_of(session, agent, company, &sha256).unwrap_or_else(|| {
                let next = next_number(session, agent, company);
                insert(session, agent, company, next, &sha256, &document, role);
                next
            });
            if number != current {
                move_head(session, agent, company, number, role);
                record(session, agent, company, "load", number, Some(current), role);
            }
            number
        }
    });
    Version { number, sha256 }
}

/// What a rollback found.
pub(crate) enum RolledBack {
    /// This version is in force now; it may have been before.
    To(Version),
    /// The company has no policy of this agent.
    UnknownAgent,
    /// The agent's policy has no such version.
    UnknownVersion,
}

/// Puts a version in force again.
pub(crate) fn roll_back(agent: &str, number: i32, company: &Company, role: u32) -> RolledBack {
    static SHA256: Statement = Statement::new(
        c"SELECT p.sha256 FROM tms.policies p
           WHERE p.agent_name OPERATOR(pg_catalog.=) $1
             AND (p.company_id OPERATOR(pg_catalog.=) $2 OR (p.company_id IS NULL AND $2 IS NULL))
             AND p.version OPERATOR(pg_catalog.=) $3",
        &[TEXTOID, UUIDOID, INT4OID],
    );
    spi::connect(|session| {
        let Some(current) = lock_head(session, agent, company) else {
            return RolledBack::UnknownAgent;
        };
        let rows = session.run(&SHA256, &[Arg::Text(agent), of(company), Arg::Int4(number)], 0);
        let Some(sha256) = rows.first().and_then(|row| row.text(1)) else {
            return RolledBack::UnknownVersion;
        };
        if number != current {
            move_head(session, agent, company, number, role);
            record(session, agent, company, "rollback", number, Some(current), role);
        }
        RolledBack::To(Version { number, sha256 })
    })
}

/// Takes the agent's head for this transaction; `None` when there was none, and version 1 is to be inserted now.
fn begin(session: &Session, agent: &str, company: &Company, role: u32) -> Option<i32> {
    static BEGIN: Statement = Statement::new(
        c"INSERT INTO tms.policy_heads (agent_name, company_id, version, changed_by)
          VALUES ($1, $2, 1, pg_catalog.pg_get_userbyid($3))
          ON CONFLICT ON CONSTRAINT policy_heads_agent DO NOTHING",
        &[TEXTOID, UUIDOID, OIDOID],
    );
    // Waits for another transaction that is about to do the same.
    let inserted = session.run(&BEGIN, &[Arg::Text(agent), of(company), Arg::Oid(role)], 0);
    if inserted.count() > 0 {
        None
    } else {
        lock_head(session, agent, company)
    }
}

/// The version in force, which nobody else changes until this transaction ends.
fn lock_head(session: &Session, agent: &str, company: &Company) -> Option<i32> {
    static LOCK: Statement = Statement::new(
        c"SELECT h.version FROM tms.policy_heads h
           WHERE h.agent_name OPERATOR(pg_catalog.=) $1
             AND (h.company_id OPERATOR(pg_catalog.=) $2 OR (h.company_id IS NULL AND $2 IS NULL))
             FOR UPDATE",
        &[TEXTOID, UUIDOID],
    );
    let rows = session.run(&LOCK, &[Arg::Text(agent), of(company)], 0);
    rows.first().and_then(|row| row.int4(1))
}

fn number_of(session: &Session, agent: &str, company: &Company, sha256: &str) -> Option<i32> {
    static NUMBER: Statement = Statement::new(
        c"SELECT p.version FROM tms.policies p
           WHERE p.agent_name OPERATOR(pg_catalog.=) $1
             AND (p.company_id OPERATOR(pg_catalog.=) $2 OR (p.company_id IS NULL AND $2 IS NULL))
             AND p.sha256 OPERATOR(pg_catalog.=) $3",
        &[TEXTOID, UUIDOID, TEXTOID],
    );
    let rows = session.run(&NUMBER, &[Arg::Text(agent), of(company), Arg::Text(sha256)], 0);
    rows.first().and_then(|row| row.int4(1))
}

fn next_number(session: &Session, agent: &str, company: &Company) -> i32 {
    static LAST: Statement = Statement::new(
        c"SELECT pg_catalog.max(p.version) FROM tms.policies p
           WHERE p.agent_name OPERATOR(pg_catalog.=) $1
             AND (p.company_id OPERATOR(pg_catalog.=) $2 OR (p.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID],
    );
    let rows = session.run(&LAST, &[Arg::Text(agent), of(company)], 0);
    let last = rows.first().and_then(|row| row.int4(1)).unwrap_or(0);
    last.saturating_add(1)
}

fn insert(
    session: &Session,
    agent: &str,
    company: &Company,
    number: i32,
    sha256: &str,
    document: &str,
    role: u32,
) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.policies (agent_name, company_id, version, sha256, document, loaded_by)
          VALUES ($1, $2, $3, $4, $5, pg_catalog.pg_get_userbyid($6))",
        &[TEXTOID, UUIDOID, INT4OID, TEXTOID, TEXTOID, OIDOID],
    );
    let args = [
        Arg::Text(agent),
        of(company),
        Arg::Int4(number),
        Arg::Text(sha256),
        Arg::Text(document),
        Arg::Oid(role),
    ];
    session.run(&INSERT, &args, 0);
}

fn move_head(session: &Session, agent: &str, company: &Company, number: i32, role: u32) {
    static MOVE: Statement = Statement::new(
        c"UPDATE tms.policy_heads h
             SET version = $3, previous_version = h.version, changed_at = pg_catalog.now(),
                 changed_by = pg_catalog.pg_get_userbyid($4)
           WHERE h.agent_name OPERATOR(pg_catalog.=) $1
             AND (h.company_id OPERATOR(pg_catalog.=) $2 OR (h.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID, INT4OID, OIDOID],
    );
    let args = [Arg::Text(agent), of(company), Arg::Int4(number), Arg::Oid(role)];
    session.run(&MOVE, &args, 0);
}

fn record(
    session: &Session,
    agent: &str,
    company: &Company,
    action: &str,
    number: i32,
    previous: Option<i32>,
    role: u32,
) {
    static RECORD: Statement = Statement::new(
        c"INSERT INTO tms.policy_changes (agent_name, company_id, action, version, previous_version, changed_by)
          VALUES ($1, $2, $3, $4, $5, pg_catalog.pg_get_userbyid($6))",
        &[TEXTOID, UUIDOID, TEXTOID, INT4OID, INT4OID, OIDOID],
    );
    let args = [
        Arg::Text(agent),
        of(company),
        Arg::Text(action),
        Arg::Int4(number),
        previous.map_or(Arg::Null, Arg::Int4),
        Arg::Oid(role),
    ];
    session.run(&RECORD, &args, 0);
}
