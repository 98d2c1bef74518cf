-- What to look at. Every view runs with the caller's rights, so a company counts its own rows only.

CREATE VIEW tms.outbox_status WITH (security_invoker = true) AS
SELECT e.target_system,
       pg_catalog.count(*) FILTER (WHERE e.available_at <= pg_catalog.clock_timestamp()) AS due,
       pg_catalog.count(*) FILTER (WHERE e.available_at > pg_catalog.clock_timestamp()
                                     AND e.available_at < 'infinity') AS scheduled,
       pg_catalog.count(*) FILTER (WHERE e.available_at = 'infinity') AS dead,
       pg_catalog.count(*) FILTER (WHERE e.retry_count > 0 AND e.available_at < 'infinity') AS retrying,
       pg_catalog.min(e.available_at) FILTER (WHERE e.available_at <= pg_catalog.clock_timestamp()) AS oldest_due_at
  FROM tms.event_outbox e
 WHERE e.processed_at IS NULL
 GROUP BY e.target_system;
COMMENT ON VIEW tms.outbox_status IS 'Undelivered events of each target that the caller may see';
COMMENT ON COLUMN tms.outbox_status.target_system IS 'The target';
COMMENT ON COLUMN tms.outbox_status.due IS 'Events that may be delivered now';
COMMENT ON COLUMN tms.outbox_status.scheduled IS 'Events whose time has not come: schedules and backoff';
COMMENT ON COLUMN tms.outbox_status.dead IS 'Events held by a dead letter';
COMMENT ON COLUMN tms.outbox_status.retrying IS 'Events that failed at least once and are to be tried again';
COMMENT ON COLUMN tms.outbox_status.oldest_due_at IS 'Since when the oldest due event could have been delivered';

-- What the dispatcher knows of targets while it works, written down at most once a second and only when it changed.
CREATE TABLE tms.target_health (
    target     text NOT NULL,
    company_id uuid,
    state      text NOT NULL CHECK (state IN ('active', 'held', 'open', 'half_open')),
    reason     text,
    since      timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (target, company_id)
);
COMMENT ON TABLE tms.target_health IS 'Whether the dispatcher sends to a target, and why not';
COMMENT ON COLUMN tms.target_health.target IS 'The target';
COMMENT ON COLUMN tms.target_health.company_id IS 'The company whose own version it is; NULL: the target itself';
COMMENT ON COLUMN tms.target_health.state IS 'active; held: waiting for something named in reason; open, half_open: the circuit breaker';
COMMENT ON COLUMN tms.target_health.reason IS 'Why it is not active, and what ends that';
COMMENT ON COLUMN tms.target_health.since IS 'Since when it is in this state';
ALTER TABLE tms.target_health ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.target_health FOR SELECT
    USING (company_id IS NULL OR company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.target_health IS 'A role sees the state of the platform''s targets and of its company''s own versions';

CREATE TABLE tms.target_load (
    target        text NOT NULL,
    company_id    uuid,
    in_flight     integer NOT NULL,
    per_second    double precision NOT NULL,
    p50_ms        double precision,
    p95_ms        double precision,
    p99_ms        double precision,
    delivered     bigint NOT NULL,
    failed        bigint NOT NULL,
    last_error    text,
    last_error_at timestamptz,
    updated_at    timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (target, company_id)
);
COMMENT ON TABLE tms.target_load IS 'What passes through a target, over all companies: for the platform, and for a company its own version of a target';
COMMENT ON COLUMN tms.target_load.target IS 'The target';
COMMENT ON COLUMN tms.target_load.company_id IS 'The company whose own version it is; NULL: the target itself';
COMMENT ON COLUMN tms.target_load.in_flight IS 'Requests handed out and not answered';
COMMENT ON COLUMN tms.target_load.per_second IS 'Attempts that ended in a second, lately';
COMMENT ON COLUMN tms.target_load.p50_ms IS 'Median duration of the latest attempts, in milliseconds';
COMMENT ON COLUMN tms.target_load.p95_ms IS '95th percentile of the same';
COMMENT ON COLUMN tms.target_load.p99_ms IS '99th percentile of the same';
COMMENT ON COLUMN tms.target_load.delivered IS 'Deliveries since the dispatcher started';
COMMENT ON COLUMN tms.target_load.failed IS 'Failed attempts since the dispatcher started';
COMMENT ON COLUMN tms.target_load.last_error IS 'What the latest failed attempt ended with';
COMMENT ON COLUMN tms.target_load.last_error_at IS 'When that was';
COMMENT ON COLUMN tms.target_load.updated_at IS 'When these figures were written';
ALTER TABLE tms.target_load ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.target_load FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.target_load IS 'A role sees the figures of its company''s own versions; those of all companies together are the platform''s';

CREATE VIEW tms.target_status WITH (security_invoker = true) AS
SELECT t.name, o.company_id, t.transport, t.host,
       CASE WHEN t.paused_at IS NOT NULL THEN 'paused' ELSE COALESCE(h.state, 'active') END AS state,
       CASE WHEN t.paused_at IS NOT NULL THEN t.pause_reason ELSE h.reason END AS reason,
       t.paused_at,
       (t.options ->> 'max_concurrency')::integer AS max_concurrency, (t.options ->> 'timeout_ms')::integer AS timeout_ms,
       (t.options ->> 'rate_per_second')::double precision AS rate_limit,
       COALESCE((t.options ->> 'allow_private_network')::boolean, false) AS allow_private_network,
       l.in_flight, l.per_second, l.p50_ms, l.p95_ms, l.p99_ms, l.delivered, l.failed, l.last_error, l.last_error_at,
       COALESCE(s.due, 0) AS due, COALESCE(s.scheduled, 0) AS scheduled, COALESCE(s.dead, 0) AS dead,
       COALESCE(s.retrying, 0) AS retrying, s.oldest_due_at
  FROM tms.targets t
 CROSS JOIN LATERAL (SELECT NULL::uuid UNION ALL
                     SELECT v.company_id FROM tms.target_overrides v WHERE v.target = t.name) AS o (company_id)
  LEFT JOIN tms.target_health h ON h.target = t.name AND h.company_id IS NOT DISTINCT FROM o.company_id
  LEFT JOIN tms.target_load l ON l.target = t.name AND l.company_id IS NOT DISTINCT FROM o.company_id
  LEFT JOIN tms.outbox_status s ON s.target_system = t.name AND o.company_id IS NULL;
COMMENT ON VIEW tms.target_status IS 'Targets with their state and load, and the caller''s undelivered events; a company''s own version of a target is a row of its own';
COMMENT ON COLUMN tms.target_status.name IS 'Name of the target';
COMMENT ON COLUMN tms.target_status.company_id IS 'The company whose own version this row is; NULL: the target itself';
COMMENT ON COLUMN tms.target_status.transport IS 'How events travel';
COMMENT ON COLUMN tms.target_status.host IS 'Scheme, host and port; the rest of the URL is not shown';
COMMENT ON COLUMN tms.target_status.state IS 'active, paused, held (reason says by what), open or half_open (the circuit breaker)';
COMMENT ON COLUMN tms.target_status.reason IS 'Why it is not active';
COMMENT ON COLUMN tms.target_status.paused_at IS 'Since when it is paused';
COMMENT ON COLUMN tms.target_status.max_concurrency IS 'Requests at one time';
COMMENT ON COLUMN tms.target_status.timeout_ms IS 'Longest duration of an attempt, in milliseconds';
COMMENT ON COLUMN tms.target_status.rate_limit IS 'Attempts a second at most; NULL: no limit';
COMMENT ON COLUMN tms.target_status.allow_private_network IS 'Whether private addresses may be dialled';
COMMENT ON COLUMN tms.target_status.in_flight IS 'Requests handed out and not answered; as the other figures of load, for the platform';
COMMENT ON COLUMN tms.target_status.per_second IS 'Attempts that ended in a second, lately';
COMMENT ON COLUMN tms.target_status.p50_ms IS 'Median duration of the latest attempts, in milliseconds';
COMMENT ON COLUMN tms.target_status.p95_ms IS '95th percentile of the same';
COMMENT ON COLUMN tms.target_status.p99_ms IS '99th percentile of the same';
COMMENT ON COLUMN tms.target_status.delivered IS 'Deliveries since the dispatcher started';
COMMENT ON COLUMN tms.target_status.failed IS 'Failed attempts since the dispatcher started';
COMMENT ON COLUMN tms.target_status.last_error IS 'What the latest failed attempt ended with';
COMMENT ON COLUMN tms.target_status.last_error_at IS 'When that was';
COMMENT ON COLUMN tms.target_status.due IS 'Events that may be delivered now';
COMMENT ON COLUMN tms.target_status.scheduled IS 'Events whose time has not come';
COMMENT ON COLUMN tms.target_status.dead IS 'Events held by a dead letter';
COMMENT ON COLUMN tms.target_status.retrying IS 'Events that failed at least once and are to be tried again';
COMMENT ON COLUMN tms.target_status.oldest_due_at IS 'Since when the oldest due event could have been delivered';

CREATE FUNCTION @extschema@.tms_worker_status()
    RETURNS TABLE (component text, database text, pid integer, state text, detail text, hint text)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_worker_status_wrapper';
COMMENT ON FUNCTION @extschema@.tms_worker_status() IS
    'The launcher and this database''s dispatcher and scheduler: process id, state, why, and what to do; a role that bypasses row-level security sees every database';
