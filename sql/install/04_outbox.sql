-- The outbox: one row an event, kept after delivery with processed_at until retention takes it.

CREATE SEQUENCE tms.event_outbox_seq AS bigint CACHE 32;
COMMENT ON SEQUENCE tms.event_outbox_seq IS 'Numbers events within their available_at; gaps are normal';

CREATE SEQUENCE tms.event_outbox_order_seq AS bigint START 4611686018427387904;
COMMENT ON SEQUENCE tms.event_outbox_order_seq IS 'Numbers events with an ordering key, from 2^62 on, one by one: within a key the number says which was committed first';

CREATE TABLE tms.event_outbox (
    id              uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    seq             bigint NOT NULL DEFAULT pg_catalog.nextval('tms.event_outbox_seq'),
    event_type      text NOT NULL,
    payload         jsonb NOT NULL,
    target_system   text NOT NULL,
    company_id      uuid DEFAULT @extschema@.tms_current_company(),
    priority        integer NOT NULL DEFAULT 0,
    available_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    retry_count     integer NOT NULL DEFAULT 0,
    max_retries     integer NOT NULL DEFAULT 3,
    processed_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    idempotency_key text,
    ordering_key    text,
    headers         jsonb,
    ordering_hash   bigint,
    lease_token     uuid,
    cancelled_at    timestamptz,
    cancel_reason   text
);
COMMENT ON TABLE tms.event_outbox IS 'Events that were enqueued in committed transactions: waiting (processed_at NULL) and delivered ones';
COMMENT ON COLUMN tms.event_outbox.id IS 'The event''s id, sent as webhook-id with every attempt; time-ordered';
COMMENT ON COLUMN tms.event_outbox.seq IS 'Order of events that became available at the same time';
COMMENT ON COLUMN tms.event_outbox.event_type IS 'What happened, for example load.assigned; sent as tms-event-type';
COMMENT ON COLUMN tms.event_outbox.payload IS 'The body of the request';
COMMENT ON COLUMN tms.event_outbox.target_system IS 'Name of the target in tms.targets';
COMMENT ON COLUMN tms.event_outbox.company_id IS 'The company the event belongs to; NULL: the platform';
COMMENT ON COLUMN tms.event_outbox.priority IS 'Higher ones of a target are delivered first';
COMMENT ON COLUMN tms.event_outbox.available_at IS 'Not delivered before this time: schedule and backoff; infinity while a dead letter holds the event';
COMMENT ON COLUMN tms.event_outbox.retry_count IS 'Retries that were scheduled so far';
COMMENT ON COLUMN tms.event_outbox.max_retries IS 'Attempts after the first one before the event becomes a dead letter';
COMMENT ON COLUMN tms.event_outbox.processed_at IS 'When the receiver''s success was recorded; NULL: not delivered';
COMMENT ON COLUMN tms.event_outbox.created_at IS 'Start of the transaction that enqueued it';
COMMENT ON COLUMN tms.event_outbox.updated_at IS 'Last change by the dispatcher';
COMMENT ON COLUMN tms.event_outbox.idempotency_key IS 'The producer''s name for this event: enqueued once per company and target within tms.idempotency_window';
COMMENT ON COLUMN tms.event_outbox.ordering_key IS 'Events of one company, target and key are delivered one after the other, in the order of their commits';
COMMENT ON COLUMN tms.event_outbox.headers IS 'Headers of this event''s requests beside those of the target';
COMMENT ON COLUMN tms.event_outbox.ordering_hash IS 'What the queue compares instead of company and ordering_key; set by the trigger';
COMMENT ON COLUMN tms.event_outbox.lease_token IS 'Of a pull target: the lease under which a consumer has it, until available_at';
COMMENT ON COLUMN tms.event_outbox.cancelled_at IS 'When tms_event_cancel took it out of the queue; processed_at says the same time';
COMMENT ON COLUMN tms.event_outbox.cancel_reason IS 'Why it was cancelled';

-- The queue: what the dispatcher's scans walk. Delivered events are not in it.
CREATE INDEX event_outbox_due ON tms.event_outbox (target_system, company_id, priority, available_at, seq)
    WHERE processed_at IS NULL;
COMMENT ON INDEX tms.event_outbox_due IS 'The queue of each target and company in the order of delivery';
CREATE INDEX event_outbox_order ON tms.event_outbox (target_system, ordering_hash, seq)
    WHERE processed_at IS NULL AND ordering_hash IS NOT NULL;
COMMENT ON INDEX tms.event_outbox_order IS 'Which event of an ordering key comes first';
CREATE INDEX event_outbox_lease ON tms.event_outbox (lease_token) WHERE lease_token IS NOT NULL;
COMMENT ON INDEX tms.event_outbox_lease IS 'Events in the hands of pull consumers';

ALTER TABLE tms.event_outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.event_outbox FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.event_outbox IS 'A role sees the events of its company';
CREATE POLICY company_inserts ON tms.event_outbox FOR INSERT
    WITH CHECK (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_inserts ON tms.event_outbox IS 'A role enqueues for its own company';

CREATE FUNCTION tms.outbox_before_insert() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tms_outbox_before_insert';
COMMENT ON FUNCTION tms.outbox_before_insert() IS
    'Trigger: refuses an event that could not be delivered as it is, and wakes the dispatcher at commit. Errors: 42704 unknown target, 22023 a value out of range, 54000 payload over tms.max_payload_bytes, 23505 the idempotency key was used';
CREATE FUNCTION tms.outbox_after_update() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tms_outbox_after_update';
COMMENT ON FUNCTION tms.outbox_after_update() IS
    'Trigger: after a change by hand the dispatcher looks through the queue again, at commit';

CREATE TRIGGER before_insert BEFORE INSERT ON tms.event_outbox
    FOR EACH ROW EXECUTE FUNCTION tms.outbox_before_insert();
ALTER TABLE tms.event_outbox ENABLE ALWAYS TRIGGER before_insert;
COMMENT ON TRIGGER before_insert ON tms.event_outbox IS 'Checks the event and notes that the dispatcher is to be woken; fires for replicated rows too, which are only noted';
CREATE FUNCTION tms.outbox_before_key_change() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tms_outbox_before_key_change';
COMMENT ON FUNCTION tms.outbox_before_key_change() IS
    'Trigger: keeps ordering_hash equal to what company_id and ordering_key say';

CREATE TRIGGER before_key_change BEFORE UPDATE OF ordering_key, company_id, ordering_hash ON tms.event_outbox
    FOR EACH ROW EXECUTE FUNCTION tms.outbox_before_key_change();
ALTER TABLE tms.event_outbox ENABLE ALWAYS TRIGGER before_key_change;
COMMENT ON TRIGGER before_key_change ON tms.event_outbox IS 'An ordering key that is changed by hand takes its place in the other key''s order';
CREATE TRIGGER after_delete AFTER DELETE ON tms.event_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION tms.outbox_after_update();
ALTER TABLE tms.event_outbox ENABLE ALWAYS TRIGGER after_delete;
COMMENT ON TRIGGER after_delete ON tms.event_outbox IS 'Notes that an event is gone which others of its ordering key may have waited for';
CREATE TRIGGER after_update AFTER UPDATE ON tms.event_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION tms.outbox_after_update();
ALTER TABLE tms.event_outbox ENABLE ALWAYS TRIGGER after_update;
COMMENT ON TRIGGER after_update ON tms.event_outbox IS 'Notes that the queue was changed by hand';

CREATE FUNCTION @extschema@.tms_enqueue(
        event_type text, payload jsonb, target_system text, company_id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL,
        ordering_key text DEFAULT NULL, available_at timestamptz DEFAULT NULL, max_retries integer DEFAULT NULL,
        priority integer DEFAULT 0, headers jsonb DEFAULT NULL)
    RETURNS uuid LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_enqueue';
COMMENT ON FUNCTION @extschema@.tms_enqueue(text, jsonb, text, uuid, text, text, timestamptz, integer, integer, jsonb) IS
    'Enqueues one event in the caller''s transaction and returns its id. company_id NULL: the caller''s company; available_at NULL: at once; max_retries NULL: tms.default_max_retries; with an idempotency_key that was used within tms.idempotency_window nothing is enqueued and the first event''s id is returned. Errors: 42704 unknown target, 22004 a NULL that must not be, 22023 a value not valid, 54000 payload over tms.max_payload_bytes, 42501 no company or another''s, 40001 above READ COMMITTED when another transaction has just used the idempotency key';

CREATE FUNCTION @extschema@.tms_enqueue_batch(event_type text, payloads jsonb[], target_system text, company_id uuid DEFAULT NULL,
        ordering_keys text[] DEFAULT NULL)
    RETURNS uuid[] LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_enqueue_batch';
COMMENT ON FUNCTION @extschema@.tms_enqueue_batch(text, jsonb[], text, uuid, text[]) IS
    'Enqueues one event a payload, in order, and returns their ids in the same order; all or none. ordering_keys: one a payload, NULL for none. Errors as tms_enqueue; 22004 for a NULL payload, 22023 for a different number of keys';
