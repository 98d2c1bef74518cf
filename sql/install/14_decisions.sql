-- What was decided about calls of agents. Rows come from shared memory by way of the scheduler, so that a decision is on record
-- whatever became of the transaction that asked; nobody else writes here.

CREATE TABLE tms.policy_decisions (
    id             uuid PRIMARY KEY,
    decided_at     timestamptz NOT NULL,
    company_id     uuid,
    agent_name     text NOT NULL,
    fn_name        text NOT NULL,
    decision       text NOT NULL CHECK (decision IN ('allow', 'deny', 'confirm')),
    effective      text NOT NULL CHECK (effective IN ('allow', 'deny', 'confirm')),
    reason         text,
    rule           text,
    mode           text,
    policy_version integer,
    policy_sha256  text,
    input_sha256   text,
    input          jsonb,
    usage          jsonb,
    latency_us     integer
);
CREATE INDEX policy_decisions_by_company ON tms.policy_decisions (company_id, decided_at);
COMMENT ON TABLE tms.policy_decisions IS 'What tms_policy_enforce decided, also where the transaction was rolled back; written within a second, kept for tms.decision_retention';
COMMENT ON COLUMN tms.policy_decisions.id IS 'A time-ordered id';
COMMENT ON COLUMN tms.policy_decisions.decided_at IS 'When it was decided';
COMMENT ON COLUMN tms.policy_decisions.company_id IS 'The company that asked; NULL: the platform';
COMMENT ON COLUMN tms.policy_decisions.agent_name IS 'The agent, as it was named';
COMMENT ON COLUMN tms.policy_decisions.fn_name IS 'The function it wanted to call, as it was named';
COMMENT ON COLUMN tms.policy_decisions.decision IS 'What the policy says: allow, deny or confirm';
COMMENT ON COLUMN tms.policy_decisions.effective IS 'What was done: the same, but allow where the mode is evaluate_only';
COMMENT ON COLUMN tms.policy_decisions.reason IS 'Why, for people';
COMMENT ON COLUMN tms.policy_decisions.rule IS 'The rule that decided, as a path in the policy';
COMMENT ON COLUMN tms.policy_decisions.mode IS 'enforce or evaluate_only; NULL where there is no policy';
COMMENT ON COLUMN tms.policy_decisions.policy_version IS 'Version of the agent''s policy; NULL where there is none';
COMMENT ON COLUMN tms.policy_decisions.policy_sha256 IS 'Digest of that version''s canonical form, in hexadecimal';
COMMENT ON COLUMN tms.policy_decisions.input_sha256 IS 'SHA-256 in hexadecimal of the payload''s jsonb text in UTF-8, before redaction: encode(sha256(convert_to(payload::text, ''UTF8'')), ''hex'')';
COMMENT ON COLUMN tms.policy_decisions.input IS 'The payload as redacted by the policy; where its text is longer than 8192 bytes, {"cut": its beginning, "bytes": its length}';
COMMENT ON COLUMN tms.policy_decisions.usage IS 'What the caller said the call would use';
COMMENT ON COLUMN tms.policy_decisions.latency_us IS 'How long the decision took, in microseconds';
ALTER TABLE tms.policy_decisions ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.policy_decisions FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.policy_decisions IS 'A role sees the decisions about its company''s calls';
COMMENT ON INDEX tms.policy_decisions_by_company IS 'A company''s decisions by time';
