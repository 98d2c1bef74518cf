//! Tasks that leave through the outbox.

use pgrx::pg_sys::{TEXTOID, TIDARRAYOID, TIMESTAMPTZOID, UUIDARRAYOID};

use super::line::{Handed, Hands};
use crate::pg::spi::{Arg, Session, Statement};

/// Agents with a policy in force, of any company, that names a target for their tasks.
pub(crate) fn agents(session: &Session) -> Vec<String> {
    static AGENTS: Statement = Statement::new(
        c"SELECT DISTINCT h.agent_name
            FROM tms.policy_heads h
            JOIN tms.policies p ON p.agent_name OPERATOR(pg_catalog.=) h.agent_name
                               AND p.version OPERATOR(pg_catalog.=) h.version
                               AND (p.company_id OPERATOR(pg_catalog.=) h.company_id
                                    OR (p.company_id IS NULL AND h.company_id IS NULL))
           WHERE p.document::pg_catalog.jsonb OPERATOR(pg_catalog.#>) ARRAY['agent_policies', p.agent_name, 'push_to'] IS NOT NULL",
        &[],
    );
    let rows = session.run(&AGENTS, &[], 0);
    rows.iter().filter_map(|row| row.text(1)).collect()
}

/// Hands locked tasks out and enqueues an event for each, for `target`: what a claim would have answered.
pub(crate) fn hand_over(session: &Session, handed: &Handed, hands: &Hands<'_>, target: &str) {
    static HAND_OVER: Statement = Statement::new(
        c"WITH handed AS (
              UPDATE tms.agent_tasks t
                 SET status = 'running', turn = NULL, attempts = t.attempts OPERATOR(pg_catalog.+) 1, lease_token = u.token,
                     leased_until = $5, leased_by = $3, started_at = $4, updated_at = $4
                FROM unnest($1, $2) AS u (tid, token)
               WHERE t.ctid OPERATOR(pg_catalog.=) u.tid AND t.turn IS NOT NULL
              RETURNING t.id, t.lease_token, t.agent_name, t.fn_name, t.payload, t.company_id, t.attempts, t.leased_until)
          INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id)
          SELECT 'agent.task',
                 pg_catalog.jsonb_build_object('id', h.id, 'lease_token', h.lease_token, 'agent_name', h.agent_name,
                     'fn_name', h.fn_name, 'payload', h.payload, 'attempt', h.attempts, 'leased_until', h.leased_until),
                 $6, h.company_id
            FROM handed h",
        &[
            TIDARRAYOID, UUIDARRAYOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
        ],
    );
    session.run(
        &HAND_OVER,
        &[
            Arg::TidArray(&handed.tids),
            Arg::UuidArray(&handed.tokens),
            Arg::Text(hands.worker),
            Arg::Timestamp(hands.now),
            Arg::Timestamp(hands.until),
            Arg::Text(target),
        ],
        0,
    );
}
