-- What agents have used of their budgets for a day. The scheduler alone writes here, and what it writes is on disk before a call
-- is let through with it: a crash may lose what was set aside, and lets nothing through twice.

CREATE TABLE tms.policy_spending (
    company_id         uuid,
    agent_name         text COLLATE "C" NOT NULL,
    day                date NOT NULL,
    allotted_micro_usd bigint NOT NULL DEFAULT 0 CHECK (allotted_micro_usd >= 0),
    used_micro_usd     bigint NOT NULL DEFAULT 0 CHECK (used_micro_usd >= 0),
    allotted_tokens    bigint NOT NULL DEFAULT 0 CHECK (allotted_tokens >= 0),
    used_tokens        bigint NOT NULL DEFAULT 0 CHECK (used_tokens >= 0),
    updated_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT policy_spending_day UNIQUE NULLS NOT DISTINCT (agent_name, company_id, day)
);
COMMENT ON TABLE tms.policy_spending IS 'What agents under a budget for a day have used of it, in whole units; tms.policy_budgets shows it in dollars beside the budgets. Kept for tms.decision_retention, and two days at least';
COMMENT ON COLUMN tms.policy_spending.company_id IS 'The company whose agent it is; NULL: the platform''s';
COMMENT ON COLUMN tms.policy_spending.agent_name IS 'The agent';
COMMENT ON COLUMN tms.policy_spending.day IS 'The day, in UTC';
COMMENT ON COLUMN tms.policy_spending.allotted_micro_usd IS 'Millionths of a dollar that count as spent whatever happens: what was used, what calls that run have reserved, and what is set aside for the next ones';
COMMENT ON COLUMN tms.policy_spending.used_micro_usd IS 'Millionths of a dollar that calls have used, as of updated_at';
COMMENT ON COLUMN tms.policy_spending.allotted_tokens IS 'Tokens that count as spent whatever happens';
COMMENT ON COLUMN tms.policy_spending.used_tokens IS 'Tokens that calls have used, as of updated_at';
COMMENT ON COLUMN tms.policy_spending.updated_at IS 'When this was written: about a second after the last call';
COMMENT ON CONSTRAINT policy_spending_day ON tms.policy_spending IS 'One row for a day of an agent of a company, and of the platform';
ALTER TABLE tms.policy_spending ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.policy_spending FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.policy_spending IS 'A role sees what its company''s agents have used';

CREATE VIEW tms.policy_budgets WITH (security_invoker = true) AS
SELECT s.company_id, s.agent_name, s.day,
       pg_catalog.trim_scale(s.used_micro_usd OPERATOR(pg_catalog./) 1000000.0) AS cost_usd,
       pg_catalog.trim_scale(GREATEST(s.allotted_micro_usd OPERATOR(pg_catalog.-) s.used_micro_usd, 0) OPERATOR(pg_catalog./) 1000000.0)
           AS set_aside_usd,
       (p.guardrails OPERATOR(pg_catalog.->>) 'max_cost_usd_per_day')::pg_catalog.numeric AS max_cost_usd_per_day,
       s.used_tokens AS tokens,
       GREATEST(s.allotted_tokens OPERATOR(pg_catalog.-) s.used_tokens, 0) AS set_aside_tokens,
       (p.guardrails OPERATOR(pg_catalog.->>) 'max_tokens_per_day')::pg_catalog.int8 AS max_tokens_per_day,
       s.updated_at
  FROM tms.policy_spending s
  LEFT JOIN LATERAL (
       SELECT v.document::pg_catalog.jsonb OPERATOR(pg_catalog.#>) ARRAY['agent_policies', s.agent_name, 'cost_guardrails'] AS guardrails
         FROM tms.policy_heads h
         JOIN tms.policies v ON v.agent_name OPERATOR(pg_catalog.=) h.agent_name
                            AND v.version OPERATOR(pg_catalog.=) h.version
                            AND (v.company_id OPERATOR(pg_catalog.=) h.company_id OR (v.company_id IS NULL AND h.company_id IS NULL))
        WHERE h.agent_name OPERATOR(pg_catalog.=) s.agent_name
          AND (h.company_id IS NULL OR h.company_id OPERATOR(pg_catalog.=) s.company_id)
        ORDER BY h.company_id NULLS LAST
        LIMIT 1) p ON true;
COMMENT ON VIEW tms.policy_budgets IS 'What each day has cost, of the agents that the caller may see and that have a budget for a day, beside the budgets of the policy that is in force now';
COMMENT ON COLUMN tms.policy_budgets.company_id IS 'The company whose agent it is; NULL: the platform''s';
COMMENT ON COLUMN tms.policy_budgets.agent_name IS 'The agent';
COMMENT ON COLUMN tms.policy_budgets.day IS 'The day, in UTC';
COMMENT ON COLUMN tms.policy_budgets.cost_usd IS 'Dollars that calls have used, as of updated_at';
COMMENT ON COLUMN tms.policy_budgets.set_aside_usd IS 'Dollars that are reserved by calls that run or set aside for the next ones; on a day with a crash, also what was lost in it';
COMMENT ON COLUMN tms.policy_budgets.max_cost_usd_per_day IS 'The budget in dollars; NULL: none';
COMMENT ON COLUMN tms.policy_budgets.tokens IS 'Tokens that calls have used, as of updated_at';
COMMENT ON COLUMN tms.policy_budgets.set_aside_tokens IS 'Tokens that are reserved or set aside, as set_aside_usd';
COMMENT ON COLUMN tms.policy_budgets.max_tokens_per_day IS 'The budget in tokens; NULL: none';
COMMENT ON COLUMN tms.policy_budgets.updated_at IS 'When the figures were written';
