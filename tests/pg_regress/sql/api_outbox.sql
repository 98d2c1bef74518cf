-- tms_enqueue and tms_enqueue_batch as an application uses them.
\set VERBOSITY terse
\pset null '(null)'
CREATE ROLE api_outbox_app;
SELECT tms_bind_role('api_outbox_app', '11111111-1111-4111-8111-111111111111');
SELECT tms_grant('api_outbox_app', 'producer');
SELECT tms_target_set('api-outbox', 'http', '{"url": "https://receiver.example/hook"}');

SET ROLE api_outbox_app;
-- All defaults: the caller's company, due at once, tms.default_max_retries.
SELECT tms_enqueue('load.assigned', '{"load": 1}', 'api-outbox') AS id \gset
SELECT event_type, payload, target_system, company_id, priority, available_at = created_at AS due_at_once, retry_count, max_retries,
       processed_at, idempotency_key, ordering_key, headers
  FROM tms.event_outbox WHERE id = :'id';

-- Everything named.
SELECT tms_enqueue(event_type => 'load.delivered', payload => '[1, "two", null]', target_system => 'api-outbox',
                   company_id => '11111111-1111-4111-8111-111111111111', available_at => '2030-01-01 00:00+00',
                   max_retries => 0, priority => -7, headers => '{"X-Trace": "abc"}') AS id \gset
SELECT event_type, payload, company_id, priority, available_at, max_retries, headers FROM tms.event_outbox WHERE id = :'id';

-- The ends of what is allowed.
SELECT tms_enqueue('a', 'null', 'api-outbox', max_retries => 100, priority => 2147483647) AS id \gset
SELECT tms_enqueue(repeat('x', 255), '""', 'api-outbox', priority => -2147483648) AS id2 \gset
SELECT tms_enqueue('a', '{}', 'api-outbox', available_at => '1970-01-01 00:00+00') AS id3 \gset
SELECT length(event_type), payload, priority, max_retries, available_at < now() AS long_due
  FROM tms.event_outbox WHERE id IN (:'id', :'id2', :'id3') ORDER BY id;

-- NULL is the default where there is one.
SELECT tms_enqueue('a', '{}', 'api-outbox', NULL, NULL, NULL, NULL, NULL, NULL, NULL) AS id \gset
SELECT company_id, priority, max_retries, headers FROM tms.event_outbox WHERE id = :'id';

-- A payload is kept to the last digit and letter.
SELECT tms_enqueue('a', '{"n": 12345678901234567890.123456789012345678901234567890, "big": 1e400, "s": "\u00e4\ud83d\ude9a\\\"\n"}',
                   'api-outbox') AS id \gset
SELECT payload->'n' AS n, length((payload->'big')::text) AS big, payload->>'s' AS s FROM tms.event_outbox WHERE id = :'id';

-- A batch comes back in its order.
SELECT ids AS batch FROM tms_enqueue_batch('batch', ARRAY['1', '2', '3']::jsonb[], 'api-outbox') AS ids \gset
SELECT payload, u.n FROM unnest(:'batch'::uuid[]) WITH ORDINALITY AS u (id, n) JOIN tms.event_outbox e USING (id) ORDER BY u.n;
SELECT tms_enqueue_batch('batch', '{}', 'api-outbox');
SELECT cardinality(tms_enqueue_batch('batch', ARRAY[['1', '2'], ['3', '4']]::jsonb[], 'api-outbox')) AS of_two_dimensions;
SELECT cardinality(tms_enqueue_batch('batch', '[5:6]={1,2}'::jsonb[], 'api-outbox')) AS with_another_lower_bound;

-- An idempotency key stands for its first event, for one company and one target.
SELECT tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => 'order-7') AS first \gset
SELECT tms_enqueue('another.type', '2', 'api-outbox', idempotency_key => 'order-7', priority => 9) = :'first' AS is_the_first,
       tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => 'order-8') = :'first' AS of_another_key,
       tms_enqueue('keyed', '1', 'realtime', idempotency_key => 'order-7') = :'first' AS of_another_target;
RESET ROLE;
SELECT tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => 'order-7') = :'first' AS of_the_platform,
       tms_enqueue('keyed', '1', 'api-outbox', '22222222-2222-4222-8222-222222222222', 'order-7') = :'first' AS of_another_company,
       tms_enqueue('keyed', '1', 'api-outbox', '11111111-1111-4111-8111-111111111111', 'order-7') = :'first' AS of_the_same;
SELECT target_system, company_id, key, event_id = :'first' AS is_the_first FROM tms.idempotency_keys
 ORDER BY target_system, key, company_id NULLS FIRST;
SET ROLE api_outbox_app;
SELECT count(*) AS events, bool_and(idempotency_key LIKE 'order-_') AS keep_their_key FROM tms.event_outbox WHERE event_type = 'keyed';
-- The longest, and one that is rolled back stands for nothing.
SELECT tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => repeat('k', 512), ordering_key => repeat('ü', 256)) IS NOT NULL AS enqueued;
BEGIN;
SELECT tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => 'order-9') AS gone \gset
ROLLBACK;
SELECT tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => 'order-9') = :'gone' AS is_the_one_that_is_gone;
INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key) VALUES ('keyed', '1', 'api-outbox', 'order-10') RETURNING id \gset
SELECT tms_enqueue('keyed', '1', 'api-outbox', idempotency_key => 'order-10') = :'id' AS is_the_row;

-- An ordering key numbers its events one by one, from 2^62 on, and the queue knows it by a number of its company and itself.
SELECT tms_enqueue('ordered', to_jsonb(n), 'api-outbox', ordering_key => 'load-' || n % 2) IS NOT NULL AS enqueued FROM generate_series(1, 4) n;
INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key) VALUES ('ordered', '5', 'api-outbox', 'load-1');
SELECT cardinality(tms_enqueue_batch('ordered', ARRAY['6', '7', '8']::jsonb[], 'api-outbox', ordering_keys => ARRAY['load-1', NULL, 'load-0']));
SELECT ordering_key, jsonb_agg(payload ORDER BY seq) AS in_order, count(DISTINCT ordering_hash) AS hashes, bool_and(seq >= 2^62) AS have_a_place
  FROM tms.event_outbox WHERE event_type = 'ordered' GROUP BY ordering_key ORDER BY ordering_key;
-- Known numbers: they are stored with events that other releases wrote.
SELECT DISTINCT ordering_key, ordering_hash FROM tms.event_outbox WHERE ordering_key LIKE 'load-%' ORDER BY ordering_key;
RESET ROLE;
UPDATE tms.event_outbox SET ordering_key = 'load-0' WHERE event_type = 'ordered' AND payload = '1';
UPDATE tms.event_outbox SET ordering_hash = 7 WHERE event_type = 'ordered' AND payload = '2';
UPDATE tms.event_outbox SET ordering_key = NULL WHERE event_type = 'ordered' AND payload = '3';
SELECT ordering_key, count(*), count(DISTINCT ordering_hash) AS hashes FROM tms.event_outbox WHERE event_type = 'ordered' GROUP BY 1 ORDER BY 1;
SET ROLE api_outbox_app;

-- Plain INSERT is the same with the names of columns.
INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('plain', '{}', 'api-outbox')
    RETURNING company_id, priority, retry_count, max_retries, substr(id::text, 15, 1) AS uuid_version;
INSERT INTO tms.event_outbox (event_type, payload, target_system)
    SELECT 'many', to_jsonb(n), 'api-outbox' FROM generate_series(1, 3) n;
SELECT count(*) FROM tms.event_outbox WHERE event_type = 'many';

-- What is rolled back was never there.
BEGIN;
SELECT tms_enqueue('gone', '{}', 'api-outbox') IS NOT NULL AS enqueued;
ROLLBACK;
SELECT count(*) FROM tms.event_outbox WHERE event_type = 'gone';
RESET ROLE;

SELECT target_system, due, scheduled, dead, retrying FROM tms.outbox_status WHERE target_system = 'api-outbox';
DELETE FROM tms.event_outbox;
DELETE FROM tms.idempotency_keys;
DELETE FROM tms.targets;
SELECT tms_revoke('api_outbox_app', 'producer');
SELECT tms_unbind_role('api_outbox_app');
DROP ROLE api_outbox_app;
