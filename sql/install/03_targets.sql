-- Where events go. What is secret about a target (URL, headers) sits apart, in a table no capability can read.

CREATE TABLE tms.targets (
    name         text NOT NULL PRIMARY KEY,
    transport    text NOT NULL CHECK (transport IN ('http', 'slack', 'realtime', 'notify', 'pull')),
    host         text,
    options      jsonb NOT NULL DEFAULT '{}',
    paused_at    timestamptz,
    pause_reason text,
    installation text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at   timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.targets IS 'Receivers of events, set by tms_target_set; URL, headers and signing keys are in tms.target_secrets';
COMMENT ON COLUMN tms.targets.name IS 'What tms_enqueue calls target_system';
COMMENT ON COLUMN tms.targets.transport IS 'How events travel: http, slack, realtime, notify or pull';
COMMENT ON COLUMN tms.targets.host IS 'Scheme, host and port of the URL: what may be shown of it; NULL for transports without a URL';
COMMENT ON COLUMN tms.targets.options IS 'Every option that is not secret with the value in effect, defaults included; changed by tms_target_set alone';
COMMENT ON COLUMN tms.targets.paused_at IS 'Since when nothing is sent to it (tms_target_pause, or the receiver''s 410); NULL: it is served';
COMMENT ON COLUMN tms.targets.pause_reason IS 'Why it was paused when no person did it';
COMMENT ON COLUMN tms.targets.installation IS 'The server and database that set it; in a copy of the database the target is held until tms_adopt()';
COMMENT ON COLUMN tms.targets.created_at IS 'When it was set first';
COMMENT ON COLUMN tms.targets.updated_at IS 'When it was changed last';
ALTER TABLE tms.targets ENABLE ROW LEVEL SECURITY;
-- A target is platform configuration without secrets: who may read the table may read every row.
CREATE POLICY read_all ON tms.targets FOR SELECT USING (true);
COMMENT ON POLICY read_all ON tms.targets IS 'Targets belong to the platform and hold no secret; the grant on the table decides who reads them';

CREATE TABLE tms.target_secrets (
    target       text NOT NULL,
    company_id   uuid,
    url          text,
    headers      jsonb,
    signing_keys jsonb NOT NULL DEFAULT '[]',
    UNIQUE NULLS NOT DISTINCT (target, company_id)
);
COMMENT ON TABLE tms.target_secrets IS 'What must not be shown of a target; only the owner of the extension reads it';
COMMENT ON COLUMN tms.target_secrets.target IS 'The target these belong to';
COMMENT ON COLUMN tms.target_secrets.company_id IS 'The company whose own version of the target they are for; NULL: the target itself';
COMMENT ON COLUMN tms.target_secrets.url IS 'Full URL of the receiver, which may itself be the credential; NULL in a company''s version: the target''s own';
COMMENT ON COLUMN tms.target_secrets.headers IS 'Headers sent with every request, as an object of strings; NULL in a company''s version: the target''s own';
COMMENT ON COLUMN tms.target_secrets.signing_keys IS 'Standard Webhooks secrets, newest first: [{"key": "whsec_...", "until": null or the end of its overlap}]';
ALTER TABLE tms.target_secrets ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

-- A company's own version of a target: another path, other credentials, nothing that is the platform's to decide.
CREATE TABLE tms.target_overrides (
    target     text NOT NULL,
    company_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (target, company_id)
);
COMMENT ON TABLE tms.target_overrides IS 'Companies whose events go to an address of their own at a target''s host, set by tms_target_set with company_id';
COMMENT ON COLUMN tms.target_overrides.target IS 'The target whose options otherwise hold';
COMMENT ON COLUMN tms.target_overrides.company_id IS 'The company whose events it concerns';
COMMENT ON COLUMN tms.target_overrides.created_at IS 'When it was set first';
COMMENT ON COLUMN tms.target_overrides.updated_at IS 'When it was changed last';
ALTER TABLE tms.target_overrides ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.target_overrides FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.target_overrides IS 'A role sees its company''s own versions';

-- What belongs to a target goes with it. Not by foreign keys: pg_restore --jobs loads the tables of an extension in any order.
CREATE FUNCTION tms.target_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM tms.target_secrets;
        DELETE FROM tms.target_overrides;
        DELETE FROM tms.target_health;
        DELETE FROM tms.target_load;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM tms.target_secrets s WHERE s.target OPERATOR(pg_catalog.=) OLD.name;
        DELETE FROM tms.target_overrides o WHERE o.target OPERATOR(pg_catalog.=) OLD.name;
        DELETE FROM tms.target_health h WHERE h.target OPERATOR(pg_catalog.=) OLD.name;
        DELETE FROM tms.target_load l WHERE l.target OPERATOR(pg_catalog.=) OLD.name;
    ELSIF NEW.name OPERATOR(pg_catalog.<>) OLD.name THEN
        UPDATE tms.target_secrets s SET target = NEW.name WHERE s.target OPERATOR(pg_catalog.=) OLD.name;
        UPDATE tms.target_overrides o SET target = NEW.name WHERE o.target OPERATOR(pg_catalog.=) OLD.name;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tms.target_changed() IS 'Trigger: secrets and companies'' own versions go, or are renamed, with their target';
CREATE TRIGGER target_changed AFTER DELETE OR UPDATE OF name ON tms.targets
    FOR EACH ROW EXECUTE FUNCTION tms.target_changed();
ALTER TABLE tms.targets ENABLE ALWAYS TRIGGER target_changed;
COMMENT ON TRIGGER target_changed ON tms.targets IS 'Secrets and companies'' own versions go with their target';
CREATE TRIGGER targets_truncated AFTER TRUNCATE ON tms.targets
    FOR EACH STATEMENT EXECUTE FUNCTION tms.target_changed();
ALTER TABLE tms.targets ENABLE ALWAYS TRIGGER targets_truncated;
COMMENT ON TRIGGER targets_truncated ON tms.targets IS 'Secrets and companies'' own versions go with their targets';

CREATE FUNCTION tms.target_override_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM tms.target_secrets s WHERE s.company_id IS NOT NULL;
    ELSE
        DELETE FROM tms.target_secrets s
         WHERE s.target OPERATOR(pg_catalog.=) OLD.target AND s.company_id OPERATOR(pg_catalog.=) OLD.company_id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tms.target_override_gone() IS 'Trigger: the secrets of a company''s own version of a target go with it';
CREATE TRIGGER target_override_gone AFTER DELETE ON tms.target_overrides
    FOR EACH ROW EXECUTE FUNCTION tms.target_override_gone();
ALTER TABLE tms.target_overrides ENABLE ALWAYS TRIGGER target_override_gone;
COMMENT ON TRIGGER target_override_gone ON tms.target_overrides IS 'The company''s events go by the target itself again';
CREATE TRIGGER target_overrides_truncated AFTER TRUNCATE ON tms.target_overrides
    FOR EACH STATEMENT EXECUTE FUNCTION tms.target_override_gone();
ALTER TABLE tms.target_overrides ENABLE ALWAYS TRIGGER target_overrides_truncated;
COMMENT ON TRIGGER target_overrides_truncated ON tms.target_overrides IS 'All companies'' events go by the targets themselves again';

CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.targets
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.targets ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.targets IS 'Backends forget the names they know, the dispatcher reads its targets again';
CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.target_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.target_secrets ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.target_secrets IS 'The dispatcher reads its targets again';

CREATE FUNCTION @extschema@.tms_target_set(name text, transport text, options jsonb DEFAULT '{}', company_id uuid DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_target_set';
COMMENT ON FUNCTION @extschema@.tms_target_set(text, text, jsonb, uuid) IS
    'Creates a target or replaces its options (docs/targets.md lists them by transport). Platform right. With company_id: that company''s own url path, headers and secret of an existing http or slack target; for the platform and the company''s operators. Errors: 22023 an option or value is not valid, 42704 no such target to override, 42501 caller without the right, 22004 a NULL argument';

CREATE FUNCTION @extschema@.tms_target_rotate_secret(name text, overlap interval DEFAULT '24 hours')
    RETURNS text LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_target_rotate_secret';
COMMENT ON FUNCTION @extschema@.tms_target_rotate_secret(text, interval) IS
    'Gives a target that signs a new signing secret and returns it: it is shown this once. Until overlap has passed requests carry signatures by the old secret too. Platform right. Errors: 42704 unknown target, 22023 the target does not sign, or overlap is negative or above 30 days, 42501 caller without the right';

CREATE FUNCTION @extschema@.tms_target_test(name text)
    RETURNS uuid LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_target_test_wrapper';
COMMENT ON FUNCTION @extschema@.tms_target_test(text) IS
    'Enqueues an event of type tms.test to a target with no retries, for the caller''s company, and returns its id: tms_event_explain(id) says what became of it. Errors: 42704 unknown target, 42501 caller without a company';

CREATE FUNCTION @extschema@.tms_target_pause(name text) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_target_pause_wrapper';
COMMENT ON FUNCTION @extschema@.tms_target_pause(text) IS
    'Stops deliveries to a target at commit; its events wait. True when it was not paused before. Platform right. Errors: 42704 unknown target, 42501 caller without the right';

CREATE FUNCTION @extschema@.tms_target_resume(name text) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_target_resume_wrapper';
COMMENT ON FUNCTION @extschema@.tms_target_resume(text) IS
    'Lets deliveries to a paused target go on at commit. True when it was paused. Platform right. Errors: 42704 unknown target, 42501 caller without the right';
