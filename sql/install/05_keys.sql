-- Idempotency keys, apart from the queue: they neither burden the hot table nor die with it.

CREATE TABLE tms.idempotency_keys (
    target_system text NOT NULL,
    company_id    uuid,
    key           text NOT NULL,
    event_id      uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (target_system, key, company_id)
);
COMMENT ON TABLE tms.idempotency_keys IS 'Keys of tms_enqueue that were used, kept for tms.idempotency_window';
COMMENT ON COLUMN tms.idempotency_keys.target_system IS 'The target the event goes to';
COMMENT ON COLUMN tms.idempotency_keys.company_id IS 'The company it belongs to; NULL: the platform';
COMMENT ON COLUMN tms.idempotency_keys.key IS 'The key as the producer gave it';
COMMENT ON COLUMN tms.idempotency_keys.event_id IS 'The event that was enqueued with it first';
COMMENT ON COLUMN tms.idempotency_keys.created_at IS 'When it was used first';
CREATE INDEX idempotency_keys_age ON tms.idempotency_keys (created_at);
COMMENT ON INDEX tms.idempotency_keys_age IS 'What the scheduler may remove';
ALTER TABLE tms.idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.idempotency_keys FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.idempotency_keys IS 'A role sees the keys of its company';
