-- A candidate policy held against what was decided before.

CREATE FUNCTION @extschema@.tms_policy_backtest(document text, since interval, company_id uuid DEFAULT NULL)
    RETURNS TABLE (id uuid, decided_at timestamptz, company_id uuid, agent_name text, fn_name text, decision text,
                   candidate text, rule text, reason text, approximate boolean)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_policy_backtest_wrapper';
COMMENT ON FUNCTION @extschema@.tms_policy_backtest(text, interval, uuid) IS
    'The decisions on record, not older than since, that a policy document would flip, in the order they were made: what was decided, what the candidate says, by which rule and why. Nothing is loaded. Exact for lists and confirmation; approximate is true where the candidate''s rates and costs had a say, which are replayed in order; max_concurrent and circuit breakers are not replayed. Agents the document does not name are left out. company_id NULL: the calls of the caller''s company, or for the platform all calls that the platform''s policies decide. Errors: 22023 the document is not valid or since is negative, 42501 no company or another''s, 22004 NULL';
