-- Fan-out: which targets take which types of event.

CREATE TABLE tms.subscriptions (
    event_type_pattern text NOT NULL,
    -- Without a foreign key: realtime is a target without a row.
    target_system      text NOT NULL,
    company_id         uuid,
    created_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT subscriptions_once UNIQUE NULLS NOT DISTINCT (company_id, target_system, event_type_pattern)
);
COMMENT ON TABLE tms.subscriptions IS 'Which targets tms_publish enqueues an event for, by patterns of event types; changed by tms_subscribe and tms_unsubscribe';
COMMENT ON COLUMN tms.subscriptions.event_type_pattern IS 'An event type; load.* stands for every type below load, * for every type, a * between dots for one segment';
COMMENT ON COLUMN tms.subscriptions.target_system IS 'The target that gets the events; when it is removed, publishing them is an error until it is unsubscribed';
COMMENT ON COLUMN tms.subscriptions.company_id IS 'The company whose events are meant; NULL: the platform''s subscription, to the events of every company and its own';
COMMENT ON COLUMN tms.subscriptions.created_at IS 'When it was subscribed';
COMMENT ON CONSTRAINT subscriptions_once ON tms.subscriptions IS 'A pattern is subscribed once; its index finds what a company''s event may match';
ALTER TABLE tms.subscriptions ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.subscriptions FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.subscriptions IS 'A role sees its company''s subscriptions';

CREATE FUNCTION @extschema@.tms_subscribe(event_type_pattern text, target_system text, company_id uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_subscribe_wrapper';
COMMENT ON FUNCTION @extschema@.tms_subscribe(text, text, uuid) IS
    'Subscribes a target to the types of event that match a pattern (load.assigned, load.*, *), for events published from then on; true when it is new. company_id NULL: the caller''s company, or for the platform the events of all. Errors: 42704 unknown target, 22023 not a pattern, 22004 a NULL that must not be, 42501 no company or another''s';

CREATE FUNCTION @extschema@.tms_unsubscribe(event_type_pattern text, target_system text, company_id uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_unsubscribe_wrapper';
COMMENT ON FUNCTION @extschema@.tms_unsubscribe(text, text, uuid) IS
    'Takes back what tms_subscribe did with the same arguments; true when there was such a subscription. Events that were published stay enqueued. Errors: 22023 not a pattern, 22004 a NULL that must not be, 42501 no company or another''s';

-- Not SECURITY DEFINER: like tms_enqueue the library takes the owner's rights for its own statements, at a fraction of the cost.
CREATE FUNCTION @extschema@.tms_publish(
        event_type text, payload jsonb, company_id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL,
        ordering_key text DEFAULT NULL, available_at timestamptz DEFAULT NULL, max_retries integer DEFAULT NULL,
        priority integer DEFAULT 0, headers jsonb DEFAULT NULL)
    RETURNS uuid[] LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_publish';
COMMENT ON FUNCTION @extschema@.tms_publish(text, jsonb, uuid, text, text, timestamptz, integer, integer, jsonb) IS
    'Enqueues one event for each target that a subscription of the event''s company, or of the platform, leads to, and returns their ids in the order of the targets'' names; empty when nobody subscribed. The other arguments are those of tms_enqueue and hold for each of the events. Errors as tms_enqueue';
