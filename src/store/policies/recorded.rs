//! `tms.policy_decisions`, as a candidate is held against it: a batch at a time, in the order of the decisions.

use pgrx::pg_sys::{INT8OID, TEXTARRAYOID, TIMESTAMPTZOID, UUIDOID};
use tms_domain::policy::usage::Usage;

use super::{Company, of};
use crate::pg::jsonb;
use crate::pg::spi::{self, Arg, Statement};

/// Rows that are in memory at once.
const BATCH: i64 = 5_000;

/// A decision on record.
pub(crate) struct Recorded {
    pub(crate) id: [u8; 16],
    /// In PostgreSQL's form: microseconds since 2000-01-01 UTC.
    pub(crate) at: i64,
    pub(crate) company: Company,
    pub(crate) agent: String,
    pub(crate) function: String,
    pub(crate) decision: String,
    pub(crate) usage: Usage,
}

/// Shows `look` each decision since a moment about calls of these agents that the company's policies decided, or with no company
/// those that the platform's did: of all companies without a policy of their own for the agent.
pub(crate) fn each(since: i64, agents: &[Option<String>], company: &Company, mut look: impl FnMut(Recorded)) {
    let mut last = [0; 16];
    loop {
        let batch = after(&last, since, agents, company);
        let Some(end) = batch.last().map(|recorded| recorded.id) else {
            return;
        };
        last = end;
        batch.into_iter().for_each(&mut look);
    }
}

fn after(last: &[u8; 16], since: i64, agents: &[Option<String>], company: &Company) -> Vec<Recorded> {
    // Ids begin with their moment, so their order is that of the decisions.
    static AFTER: Statement = Statement::new(
        c"SELECT d.id, d.decided_at, d.company_id, d.agent_name, d.fn_name, d.decision, d.usage
            FROM tms.policy_decisions d
           WHERE d.id OPERATOR(pg_catalog.>) $1 AND d.decided_at OPERATOR(pg_catalog.>=) $2
             AND d.agent_name OPERATOR(pg_catalog.=) ANY ($3) AND NOT d.asked
             AND (d.company_id OPERATOR(pg_catalog.=) $4
                  OR ($4 IS NULL AND NOT EXISTS (
                      SELECT 1 FROM tms.policy_heads h
                       WHERE h.agent_name OPERATOR(pg_catalog.=) d.agent_name COLLATE pg_catalog.\"C\"
                         AND h.company_id OPERATOR(pg_catalog.=) d.company_id)))
           ORDER BY d.id LIMIT $5",
        &[UUIDOID, TIMESTAMPTZOID, TEXTARRAYOID, UUIDOID, INT8OID],
    );
    let args = [
        Arg::Uuid(last),
        Arg::Timestamp(since),
        Arg::TextArray(agents),
        of(company),
        Arg::Int8(BATCH),
    ];
    spi::connect(|session| {
        let rows = session.run(&AFTER, &args, 0);
        let recorded = rows.iter().filter_map(|row| {
            // What cannot be read was not written by this release: a call that says nothing of itself.
            let usage = row.datum(7).and_then(jsonb::value);
            Some(Recorded {
                id: row.uuid(1)?,
                at: row.int8(2)?,
                company: row.uuid(3),
                agent: row.text(4)?,
                function: row.text(5)?,
                decision: row.text(6)?,
                usage: usage
                    .and_then(|usage| Usage::read(&usage).ok())
                    .unwrap_or_default(),
            })
        });
        recorded.collect()
    })
}
