-- Pull targets: consumers on other machines claim events under a lease.

-- The settings of these functions pin the plans their statements were designed for: on a table that was never analyzed, or whose
-- statistics are of an hour ago, the planner would sort the whole queue for the first hundred events of it.
CREATE FUNCTION @extschema@.tms_outbox_claim(target_system text, max_events integer DEFAULT 100, lease interval DEFAULT '1 minute')
    RETURNS TABLE (id uuid, lease_token uuid, event_type text, payload jsonb, company_id uuid, ordering_key text, headers jsonb,
                   attempt integer, created_at timestamptz)
    LANGUAGE c VOLATILE ROWS 100 SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
    SET enable_incremental_sort = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
    SET enable_memoize = off SET max_parallel_workers_per_gather = 0 SET jit = off
    AS 'MODULE_PATHNAME', 'tms_outbox_claim';
COMMENT ON FUNCTION @extschema@.tms_outbox_claim(text, integer, interval) IS
    'Hands out up to max_events (1 to 10000) due events of a pull target, each under a lease with a token of its own: nobody else gets them until the lease (above 0, up to 7 days) has run out, which counts as a failed attempt. Highest priority first, then by available_at and seq; of an ordering key only its first undelivered event. A company gets its own events; a role of the platform those of all companies, in equal shares. No rows while nothing is due, or the target is paused or held. Errors: 42704 unknown target, 22023 another transport or a value out of range, 22004 a NULL argument, 42501 no company, 40001 above READ COMMITTED when another consumer was faster';

CREATE FUNCTION @extschema@.tms_outbox_ack(lease_tokens uuid[]) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'tms_outbox_ack_wrapper';
COMMENT ON FUNCTION @extschema@.tms_outbox_ack(uuid[]) IS
    'Marks claimed events as delivered and returns how many: those whose lease still was the caller''s, in time or late, as long as nobody claimed them since. Other tokens and NULL elements are passed over. Errors: 22004 NULL instead of an array, 42501 no company';

CREATE FUNCTION @extschema@.tms_outbox_nack(lease_token uuid, error_type text, error_message text) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'tms_outbox_nack_wrapper';
COMMENT ON FUNCTION @extschema@.tms_outbox_nack(uuid, text, text) IS
    'Gives a claimed event back as failed. error_type: timeout, external_api and quota_exceeded are retried after the target''s backoff while retries are left, validation is permanent. error_message: in words for people, without payloads or secrets; cut to 1000 characters; may be NULL. Returns retry, dead (a dead letter has it), or NULL when the lease is not the caller''s any more. Errors: 22023 unknown error_type, 22004 a NULL token or error_type, 42501 no company';
