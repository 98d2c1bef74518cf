//! `tms.policy_decisions`: what was decided about calls of agents, as the scheduler takes it out of shared memory.

use pgrx::pg_sys::{INT8OID, TEXTARRAYOID, UUIDOID};

use crate::pg::server::PG_EPOCH_US;
use crate::pg::spi::{self, Arg, Statement};

/// Writes records down, each the text of a JSON object with the table's columns; for decided_at it has
/// decided_us, microseconds since 1970. One that is there already is left alone.
pub(crate) fn write(records: Vec<Option<String>>) {
    static WRITE: Statement = Statement::new(
        c"INSERT INTO tms.policy_decisions
                 (id, decided_at, company_id, agent_name, fn_name, decision, effective, asked, reason, rule, mode, policy_version,
                  policy_sha256, input_sha256, input, usage, latency_us)
          SELECT d.id,
                 'epoch'::pg_catalog.timestamptz OPERATOR(pg_catalog.+)
                 ('1 microsecond'::pg_catalog.interval OPERATOR(pg_catalog.*) d.decided_us),
                 d.company_id, d.agent_name, d.fn_name, d.decision, d.effective, d.asked, d.reason, d.rule, d.mode,
                 d.policy_version, d.policy_sha256, d.input_sha256, d.input, d.usage, d.latency_us
            FROM pg_catalog.unnest($1) AS r (record)
           CROSS JOIN LATERAL pg_catalog.jsonb_to_record(r.record::pg_catalog.jsonb)
                 AS d (id pg_catalog.uuid, decided_us pg_catalog.float8, company_id pg_catalog.uuid,
                       agent_name pg_catalog.text, fn_name pg_catalog.text, decision pg_catalog.text,
                       effective pg_catalog.text, asked pg_catalog.bool, reason pg_catalog.text, rule pg_catalog.text, mode pg_catalog.text,
                       policy_version pg_catalog.int4, policy_sha256 pg_catalog.text, input_sha256 pg_catalog.text,
                       input pg_catalog.jsonb, usage pg_catalog.jsonb, latency_us pg_catalog.int4)
          ON CONFLICT (id) DO NOTHING",
        &[TEXTARRAYOID],
    );
    spi::connect(|session| session.run(&WRITE, &[Arg::TextArray(&records)], 0).count());
}

/// Removes decisions older than `age`; true when there may be more.
pub(crate) fn purge(now: i64, age: i64, batch: i64) -> bool {
    // An id begins with the millisecond it was made in, so the oldest rows are the first of the primary key.
    static PURGE: Statement = Statement::new(
        c"DELETE FROM tms.policy_decisions o
           WHERE o.id OPERATOR(pg_catalog.=) ANY (ARRAY(
                 SELECT d.id FROM tms.policy_decisions d WHERE d.id OPERATOR(pg_catalog.<) $1 ORDER BY d.id LIMIT $2))",
        &[UUIDOID, INT8OID],
    );
    let horizon = now.saturating_sub(age);
    let unix_us = u64::try_from(horizon.saturating_add(PG_EPOCH_US)).unwrap_or(0);
    let end = tms_domain::event_id::v7_bytes(unix_us, [0; 8]);
    let removed = spi::connect(|session| {
        session
            .run(&PURGE, &[Arg::Uuid(&end), Arg::Int8(batch)], 0)
            .count()
    });
    i64::try_from(removed).is_ok_and(|removed| removed >= batch)
}
