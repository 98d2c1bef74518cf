-- Policies of agents: versions that never change, which of them is in force, and who put it there.

CREATE TABLE tms.policies (
    company_id uuid,
    agent_name text COLLATE "C" NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    sha256     text NOT NULL CHECK (sha256 OPERATOR(pg_catalog.~) '^[0-9a-f]{64}$'),
    document   text NOT NULL,
    loaded_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    loaded_by  text NOT NULL,
    CONSTRAINT policies_version UNIQUE NULLS NOT DISTINCT (agent_name, company_id, version),
    CONSTRAINT policies_sha256 UNIQUE NULLS NOT DISTINCT (agent_name, company_id, sha256)
);
COMMENT ON TABLE tms.policies IS 'Every version of every agent''s policy, written by tms_policy_load; which one is in force says tms.policy_heads';
COMMENT ON COLUMN tms.policies.company_id IS 'The company whose policy it is; NULL: the platform''s, which holds where a company has none of its own';
COMMENT ON COLUMN tms.policies.agent_name IS 'The agent it is about';
COMMENT ON COLUMN tms.policies.version IS 'Counts from 1 for each agent of each company, and of the platform';
COMMENT ON COLUMN tms.policies.sha256 IS 'SHA-256 of document, in hexadecimal: the same rules are the same version, however they were written';
COMMENT ON COLUMN tms.policies.document IS 'The policy in canonical form: a document of this one agent in JSON (RFC 8785), which tms_policy_load reads too';
COMMENT ON COLUMN tms.policies.loaded_at IS 'When this version was loaded first';
COMMENT ON COLUMN tms.policies.loaded_by IS 'The role that loaded it first';
COMMENT ON CONSTRAINT policies_version ON tms.policies IS 'One document a version';
COMMENT ON CONSTRAINT policies_sha256 ON tms.policies IS 'One version a document';
ALTER TABLE tms.policies ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.policies FOR SELECT
    USING (company_id IS NULL OR company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.policies IS 'A role sees its company''s policies and the platform''s, which hold for it too';

CREATE TABLE tms.policy_heads (
    company_id       uuid,
    agent_name       text COLLATE "C" NOT NULL,
    version          integer NOT NULL,
    previous_version integer,
    changed_at       timestamptz NOT NULL DEFAULT pg_catalog.now(),
    changed_by       text NOT NULL,
    CONSTRAINT policy_heads_agent UNIQUE NULLS NOT DISTINCT (agent_name, company_id)
);
COMMENT ON TABLE tms.policy_heads IS 'The version of each agent''s policy that is in force, changed by tms_policy_load and tms_policy_rollback';
COMMENT ON COLUMN tms.policy_heads.company_id IS 'The company for whose calls it is in force; NULL: the calls of all that have no policy of their own for the agent';
COMMENT ON COLUMN tms.policy_heads.agent_name IS 'The agent';
COMMENT ON COLUMN tms.policy_heads.version IS 'The version of tms.policies that is in force';
COMMENT ON COLUMN tms.policy_heads.previous_version IS 'The version that was in force before; NULL: there was none';
COMMENT ON COLUMN tms.policy_heads.changed_at IS 'When it was put in force';
COMMENT ON COLUMN tms.policy_heads.changed_by IS 'The role that did so';
COMMENT ON CONSTRAINT policy_heads_agent ON tms.policy_heads IS 'One version in force for an agent of a company, and one of the platform';
ALTER TABLE tms.policy_heads ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.policy_heads FOR SELECT
    USING (company_id IS NULL OR company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.policy_heads IS 'A role sees what is in force for its company and for the platform';

CREATE TABLE tms.policy_changes (
    id               uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    company_id       uuid,
    agent_name       text COLLATE "C" NOT NULL,
    action           text NOT NULL CHECK (action IN ('load', 'rollback')),
    version          integer NOT NULL,
    previous_version integer,
    changed_at       timestamptz NOT NULL DEFAULT pg_catalog.now(),
    changed_by       text NOT NULL
);
COMMENT ON TABLE tms.policy_changes IS 'The history of tms.policy_heads: each change once, never altered';
COMMENT ON COLUMN tms.policy_changes.id IS 'Time-ordered (UUIDv7)';
COMMENT ON COLUMN tms.policy_changes.company_id IS 'The company whose policy was changed; NULL: the platform''s';
COMMENT ON COLUMN tms.policy_changes.agent_name IS 'The agent whose policy was changed';
COMMENT ON COLUMN tms.policy_changes.action IS 'load (tms_policy_load) or rollback (tms_policy_rollback)';
COMMENT ON COLUMN tms.policy_changes.version IS 'The version that was put in force';
COMMENT ON COLUMN tms.policy_changes.previous_version IS 'The version that was in force before; NULL: there was none';
COMMENT ON COLUMN tms.policy_changes.changed_at IS 'When';
COMMENT ON COLUMN tms.policy_changes.changed_by IS 'The role that did it';
CREATE INDEX policy_changes_agent ON tms.policy_changes (agent_name, company_id, id);
COMMENT ON INDEX tms.policy_changes_agent IS 'The history of one agent''s policy';
ALTER TABLE tms.policy_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.policy_changes FOR SELECT
    USING (company_id IS NULL OR company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.policy_changes IS 'A role sees the history of its company''s policies and of the platform''s';

CREATE FUNCTION tms.policy_is_final() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, tms, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = pg_catalog.format('rows of tms.%s do not change', TG_TABLE_NAME),
        DETAIL = 'Decisions name the version they were made by, and its history says who put it in force.',
        HINT = 'Load another document with tms_policy_load, or go back with tms_policy_rollback.';
END
$$;
COMMENT ON FUNCTION tms.policy_is_final() IS 'Trigger: what was written is not written again, by nobody';
CREATE TRIGGER policy_is_final BEFORE UPDATE ON tms.policies
    FOR EACH STATEMENT EXECUTE FUNCTION tms.policy_is_final();
ALTER TABLE tms.policies ENABLE ALWAYS TRIGGER policy_is_final;
COMMENT ON TRIGGER policy_is_final ON tms.policies IS 'A version stays what it was, also for the owner';
CREATE TRIGGER policy_is_final BEFORE UPDATE ON tms.policy_changes
    FOR EACH STATEMENT EXECUTE FUNCTION tms.policy_is_final();
ALTER TABLE tms.policy_changes ENABLE ALWAYS TRIGGER policy_is_final;
COMMENT ON TRIGGER policy_is_final ON tms.policy_changes IS 'History stays what it was, also for the owner';

CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.policies
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.policies ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.policies IS 'Every session looks again, at the commit, which policy is in force';
CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.policy_heads
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.policy_heads ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.policy_heads IS 'Every session looks again, at the commit, which policy is in force';

CREATE FUNCTION @extschema@.tms_policy_load(document text, company_id uuid DEFAULT NULL)
    RETURNS TABLE (agent_name text, version integer, sha256 text)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_policy_load_wrapper';
COMMENT ON FUNCTION @extschema@.tms_policy_load(text, uuid) IS
    'Loads a policy document (YAML, docs/policy.md) whole or not at all and puts it in force at commit; one row for each of its agents, in the order of their names. Rules that were loaded before get their old version again, and where they are in force nothing changes. Agents the document does not name keep their policies. company_id NULL: the caller''s company, or for the platform every company without a policy of its own for the agent. Errors: 22023 the document is not valid, with line, path and the key that was probably meant; 42501 no company or another''s; 22004 NULL; 40001 above READ COMMITTED when another transaction has just changed the same agent';

CREATE FUNCTION @extschema@.tms_policy_rollback(agent_name text, version integer, company_id uuid DEFAULT NULL)
    RETURNS TABLE (agent_name text, version integer, sha256 text)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_policy_rollback_wrapper';
COMMENT ON FUNCTION @extschema@.tms_policy_rollback(text, integer, uuid) IS
    'Puts a version that was loaded before in force again, at commit, and returns it; the versions after it stay. company_id NULL: the caller''s company, or the platform. Errors: 42704 the company has no policy of this agent, or no such version of it; 42501 no company or another''s; 22004 NULL; 40001 above READ COMMITTED when another transaction has just changed the same agent';

CREATE FUNCTION @extschema@.tms_policy_allowed(agent_name text, company_id uuid DEFAULT NULL)
    RETURNS TABLE (fn_name text, decision text)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_policy_allowed_wrapper';
COMMENT ON FUNCTION @extschema@.tms_policy_allowed(text, uuid) IS
    'Each function and pattern that the policy in force names, with its decision: allow, deny or confirm. What no row is about is denied; where rows overlap, deny beats confirm and confirm beats allow. company_id NULL: the caller''s company, or the platform. Errors: 42704 the agent has no policy, 42501 no company or another''s, 22004 NULL';

CREATE FUNCTION @extschema@.tms_policy_explain(agent_name text, company_id uuid DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_policy_explain_wrapper';
COMMENT ON FUNCTION @extschema@.tms_policy_explain(text, uuid) IS
    'Says in lines which version of an agent''s policy is in force, whose it is, what it allows and limits, what changed from the version before, and the last changes with who made them; times are in the session''s TimeZone. company_id NULL: the caller''s company, or the platform. Errors: 42704 the agent has no policy, 42501 no company or another''s, 22004 NULL';

-- Not SECURITY DEFINER: like tms_enqueue the library takes the owner's rights for its own statements, at a fraction of the cost.
CREATE FUNCTION @extschema@.tms_policy_check(
        agent_name text, fn_name text, payload jsonb DEFAULT '{}', usage jsonb DEFAULT '{}', company_id uuid DEFAULT NULL)
    RETURNS jsonb LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_policy_check';
COMMENT ON FUNCTION @extschema@.tms_policy_check(text, text, jsonb, jsonb, uuid) IS
    'Whether an agent may call a function now, by the policy that is committed now; charges nothing. usage: {"tokens", "api_calls", "cost_usd", "model"} of the call. Answers {"decision": "allow", "deny" or "confirm", "reason", "rule", "mode", "policy_version", "policy_sha256", "payload", "retry_after_ms", "reservation_id"}; in mode evaluate_only the decision is the one that enforcing would make. An unknown agent or function is denied. company_id NULL: the caller''s company, or the platform. Errors: 22023 usage is not valid, 22004 NULL, 54000 the payload is larger than tms.max_payload_bytes, 42501 no company or another''s';
