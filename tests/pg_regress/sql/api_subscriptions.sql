-- Subscriptions: made, matched, taken back.
\set VERBOSITY terse
\pset null '(null)'
SELECT tms_target_set(name, 'http', '{"url": "https://receiver.example/"}') FROM unnest(ARRAY['api-sub-a', 'api-sub-b', 'api-sub-c']) AS name;
-- true when it is new; NULL stands for one company as any other does.
SELECT tms_subscribe('load.*', 'api-sub-b') AS first, tms_subscribe('load.*', 'api-sub-b') AS again,
       tms_subscribe('load.*', 'api-sub-b', '11111111-1111-4111-8111-111111111111') AS of_a_company;
SELECT tms_subscribe('load.assigned', 'api-sub-b'), tms_subscribe('*', 'api-sub-a'), tms_subscribe('load.*.added', 'api-sub-c');
SELECT event_type_pattern, target_system, company_id, created_at <= now() AS dated FROM tms.subscriptions ORDER BY 1, 2, 3;

-- Which targets a type goes to, in the order of the ids.
CREATE FUNCTION tried() RETURNS TABLE (event_type text, targets text) LANGUAGE plpgsql AS $$
DECLARE ids uuid[];
BEGIN
    FOREACH event_type IN ARRAY ARRAY['load.assigned', 'load.stop.added', 'load.a.b', 'load', 'driver.hired'] LOOP
        ids := tms_publish(event_type, '{"n": 1.10}');
        targets := (SELECT string_agg(e.target_system, ', ' ORDER BY array_position(ids, e.id)) FROM tms.event_outbox e WHERE e.id = ANY (ids));
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM tried();
SELECT event_type, payload, target_system, company_id, priority, max_retries FROM tms.event_outbox ORDER BY event_type, target_system LIMIT 3;
DELETE FROM tms.event_outbox;

-- A company's event goes to its own subscriptions and the platform's, and stays its own.
SELECT tms_unsubscribe('load.*', 'api-sub-b') AS first, tms_unsubscribe('load.*', 'api-sub-b') AS again;
SELECT tms_unsubscribe('load.assigned', 'api-sub-b'), tms_unsubscribe('*', 'api-sub-a');
SELECT cardinality(tms_publish('load.moved', '{}')) AS of_the_platform,
       cardinality(tms_publish('load.moved', '{}', '11111111-1111-4111-8111-111111111111')) AS of_the_company,
       cardinality(tms_publish('load.moved', '{}', '22222222-2222-4222-8222-222222222222')) AS of_another,
       tms_publish('nobody.cares', '{}') AS of_none;
SELECT event_type, target_system, company_id FROM tms.event_outbox;

-- Every argument by its name.
SELECT cardinality(tms_publish(event_type => 'load.stop.added', payload => '[]', company_id => NULL, ordering_key => 'k',
    available_at => '2100-01-01', max_retries => 0, priority => -1, headers => '{"x-a": "b"}')) AS published;
SELECT event_type, payload, ordering_key, available_at = '2100-01-01' AS later, max_retries, priority, headers
  FROM tms.event_outbox WHERE event_type = 'load.stop.added';

-- What is refused
SELECT tms_subscribe(NULL, 'api-sub-a');
SELECT tms_subscribe('*', NULL);
SELECT tms_subscribe('load.**', 'api-sub-a');
SELECT tms_subscribe('load..moved', 'api-sub-a');
SELECT tms_subscribe('load.*', 'api-sub-d');
SELECT tms_unsubscribe('', 'api-sub-a');
SELECT tms_unsubscribe('load.*', 'never-heard-of');
SELECT tms_publish(NULL, '{}');
SELECT tms_publish('load.moved', NULL);
SELECT tms_publish('load moved', '{}');
DROP FUNCTION tried();
DELETE FROM tms.event_outbox;
DELETE FROM tms.subscriptions;
DELETE FROM tms.targets;
