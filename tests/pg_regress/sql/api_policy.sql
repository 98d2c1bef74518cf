-- Policy documents: loading, versions, rollback, what is allowed, and the verdict that lists give.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
\pset null '(null)'
SET timezone = 'UTC'; SET datestyle = 'ISO';
-- Times and digests differ from run to run, or say nothing to a reader.
CREATE FUNCTION told(agent text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(tms_policy_explain(agent), '[0-9a-f]{64}', 'SHA256', 'g'),
                          '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.0-9]*\+00', 'TIME', 'g')
$$;
CREATE FUNCTION verdict(agent text, fn text, payload jsonb DEFAULT '{}', usage jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT format('%s by %s: %s', v ->> 'decision', v ->> 'rule', v ->> 'reason') FROM tms_policy_check(agent, fn, payload, usage) v
$$;
-- A role without any right, an agent, and an operator of a company; another company's operator.
CREATE ROLE api_policy_none; CREATE ROLE api_policy_agent; CREATE ROLE api_policy_it; CREATE ROLE api_policy_other;
SELECT tms_bind_role(role, '11111111-1111-4111-8111-111111111111')
  FROM unnest(ARRAY['api_policy_none', 'api_policy_agent', 'api_policy_it']::name[]) role;
SELECT tms_bind_role('api_policy_other', '22222222-2222-4222-8222-222222222222');
SELECT tms_grant('api_policy_agent', 'agent'), tms_grant('api_policy_it', 'operator'), tms_grant('api_policy_other', 'operator');

-- The roadmap's document
SELECT agent_name, version, length(sha256) AS digits FROM tms_policy_load($$
agent_policies:
  rates_agent:
    allowed_functions:
      - rates.price_one
      - rates.bulk_price
    rate_limits:
      requests_per_minute: 60
      max_concurrent: 5
    pii_rules:
      redact_fields: ["customer_name", "address", "phone"]
      log_level: "warn"
    cost_guardrails:
      max_openai_tokens_per_task: 10000
      max_api_calls_per_task: 10
      circuit_breaker_threshold: 0.05 # 5% error rate

  load_matching_agent:
    allowed_functions:
      - loads.search
      - carriers.find
    rate_limits:
      requests_per_minute: 30
    cost_guardrails:
      max_openai_tokens_per_task: 5000
$$);
SELECT agent_name, version, encode(sha256(convert_to(document, 'UTF8')), 'hex') = sha256 AS digest_of_the_document, loaded_by, company_id
  FROM tms.policies ORDER BY agent_name;
SELECT told('rates_agent');
SELECT * FROM tms_policy_allowed('rates_agent');

-- Verdicts
SELECT verdict('rates_agent', 'rates.price_one');
SELECT verdict('rates_agent', 'rates.price_two');
SELECT verdict('rates_agent', 'x.y');
SELECT verdict('rates_agent', 'rates.*');
SELECT verdict('rate_agent', 'rates.price_one');
SELECT verdict('nobody knows', 'rates.price_one');
SELECT verdict('', 'rates.price_one');
SELECT verdict('rates_agent', '');
SELECT verdict('rates_agent', 'rates.price_one', usage => '{"tokens": 10000, "api_calls": 10}');
SELECT verdict('rates_agent', 'rates.price_one', usage => '{"tokens": 10001}');
SELECT verdict('rates_agent', 'rates.price_one', usage => '{"api_calls": 11, "model": "small"}');
-- Every key, and the payload with all of its digits
SELECT jsonb_pretty(tms_policy_check('load_matching_agent', 'loads.search', '{"weight": 0.10, "deep": [{"a": []}]}') - 'policy_sha256');
SELECT tms_policy_check('load_matching_agent', 'loads.search', payload) -> 'payload' = payload AS is_the_same
  FROM unnest(ARRAY['7', '{"far": 1e400}', '"text"', 'null', '[]', '[[{"a": null}], 0.10]', '{"a": {"b": "\ud83d\ude9a"}}']::jsonb[]) payload;
SELECT tms_policy_check('load_matching_agent', 'loads.search') ->> 'policy_sha256' = sha256 AS names_the_version
  FROM tms.policies WHERE agent_name = 'load_matching_agent';
SELECT tms_policy_check('unheard_of', 'loads.search', '{"phone": 1}');

-- The same rules are the same version however they are written; others are the next one, and known ones come back.
CREATE FUNCTION load(body text, company uuid DEFAULT NULL) RETURNS int LANGUAGE sql AS $$
    SELECT version FROM tms_policy_load(format('agent_policies: {api_policy: {%s}}', body), company)
$$;
SELECT load('allowed_functions: [a.b, c.d], mode: enforce');
SELECT load($$mode: "enforce", "allowed_functions": [c.d, a.b]$$) AS the_same;
SELECT load('allowed_functions: [a.*], denied_functions: [a.drop], require_confirmation: [a.pay],
             cost_guardrails: {max_cost_usd_per_task: 0.50}, mode: enforce') AS another;
SELECT * FROM tms_policy_allowed('api_policy');
SELECT verdict('api_policy', fn) FROM unnest(ARRAY['a.b', 'a.drop', 'a.pay', 'c.d']) fn;
SELECT verdict('api_policy', 'a.b', usage => '{"cost_usd": 0.5, "tokens": 7}');
SELECT verdict('api_policy', 'a.b', usage => '{"cost_usd": 0.500001}');
SELECT verdict('api_policy', 'a.b', usage => '{"tokens": 7}');
SELECT load('allowed_functions: [a.b, c.d], mode: enforce') AS the_first_again;
SELECT load('allowed_functions: [], mode: evaluate_only') AS a_third;
SELECT tms_policy_check('api_policy', 'a.b') -> 'mode' AS mode, verdict('api_policy', 'a.b');
SELECT agent_name, version, length(sha256) AS digits FROM tms_policy_rollback('api_policy', 2);
SELECT version FROM tms_policy_rollback('api_policy', 2) AS nothing_to_do;
SELECT verdict('api_policy', 'a.b');
SELECT action, version, previous_version, changed_by FROM tms.policy_changes WHERE agent_name = 'api_policy' ORDER BY id;
SELECT version, previous_version, changed_by FROM tms.policy_heads WHERE agent_name = 'api_policy';
SELECT told('api_policy');

-- A company's policy comes before the platform's, for its own calls alone.
SET ROLE api_policy_it;
SELECT verdict('api_policy', 'a.b');
CALL refused($$SELECT tms_policy_rollback('api_policy', 1)$$);
SELECT load('allowed_functions: [own.thing]') AS counts_from_one;
SELECT verdict('api_policy', 'a.b'), verdict('api_policy', 'own.thing'), verdict('rates_agent', 'rates.price_one');
SELECT told('api_policy');
SELECT agent_name, company_id IS NULL AS of_the_platform, version FROM tms.policy_heads ORDER BY 1, 2, 3;
SET ROLE api_policy_agent;
SELECT verdict('api_policy', 'own.thing');
SELECT decision FROM tms_policy_allowed('api_policy');
CALL refused($$SELECT load('')$$);
CALL refused($$SELECT tms_policy_rollback('api_policy', 1)$$);
CALL refused($$SELECT * FROM tms.policies$$);
SET ROLE api_policy_other;
SELECT verdict('api_policy', 'own.thing');
SELECT count(*) FROM tms.policies WHERE company_id IS NOT NULL;
SELECT count(*) FROM tms.policy_changes WHERE company_id IS NOT NULL;
CALL refused($$SELECT load('', '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', company_id => '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$SELECT tms_policy_explain('api_policy', '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$UPDATE tms.policies SET document = ''$$);
CALL refused($$DELETE FROM tms.policy_heads$$);
SET ROLE api_policy_none;
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b')$$);
CALL refused($$SELECT tms_policy_load('')$$);
CALL refused($$SELECT tms_policy_allowed('api_policy')$$);
CALL refused($$SELECT tms_policy_explain('api_policy')$$);
RESET ROLE;
-- The platform asks for a company, and sees both.
SELECT tms_policy_check('api_policy', 'own.thing', company_id => '11111111-1111-4111-8111-111111111111') ->> 'decision' AS for_the_company,
       tms_policy_check('api_policy', 'own.thing') ->> 'decision' AS for_the_platform;
SELECT count(*) FROM tms.policy_heads WHERE agent_name = 'api_policy';

-- What is not a policy document is refused whole, and what is in force stays.
CREATE TABLE before AS SELECT h::text AS head FROM tms.policy_heads h;
CALL refused($$SELECT tms_policy_load(NULL)$$);
CALL refused($$SELECT tms_policy_load('')$$);
CALL refused($$SELECT tms_policy_load('agent_policies: {}')$$);
CALL refused($$SELECT load('rate_limit: {requests_per_minute: 1}')$$);
CALL refused(E'SELECT tms_policy_load(''agent_policies:\n  good: {}\n  bad:\n    rate_limits:\n      request_per_minute: 60'')');
CALL refused($$SELECT load('rate_limits: {max_concurrent: 1, max_concurrent: 2}')$$);
CALL refused($$SELECT load('rate_limits: {requests_per_minute: -1}')$$);
CALL refused($$SELECT load('rate_limits: {requests_per_minute: "60"}')$$);
CALL refused($$SELECT load('allowed_functions: a.b')$$);
CALL refused($$SELECT load('allowed_functions: [a*]')$$);
CALL refused($$SELECT load('mode: sometimes')$$);
CALL refused($$SELECT tms_policy_load('agent_policies: {a: &x {}, b: *x}')$$);
CALL refused($$SELECT tms_policy_load('agent_policies: {"a b": {}}')$$);
CALL refused($$SELECT tms_policy_load('agent_policies: ' || repeat('[', 100000))$$);
CALL refused($$SELECT tms_policy_load('agent_policies: {a: {}}' || repeat(' ', 10000000))$$);
CALL refused($$SELECT tms_policy_rollback('api_policy', 9)$$);
CALL refused($$SELECT tms_policy_rollback('api_polic', 1)$$);
CALL refused($$SELECT tms_policy_rollback(NULL, 1)$$);
CALL refused($$SELECT tms_policy_rollback('api_policy', NULL)$$);
CALL refused($$SELECT tms_policy_allowed('api_polici')$$);
CALL refused($$SELECT tms_policy_allowed(NULL)$$);
CALL refused($$SELECT tms_policy_explain('zebra')$$);
CALL refused($$SELECT tms_policy_explain(NULL)$$);
CALL refused($$SELECT tms_policy_check(NULL, 'a.b')$$);
CALL refused($$SELECT tms_policy_check('api_policy', NULL)$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', NULL)$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', '{}', NULL)$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', usage => '{"token": 1}')$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', usage => '{"tokens": -1}')$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', usage => '{"tokens": 1e30}')$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', usage => '[]')$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', usage => jsonb_build_object('model', repeat('x', 10000)))$$);
CALL refused($$SELECT tms_policy_check('api_policy', 'a.b', payload => jsonb_build_object('x', repeat('x', 100000000)))$$);
SELECT (SELECT array_agg(head ORDER BY head) FROM before) = (SELECT array_agg(h::text ORDER BY h::text) FROM tms.policy_heads h) AS as_it_was;
-- A name of any length is answered, and 10,000 levels of payload too.
SELECT verdict(repeat('a', 1000000), 'a.b'), verdict('api_policy', repeat('a.', 1000000) || 'b');
SELECT pg_column_size(tms_policy_check('api_policy', 'a.b', (repeat('[', 10000) || repeat(']', 10000))::jsonb)) > 8000 AS deep;

-- What was written is not written again, by nobody; and a row that was is no policy.
CALL refused($$UPDATE tms.policies SET document = document$$);
CALL refused($$UPDATE tms.policy_changes SET changed_by = 'nobody'$$);
INSERT INTO tms.policies (agent_name, version, sha256, document, loaded_by)
    VALUES ('forged', 1, repeat('0', 64), '{"agent_policies":{"forged":{"allowed_functions":["*"]}}}', 'nobody');
INSERT INTO tms.policy_heads (agent_name, version, changed_by) VALUES ('forged', 1, 'nobody');
SELECT verdict('forged', 'a.b');

-- Seen by the transaction that loads, and taken back with it
BEGIN;
SELECT load('allowed_functions: [in.transaction]'), verdict('api_policy', 'in.transaction');
SAVEPOINT inner_one;
SELECT load('allowed_functions: [in.savepoint]'), verdict('api_policy', 'in.savepoint');
ROLLBACK TO inner_one;
SELECT verdict('api_policy', 'in.transaction'), verdict('api_policy', 'in.savepoint');
ROLLBACK;
SELECT verdict('api_policy', 'in.transaction'), verdict('api_policy', 'a.b');

DELETE FROM tms.policy_heads; DELETE FROM tms.policies; DELETE FROM tms.policy_changes;
SELECT verdict('api_policy', 'a.b');
SELECT tms_revoke('api_policy_agent', 'agent'), tms_revoke('api_policy_it', 'operator'), tms_revoke('api_policy_other', 'operator');
SELECT tms_unbind_role(role) FROM unnest(ARRAY['api_policy_none', 'api_policy_agent', 'api_policy_it', 'api_policy_other']::name[]) role;
DROP ROLE api_policy_none, api_policy_agent, api_policy_it, api_policy_other;
DROP TABLE before;
DROP FUNCTION told(text); DROP FUNCTION load(text, uuid); DROP FUNCTION verdict(text, text, jsonb, jsonb);
DROP PROCEDURE refused(text);
