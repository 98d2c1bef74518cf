-- tms_outbox_claim, tms_outbox_ack and tms_outbox_nack as a consumer uses them.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
CREATE ROLE api_pull_app;
CREATE ROLE api_pull_stateless;
SELECT tms_bind_role('api_pull_app', '11111111-1111-4111-8111-111111111111');
SELECT tms_grant('api_pull_app', 'consumer'), tms_grant('api_pull_app', 'producer'), tms_grant('api_pull_stateless', 'consumer');
SELECT tms_target_set('api-pull', 'pull', '{"retry": {"base_ms": 3600000, "max_ms": 3600000}}');
SELECT tms_target_set('api-pull-http', 'http', '{"url": "https://receiver.example/hook"}');
SELECT tms_enqueue('platform', '{}', 'api-pull', priority => 100) IS NOT NULL AS enqueued;

SET ROLE api_pull_app;
SELECT count(tms_enqueue('job', jsonb_build_object('n', n), 'api-pull', priority => n % 2, max_retries => 1,
                         headers => '{"X-Trace": "abc"}')) FROM generate_series(1, 5) n;
SELECT count(tms_enqueue('keyed', jsonb_build_object('n', n), 'api-pull', ordering_key => 'load 7')) FROM generate_series(6, 7) n;
-- The columns, and the order of the queue
SELECT event_type, payload, company_id, ordering_key, headers, attempt, created_at <= now() AS created,
       substr(lease_token::text, 15, 1) AS token_version
  FROM tms_outbox_claim('api-pull', 2);
CREATE TEMP TABLE claimed AS SELECT * FROM tms_outbox_claim(target_system => 'api-pull', lease => '1 hour');
SELECT event_type, payload, ordering_key, attempt FROM claimed;
SELECT count(*) FROM tms_outbox_claim('api-pull');
-- What was done, once; other tokens and NULL are passed over
SELECT tms_outbox_ack(array_agg(lease_token) || gen_random_uuid() || NULL::uuid) FROM claimed WHERE event_type = 'keyed';
SELECT tms_outbox_ack(array_agg(lease_token)) FROM claimed WHERE event_type = 'keyed';
SELECT tms_outbox_ack('{}');
SELECT payload FROM tms_outbox_claim('api-pull');
-- What failed
SELECT payload, tms_outbox_nack(lease_token, CASE payload->>'n' WHEN '2' THEN 'validation' ELSE 'timeout' END, 'no paper') AS becomes
  FROM claimed WHERE event_type = 'job' ORDER BY payload;
SELECT tms_outbox_nack(lease_token, 'timeout', NULL) FROM claimed WHERE event_type = 'job' ORDER BY payload LIMIT 1;
SELECT tms_outbox_nack(gen_random_uuid(), 'timeout', NULL);
-- What is refused
CALL refused($$SELECT tms_outbox_claim('api-pull-http')$$);
CALL refused($$SELECT tms_outbox_claim('api-pul')$$);
CALL refused($$SELECT tms_outbox_claim(NULL)$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', NULL)$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', 0)$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', 10001)$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', 1, '0')$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', 1, '-1 minute')$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', 1, '8 days')$$);
CALL refused($$SELECT tms_outbox_claim('api-pull', 1, NULL)$$);
CALL refused($$SELECT tms_outbox_ack(NULL)$$);
CALL refused($$SELECT tms_outbox_nack(gen_random_uuid(), 'time-out', '')$$);
CALL refused($$SELECT tms_outbox_nack(gen_random_uuid(), NULL, '')$$);
CALL refused($$SELECT tms_outbox_nack(NULL, 'timeout', '')$$);
SET ROLE api_pull_stateless;
CALL refused($$SELECT tms_outbox_claim('api-pull')$$);
CALL refused($$SELECT tms_outbox_ack('{}')$$);
CALL refused($$SELECT tms_outbox_nack(gen_random_uuid(), 'timeout', '')$$);
RESET ROLE;

SELECT error_type, error_message, attempts, permanent FROM tms.dead_letter_queue ORDER BY created_at, id;
SELECT attempt, outcome, error_type, error_message, status_code, duration_ms >= 0 AS took FROM tms.delivery_attempts ORDER BY outcome, id;
-- A paused target hands out nothing; the platform gets what is left
SELECT tms_target_pause('api-pull');
SELECT count(*) FROM tms_outbox_claim('api-pull');
SELECT tms_target_resume('api-pull');
SELECT event_type, company_id FROM tms_outbox_claim('api-pull');

DROP TABLE claimed;
DELETE FROM tms.event_outbox;
DELETE FROM tms.dead_letter_queue;
DELETE FROM tms.delivery_attempts;
DELETE FROM tms.targets;
SELECT tms_revoke('api_pull_app', 'consumer'), tms_revoke('api_pull_app', 'producer'), tms_revoke('api_pull_stateless', 'consumer');
SELECT tms_unbind_role('api_pull_app');
DROP ROLE api_pull_app, api_pull_stateless;
DROP PROCEDURE refused(text);
