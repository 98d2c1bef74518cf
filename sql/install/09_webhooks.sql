-- Receiving webhooks safely: sources, their secrets, and the ids that were seen.

CREATE TABLE tms.webhook_sources (
    id                uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    name              text NOT NULL,
    company_id        uuid,
    tolerance_seconds integer NOT NULL DEFAULT 300 CHECK (tolerance_seconds BETWEEN 1 AND 86400),
    dedupe_seconds    integer NOT NULL DEFAULT 86400,
    created_at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- A name is its company's own: whether another company has such a source, nobody learns by taking the name.
    CONSTRAINT webhook_sources_name UNIQUE NULLS NOT DISTINCT (name, company_id),
    -- A message is accepted from tolerance before to tolerance after its timestamp, and must be remembered for as long.
    CONSTRAINT webhook_sources_window CHECK (dedupe_seconds >= 2 * tolerance_seconds)
);
COMMENT ON TABLE tms.webhook_sources IS 'Senders of webhooks whose signatures tms_webhook_verify checks, set by tms_webhook_source_set; their secrets are in tms.webhook_source_secrets';
COMMENT ON COLUMN tms.webhook_sources.id IS 'What secrets and receipts of the source are filed under';
COMMENT ON COLUMN tms.webhook_sources.name IS 'What tms_webhook_verify calls source; unique within a company';
COMMENT ON COLUMN tms.webhook_sources.company_id IS 'The company that receives from it; NULL: the platform';
COMMENT ON COLUMN tms.webhook_sources.tolerance_seconds IS 'How far a message''s timestamp may be from this server''s clock, either way';
COMMENT ON COLUMN tms.webhook_sources.dedupe_seconds IS 'How long the id of an accepted message is remembered; at least twice the tolerance';
COMMENT ON COLUMN tms.webhook_sources.created_at IS 'When it was set first';
COMMENT ON COLUMN tms.webhook_sources.updated_at IS 'When it was set last';
COMMENT ON CONSTRAINT webhook_sources_name ON tms.webhook_sources IS 'One source of a name in a company';
COMMENT ON CONSTRAINT webhook_sources_window ON tms.webhook_sources IS 'A message cannot be replayed after its id was forgotten';
ALTER TABLE tms.webhook_sources ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.webhook_sources FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.webhook_sources IS 'A role sees its company''s sources';

CREATE TABLE tms.webhook_source_secrets (
    source uuid NOT NULL PRIMARY KEY,
    keys   jsonb NOT NULL
);
COMMENT ON TABLE tms.webhook_source_secrets IS 'Signing secrets of webhook sources; only the owner of the extension reads them';
COMMENT ON COLUMN tms.webhook_source_secrets.source IS 'The source they belong to';
COMMENT ON COLUMN tms.webhook_source_secrets.keys IS 'Standard Webhooks secrets as an array of texts; a signature by any of them is accepted';
ALTER TABLE tms.webhook_source_secrets ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

-- Without a foreign key to the source: each message would lock its row. An id of a source is never used again.
CREATE TABLE tms.webhook_receipts (
    source      uuid NOT NULL,
    webhook_id  text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (source, webhook_id)
);
COMMENT ON TABLE tms.webhook_receipts IS 'Ids of accepted messages, by which tms_webhook_verify knows a second delivery; its primary key decides between concurrent ones';
COMMENT ON COLUMN tms.webhook_receipts.source IS 'The source the message came from: tms.webhook_sources.id';
COMMENT ON COLUMN tms.webhook_receipts.webhook_id IS 'The message''s id, as signed';
COMMENT ON COLUMN tms.webhook_receipts.received_at IS 'When it was accepted first';
COMMENT ON COLUMN tms.webhook_receipts.expires_at IS 'Until when the id is remembered, by dedupe_seconds as they were then; later it counts as unseen and the scheduler removes it';
CREATE INDEX webhook_receipts_age ON tms.webhook_receipts (expires_at);
COMMENT ON INDEX tms.webhook_receipts_age IS 'What the scheduler may remove';
ALTER TABLE tms.webhook_receipts ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

-- What a sender put into a body must not become an error of its receiver. An exception block is the one way to ask
-- PostgreSQL 15 whether a text is jsonb: it refuses more than what is not JSON (\u0000, numbers beyond numeric, depth).
CREATE FUNCTION tms.jsonb_or_null(value text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, tms, pg_temp AS $$
BEGIN
    RETURN value::pg_catalog.jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tms.jsonb_or_null(text) IS 'The text as jsonb; NULL when it is none';

-- Secrets go with their source. Not by a foreign key: pg_restore --jobs loads the tables of an extension in any order.
CREATE FUNCTION tms.webhook_source_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM tms.webhook_source_secrets;
        DELETE FROM tms.webhook_receipts;
    ELSE
        DELETE FROM tms.webhook_source_secrets s WHERE s.source OPERATOR(pg_catalog.=) OLD.id;
        DELETE FROM tms.webhook_receipts r WHERE r.source OPERATOR(pg_catalog.=) OLD.id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tms.webhook_source_gone() IS 'Trigger: secrets and receipts of a source go with it';
CREATE TRIGGER webhook_source_gone AFTER DELETE ON tms.webhook_sources
    FOR EACH ROW EXECUTE FUNCTION tms.webhook_source_gone();
ALTER TABLE tms.webhook_sources ENABLE ALWAYS TRIGGER webhook_source_gone;
COMMENT ON TRIGGER webhook_source_gone ON tms.webhook_sources IS 'Secrets and receipts of a source go with it';
CREATE TRIGGER webhook_sources_truncated AFTER TRUNCATE ON tms.webhook_sources
    FOR EACH STATEMENT EXECUTE FUNCTION tms.webhook_source_gone();
ALTER TABLE tms.webhook_sources ENABLE ALWAYS TRIGGER webhook_sources_truncated;
COMMENT ON TRIGGER webhook_sources_truncated ON tms.webhook_sources IS 'Secrets and receipts go with their sources';

CREATE FUNCTION @extschema@.tms_webhook_source_set(name text, options jsonb, company_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_webhook_source_set';
COMMENT ON FUNCTION @extschema@.tms_webhook_source_set(text, jsonb, uuid) IS
    'Creates a source of webhooks or replaces its options: secret (whsec_...) or secrets (several, for a rotation), tolerance_seconds (300; 1 to 86400), dedupe_seconds (86400, or twice the tolerance; up to 2592000). Secrets that are left out stay as they are. company_id NULL: the caller''s company, or the platform. Errors: 22023 an option is not valid or the first secret is missing, 22004 a NULL argument, 42501 no company or another''s';

CREATE FUNCTION @extschema@.tms_webhook_verify(source text, headers jsonb, body text, company_id uuid DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_webhook_verify';
COMMENT ON FUNCTION @extschema@.tms_webhook_verify(text, jsonb, text, uuid) IS
    'Checks a Standard Webhooks message: the signature, the age, and whether its id was accepted before. Answers {"valid": true, "duplicate", "id", "timestamp"} with type and data of a body that has them, or {"valid": false, "reason"} whatever the sender did wrong. body: exactly the bytes received. The id is remembered in the caller''s transaction. company_id NULL: the caller''s company, or the platform. Errors: 42704 unknown source, 22004 a NULL that must not be, 42501 no company or another''s, 40001 above READ COMMITTED when another transaction has just accepted the same id';
