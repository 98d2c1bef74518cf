-- tms_event_explain and tms_event_cancel as an operator uses them.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
-- Ids and times differ from run to run.
CREATE FUNCTION told(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(tms_event_explain(id), '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'ID', 'g'),
                          '(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [0-9]+ [0-9:.]+ [0-9]{4} [A-Z]+', 'TIME', 'g')
$$;
CREATE ROLE api_events_app;
SELECT tms_bind_role('api_events_app', '11111111-1111-4111-8111-111111111111');
SELECT tms_grant('api_events_app', c) FROM unnest(ARRAY['producer', 'operator', 'consumer']) c;
SELECT tms_target_set('api-events', 'pull');
SELECT tms_enqueue('platform', '{}', 'api-events') AS of_platform \gset

SET ROLE api_events_app;
SELECT tms_enqueue('load.assigned', '{"pin": 4711}', 'api-events', ordering_key => 'load 7') AS first,
       tms_enqueue('load.moved', '{"pin": 4711}', 'api-events', ordering_key => 'load 7') AS second,
       tms_enqueue('load.later', '{}', 'api-events', available_at => '2400-01-01') AS later \gset
SELECT told(:'first');
SELECT told(:'second');
SELECT told(:'later');
SELECT lease_token AS token FROM tms_outbox_claim('api-events', 1) \gset
SELECT told(:'first');
SELECT tms_outbox_nack(:'token', 'validation', 'no such load');
SELECT told(:'first');
SELECT told(:'second');
-- A dead letter goes with its event, and the next of the key can go on
SELECT tms_event_cancel(:'first', 'the load was deleted');
SELECT tms_event_cancel(:'first', 'again');
SELECT told(:'first');
SELECT told(:'second');
SELECT resolution, closed_by FROM tms.dead_letter_queue;
SELECT processed_at = cancelled_at AS at_once, cancel_reason FROM tms.event_outbox WHERE id = :'first';
SELECT tms_outbox_ack(array_agg(lease_token)) FROM tms_outbox_claim('api-events');
SELECT told(:'second');
SELECT tms_event_cancel(:'second', 'too late');
-- What is refused
CALL refused($$SELECT tms_event_explain('99999999-9999-4999-8999-999999999999')$$);
CALL refused($$SELECT tms_event_explain(NULL)$$);
CALL refused($$SELECT tms_event_cancel('99999999-9999-4999-8999-999999999999', 'why')$$);
CALL refused($$SELECT tms_event_cancel(NULL, 'why')$$);
CALL refused($$SELECT tms_event_cancel('99999999-9999-4999-8999-999999999999', NULL)$$);
CALL refused($$SELECT tms_event_cancel('99999999-9999-4999-8999-999999999999', ' ')$$);
CALL refused($$SELECT tms_event_cancel('99999999-9999-4999-8999-999999999999', repeat('x', 1001))$$);
RESET ROLE;
SELECT tms_event_cancel(:'of_platform', 'tidying up');
SELECT told(:'of_platform');

DELETE FROM tms.event_outbox;
DELETE FROM tms.delivery_attempts;
DELETE FROM tms.dead_letter_queue;
DELETE FROM tms.dead_letter_acts;
DELETE FROM tms.targets;
SELECT tms_revoke('api_events_app', c) FROM unnest(ARRAY['producer', 'operator', 'consumer']) c;
SELECT tms_unbind_role('api_events_app');
DROP OWNED BY api_events_app;
DROP ROLE api_events_app;
DROP FUNCTION told(uuid);
DROP PROCEDURE refused(text);
