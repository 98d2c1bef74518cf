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

CREATE VIEW tms.target_status WITH (security_invoker = true) AS
SELECT t.name, t.transport, t.host,
       CASE WHEN t.paused_at IS NOT NULL THEN 'paused' ELSE 'active' END AS state,
       t.paused_at, t.max_concurrency, t.timeout_ms, t.allow_private_network,
       COALESCE(s.due, 0) AS due, COALESCE(s.scheduled, 0) AS scheduled, COALESCE(s.dead, 0) AS dead,
       COALESCE(s.retrying, 0) AS retrying, s.oldest_due_at
  FROM tms.targets t
  LEFT JOIN tms.outbox_status s ON s.target_system = t.name;
COMMENT ON VIEW tms.target_status IS 'Targets with their state and the caller''s undelivered events';
COMMENT ON COLUMN tms.target_status.name IS 'Name of the target';
COMMENT ON COLUMN tms.target_status.transport IS 'How events travel';
COMMENT ON COLUMN tms.target_status.host IS 'Scheme, host and port; the rest of the URL is not shown';
COMMENT ON COLUMN tms.target_status.state IS 'active or paused';
COMMENT ON COLUMN tms.target_status.paused_at IS 'Since when it is paused';
COMMENT ON COLUMN tms.target_status.max_concurrency IS 'Requests at one time';
COMMENT ON COLUMN tms.target_status.timeout_ms IS 'Longest duration of an attempt, in milliseconds';
COMMENT ON COLUMN tms.target_status.allow_private_network IS 'Whether private addresses may be dialled';
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
