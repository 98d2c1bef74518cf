-- A candidate held against decisions on record. They are written by hand here: what decided them is of no account to it.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
\pset null '(null)'
CREATE ROLE api_backtest_it;
SELECT tms_bind_role('api_backtest_it', '11111111-1111-4111-8111-111111111111'), tms_grant('api_backtest_it', 'operator');
SELECT agent_name FROM tms_policy_load('agent_policies: {api_backtest: {allowed_functions: [rates.*]}}');
-- Twelve calls, a second apart, that ended a minute ago; the last two are another company's.
INSERT INTO tms.policy_decisions (id, decided_at, company_id, agent_name, fn_name, decision, effective, usage)
SELECT format('018f0000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid, now() - interval '1 minute' + n * interval '1 second',
       CASE WHEN n > 10 THEN '22222222-2222-4222-8222-222222222222'::uuid WHEN n > 4 THEN '11111111-1111-4111-8111-111111111111' END,
       agent, fn, decision, decision, usage::jsonb
  FROM (VALUES (1, 'api_backtest', 'rates.price', 'allow', '{}'),
               (2, 'api_backtest', 'rates.drop', 'allow', '{}'),
               (3, 'api_backtest', 'loads.search', 'deny', '{}'),
               (4, 'another_agent', 'rates.price', 'allow', '{}'),
               (5, 'api_backtest', 'rates.price', 'allow', '{"tokens": 500}'),
               (6, 'api_backtest', 'rates.price', 'allow', '{"tokens": 1500}'),
               (7, 'api_backtest', 'rates.publish', 'allow', '{}'),
               (8, 'api_backtest', 'rates.price', 'allow', '{}'),
               (9, 'api_backtest', 'rates.price', 'allow', '{"tokens": 1}'),
               (10, 'api_backtest', 'rates.drop', 'deny', NULL),
               (11, 'api_backtest', 'rates.drop', 'allow', '{}'),
               (12, 'api_backtest', 'rates.price', 'deny', '{"odd": true}')) AS d (n, agent, fn, decision, usage);
\set candidate 'agent_policies: {api_backtest: {allowed_functions: [rates.*], denied_functions: [rates.drop], require_confirmation: [rates.publish]}}'
-- By lists alone: exact
SELECT right(id::text, 2) AS nr, company_id IS NULL AS of_platform, fn_name, decision, candidate, rule, approximate
  FROM tms_policy_backtest(:'candidate', '1 hour');
SELECT fn_name, reason FROM tms_policy_backtest(:'candidate', '1 hour', '22222222-2222-4222-8222-222222222222');
-- Limits are replayed in order, a company at a time
\set limited 'agent_policies: {api_backtest: {allowed_functions: ["*"], rate_limits: {requests_per_minute: 20, burst: 0}, cost_guardrails: {max_tokens_per_task: 1000}}}'
SELECT right(id::text, 2) AS nr, fn_name, decision, candidate, rule, approximate FROM tms_policy_backtest(:'limited', '1 hour');
-- A company asks about its own calls; the platform's policies do not decide them once it has its own.
SET ROLE api_backtest_it;
SELECT right(id::text, 2) AS nr, decision, candidate FROM tms_policy_backtest(:'candidate', '1 hour');
SELECT version FROM tms_policy_load('agent_policies: {api_backtest: {}}');
CALL refused($$SELECT tms_policy_backtest('agent_policies: {a: {}}', '1 hour', '22222222-2222-4222-8222-222222222222')$$);
RESET ROLE;
SELECT right(id::text, 2) AS nr, decision, candidate FROM tms_policy_backtest(:'candidate', '1 hour');
SELECT count(*) AS older_are_left_out FROM tms_policy_backtest(:'candidate', '30 seconds');
SELECT count(*) AS others_are_left_out FROM tms_policy_backtest('agent_policies: {nobody: {}}', '1 hour');
SELECT count(*) AS nothing_was_loaded FROM tms.policies WHERE agent_name = 'api_backtest';
-- What is refused
CALL refused($$SELECT tms_policy_backtest(NULL, '1 hour')$$);
CALL refused($$SELECT tms_policy_backtest('agent_policies: {a: {}}', NULL)$$);
CALL refused($$SELECT tms_policy_backtest('agent_policies: {a: {}}', '-1 hour')$$);
CALL refused($$SELECT tms_policy_backtest('agent_policies: {a: {alowed_functions: []}}', '1 hour')$$);

DELETE FROM tms.policy_decisions; DELETE FROM tms.policy_heads; DELETE FROM tms.policies; DELETE FROM tms.policy_changes;
SELECT tms_revoke('api_backtest_it', 'operator'), tms_unbind_role('api_backtest_it');
DROP ROLE api_backtest_it;
DROP PROCEDURE refused(text);
