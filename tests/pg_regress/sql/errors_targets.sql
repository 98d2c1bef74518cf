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
CALL refused($$SELECT tms_target_set('errors-targets', 'slack', '{"url": "https://h.example/"}')$$);
CALL refused($$SELECT tms_target_set('errors-targets', 'pull')$$);
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
CALL with_options('{"url": "https://h.example/hush", "secret": "hush"}');
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
-- A company's own version comes later
CALL refused($$SELECT tms_target_set('errors-targets', 'http', '{"url": "https://h.example/"}', '11111111-1111-4111-8111-111111111111')$$);
-- Pause and resume
CALL refused($$SELECT tms_target_pause('errors-target')$$);
CALL refused($$SELECT tms_target_pause('no such thing')$$);
CALL refused($$SELECT tms_target_pause(NULL)$$);
CALL refused($$SELECT tms_target_resume('errors_targets')$$);
CALL refused($$SELECT tms_target_resume(NULL)$$);
-- By the plain protocol the SQLSTATE is the same
\set VERBOSITY sqlstate
SELECT tms_target_set('errors-targets', 'http', '{"url": "https://h.example/", "time_out": 5}');
SELECT tms_target_set('errors-targets', 'slack', '{"url": "https://h.example/"}');
SELECT tms_target_pause('errors-target');
\set VERBOSITY terse
-- Nothing has changed
SELECT count(*) FROM tms.targets;
SELECT b.target = t::text AS target_is_the_same, b.secrets = s::text AS secrets_are_the_same
  FROM before b, tms.targets t, tms.target_secrets s;
DROP TABLE before;
DELETE FROM tms.targets;
DROP PROCEDURE with_options(text);
DROP PROCEDURE refused(text);
