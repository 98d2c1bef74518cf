-- What could not be delivered, and the record of attempts.

CREATE TABLE tms.dead_letter_queue (
    id                 uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    original_task_id   uuid,
    original_event_id  uuid,
    company_id         uuid,
    target_system      text,
    event_type         text,
    error_type         text NOT NULL CHECK (error_type IN ('timeout', 'validation', 'external_api', 'quota_exceeded')),
    error_message      text,
    attempts           integer NOT NULL DEFAULT 0,
    permanent          boolean NOT NULL DEFAULT false,
    retry_after        timestamptz,
    snooze_until       timestamptz,
    backoff_multiplier integer NOT NULL DEFAULT 1,
    max_retries        integer NOT NULL DEFAULT 5,
    created_at         timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.dead_letter_queue IS 'Events that used up their retries or were refused for good; the event itself stays in tms.event_outbox';
COMMENT ON COLUMN tms.dead_letter_queue.id IS 'The letter''s id';
COMMENT ON COLUMN tms.dead_letter_queue.original_task_id IS 'Reserved for agent tasks';
COMMENT ON COLUMN tms.dead_letter_queue.original_event_id IS 'The event in tms.event_outbox that failed';
COMMENT ON COLUMN tms.dead_letter_queue.company_id IS 'Company of the event; NULL: the platform';
COMMENT ON COLUMN tms.dead_letter_queue.target_system IS 'Target that did not take the event';
COMMENT ON COLUMN tms.dead_letter_queue.event_type IS 'Type of the event';
COMMENT ON COLUMN tms.dead_letter_queue.error_type IS 'timeout, validation, external_api or quota_exceeded';
COMMENT ON COLUMN tms.dead_letter_queue.error_message IS 'What the last attempt ended with, in words; never a payload, URL or header';
COMMENT ON COLUMN tms.dead_letter_queue.attempts IS 'Attempts that were made before';
COMMENT ON COLUMN tms.dead_letter_queue.permanent IS 'True: the receiver refused for good; false: retries were used up';
COMMENT ON COLUMN tms.dead_letter_queue.retry_after IS 'When the letter is tried again; NULL: at rest until a person acts';
COMMENT ON COLUMN tms.dead_letter_queue.snooze_until IS 'Reserved';
COMMENT ON COLUMN tms.dead_letter_queue.backoff_multiplier IS 'Reserved: minutes of the current backoff';
COMMENT ON COLUMN tms.dead_letter_queue.max_retries IS 'Reserved: rounds before the letter rests';
COMMENT ON COLUMN tms.dead_letter_queue.created_at IS 'When the event died';
CREATE INDEX dead_letter_queue_event ON tms.dead_letter_queue (original_event_id);
COMMENT ON INDEX tms.dead_letter_queue_event IS 'The letters of an event';
CREATE INDEX dead_letter_queue_company ON tms.dead_letter_queue (company_id, created_at);
COMMENT ON INDEX tms.dead_letter_queue_company IS 'A company''s letters, as its policy and its readers ask for them';
ALTER TABLE tms.dead_letter_queue ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.dead_letter_queue FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.dead_letter_queue IS 'A role sees the letters of its company';

CREATE SEQUENCE tms.delivery_attempts_id AS bigint CACHE 32;
COMMENT ON SEQUENCE tms.delivery_attempts_id IS 'Numbers attempts';
CREATE TABLE tms.delivery_attempts (
    id               bigint NOT NULL DEFAULT pg_catalog.nextval('tms.delivery_attempts_id') PRIMARY KEY,
    event_id         uuid NOT NULL,
    company_id       uuid,
    target_system    text NOT NULL,
    attempt          integer NOT NULL,
    started_at       timestamptz NOT NULL,
    duration_ms      double precision NOT NULL,
    status_code      integer,
    outcome          text NOT NULL CHECK (outcome IN ('delivered', 'retry', 'dead', 'held')),
    error_type       text,
    error_message    text,
    response_excerpt text
);
COMMENT ON TABLE tms.delivery_attempts IS 'Attempts on record: failed ones by default (tms.record_attempts), kept for tms.attempt_retention';
COMMENT ON COLUMN tms.delivery_attempts.id IS 'Number of the record';
COMMENT ON COLUMN tms.delivery_attempts.event_id IS 'The event that was sent';
COMMENT ON COLUMN tms.delivery_attempts.company_id IS 'Company of the event; NULL: the platform';
COMMENT ON COLUMN tms.delivery_attempts.target_system IS 'The target it was sent to';
COMMENT ON COLUMN tms.delivery_attempts.attempt IS '1 for the first attempt of a set';
COMMENT ON COLUMN tms.delivery_attempts.started_at IS 'When the attempt began';
COMMENT ON COLUMN tms.delivery_attempts.duration_ms IS 'How long it took, in milliseconds';
COMMENT ON COLUMN tms.delivery_attempts.status_code IS 'HTTP status; NULL when no answer came';
COMMENT ON COLUMN tms.delivery_attempts.outcome IS 'delivered, retry, dead, or held: the attempt does not count';
COMMENT ON COLUMN tms.delivery_attempts.error_type IS 'timeout, validation, external_api or quota_exceeded; NULL when delivered';
COMMENT ON COLUMN tms.delivery_attempts.error_message IS 'What went wrong, in words';
COMMENT ON COLUMN tms.delivery_attempts.response_excerpt IS 'Beginning of the answer to a failed attempt, at most tms.response_excerpt_bytes';
CREATE INDEX delivery_attempts_event ON tms.delivery_attempts (event_id);
COMMENT ON INDEX tms.delivery_attempts_event IS 'The attempts of an event';
ALTER TABLE tms.delivery_attempts ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.delivery_attempts FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.delivery_attempts IS 'A role sees the attempts of its company';
