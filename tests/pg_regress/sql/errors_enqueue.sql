-- Events that are refused: each with SQLSTATE, DETAIL and HINT, and nothing is left behind.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
CREATE ROLE errors_enqueue_app;
SELECT tms_bind_role('errors_enqueue_app', '11111111-1111-4111-8111-111111111111');
SELECT tms_grant('errors_enqueue_app', 'producer');
SELECT tms_target_set('errors-enqueue', 'http', '{"url": "https://receiver.example/hook"}');
SET ROLE errors_enqueue_app;
-- The target
CALL refused($$SELECT tms_enqueue('a', '{}', 'erors-enqueue')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'quite different')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', '')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', E'line\nbreak')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', repeat('long', 1000))$$);
-- NULLs
CALL refused($$SELECT tms_enqueue(NULL, '{}', 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue('a', NULL, 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', NULL)$$);
-- The type
CALL refused($$SELECT tms_enqueue('', '{}', 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue('load assigned', '{}', 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue(E'load\r\nX-Injected: 1', '{}', 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue('ladung.zugeordnet.für', '{}', 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue(repeat('x', 300), '{}', 'errors-enqueue')$$);
-- Numbers and times
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', max_retries => -1)$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', max_retries => 101)$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', available_at => 'infinity')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', available_at => '-infinity')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', priority => 2147483648)$$);
-- Headers
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '"x: y"')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => 'null')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"x-a": "hush\r\nx-b: 1"}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"x-a\r\nx-b": "1"}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"x-a": 7}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"x-a": "1", "X-A": "2"}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"Webhook-Id": "mine"}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"Content-Length": "0"}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => '{"x-a": 1e999}')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', headers => (repeat('[', 500) || repeat(']', 500))::jsonb)$$);
-- Keys: an empty one is a mistake, a long one is no name; neither is repeated
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', idempotency_key => '')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', idempotency_key => repeat('k', 513))$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', idempotency_key => repeat('k', 10240))$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', ordering_key => '')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', ordering_key => repeat('ü', 257))$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', ordering_key => repeat('k', 10240))$$);
-- A key does not stand for an event that was refused
CALL refused($$SELECT tms_enqueue('a', '{}', 'erors-enqueue', idempotency_key => 'unused')$$);
CALL refused($$SELECT tms_enqueue('a b', '{}', 'errors-enqueue', idempotency_key => 'unused')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue', idempotency_key => 'unused', ordering_key => '')$$);
-- Size: 1 MB unless the platform says otherwise; the limit is not the producer's to change
CALL refused($$SELECT tms_enqueue('a', to_jsonb(repeat('x', 1048577)), 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', to_jsonb(repeat('x', 1048577))], 'errors-enqueue')$$);
CALL refused($$SET tms.max_payload_bytes = '10MB'$$);
-- Batches: all or none
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', NULL, '3']::jsonb[], 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue_batch('a', NULL, 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue_batch(NULL, ARRAY['1']::jsonb[], 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1']::jsonb[], NULL)$$);
CALL refused($$SELECT tms_enqueue_batch('a b', ARRAY['1', '2']::jsonb[], 'errors-enqueue')$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', '2']::jsonb[], 'errors_enqueue')$$);
-- One ordering key a payload
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', '2']::jsonb[], 'errors-enqueue', NULL, ARRAY['k'])$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', '2']::jsonb[], 'errors-enqueue', NULL, ARRAY['k', 'k', 'k'])$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', '2']::jsonb[], 'errors-enqueue', NULL, '{}')$$);
CALL refused($$SELECT tms_enqueue_batch('a', '{}', 'errors-enqueue', NULL, ARRAY['k'])$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', '2']::jsonb[], 'errors-enqueue', NULL, ARRAY['k', ''])$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1', '2']::jsonb[], 'errors-enqueue', NULL, ARRAY[NULL, repeat('k', 10240)])$$);
-- Also when there is nothing to enqueue
CALL refused($$SELECT tms_enqueue_batch('a', '{}', 'errors_enqueue')$$);
CALL refused($$SELECT tms_enqueue_batch('a b', '{}', 'errors-enqueue')$$);
-- A plain INSERT is judged in the same words
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('a', '{}', 'nowhere')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('a b', '{}', 'errors-enqueue')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES (NULL, '{}', 'errors-enqueue')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, target_system) VALUES ('a', 'errors-enqueue')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload) VALUES ('a', '{}')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, available_at) VALUES ('a', '{}', 'errors-enqueue', 'infinity')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, max_retries) VALUES ('a', '{}', 'errors-enqueue', NULL)$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, headers) VALUES ('a', '{}', 'errors-enqueue', '{"host": "x"}')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key) VALUES ('a', '{}', 'errors-enqueue', '')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key) VALUES ('a', '{}', 'errors-enqueue', '')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_key)
               VALUES ('a', '{}', 'errors-enqueue', repeat('k', 10240))$$);
-- It cannot answer with the id that a used key stands for
BEGIN;
SELECT tms_enqueue('a', '{}', 'errors-enqueue', idempotency_key => 'used') IS NOT NULL AS enqueued;
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key) VALUES ('a', '{}', 'errors-enqueue', 'used')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key) VALUES ('a', '{}', 'errors-enqueue', 'twice'),
                                                                                              ('a', '{}', 'errors-enqueue', 'twice')$$);
ROLLBACK;
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('a', to_jsonb(repeat('x', 1048577)), 'errors-enqueue')$$);
-- Where nothing may be written
BEGIN READ ONLY;
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-enqueue')$$);
ROLLBACK;
-- The columns of the dispatcher are not for producers, and not for a new event of the platform either
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, retry_count) VALUES ('a', '{}', 'errors-enqueue', 1)$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, ordering_hash) VALUES ('a', '{}', 'errors-enqueue', 1)$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, seq) VALUES ('a', '{}', 'errors-enqueue', 1)$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, lease_token) VALUES ('a', '{}', 'errors-enqueue', NULL)$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, cancelled_at) VALUES ('a', '{}', 'errors-enqueue', NULL)$$);
RESET ROLE;
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, retry_count) VALUES ('a', '{}', 'errors-enqueue', 1)$$);
-- By the plain protocol the SQLSTATE is the same
\set VERBOSITY sqlstate
SELECT tms_enqueue('a', '{}', 'erors-enqueue');
SELECT tms_enqueue('a b', '{}', 'errors-enqueue');
SELECT tms_enqueue(NULL, '{}', 'errors-enqueue');
SELECT tms_enqueue('a', '{}', 'errors-enqueue', idempotency_key => '');
SELECT tms_enqueue('a', to_jsonb(repeat('x', 1048577)), 'errors-enqueue');
\set VERBOSITY terse
-- Nothing of all that is there
SELECT (SELECT count(*) FROM tms.event_outbox) AS events, (SELECT count(*) FROM tms.idempotency_keys) AS keys;
-- The platform may lower and raise the limit
SET tms.max_payload_bytes = 1024;
CALL refused($$SELECT tms_enqueue('a', to_jsonb(repeat('x', 1100)), 'errors-enqueue')$$);
SET tms.max_payload_bytes = '2MB';
SELECT tms_enqueue('a', to_jsonb(repeat('x', 1048577)), 'errors-enqueue') IS NOT NULL AS accepted;
RESET tms.max_payload_bytes;
DELETE FROM tms.event_outbox;
DELETE FROM tms.targets;
SELECT tms_revoke('errors_enqueue_app', 'producer');
SELECT tms_unbind_role('errors_enqueue_app');
DROP ROLE errors_enqueue_app;
DROP PROCEDURE refused(text);
