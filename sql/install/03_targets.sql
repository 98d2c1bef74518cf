-- Where events go. What is secret about a target (URL, headers) sits apart, in a table no capability can read.

CREATE TABLE tms.targets (
    name                  text NOT NULL PRIMARY KEY,
    transport             text NOT NULL CHECK (transport IN ('http', 'slack', 'realtime', 'notify', 'pull')),
    host                  text,
    method                text NOT NULL DEFAULT 'POST',
    timeout_ms            integer NOT NULL DEFAULT 15000,
    max_concurrency       integer NOT NULL DEFAULT 32,
    retry_base_ms         bigint NOT NULL DEFAULT 1000,
    retry_factor          double precision NOT NULL DEFAULT 2,
    retry_max_ms          bigint NOT NULL DEFAULT 300000,
    retry_jitter          double precision NOT NULL DEFAULT 0.2,
    allow_private_network boolean NOT NULL DEFAULT false,
    paused_at             timestamptz,
    created_at            timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at            timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.targets IS 'Receivers of events, set by tms_target_set; URL and headers are in tms.target_secrets';
COMMENT ON COLUMN tms.targets.name IS 'What tms_enqueue calls target_system';
COMMENT ON COLUMN tms.targets.transport IS 'How events travel: http; slack, realtime, notify and pull are reserved';
COMMENT ON COLUMN tms.targets.host IS 'Scheme, host and port of the URL: what may be shown of it';
COMMENT ON COLUMN tms.targets.method IS 'HTTP method of a delivery';
COMMENT ON COLUMN tms.targets.timeout_ms IS 'Longest duration of one attempt, name resolution to last byte, in milliseconds';
COMMENT ON COLUMN tms.targets.max_concurrency IS 'Requests at one time, and connections at most';
COMMENT ON COLUMN tms.targets.retry_base_ms IS 'Delay before the first retry, in milliseconds';
COMMENT ON COLUMN tms.targets.retry_factor IS 'Each further delay is the one before times this';
COMMENT ON COLUMN tms.targets.retry_max_ms IS 'Longest delay between attempts, in milliseconds';
COMMENT ON COLUMN tms.targets.retry_jitter IS 'Share of a delay that chance may take off, 0 to 1';
COMMENT ON COLUMN tms.targets.allow_private_network IS 'Whether loopback, private and link-local addresses may be dialled';
COMMENT ON COLUMN tms.targets.paused_at IS 'Since when nothing is sent to it (tms_target_pause); NULL: it is served';
COMMENT ON COLUMN tms.targets.created_at IS 'When it was set first';
COMMENT ON COLUMN tms.targets.updated_at IS 'When it was changed last';
ALTER TABLE tms.targets ENABLE ROW LEVEL SECURITY;
-- A target is platform configuration without secrets: who may read the table may read every row.
CREATE POLICY read_all ON tms.targets FOR SELECT USING (true);
COMMENT ON POLICY read_all ON tms.targets IS 'Targets belong to the platform and hold no secret; the grant on the table decides who reads them';

CREATE TABLE tms.target_secrets (
    target  text NOT NULL PRIMARY KEY REFERENCES tms.targets (name) ON UPDATE CASCADE ON DELETE CASCADE,
    url     text NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE tms.target_secrets IS 'What must not be shown of a target; only the owner of the extension reads it';
COMMENT ON COLUMN tms.target_secrets.target IS 'The target these belong to';
COMMENT ON COLUMN tms.target_secrets.url IS 'Full URL of the receiver; it may itself be the credential';
COMMENT ON COLUMN tms.target_secrets.headers IS 'Headers sent with every request, as an object of strings';
ALTER TABLE tms.target_secrets ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

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
    'Creates a target or replaces its options: url, method, headers, timeout_ms, max_concurrency, retry {base_ms, factor, max_ms, jitter}, allow_private_network. Platform right. Errors: 22023 an option or value is not valid, 0A000 not in this release, 42501 caller without the right, 22004 a NULL argument';

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
