-- What could not be delivered, and the record of attempts.

CREATE TABLE tms.dead_letter_queue (
    id                 uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    original_task_id   uuid,
    original_event_id  uuid,
    company_id         uuid,
    target_system      text,
    event_type         text,
    agent_name         text COLLATE "C",
    error_type         text NOT NULL CHECK (error_type IN ('timeout', 'validation', 'external_api', 'quota_exceeded')),
    error_message      text,
    payload            jsonb,
    attempts           integer NOT NULL DEFAULT 0,
    permanent          boolean NOT NULL DEFAULT false,
    retry_after        timestamptz,
    snooze_until       timestamptz,
    backoff_multiplier integer NOT NULL DEFAULT 1,
    rounds             integer NOT NULL DEFAULT 0,
    max_retries        integer NOT NULL DEFAULT 5,
    requeued_at        timestamptz,
    requeued_by        text,
    created_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    failed_at          timestamptz NOT NULL DEFAULT pg_catalog.now(),
    closed_at          timestamptz,
    closed_by          text,
    resolution         text CHECK (resolution IN ('delivered', 'replayed', 'discarded', 'cancelled')),
    CONSTRAINT dead_letter_queue_end CHECK ((closed_at IS NULL) = (resolution IS NULL))
);
COMMENT ON TABLE tms.dead_letter_queue IS 'Events that used up their retries or were refused for good; the event itself stays in tms.event_outbox. One open letter an event; read tms.dead_letters, and act by the functions tms_dlq_*';
COMMENT ON COLUMN tms.dead_letter_queue.id IS 'The letter''s id';
COMMENT ON COLUMN tms.dead_letter_queue.original_task_id IS 'The agent''s task that failed';
COMMENT ON COLUMN tms.dead_letter_queue.original_event_id IS 'The event in tms.event_outbox that failed';
COMMENT ON COLUMN tms.dead_letter_queue.company_id IS 'Company of the event; NULL: the platform';
COMMENT ON COLUMN tms.dead_letter_queue.target_system IS 'Target that did not take the event';
COMMENT ON COLUMN tms.dead_letter_queue.event_type IS 'Type of the event';
COMMENT ON COLUMN tms.dead_letter_queue.agent_name IS 'The agent whose task it is; its policy''s pii_rules hold for payload';
COMMENT ON COLUMN tms.dead_letter_queue.error_type IS 'timeout, validation, external_api or quota_exceeded';
COMMENT ON COLUMN tms.dead_letter_queue.error_message IS 'What the last attempt ended with, in words; never a payload, URL or header';
COMMENT ON COLUMN tms.dead_letter_queue.payload IS 'Redacted copy of what failed; NULL where it could not be redacted. What is sent again is the stored event, not this';
COMMENT ON COLUMN tms.dead_letter_queue.attempts IS 'Attempts that were made so far, in all rounds';
COMMENT ON COLUMN tms.dead_letter_queue.permanent IS 'True: the receiver refused for good; false: retries were used up';
COMMENT ON COLUMN tms.dead_letter_queue.retry_after IS 'When the letter comes back by itself; NULL: at rest until a person acts';
COMMENT ON COLUMN tms.dead_letter_queue.snooze_until IS 'Not before this time, whatever retry_after says; set by tms_dlq_snooze';
COMMENT ON COLUMN tms.dead_letter_queue.backoff_multiplier IS 'Minutes of the wait that retry_after ends, before jitter and cap: 2^n after n rounds (times tms.dead_letter_backoff, where that is not a minute)';
COMMENT ON COLUMN tms.dead_letter_queue.rounds IS 'Times it came back by itself';
COMMENT ON COLUMN tms.dead_letter_queue.max_retries IS 'Rounds before the letter rests: tms.dead_letter_rounds when it was written';
COMMENT ON COLUMN tms.dead_letter_queue.requeued_at IS 'Since when it is out for delivery again; NULL: it holds the event';
COMMENT ON COLUMN tms.dead_letter_queue.requeued_by IS 'The role that brought it back last; NULL: it came by itself';
COMMENT ON COLUMN tms.dead_letter_queue.created_at IS 'When the event died';
COMMENT ON COLUMN tms.dead_letter_queue.failed_at IS 'When it failed last';
COMMENT ON COLUMN tms.dead_letter_queue.closed_at IS 'When it was over; NULL: open. A success is noted here a little later than tms.dead_letters shows it';
COMMENT ON COLUMN tms.dead_letter_queue.closed_by IS 'The role that closed it; NULL: a success did';
COMMENT ON COLUMN tms.dead_letter_queue.resolution IS 'delivered: in a round of its own; replayed: delivered after a person brought it back; discarded: given up by tms_dlq_discard, or somebody deleted its event; cancelled: by tms_event_cancel';
COMMENT ON CONSTRAINT dead_letter_queue_end ON tms.dead_letter_queue IS 'A closed letter says how it ended';
CREATE INDEX dead_letter_queue_event ON tms.dead_letter_queue (original_event_id);
COMMENT ON INDEX tms.dead_letter_queue_event IS 'The letters of an event';
CREATE UNIQUE INDEX dead_letter_queue_open_event ON tms.dead_letter_queue (original_event_id) WHERE closed_at IS NULL;
COMMENT ON INDEX tms.dead_letter_queue_open_event IS 'One open letter an event';
CREATE UNIQUE INDEX dead_letter_queue_open_task ON tms.dead_letter_queue (original_task_id) WHERE closed_at IS NULL;
COMMENT ON INDEX tms.dead_letter_queue_open_task IS 'One open letter a task';
-- The platform's letters are a lane like a company's: an expression without NULL, so that one comparison walks them all.
CREATE INDEX dead_letter_queue_due ON tms.dead_letter_queue
    (target_system, (COALESCE(company_id, '00000000-0000-0000-0000-000000000000')), (GREATEST(retry_after, snooze_until)))
    WHERE closed_at IS NULL AND requeued_at IS NULL AND retry_after IS NOT NULL AND original_event_id IS NOT NULL;
COMMENT ON INDEX tms.dead_letter_queue_due IS 'Which letters of a target and company come back next';
CREATE INDEX dead_letter_queue_due_task ON tms.dead_letter_queue
    (agent_name, (COALESCE(company_id, '00000000-0000-0000-0000-000000000000')), (GREATEST(retry_after, snooze_until)))
    WHERE closed_at IS NULL AND requeued_at IS NULL AND retry_after IS NOT NULL AND original_task_id IS NOT NULL;
COMMENT ON INDEX tms.dead_letter_queue_due_task IS 'Which letters of an agent and company come back next';
CREATE INDEX dead_letter_queue_out ON tms.dead_letter_queue (target_system) WHERE closed_at IS NULL AND requeued_at IS NOT NULL;
COMMENT ON INDEX tms.dead_letter_queue_out IS 'Letters that are out for delivery: few at a time';
CREATE INDEX dead_letter_queue_closed ON tms.dead_letter_queue (closed_at) WHERE closed_at IS NOT NULL;
COMMENT ON INDEX tms.dead_letter_queue_closed IS 'What tms.dead_letter_retention may take';
CREATE INDEX dead_letter_queue_company ON tms.dead_letter_queue (company_id, created_at);
COMMENT ON INDEX tms.dead_letter_queue_company IS 'A company''s letters, as its policy and its readers ask for them';
ALTER TABLE tms.dead_letter_queue ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.dead_letter_queue FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.dead_letter_queue IS 'A role sees the letters of its company';

CREATE TABLE tms.dead_letter_acts (
    id             uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    letter_id      uuid NOT NULL,
    company_id     uuid,
    act            text NOT NULL,
    actor          text,
    at             timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    reason         text,
    detail         jsonb DEFAULT '{}',
    former_payload jsonb,
    CONSTRAINT dead_letter_acts_act CHECK (act IN ('round', 'failed', 'retry', 'replay', 'snooze', 'edit', 'discard', 'cancel'))
);
COMMENT ON TABLE tms.dead_letter_acts IS 'What was done with dead letters: by people, and by tms itself (actor NULL); kept as long as the letter';
COMMENT ON COLUMN tms.dead_letter_acts.id IS 'Time-ordered (UUIDv7)';
COMMENT ON COLUMN tms.dead_letter_acts.letter_id IS 'The letter in tms.dead_letter_queue';
COMMENT ON COLUMN tms.dead_letter_acts.company_id IS 'The letter''s company; NULL: the platform';
COMMENT ON COLUMN tms.dead_letter_acts.act IS 'round: it came back by itself; failed: it came back in vain; retry, replay, snooze, edit, discard, cancel: what a person did';
COMMENT ON COLUMN tms.dead_letter_acts.actor IS 'The role that did it; NULL: tms itself';
COMMENT ON COLUMN tms.dead_letter_acts.at IS 'When';
COMMENT ON COLUMN tms.dead_letter_acts.reason IS 'Why, in the person''s words; personal data found by value is replaced';
COMMENT ON COLUMN tms.dead_letter_acts.detail IS 'More of it: the round, the error, the filter, the time';
COMMENT ON COLUMN tms.dead_letter_acts.former_payload IS 'Of an edit: what the event''s payload was before, as the producer wrote it';
COMMENT ON CONSTRAINT dead_letter_acts_act ON tms.dead_letter_acts IS 'The acts there are';
CREATE INDEX dead_letter_acts_letter ON tms.dead_letter_acts (letter_id, at);
COMMENT ON INDEX tms.dead_letter_acts_letter IS 'What was done with a letter';
CREATE INDEX dead_letter_acts_company ON tms.dead_letter_acts (company_id, at);
COMMENT ON INDEX tms.dead_letter_acts_company IS 'A company''s acts, as its policy and its readers ask for them';
ALTER TABLE tms.dead_letter_acts ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.dead_letter_acts FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.dead_letter_acts IS 'A role sees what was done with its company''s letters';

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
