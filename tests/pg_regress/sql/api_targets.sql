-- Targets: set, looked at, paused and resumed.
\set VERBOSITY terse
\pset null '(null)'
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/hook?key=k"}');
SELECT name, transport, host, method, timeout_ms, max_concurrency, retry_base_ms, retry_factor, retry_max_ms, retry_jitter,
       allow_private_network, paused_at FROM tms.targets \gx
SELECT * FROM tms.target_status \gx

-- Set again: every option is replaced, by its default where it is left out.
SELECT tms_target_set(name => 'api-targets', transport => 'http', options => '{
    "url": "http://[2001:DB8::1]:8080/a/b", "method": "PUT", "headers": {"Authorization": "Bearer s", "X-Empty": ""}, "timeout_ms": 100,
    "max_concurrency": 1000, "retry": {"base_ms": 1, "factor": 1.0, "max_ms": 86400000, "jitter": 0},
    "allow_private_network": true}');
SELECT name, transport, host, method, timeout_ms, max_concurrency, retry_base_ms, retry_factor, retry_max_ms, retry_jitter,
       allow_private_network FROM tms.targets \gx
SELECT * FROM tms.target_secrets;
SELECT tms_target_set('api-targets', 'http', '{"url": "https://EXAMPLE.com:443/"}', NULL);
SELECT host, method, timeout_ms, allow_private_network, (SELECT headers FROM tms.target_secrets) AS headers FROM tms.targets;

-- true when it changed something.
SELECT tms_target_pause('api-targets') AS first, tms_target_pause('api-targets') AS again;
SELECT state, paused_at IS NOT NULL AS paused FROM tms.target_status;
-- Setting a paused target leaves it paused.
SELECT tms_target_set('api-targets', 'http', '{"url": "https://receiver.example/"}');
SELECT state FROM tms.target_status;
SELECT tms_enqueue('a', '{}', 'api-targets') IS NOT NULL AS accepted_all_the_same;
SELECT state, due, scheduled, dead, retrying FROM tms.target_status;
SELECT tms_target_resume('api-targets') AS first, tms_target_resume('api-targets') AS again;
SELECT state, paused_at FROM tms.target_status;

-- A target that was set is known in the same transaction, one that was rolled back is not.
BEGIN;
SELECT tms_target_set('api-targets.2', 'http', '{"url": "https://receiver.example/"}');
SELECT tms_enqueue('a', '{}', 'api-targets.2') IS NOT NULL AS enqueued;
ROLLBACK;
SELECT tms_enqueue('a', '{}', 'api-targets.2');
DELETE FROM tms.event_outbox;
DELETE FROM tms.targets;
SELECT tms_enqueue('a', '{}', 'api-targets');
