-- What agents log: redacted before it is written, whoever writes it.

CREATE TABLE tms.agent_logs (
    id         uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    company_id uuid DEFAULT @extschema@.tms_current_company(),
    agent_name text,
    task_id    uuid,
    level      text NOT NULL DEFAULT 'info',
    message    text NOT NULL,
    meta       jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT agent_logs_level CHECK (level IN ('debug', 'info', 'warn', 'error'))
);
COMMENT ON TABLE tms.agent_logs IS 'Lines that agents log, by tms_log or by INSERT; message and meta are redacted before they are written';
COMMENT ON COLUMN tms.agent_logs.id IS 'Time-ordered (UUIDv7)';
COMMENT ON COLUMN tms.agent_logs.company_id IS 'The company the line belongs to; NULL: the platform';
COMMENT ON COLUMN tms.agent_logs.agent_name IS 'The agent that logs; its policy''s pii_rules hold beside the company''s rules';
COMMENT ON COLUMN tms.agent_logs.task_id IS 'The task it is about';
COMMENT ON COLUMN tms.agent_logs.level IS 'debug, info, warn or error';
COMMENT ON COLUMN tms.agent_logs.message IS 'What happened, in words; personal data found by value is replaced';
COMMENT ON COLUMN tms.agent_logs.meta IS 'More of it; redacted by the rules of the company and of the agent''s policy';
COMMENT ON COLUMN tms.agent_logs.created_at IS 'When it was logged';
COMMENT ON CONSTRAINT agent_logs_level ON tms.agent_logs IS 'The four levels';
CREATE INDEX agent_logs_company ON tms.agent_logs (company_id, created_at);
COMMENT ON INDEX tms.agent_logs_company IS 'A company''s lines, as its policy and its readers ask for them';
CREATE INDEX agent_logs_task ON tms.agent_logs (task_id) WHERE task_id IS NOT NULL;
COMMENT ON INDEX tms.agent_logs_task IS 'The lines of a task';
ALTER TABLE tms.agent_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.agent_logs FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.agent_logs IS 'A role sees the lines of its company';
CREATE POLICY company_inserts ON tms.agent_logs FOR INSERT
    WITH CHECK (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_inserts ON tms.agent_logs IS 'A role logs for its own company';
CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE ON tms.agent_logs
    FOR EACH ROW EXECUTE FUNCTION tms.redact_row('message', 'meta');
ALTER TABLE tms.agent_logs ENABLE ALWAYS TRIGGER redact_row;
COMMENT ON TRIGGER redact_row ON tms.agent_logs IS 'Personal data does not land; fires for replicated rows too';

CREATE FUNCTION @extschema@.tms_log(level text, message text, meta jsonb DEFAULT '{}', agent_name text DEFAULT NULL, task_id uuid DEFAULT NULL)
    RETURNS uuid LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_log';
COMMENT ON FUNCTION @extschema@.tms_log(text, text, jsonb, text, uuid) IS
    'Logs a line in tms.agent_logs in the caller''s transaction and returns its id; message and meta are redacted before they are written. level: debug, info, warn or error. For the caller''s company, or the platform. Errors: 22023 unknown level, 22004 NULL level, message or meta, 54000 meta is too large or too deep to be redacted, 42501 no company';
