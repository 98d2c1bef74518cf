-- Enforcing: what is charged, what is raised and in which words; and the end of a call.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
\pset null '(null)'
CREATE ROLE api_limits_none; CREATE ROLE api_limits_agent;
SELECT tms_bind_role(role, '11111111-1111-4111-8111-111111111111') FROM unnest(ARRAY['api_limits_none', 'api_limits_agent']::name[]) role;
SELECT tms_grant('api_limits_agent', 'agent');
SELECT agent_name, version FROM tms_policy_load($$
agent_policies:
  one_call:
    allowed_functions: [rates.*]
    denied_functions: [rates.drop]
    require_confirmation: [rates.publish]
    rate_limits: {max_concurrent: 1}
    cost_guardrails: {max_tokens_per_task: 1000, max_cost_usd_per_task: 0.50}
  one_a_minute:
    allowed_functions: [rates.price]
    rate_limits: {requests_per_minute: 1, burst: 0}
  fragile:
    allowed_functions: [rates.price]
    cost_guardrails: {circuit_breaker_threshold: 0.5, circuit_breaker_min_calls: 2, circuit_breaker_cooldown_seconds: 3600}
  watched:
    mode: evaluate_only
    allowed_functions: [rates.price]
    rate_limits: {max_concurrent: 1}
  budgeted:
    allowed_functions: [rates.price]
    cost_guardrails: {max_cost_usd_per_day: 5, max_tokens_per_day: 1000}
$$);

-- Let through: the verdict of a check, with a reservation
SELECT v - 'policy_sha256' - 'reservation_id' AS verdict, (v ->> 'reservation_id')::uuid IS NOT NULL AS reserved, v ->> 'reservation_id' AS id
  FROM tms_policy_enforce('one_call', 'rates.price', '{"load": 1}', '{"tokens": 1000, "cost_usd": 0.50}') v \gset held_
SELECT :'held_verdict' AS verdict, :'held_reserved' AS reserved;
-- It runs, so the next one does not, nor would it
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price')$$);
SELECT v ->> 'decision' AS decision, v ->> 'rule' AS rule, v ->> 'reason' AS reason, v ->> 'retry_after_ms' AS wait FROM tms_policy_check('one_call', 'rates.price') v;
SELECT tms_policy_release(:'held_id', 'success'), tms_policy_release(:'held_id', 'success') AS twice;
SELECT v ->> 'decision' AS decision FROM tms_policy_check('one_call', 'rates.price') v;

-- What is never let through, and what waits for a person
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.drop')$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'loads.search')$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.publish')$$);
CALL refused($$SELECT tms_policy_enforce('one_cal', 'rates.price')$$);
CALL refused($$SELECT tms_policy_enforce('', 'rates.price')$$);

-- Limits of one task, by what the call says of itself
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', '{}', '{"tokens": 1001, "cost_usd": 0.1}')$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', '{}', '{"tokens": 1, "cost_usd": 0.51}')$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', '{}', '{"tokens": 1}')$$);

-- A rate; the time to wait differs from run to run
SELECT v ->> 'decision' AS decision FROM tms_policy_enforce('one_a_minute', 'rates.price') v;
DO $$
DECLARE
    detail text; hint text; state text;
BEGIN
    PERFORM tms_policy_enforce('one_a_minute', 'rates.price');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE NOTICE E'% %\n    DETAIL: %\n    HINT: %', state, SQLERRM, regexp_replace(detail, '\d+\.$', 'N.'), hint;
END
$$;
SELECT v ->> 'rule' AS rule, (v ->> 'retry_after_ms')::int BETWEEN 1 AND 60000 AS wait FROM tms_policy_check('one_a_minute', 'rates.price') v;

-- Failures open the breaker
SELECT tms_policy_release((tms_policy_enforce('fragile', 'rates.price') ->> 'reservation_id')::uuid, 'failure') FROM generate_series(1, 2);
SELECT v ->> 'rule' AS rule, v ->> 'reason' AS reason, (v ->> 'retry_after_ms')::int BETWEEN 3000000 AND 3600000 AS wait FROM tms_policy_check('fragile', 'rates.price') v;

-- Evaluated, not enforced: what would be stopped goes through, without a reservation
SELECT v ->> 'decision' AS decision, v ->> 'mode' AS mode, v ->> 'reservation_id' IS NULL AS unreserved
  FROM (SELECT tms_policy_enforce('watched', 'rates.price') AS v FROM generate_series(1, 2)) two;
SELECT v ->> 'decision' AS decision, v ->> 'rule' AS rule FROM tms_policy_enforce('watched', 'loads.search') v;

-- A budget for a day: what is not said is not let through, what is said is charged and shown
CALL refused($$SELECT tms_policy_enforce('budgeted', 'rates.price')$$);
CALL refused($$SELECT tms_policy_enforce('budgeted', 'rates.price', usage => '{"cost_usd": 1}')$$);
CALL refused($$SELECT tms_policy_enforce('budgeted', 'rates.price', usage => '{"cost_usd": 6, "tokens": 0}')$$);
SELECT v ->> 'decision' AS decision, v ->> 'reason' AS reason FROM tms_policy_check('budgeted', 'rates.price', usage => '{"cost_usd": 5, "tokens": 1001}') v;
SELECT tms_policy_release((v ->> 'reservation_id')::uuid, 'success', '{"cost_usd": 1.25}')
  FROM tms_policy_enforce('budgeted', 'rates.price', usage => '{"cost_usd": 5, "tokens": 1000}') v;
SELECT v ->> 'decision' AS decision, v ->> 'rule' AS rule, v ->> 'reason' AS reason, (v ->> 'retry_after_ms')::int BETWEEN 1 AND 86400000 AS wait
  FROM unnest('{3.75,3.76}'::text[]) cost, tms_policy_check('budgeted', 'rates.price', usage => format('{"cost_usd": %s, "tokens": 0}', cost)::jsonb) v;

-- Bad input
CALL refused($$SELECT tms_policy_enforce(NULL, 'rates.price')$$);
CALL refused($$SELECT tms_policy_enforce('one_call', NULL)$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', NULL)$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', '{}', NULL)$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', '{}', '{"token": 1}')$$);
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', to_jsonb(repeat('a', 2000000)))$$);
CALL refused($$SELECT tms_policy_release('11111111-1111-4111-8111-111111111111', 'sucess')$$);
CALL refused($$SELECT tms_policy_release('11111111-1111-4111-8111-111111111111', NULL)$$);
CALL refused($$SELECT tms_policy_release('11111111-1111-4111-8111-111111111111', 'success', NULL)$$);
CALL refused($$SELECT tms_policy_release('11111111-1111-4111-8111-111111111111', 'success', '[]')$$);
SELECT tms_policy_release('11111111-1111-4111-8111-111111111111', 'success') AS unknown, tms_policy_release(NULL, 'failure') AS none;

-- Who may
SET ROLE api_limits_agent;
SELECT tms_policy_release((tms_policy_enforce('one_call', 'rates.price') ->> 'reservation_id')::uuid, 'success', '{"tokens": 12}');
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price', company_id => '22222222-2222-4222-8222-222222222222')$$);
SET ROLE api_limits_none;
CALL refused($$SELECT tms_policy_enforce('one_call', 'rates.price')$$);
CALL refused($$SELECT tms_policy_release(NULL, 'success')$$);
CALL refused($$SELECT count(*) FROM tms.policy_decisions$$);
RESET ROLE;
SELECT tms_revoke('api_limits_agent', 'agent'), tms_unbind_role('api_limits_agent'), tms_unbind_role('api_limits_none');
DROP ROLE api_limits_none; DROP ROLE api_limits_agent;
DROP PROCEDURE refused(text);
