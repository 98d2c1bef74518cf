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
    asked          boolean NOT NULL DEFAULT false,
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
COMMENT ON TABLE tms.policy_decisions IS 'What tms_policy_enforce decided (and tms_policy_check, where tms.record_decisions is all), also where the transaction was rolled back; written within a second, kept for tms.decision_retention';
COMMENT ON COLUMN tms.policy_decisions.id IS 'A time-ordered id';
COMMENT ON COLUMN tms.policy_decisions.decided_at IS 'When it was decided';
COMMENT ON COLUMN tms.policy_decisions.company_id IS 'The company that asked; NULL: the platform';
COMMENT ON COLUMN tms.policy_decisions.agent_name IS 'The agent, as it was named';
COMMENT ON COLUMN tms.policy_decisions.fn_name IS 'The function it wanted to call, as it was named';
COMMENT ON COLUMN tms.policy_decisions.decision IS 'What the policy says: allow, deny or confirm';
COMMENT ON COLUMN tms.policy_decisions.effective IS 'What was done: the same, but allow where the mode is evaluate_only';
COMMENT ON COLUMN tms.policy_decisions.asked IS 'Whether it was only asked for, by tms_policy_check, and nothing was done; such decisions are on record where tms.record_decisions is all';
COMMENT ON COLUMN tms.policy_decisions.reason IS 'Why, for people';
COMMENT ON COLUMN tms.policy_decisions.rule IS 'The rule that decided, as a path in the policy';
COMMENT ON COLUMN tms.policy_decisions.mode IS 'enforce or evaluate_only; NULL where there is no policy';
COMMENT ON COLUMN tms.policy_decisions.policy_version IS 'Version of the agent''s policy; NULL where there is none';
COMMENT ON COLUMN tms.policy_decisions.policy_sha256 IS 'Digest of that version''s canonical form, in hexadecimal';
COMMENT ON COLUMN tms.policy_decisions.input_sha256 IS 'SHA-256 in hexadecimal of the payload''s canonical text (RFC 8785, numbers to their last digit), before redaction';
COMMENT ON COLUMN tms.policy_decisions.input IS 'The payload as redacted by the policy; where its text is longer than 8192 bytes, {"cut": its beginning, "bytes": its length}';
COMMENT ON COLUMN tms.policy_decisions.usage IS 'What the caller said the call would use';
COMMENT ON COLUMN tms.policy_decisions.latency_us IS 'How long the decision took, in microseconds';
ALTER TABLE tms.policy_decisions ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.policy_decisions FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.policy_decisions IS 'A role sees the decisions about its company''s calls';
COMMENT ON INDEX tms.policy_decisions_by_company IS 'A company''s decisions by time';

-- Not SECURITY DEFINER: the library takes the owner's rights for its own statements, at a fraction of the cost.
CREATE FUNCTION @extschema@.tms_policy_enforce(
        agent_name text, fn_name text, payload jsonb DEFAULT '{}', usage jsonb DEFAULT '{}', company_id uuid DEFAULT NULL)
    RETURNS jsonb LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_policy_enforce';
COMMENT ON FUNCTION @extschema@.tms_policy_enforce(text, text, jsonb, jsonb, uuid) IS
    'Lets a call of an agent through or raises an error, by the policy that is committed now. All limits are looked at first; then all are charged or none, at once and whatever becomes of the transaction. Arguments and answer as tms_policy_check; under a budget for a day usage must say what the call uses of it. reservation_id is for tms_policy_release, and NULL where mode evaluate_only let through what would be stopped. Every decision goes to tms.policy_decisions. Errors: 42501 the call is denied, needs a person''s confirmation, or the caller has no company; 53400 a limit, with retry_after_ms in DETAIL where waiting helps; 55000 not in shared_preload_libraries; 25006 on a standby; 22023, 22004 and 54000 as tms_policy_check';

CREATE FUNCTION @extschema@.tms_policy_release(reservation_id uuid, outcome text, usage jsonb DEFAULT '{}')
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_policy_release';
COMMENT ON FUNCTION @extschema@.tms_policy_release(uuid, text, jsonb) IS
    'Ends a call that tms_policy_enforce let through, from any session of its company: it no longer runs, and its outcome (success or failure) counts for the circuit breaker, and what usage says it has used takes the place of what was reserved of the day''s budgets (of what it does not speak, the reserved amount is spent), at once and whatever becomes of the transaction. False where nothing was ended: the id is NULL, unknown, another company''s, released before or older than tms.reservation_timeout. What is not released ends with the session that took it; its part of the day''s budgets is given back where the session was killed, and spent where it left or where the time ran out. Errors: 22023 unknown outcome or usage not valid, 22004 NULL outcome or usage, 42501 no company, 55000 not in shared_preload_libraries';
