-- Targets: set, looked at, given to companies, paused and resumed.
\set VERBOSITY terse
\pset null '(null)'
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/hook?key=k"}');
SELECT name, transport, host, paused_at, pause_reason, updated_at = created_at AS never_changed
  FROM tms.targets \gx
SELECT * FROM tms.target_status \gx

-- Options are stored with their defaults, secrets apart from them.
CREATE VIEW stored AS SELECT t.name, o.key AS option, o.value FROM tms.targets t, jsonb_each(t.options) o;
SELECT option, value FROM stored WHERE name = 'api-targets' ORDER BY option COLLATE "C";
SELECT * FROM tms.target_secrets;

-- Set again: every option is replaced, by its default where it is left out.
SELECT tms_target_set(name => 'api-targets', transport => 'http', options => '{
    "url": "http://[2001:DB8::1]:8080/a/b", "method": "PUT", "headers": {"Authorization": "Bearer s", "X-Empty": ""}, "timeout_ms": 100,
    "max_concurrency": 1000, "allow_private_network": true, "envelope": "cloudevents", "gzip": true,
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "retry": {"base_ms": 1, "factor": 1.0, "max_ms": 86400000, "jitter": 0}, "rate_per_second": 2.5,
    "breaker": {"failure_ratio": 1, "minimum_calls": 1, "window_ms": 100, "open_ms": 3600000, "trials": 1},
    "on_ambiguous": "dead", "on_dead": "skip"}');
SELECT host FROM tms.targets;
SELECT option, value FROM stored WHERE name = 'api-targets' ORDER BY option COLLATE "C";
SELECT * FROM tms.target_secrets;
SELECT max_concurrency, timeout_ms, rate_limit, allow_private_network FROM tms.target_status;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://EXAMPLE.com:443/"}', NULL);
SELECT t.host, t.options ->> 'method' AS method, t.options ->> 'signing' AS signing, t.options ? 'burst' AS has_burst, s.headers, s.signing_keys
  FROM tms.targets t JOIN tms.target_secrets s ON s.target = t.name;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://example.com/", "breaker": false, "gzip": 100, "rate_per_second": 0.5}');
SELECT option, value FROM stored WHERE option IN ('breaker', 'burst', 'gzip', 'rate_per_second') ORDER BY option COLLATE "C";

-- What each transport has: n8n and slack are known by their names, the rest by what is left out.
SELECT tms_target_set('n8n', 'http', '{"url": "https://n8n.example/webhook/abc"}');
SELECT tms_target_set('slack', 'http', '{"url": "https://hooks.slack.com/services/T0/B0/x"}');
SELECT tms_target_set('api-slack', 'slack', '{"url": "https://hooks.slack.com/services/T0/B0/y", "burst": 5}');
SELECT tms_target_set('realtime', 'realtime');
SELECT tms_target_set('api-realtime', 'realtime', '{"topic": "loads", "event": "moved", "private": false, "rate_per_second": 100}');
SELECT tms_target_set('api-notify', 'notify');
SELECT tms_target_set('api-channel', 'notify', '{"channel": "Loads of \"today\""}');
SELECT tms_target_set('api-pull', 'pull', '{"retry": {"base_ms": 5000}, "on_dead": "skip"}');
SELECT name, string_agg(option || ' ' || value, ', ' ORDER BY option COLLATE "C") AS options
  FROM stored WHERE name <> 'api-targets' GROUP BY name ORDER BY name COLLATE "C";
SELECT target, url, headers, signing_keys FROM tms.target_secrets WHERE target <> 'api-targets' ORDER BY target COLLATE "C";
SELECT name, transport, host, state, max_concurrency, timeout_ms, rate_limit, allow_private_network
  FROM tms.target_status ORDER BY name COLLATE "C";
DELETE FROM tms.targets WHERE name <> 'api-targets';
-- realtime is there without being set.
SELECT tms_enqueue('a', '{}', 'realtime') IS NOT NULL AS accepted;
DELETE FROM tms.event_outbox;
-- A target that becomes another kind keeps no URL.
SELECT tms_target_set('api-targets', 'pull');
SELECT t.transport, t.host, s.url, s.headers, s.signing_keys FROM tms.targets t JOIN tms.target_secrets s ON s.target = t.name;
-- Accepted, and probably not meant.
\set VERBOSITY default
SELECT tms_target_set('api-targets', 'http', '{"url": "https://n8n.example/webhook-test/hush"}');
\set VERBOSITY terse

-- Signing: the key that was given; else the one that is there; else a new one. Not signing forgets them.
CREATE VIEW keys AS SELECT s.target, k.place, k.key ->> 'key' AS key, to_timestamp((k.key ->> 'until')::bigint) - now() AS left_over
  FROM tms.target_secrets s, jsonb_array_elements(s.signing_keys) WITH ORDINALITY AS k (key, place);
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/", "secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}');
SELECT place, key, left_over, (SELECT options -> 'signing' FROM tms.targets) AS signing FROM keys;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/", "signing": true}');
SELECT place, key, left_over FROM keys;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/"}');
SELECT count(*) AS keys FROM keys;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/", "signing": true}');
SELECT place, key ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS is_a_key, left_over FROM keys;
SELECT key AS first FROM keys \gset
-- A rotation shows the new one once; the old one goes on for as long as it was told, and never for longer.
SELECT tms_target_rotate_secret('api-targets', '1 hour') AS second \gset
SELECT place, CASE key WHEN :'first' THEN 'first' WHEN :'second' THEN 'second' END AS key,
       left_over BETWEEN '50 minutes' AND '1 hour' AS an_hour FROM keys ORDER BY place;
SELECT tms_target_rotate_secret('api-targets', overlap => '30 days') AS third \gset
SELECT place, CASE key WHEN :'first' THEN 'first' WHEN :'second' THEN 'second' WHEN :'third' THEN 'third' END AS key,
       left_over > '29 days' AS a_month, left_over BETWEEN '50 minutes' AND '1 hour' AS an_hour FROM keys ORDER BY place;
SELECT tms_target_rotate_secret(name => 'api-targets', overlap => '0') AS fourth \gset
SELECT place, key = :'fourth' AS is_new, key IN (:'first', :'second', :'third') AS is_old, left_over FROM keys ORDER BY place;
SELECT tms_target_rotate_secret('api-targets') <> :'fourth' AS is_new;
SELECT place, left_over > '23 hours' AS a_day FROM keys ORDER BY place;
-- A given one replaces them all.
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}');
SELECT place, key, left_over FROM keys;

-- A company's own version has its own path and credentials, and is a row of its own where the target is shown.
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/one", "headers": {"X-Key": "1"},
    "secret": "whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVyIQ=="}', '11111111-1111-4111-8111-111111111111');
SELECT tms_target_set('api-targets', 'http', '{}', '22222222-2222-4222-8222-222222222222');
SELECT company_id, url, headers, signing_keys FROM tms.target_secrets ORDER BY company_id NULLS FIRST;
SELECT target, company_id, updated_at = created_at AS never_changed FROM tms.target_overrides ORDER BY company_id;
SELECT name, company_id, state FROM tms.target_status ORDER BY company_id NULLS FIRST;
-- An operator sets and sees its company's own alone.
CREATE ROLE api_targets_operator;
SELECT tms_bind_role('api_targets_operator', '11111111-1111-4111-8111-111111111111'), tms_grant('api_targets_operator', 'operator');
SET ROLE api_targets_operator;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/two"}', '11111111-1111-4111-8111-111111111111');
SELECT name, company_id, state FROM tms.target_status ORDER BY company_id NULLS FIRST;
SELECT tms_target_test('api-targets') AS id \gset
SELECT event_type, payload, target_system, company_id, max_retries FROM tms.event_outbox WHERE id = :'id';
RESET ROLE;
SELECT company_id, url, headers, signing_keys FROM tms.target_secrets WHERE company_id IS NOT NULL ORDER BY company_id;
SELECT tms_revoke('api_targets_operator', 'operator'), tms_unbind_role('api_targets_operator');
DROP ROLE api_targets_operator;
DELETE FROM tms.event_outbox;
-- A version is taken back by deleting its row; the rest goes with the target.
DELETE FROM tms.target_overrides WHERE company_id = '22222222-2222-4222-8222-222222222222';
SELECT company_id FROM tms.target_secrets ORDER BY company_id NULLS FIRST;
DELETE FROM tms.targets;
SELECT (SELECT count(*) FROM tms.target_overrides) AS versions, (SELECT count(*) FROM tms.target_secrets) AS secrets;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/"}');

-- true when it changed something.
SELECT tms_target_pause('api-targets') AS first, tms_target_pause('api-targets') AS again;
SELECT state, reason, paused_at IS NOT NULL AS paused FROM tms.target_status;
-- Setting a paused target leaves it paused.
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/"}');
SELECT state FROM tms.target_status;
SELECT tms_enqueue('a', '{}', 'api-targets') IS NOT NULL AS accepted_all_the_same;
SELECT state, due, scheduled, dead, retrying FROM tms.target_status;
-- A reason that the dispatcher left goes with the pause.
UPDATE tms.targets SET pause_reason = 'the receiver answered 410';
SELECT state, reason FROM tms.target_status;
SELECT tms_target_resume('api-targets') AS first, tms_target_resume('api-targets') AS again;
SELECT state, reason, paused_at FROM tms.target_status;

-- A target that was set is known in the same transaction, one that was rolled back is not.
BEGIN;
SELECT tms_target_set('api-targets.2', 'http', '{"url": "https://receiver.example/"}');
SELECT tms_enqueue('a', '{}', 'api-targets.2') IS NOT NULL AS enqueued;
ROLLBACK;
SELECT tms_enqueue('a', '{}', 'api-targets.2');
DELETE FROM tms.event_outbox;
DELETE FROM tms.targets;
SELECT tms_enqueue('a', '{}', 'api-targets');
DROP VIEW keys, stored;
