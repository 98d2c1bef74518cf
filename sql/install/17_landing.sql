-- Redaction where data lands: which rules hold for a company, the keys of its tokens, and the trigger that no writer gets around.

CREATE TABLE tms.redaction_rules (
    company_id uuid,
    rules      jsonb NOT NULL,
    set_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    set_by     text NOT NULL,
    CONSTRAINT redaction_rules_company UNIQUE NULLS NOT DISTINCT (company_id)
);
COMMENT ON TABLE tms.redaction_rules IS 'What is redacted in rows that land, written by tms_redaction_set; a company without a row has the platform''s, and without that customer_name, address and phone are replaced';
COMMENT ON COLUMN tms.redaction_rules.company_id IS 'The company; NULL: every company without rules of its own, and the platform';
COMMENT ON COLUMN tms.redaction_rules.rules IS 'A rules document as tms_redact_rules takes it';
COMMENT ON COLUMN tms.redaction_rules.set_at IS 'When the rules were set';
COMMENT ON COLUMN tms.redaction_rules.set_by IS 'The role that set them';
COMMENT ON CONSTRAINT redaction_rules_company ON tms.redaction_rules IS 'One rules document a company, and one of the platform';
ALTER TABLE tms.redaction_rules ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.redaction_rules FOR SELECT
    USING (company_id IS NULL OR company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.redaction_rules IS 'A role sees its company''s rules and the platform''s, which hold for it too';

CREATE TABLE tms.redaction_keys (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    number     integer NOT NULL UNIQUE,
    master     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.redaction_keys IS 'Master keys of the mode hmac, made by tms_redaction_rotate_key; each company''s key is derived from the newest one (HKDF-SHA256). No capability reads them';
COMMENT ON COLUMN tms.redaction_keys.id IS 'What tokens made with it name: hmac:<id>:...';
COMMENT ON COLUMN tms.redaction_keys.number IS 'Counts from 1; the highest is the one tokens are made with';
COMMENT ON COLUMN tms.redaction_keys.master IS 'A secret: 32 random bytes in base64';
COMMENT ON COLUMN tms.redaction_keys.created_at IS 'When it was made';
ALTER TABLE tms.redaction_keys ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.redaction_rules
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.redaction_rules ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.redaction_rules IS 'Every session redacts by the new rules from the commit on';
CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.redaction_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.redaction_keys ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.redaction_keys IS 'Every session makes tokens with the new key from the commit on';

CREATE FUNCTION @extschema@.tms_redaction_set(rules jsonb, company_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_redaction_set_wrapper';
COMMENT ON FUNCTION @extschema@.tms_redaction_set(jsonb, uuid) IS
    'Sets what is redacted in every row that lands for a company from the commit on: agent logs, dead letters and attempts. rules: a document as tms_redact_rules takes it; NULL takes the company''s rules away, so that the platform''s hold, or else customer_name, address and phone are replaced. Rows that are there stay as they are. company_id NULL: the caller''s company, or the platform. Errors: 22023 the rules are not valid, 42501 no company or another''s';

CREATE FUNCTION @extschema@.tms_redaction_rotate_key() RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_redaction_rotate_key_wrapper';
COMMENT ON FUNCTION @extschema@.tms_redaction_rotate_key() IS
    'Makes the key that tokens of the mode hmac are made with from the commit on, and returns its id (k1, k2, ...); the first call makes the first one. Tokens of older keys stay as they are, and name them. Platform right. Errors: 42501 caller without the right';

-- Executing it does nothing: holding the right to is what using the key needs.
CREATE FUNCTION tms.use_redaction_key() RETURNS void LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT NULL::void $$;
COMMENT ON FUNCTION tms.use_redaction_key() IS 'Whose role may execute this may have tokens made by tms_redact_rules: the capability pseudonymizer';

CREATE FUNCTION tms.redact_row() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tms_redact_row';
COMMENT ON FUNCTION tms.redact_row() IS
    'Trigger: redacts the columns it is given by name before the row is written. In jsonb by the rules of the row''s company and of the policy of its agent, in text whatever personal data is found by value. A jsonb column whose name is given with a ? at its end becomes NULL where it cannot be redacted. Errors: 54000 a value is too large or too deep to be redacted, 22023 the rules need a key and there is none';

-- UPDATE OF: a letter changes its state many times, and what is a token already is not made a token of again.
CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE OF error_message, payload ON tms.dead_letter_queue
    FOR EACH ROW EXECUTE FUNCTION tms.redact_row('error_message', 'payload?');
ALTER TABLE tms.dead_letter_queue ENABLE ALWAYS TRIGGER redact_row;
COMMENT ON TRIGGER redact_row ON tms.dead_letter_queue IS 'Neither what an error quotes of a payload lands nor the payload as it is; fires for replicated rows too';
CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE ON tms.delivery_attempts
    FOR EACH ROW EXECUTE FUNCTION tms.redact_row('error_message', 'response_excerpt');
ALTER TABLE tms.delivery_attempts ENABLE ALWAYS TRIGGER redact_row;
COMMENT ON TRIGGER redact_row ON tms.delivery_attempts IS 'What a receiver quotes of a payload does not land; fires for replicated rows too';
CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE ON tms.policy_decisions
    FOR EACH ROW EXECUTE FUNCTION tms.redact_row('input');
ALTER TABLE tms.policy_decisions ENABLE ALWAYS TRIGGER redact_row;
COMMENT ON TRIGGER redact_row ON tms.policy_decisions IS 'What a call was made with does not land; fires for replicated rows too';
CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE OF reason, detail ON tms.dead_letter_acts
    FOR EACH ROW EXECUTE FUNCTION tms.redact_row('reason', 'detail?');
ALTER TABLE tms.dead_letter_acts ENABLE ALWAYS TRIGGER redact_row;
COMMENT ON TRIGGER redact_row ON tms.dead_letter_acts IS 'What a person''s reason quotes does not land; fires for replicated rows too';
