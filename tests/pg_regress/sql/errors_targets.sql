-- Targets that are refused: each with SQLSTATE, DETAIL and HINT, without repeating a secret, and nothing is changed.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
SELECT tms_target_set('errors-targets', 'http', '{"url": "https://receiver.example/hook"}');
CREATE TABLE before AS SELECT t::text AS target, s::text AS secrets FROM tms.targets t JOIN tms.target_secrets s ON s.target = t.name;
CREATE PROCEDURE with_options(options text) LANGUAGE plpgsql AS $$
BEGIN
    CALL refused(format('SELECT tms_target_set(%L, %L, %L)', 'errors-targets', 'http', options));
END
$$;
CREATE PROCEDURE with_transport(transport text, options text) LANGUAGE plpgsql AS $$
BEGIN
    CALL refused(format('SELECT tms_target_set(%L, %L, %L)', 'errors-targets', transport, options));
END
$$;
CREATE PROCEDURE for_company(options text, target text DEFAULT 'errors-targets', transport text DEFAULT 'http') LANGUAGE plpgsql AS $$
BEGIN
    CALL refused(format('SELECT tms_target_set(%L, %L, %L, %L)', target, transport, options, '11111111-1111-4111-8111-111111111111'));
END
$$;
-- Names
CALL refused($$SELECT tms_target_set(NULL, 'http', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('', 'http', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('My Target', 'http', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('-dash', 'http', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set(repeat('n', 64), 'http', '{"url": "https://h.example/"}')$$);
-- Transports
CALL refused($$SELECT tms_target_set('errors-targets', NULL, '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('errors-targets', 'htpp', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('errors-targets', 'kafka', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('errors-targets', '', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('errors-targets', 'slack')$$);
-- Options as a whole
CALL refused($$SELECT tms_target_set('errors-targets', 'http', NULL)$$);
CALL refused($$SELECT tms_target_set('errors-targets', 'http')$$);
CALL with_options('[]');
CALL with_options('null');
CALL with_options('"https://h.example/hush"');
CALL with_options('{"url": "https://h.example/hush", "time_out": 5}');
CALL with_options('{"url": "https://h.example/hush", "timeout_sm": 5}');
CALL with_options('{"uri": "https://h.example/hush"}');
CALL with_options('{"url": "https://h.example/hush", "colour": "red"}');
CALL with_options('{"url": "https://h.example/hush", "": 1}');
-- URLs: what follows the host is not repeated
CALL with_options('{"url": ""}');
CALL with_options('{"url": null}');
CALL with_options('{"url": 7}');
CALL with_options('{"url": "receiver.example/hush"}');
CALL with_options('{"url": "/hush"}');
CALL with_options('{"url": "https://"}');
CALL with_options('{"url": "https:///hush"}');
CALL with_options('{"url": "ftp://h.example/hush"}');
CALL with_options('{"url": "https://h.example/a hush"}');
CALL with_options('{"url": "https://h.example/hush\r\nX: y"}');
CALL with_options('{"url": "https://user:hush@h.example/"}');
CALL with_options('{"url": "https://h.example/hush#part"}');
CALL with_options('{"url": "https://h.example:99999/hush"}');
CALL with_options('{"url": "https://h.example:0/hush"}');
CALL with_options('{"url": "https://[::1/hush"}');
CALL with_options('{"url": "https://h..example/hush"}');
CALL with_options(jsonb_build_object('url', 'https://h.example/' || repeat('h', 2048))::text);
-- Methods
CALL with_options('{"url": "https://h.example/hush", "method": "GET"}');
CALL with_options('{"url": "https://h.example/hush", "method": "post"}');
CALL with_options('{"url": "https://h.example/hush", "method": "POTS"}');
CALL with_options('{"url": "https://h.example/hush", "method": 1}');
-- Headers: values are not repeated
CALL with_options('{"url": "https://h.example/hush", "headers": "x: y"}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"authorization": "Bearer hush\r\nx: y"}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"authorization: Bearer hush": ""}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"x-a": ["hush"]}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"x-a": " hush"}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"x-a": "hüsh"}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"": "hush"}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"Host": "hush"}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"Transfer-Encoding": "chunked"}}');
CALL with_options('{"url": "https://h.example/hush", "headers": {"webhook-signature": "hush"}}');
CALL with_options(jsonb_build_object('url', 'https://h.example/', 'headers', jsonb_build_object('x', repeat('h', 8193)))::text);
CALL refused($$SELECT tms_target_set('errors-targets', 'http', jsonb_build_object('url', 'https://h.example/', 'headers',
    (SELECT jsonb_object_agg('x-' || n, '') FROM generate_series(1, 65) n)))$$);
-- Numbers
CALL with_options('{"url": "https://h.example/hush", "timeout_ms": -1}');
CALL with_options('{"url": "https://h.example/hush", "timeout_ms": 99}');
CALL with_options('{"url": "https://h.example/hush", "timeout_ms": 300001}');
CALL with_options('{"url": "https://h.example/hush", "timeout_ms": 1.5}');
CALL with_options('{"url": "https://h.example/hush", "timeout_ms": "5000"}');
CALL with_options('{"url": "https://h.example/hush", "timeout_ms": 1e999}');
CALL with_options('{"url": "https://h.example/hush", "max_concurrency": 0}');
CALL with_options('{"url": "https://h.example/hush", "max_concurrency": null}');
CALL with_options('{"url": "https://h.example/hush", "allow_private_network": "yes"}');
CALL with_options('{"url": "https://h.example/hush", "retry": 3}');
CALL with_options('{"url": "https://h.example/hush", "retry": {"base": 3}}');
CALL with_options('{"url": "https://h.example/hush", "retry": {"base_ms": -5}}');
CALL with_options('{"url": "https://h.example/hush", "retry": {"factor": 0.5}}');
CALL with_options('{"url": "https://h.example/hush", "retry": {"jitter": 1.1}}');
CALL with_options('{"url": "https://h.example/hush", "retry": {"base_ms": 1000, "max_ms": 10}}');
CALL with_options('{"url": "https://h.example/hush", "retry": ' || repeat('[', 500) || repeat(']', 500) || '}');
-- Rate
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": 0}');
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": 100001}');
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": "5"}');
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": null}');
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": 5, "burst": 0}');
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": 5, "burst": 100001}');
CALL with_options('{"url": "https://h.example/hush", "rate_per_second": 5, "burst": true}');
CALL with_options('{"url": "https://h.example/hush", "burst": 5}');
-- Breaker
CALL with_options('{"url": "https://h.example/hush", "breaker": 3}');
CALL with_options('{"url": "https://h.example/hush", "breaker": null}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"ratio": 0.5}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"failure_ratio": 0}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"failure_ratio": 1.1}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"minimum_calls": 0}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"minimum_calls": "20"}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"window_ms": 99}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"open_ms": 3600001}}');
CALL with_options('{"url": "https://h.example/hush", "breaker": {"trials": 0}}');
-- Body and signature: a secret is not repeated
CALL with_options('{"url": "https://h.example/hush", "envelope": "cloudevent"}');
CALL with_options('{"url": "https://h.example/hush", "envelope": true}');
CALL with_options('{"url": "https://h.example/hush", "gzip": "yes"}');
CALL with_options('{"url": "https://h.example/hush", "gzip": 0}');
CALL with_options('{"url": "https://h.example/hush", "gzip": 1073741825}');
CALL with_options('{"url": "https://h.example/hush", "signing": "v1"}');
CALL with_options('{"url": "https://h.example/hush", "secret": 7}');
CALL with_options('{"url": "https://h.example/hush", "secret": ""}');
CALL with_options('{"url": "https://h.example/hush", "secret": "whsec_hush"}');
CALL with_options('{"url": "https://h.example/hush", "secret": "whsec_hush!"}');
CALL with_options('{"url": "https://h.example/hush", "secret": ["whsec_hush"]}');
CALL with_options(format('{"url": "https://h.example/hush", "secret": "whsec_%s"}', translate(encode(decode(repeat('aa', 65), 'hex'), 'base64'), E'\n', '')));
CALL with_options('{"url": "https://h.example/hush", "signing": false, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}');
-- What becomes of events
CALL with_options('{"url": "https://h.example/hush", "on_ambiguous": "drop"}');
CALL with_options('{"url": "https://h.example/hush", "on_ambiguous": false}');
CALL with_options('{"url": "https://h.example/hush", "on_dead": "skipp"}');
CALL with_options('{"url": "https://h.example/hush", "on_dead": null}');
-- Of a later release
CALL with_options('{"url": "https://h.example/hush", "redact_fields": ["phone", "$.a["]}');
-- An option that the transport has no use for is refused by its name, and its value is not repeated
CALL with_options('{"url": "https://h.example/hush", "topic": "hush"}');
CALL with_options('{"url": "https://h.example/hush", "channel": "hush"}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "envelope": "standard"}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "signing": true}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "secret": "hush"}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "gzip": true}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "private": true}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "method": "PUT"}');
CALL with_transport('slack', '{"url": "https://hooks.slack.com/hush", "redact_fields": ["phone", "$.a["]}');
CALL refused($$SELECT tms_target_set('slack', 'http', '{"url": "https://hooks.slack.com/hush", "signing": true}')$$);
CALL with_transport('realtime', '{"url": "https://h.example/hush"}');
CALL with_transport('realtime', '{"headers": {"a": "hush"}}');
CALL with_transport('realtime', '{"breaker": false}');
CALL with_transport('realtime', '{"max_concurrency": 2}');
CALL with_transport('realtime', '{"channel": "hush"}');
CALL with_transport('notify', '{"url": "https://h.example/hush"}');
CALL with_transport('notify', '{"timeout_ms": 1000}');
CALL with_transport('notify', '{"on_ambiguous": "dead"}');
CALL with_transport('notify', '{"topic": "hush"}');
CALL with_transport('pull', '{"url": "https://h.example/hush"}');
CALL with_transport('pull', '{"rate_per_second": 5}');
CALL with_transport('pull', '{"breaker": false}');
CALL with_transport('pull', '{"secret": "hush"}');
CALL with_transport('pull', '{"lease": "1 minute"}');
-- In the database
CALL with_transport('realtime', '{"topic": ""}');
CALL with_transport('realtime', '{"topic": 7}');
CALL with_transport('realtime', jsonb_build_object('topic', repeat('t', 256))::text);
CALL with_transport('realtime', jsonb_build_object('event', repeat('t', 256))::text);
CALL with_transport('realtime', '{"private": "no"}');
CALL with_transport('notify', '{"channel": ""}');
CALL with_transport('notify', jsonb_build_object('channel', repeat('c', 64))::text);
CALL with_transport('notify', '{"channel": null}');
-- A company's own version: another path and other credentials at the place that the platform allowed
SELECT tms_target_set('errors-other', 'notify'), tms_target_set('errors-slack', 'slack', '{"url": "https://hooks.slack.com/hush"}'),
       tms_target_set('errors-signed', 'http', '{"url": "https://h.example:8443/hush", "signing": true}');
CALL for_company('{"url": "https://receiver.example/"}', target => 'errors-target');
CALL for_company('{"url": "https://receiver.example/"}', target => NULL);
CALL for_company('{"url": "https://receiver.example/"}', transport => 'slack');
CALL for_company('{}', target => 'errors-other', transport => 'notify');
CALL for_company('[]');
CALL for_company('{"url": "https://h.example/hush"}');
CALL for_company('{"url": "http://receiver.example/hush"}');
CALL for_company('{"url": "https://receiver.example:8443/hush"}');
CALL for_company('{"url": "https://receiver.example.evil.example/hush"}');
CALL for_company('{"url": "https://receiver.example@evil.example/hush"}');
CALL for_company('{"url": "https://h.example/hush"}', target => 'errors-signed');
CALL for_company('{"url": "hush"}');
CALL for_company('{"headers": {"host": "hush"}}');
CALL for_company('{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}');
CALL for_company('{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}', target => 'errors-slack', transport => 'slack');
CALL for_company('{"secret": "hush"}', target => 'errors-signed');
CALL for_company('{"allow_private_network": true}');
CALL for_company('{"signing": false}', target => 'errors-signed');
CALL for_company('{"method": "PUT"}');
CALL for_company('{"timeout_ms": 100}');
CALL for_company('{"rate_per_second": 100}');
CALL for_company('{"redact_fields": ["phone", "$.a["]}');
CALL for_company('{"ulr": "https://receiver.example/hush"}');
SELECT count(*) AS versions FROM tms.target_overrides;
SELECT count(*) AS secrets_of_companies FROM tms.target_secrets WHERE company_id IS NOT NULL;
-- For its own company alone
CREATE ROLE errors_targets_app;
SELECT tms_bind_role('errors_targets_app', '22222222-2222-4222-8222-222222222222'), tms_grant('errors_targets_app', 'operator');
SET ROLE errors_targets_app;
CALL for_company('{"url": "https://receiver.example/hush"}');
CALL with_options('{"url": "https://receiver.example/hush"}');
CALL refused($$SELECT tms_target_rotate_secret('errors-signed')$$);
RESET ROLE;
-- Rotation
CALL refused($$SELECT tms_target_rotate_secret(NULL)$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-signed', NULL)$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-sign')$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-targets')$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-slack')$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-other')$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-signed', '-1 second')$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-signed', '30 days 1 second')$$);
CALL refused($$SELECT tms_target_rotate_secret('errors-signed', '1000000 years')$$);
SELECT jsonb_array_length(signing_keys) AS keys FROM tms.target_secrets WHERE target = 'errors-signed';
-- A test
CALL refused($$SELECT tms_target_test(NULL)$$);
CALL refused($$SELECT tms_target_test('errors-target')$$);
SELECT tms_unbind_role('errors_targets_app');
SET ROLE errors_targets_app;
CALL refused($$SELECT tms_target_test('errors-targets')$$);
RESET ROLE;
SELECT tms_revoke('errors_targets_app', 'operator');
DROP ROLE errors_targets_app;
DELETE FROM tms.targets WHERE name <> 'errors-targets';
-- Pause and resume
CALL refused($$SELECT tms_target_pause('errors-target')$$);
CALL refused($$SELECT tms_target_pause('no such thing')$$);
CALL refused($$SELECT tms_target_pause(NULL)$$);
CALL refused($$SELECT tms_target_resume('errors_targets')$$);
CALL refused($$SELECT tms_target_resume(NULL)$$);
-- By the plain protocol the SQLSTATE is the same
\set VERBOSITY sqlstate
SELECT tms_target_set('errors-targets', 'http', '{"url": "https://h.example/", "time_out": 5}');
SELECT tms_target_set('errors-targets', 'slack', '{"url": "https://h.example/", "redact_fields": ["phone", "$.a["]}');
SELECT tms_target_pause('errors-target');
\set VERBOSITY terse
-- Nothing has changed
SELECT count(*) FROM tms.targets;
SELECT b.target = t::text AS target_is_the_same, b.secrets = s::text AS secrets_are_the_same
  FROM before b, tms.targets t, tms.target_secrets s;
DROP TABLE before;
DELETE FROM tms.targets;
DROP PROCEDURE for_company(text, text, text);
DROP PROCEDURE with_transport(text, text);
DROP PROCEDURE with_options(text);
DROP PROCEDURE refused(text);
