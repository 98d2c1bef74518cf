-- Asking after single events, and taking them back.

CREATE FUNCTION @extschema@.tms_event_explain(id uuid) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_event_explain_wrapper';
COMMENT ON FUNCTION @extschema@.tms_event_explain(uuid) IS
    'Says in a few lines what an event is, where it is and why, and what happens next; times are in the session''s TimeZone. Shows no payload, URL or header. For the event''s company and the platform. Errors: 42704 no such event, or another company''s; 22004 NULL';

CREATE FUNCTION @extschema@.tms_event_cancel(id uuid, reason text) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_event_cancel_wrapper';
COMMENT ON FUNCTION @extschema@.tms_event_cancel(uuid, text) IS
    'Takes an undelivered event out of the queue at commit, and closes its dead letter; reason (1 to 1000 characters) is kept in cancel_reason. True when it was waiting, false when it was delivered or cancelled before. An attempt that is on the wire, or in the hands of a consumer, is not recalled. For the event''s company and the platform. Errors: 42704 no such event, or another company''s; 22023 an empty or too long reason; 22004 NULL';
