-- tms_dlq_* and tms_classify_error as an operator uses them, and what is refused.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
-- Ids and times differ from run to run.
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                            hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(regexp_replace(concat_ws(E'\n', state, message, detail, hint),
                                         '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'ID', 'g'), ' at [^.]*[.][0-9]* [0-9]+ [A-Z]+', ' at TIME', 'g');
END
$$;
CREATE ROLE api_letters_app;
SELECT tms_bind_role('api_letters_app', '11111111-1111-4111-8111-111111111111');
SELECT tms_grant('api_letters_app', c) FROM unnest(ARRAY['producer', 'operator', 'consumer']) c;
SELECT tms_target_set('api-letters', 'pull');
SELECT tms_enqueue('platform', '{}', 'api-letters') AS of_platform \gset

SET ROLE api_letters_app;
SELECT count(tms_enqueue('load.moved', jsonb_build_object('n', n, 'phone', '+44 20 7946 0000'), 'api-letters', max_retries => 0)) FROM generate_series(1, 4) n;
SELECT tms_outbox_nack(lease_token, CASE payload ->> 'n' WHEN '4' THEN 'validation' ELSE 'timeout' END, 'no such load')
  FROM tms_outbox_claim('api-letters');
SELECT state, error_type, error_message, payload, attempts, permanent, rounds, max_retries, backoff_multiplier,
       retry_after - created_at BETWEEN interval '48 seconds' AND interval '1 minute' AS in_a_minute
  FROM tms.dead_letters ORDER BY payload -> 'n';
SELECT id AS first FROM tms.dead_letters WHERE payload ->> 'n' = '1' \gset
SELECT id AS second FROM tms.dead_letters WHERE payload ->> 'n' = '2' \gset
-- On paper, and for real
SELECT tms_dlq_replay('{"error_type": "timeout"}', dry_run => true), tms_dlq_replay('{}', true),
       tms_dlq_replay('{"created_after": "infinity"}', true), tms_dlq_replay('{"created_before": "2400-01-01", "limit": 2}', true);
SELECT tms_dlq_requeue_due() AS none_is_due;
SELECT tms_dlq_snooze(:'first', now() + interval '1 hour');
SELECT tms_dlq_replay('{}', true) AS without_the_snoozed_one;
SELECT tms_dlq_edit(:'first', '{"n": 10}');
SELECT tms_dlq_retry(:'first', '{"n": 11}');
SELECT tms_dlq_retry(:'first') AS out_already;
SELECT tms_dlq_discard(:'second', 'the load was deleted');
SELECT state, resolution, closed_by, requeued_by, snooze_until, payload FROM tms.dead_letters ORDER BY payload -> 'n';
SELECT act, actor, reason, detail - 'until' AS detail, former_payload FROM tms.dead_letter_acts ORDER BY at, id;
SELECT tms_outbox_ack(array_agg(lease_token)) FROM tms_outbox_claim('api-letters');
SELECT state, resolution FROM tms.dead_letters WHERE id = :'first';
SELECT step, detail, actor FROM tms.event_history JOIN tms.dead_letters l ON l.original_event_id = event_id
 WHERE l.id = :'first' AND step NOT IN ('dead', 'attempt', 'snooze') ORDER BY at;
-- What is refused
SELECT said(format('SELECT tms_dlq_retry(%L)', :'second'));
SELECT said(format('SELECT tms_dlq_edit(%L, ''{}'')', :'second'));
SELECT said(format('SELECT tms_dlq_snooze(%L, now() + interval ''1 hour'')', :'second'));
SELECT said(format('SELECT tms_dlq_discard(%L, ''again'')', :'second'));
CALL refused($$SELECT tms_dlq_retry('99999999-9999-4999-8999-999999999999')$$);
CALL refused($$SELECT tms_dlq_edit('99999999-9999-4999-8999-999999999999', '{}')$$);
CALL refused($$SELECT tms_dlq_snooze('99999999-9999-4999-8999-999999999999', now() + interval '1 hour')$$);
CALL refused($$SELECT tms_dlq_discard('99999999-9999-4999-8999-999999999999', 'why')$$);
CALL refused($$SELECT tms_dlq_retry(NULL)$$);
CALL refused($$SELECT tms_dlq_edit('99999999-9999-4999-8999-999999999999', NULL)$$);
CALL refused($$SELECT tms_dlq_snooze('99999999-9999-4999-8999-999999999999', NULL)$$);
CALL refused($$SELECT tms_dlq_snooze('99999999-9999-4999-8999-999999999999', '2001-01-01 00:00+00')$$);
CALL refused($$SELECT tms_dlq_snooze('99999999-9999-4999-8999-999999999999', 'infinity')$$);
CALL refused($$SELECT tms_dlq_snooze('99999999-9999-4999-8999-999999999999', '-infinity')$$);
CALL refused($$SELECT tms_dlq_discard('99999999-9999-4999-8999-999999999999', NULL)$$);
CALL refused($$SELECT tms_dlq_discard('99999999-9999-4999-8999-999999999999', ' ')$$);
CALL refused($$SELECT tms_dlq_replay(NULL)$$);
CALL refused($$SELECT tms_dlq_replay('{}', NULL)$$);
CALL refused($$SELECT tms_dlq_replay('[]')$$);
CALL refused($$SELECT tms_dlq_replay('{"target": "n8n"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"eror_type": "timeout"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"error_type": "timeouts"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"limit": -1}')$$);
CALL refused($$SELECT tms_dlq_replay('{"limit": 1e12}')$$);
CALL refused($$SELECT tms_dlq_replay('{"rate_per_second": 0}')$$);
CALL refused($$SELECT tms_dlq_replay('{"rate_per_second": "fast"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"created_after": "soonish"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"created_after": "2026-02-30"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"company_id": "22222222-2222-4222-8222-222222222222"}')$$);
CALL refused($$SELECT tms_dlq_replay('{"ids": ["x"]}')$$);
CALL refused($$UPDATE tms.dead_letter_queue SET retry_after = now()$$);
CALL refused($$DELETE FROM tms.dead_letter_acts$$);
-- Nothing of it has changed anything
SELECT state, count(*) FROM tms.dead_letters GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tms.dead_letter_acts;
-- Kinds of errors
SELECT tms_classify_error('ETIMEDOUT'), tms_classify_error('openai.RateLimitError'), tms_classify_error('23514'),
       tms_classify_error(NULL, '504 Gateway Timeout'), tms_classify_error('Error'), tms_classify_error(NULL, NULL);
RESET ROLE;

DELETE FROM tms.event_outbox;
DELETE FROM tms.delivery_attempts;
DELETE FROM tms.dead_letter_queue;
DELETE FROM tms.dead_letter_acts;
DELETE FROM tms.targets;
SELECT tms_revoke('api_letters_app', c) FROM unnest(ARRAY['producer', 'operator', 'consumer']) c;
SELECT tms_unbind_role('api_letters_app');
DROP OWNED BY api_letters_app;
DROP ROLE api_letters_app;
DROP FUNCTION said(text);
DROP PROCEDURE refused(text);
