-- Dead letters for people: what they read of them, and what they may do with them.

CREATE VIEW tms.dead_letters WITH (security_invoker = true) AS
SELECT l.id,
       CASE WHEN l.closed_at IS NOT NULL OR e.processed_at IS NOT NULL OR t.status = 'done' OR t.cancelled_at IS NOT NULL THEN 'closed'
            WHEN l.requeued_at IS NOT NULL THEN 'out'
            WHEN l.retry_after IS NULL THEN 'resting'
            WHEN l.snooze_until > pg_catalog.clock_timestamp() THEN 'snoozed'
            WHEN l.retry_after > pg_catalog.clock_timestamp() THEN 'waiting'
            ELSE 'due' END AS state,
       l.original_event_id, l.original_task_id, l.company_id, l.target_system, l.event_type, l.agent_name,
       l.error_type, l.error_message, l.payload, l.attempts, l.permanent, l.rounds, l.max_retries,
       CASE WHEN l.closed_at IS NULL AND l.requeued_at IS NULL AND l.retry_after IS NOT NULL AND e.processed_at IS NULL
                 AND t.status IS DISTINCT FROM 'done'
            THEN GREATEST(l.retry_after, l.snooze_until) END AS next_round_at,
       l.retry_after, l.snooze_until, l.backoff_multiplier, l.requeued_at, l.requeued_by, l.created_at, l.failed_at,
       COALESCE(l.closed_at, e.processed_at, t.finished_at) AS closed_at, l.closed_by,
       COALESCE(l.resolution, CASE WHEN e.cancelled_at IS NOT NULL OR t.cancelled_at IS NOT NULL THEN 'cancelled'
                                   WHEN e.processed_at IS NULL AND t.status IS NULL THEN NULL
                                   WHEN l.requeued_by IS NULL THEN 'delivered' ELSE 'replayed' END) AS resolution
  FROM tms.dead_letter_queue l
  LEFT JOIN tms.event_outbox e ON e.id = l.original_event_id AND l.closed_at IS NULL
  LEFT JOIN tms.agent_tasks t ON t.id = l.original_task_id AND l.closed_at IS NULL AND l.requeued_at IS NOT NULL
        AND (t.status = 'done' OR t.cancelled_at IS NOT NULL);
COMMENT ON VIEW tms.dead_letters IS 'Dead letters as they stand at this moment: one whose event has just been delivered is closed here at once';
COMMENT ON COLUMN tms.dead_letters.id IS 'The letter''s id, for tms_dlq_retry and the others';
COMMENT ON COLUMN tms.dead_letters.state IS 'waiting: it comes back at next_round_at; due: with the next rounds; snoozed; resting: until a person acts; out: for delivery again; closed: see resolution';
COMMENT ON COLUMN tms.dead_letters.original_event_id IS 'The event in tms.event_outbox that failed';
COMMENT ON COLUMN tms.dead_letters.original_task_id IS 'The agent''s task that failed';
COMMENT ON COLUMN tms.dead_letters.company_id IS 'Whose it is; NULL: the platform''s';
COMMENT ON COLUMN tms.dead_letters.target_system IS 'Target that did not take the event';
COMMENT ON COLUMN tms.dead_letters.event_type IS 'Type of the event';
COMMENT ON COLUMN tms.dead_letters.agent_name IS 'The agent whose task it is';
COMMENT ON COLUMN tms.dead_letters.error_type IS 'timeout, validation, external_api or quota_exceeded';
COMMENT ON COLUMN tms.dead_letters.error_message IS 'What the last attempt ended with, in words';
COMMENT ON COLUMN tms.dead_letters.payload IS 'Redacted copy of what failed';
COMMENT ON COLUMN tms.dead_letters.attempts IS 'Attempts that were made so far, in all rounds';
COMMENT ON COLUMN tms.dead_letters.permanent IS 'True: the receiver refused for good; false: retries were used up';
COMMENT ON COLUMN tms.dead_letters.rounds IS 'Times it came back by itself';
COMMENT ON COLUMN tms.dead_letters.max_retries IS 'Rounds before it rests';
COMMENT ON COLUMN tms.dead_letters.next_round_at IS 'When it comes back by itself; NULL: it is at rest, out or closed';
COMMENT ON COLUMN tms.dead_letters.retry_after IS 'When the wait after its last failure ends';
COMMENT ON COLUMN tms.dead_letters.snooze_until IS 'Not before this time';
COMMENT ON COLUMN tms.dead_letters.backoff_multiplier IS 'Minutes of that wait, before jitter and cap';
COMMENT ON COLUMN tms.dead_letters.requeued_at IS 'Since when it is out for delivery';
COMMENT ON COLUMN tms.dead_letters.requeued_by IS 'The role that brought it back last; NULL: it came by itself';
COMMENT ON COLUMN tms.dead_letters.created_at IS 'When the event died';
COMMENT ON COLUMN tms.dead_letters.failed_at IS 'When it failed last';
COMMENT ON COLUMN tms.dead_letters.closed_at IS 'When it was over';
COMMENT ON COLUMN tms.dead_letters.closed_by IS 'The role that closed it; NULL: a success did';
COMMENT ON COLUMN tms.dead_letters.resolution IS 'delivered, replayed (delivered after a person brought it back), discarded or cancelled; NULL: open';

CREATE VIEW tms.event_history WITH (security_invoker = true) AS
SELECT e.id AS event_id, e.company_id, e.created_at AS at, 'enqueued' AS step,
       pg_catalog.format('%s for %s', e.event_type, e.target_system) AS detail, NULL::text AS actor, NULL::uuid AS letter_id
  FROM tms.event_outbox e
UNION ALL
SELECT a.event_id, a.company_id, a.started_at, 'attempt',
       pg_catalog.concat_ws(': ', pg_catalog.format('attempt %s of a set', a.attempt), a.outcome, a.error_message), NULL, NULL
  FROM tms.delivery_attempts a
UNION ALL
SELECT l.original_event_id, l.company_id, l.created_at, 'dead', NULL, NULL, l.id
  FROM tms.dead_letter_queue l
 WHERE l.original_event_id IS NOT NULL
UNION ALL
SELECT l.original_event_id, l.company_id, c.at, c.act,
       COALESCE(c.reason, NULLIF(c.detail, '{}'::jsonb)::text), c.actor, l.id
  FROM tms.dead_letter_queue l JOIN tms.dead_letter_acts c ON c.letter_id = l.id
 WHERE l.original_event_id IS NOT NULL
UNION ALL
SELECT l.original_event_id, l.company_id, l.closed_at, 'closed', l.resolution, l.closed_by, l.id
  FROM tms.dead_letter_queue l
 WHERE l.original_event_id IS NOT NULL AND l.closed_at IS NOT NULL
UNION ALL
SELECT e.id, e.company_id, e.processed_at, CASE WHEN e.cancelled_at IS NULL THEN 'delivered' ELSE 'cancelled' END,
       e.cancel_reason, NULL, NULL
  FROM tms.event_outbox e
 WHERE e.processed_at IS NOT NULL;
COMMENT ON VIEW tms.event_history IS 'What happened to events, step by step: ask for one event_id, ordered by at. Attempts are there as far as tms.record_attempts has them';
COMMENT ON COLUMN tms.event_history.event_id IS 'The event';
COMMENT ON COLUMN tms.event_history.company_id IS 'Whose it is; NULL: the platform''s';
COMMENT ON COLUMN tms.event_history.at IS 'When';
COMMENT ON COLUMN tms.event_history.step IS 'enqueued, attempt, dead, round, failed, retry, replay, snooze, edit, discard, cancel, closed (the letter), delivered or cancelled (the event)';
COMMENT ON COLUMN tms.event_history.detail IS 'More of it';
COMMENT ON COLUMN tms.event_history.actor IS 'The role that did it; NULL: tms itself';
COMMENT ON COLUMN tms.event_history.letter_id IS 'The dead letter it is about';

CREATE VIEW tms.task_history WITH (security_invoker = true) AS
SELECT t.id AS task_id, t.company_id, t.created_at AS at, 'submitted' AS step,
       pg_catalog.format('%s for %s', t.fn_name, t.agent_name) AS detail, t.submitted_by AS actor, NULL::uuid AS letter_id
  FROM tms.agent_tasks t
UNION ALL
SELECT t.id, t.company_id, t.confirmed_at, CASE WHEN t.confirmed_sha256 IS NULL THEN 'refused' ELSE 'confirmed' END,
       t.confirm_note, t.confirmed_by, NULL
  FROM tms.agent_tasks t
 WHERE t.confirmed_at IS NOT NULL
UNION ALL
SELECT t.id, t.company_id, t.started_at, 'claimed', pg_catalog.format('attempt %s by %s', t.attempts, t.leased_by), NULL, NULL
  FROM tms.agent_tasks t
 WHERE t.started_at IS NOT NULL
UNION ALL
SELECT l.original_task_id, l.company_id, l.created_at, 'dead', NULL, NULL, l.id
  FROM tms.dead_letter_queue l
 WHERE l.original_task_id IS NOT NULL
UNION ALL
SELECT l.original_task_id, l.company_id, c.at, c.act,
       COALESCE(c.reason, NULLIF(c.detail, '{}'::jsonb)::text), c.actor, l.id
  FROM tms.dead_letter_queue l JOIN tms.dead_letter_acts c ON c.letter_id = l.id
 WHERE l.original_task_id IS NOT NULL
UNION ALL
SELECT l.original_task_id, l.company_id, l.closed_at, 'closed', l.resolution, l.closed_by, l.id
  FROM tms.dead_letter_queue l
 WHERE l.original_task_id IS NOT NULL AND l.closed_at IS NOT NULL
UNION ALL
SELECT t.id, t.company_id, t.finished_at,
       CASE WHEN t.cancelled_at IS NOT NULL THEN 'cancelled' ELSE t.status END,
       COALESCE(t.cancel_reason, pg_catalog.concat_ws(': ', t.error_type, t.error_message)), NULL, NULL
  FROM tms.agent_tasks t
 WHERE t.finished_at IS NOT NULL;
COMMENT ON VIEW tms.task_history IS 'The whole path of a task: submitted, confirmed, claimed last, its dead letter with every round and act, its end; read it by task_id in the order of at';
COMMENT ON COLUMN tms.task_history.task_id IS 'The task in tms.agent_tasks';
COMMENT ON COLUMN tms.task_history.company_id IS 'Its company; NULL: the platform';
COMMENT ON COLUMN tms.task_history.at IS 'When';
COMMENT ON COLUMN tms.task_history.step IS 'submitted, confirmed, refused, claimed, dead, what was done with the letter (tms.dead_letter_acts.act), closed, done, failed, cancelled';
COMMENT ON COLUMN tms.task_history.detail IS 'More of it, in words';
COMMENT ON COLUMN tms.task_history.actor IS 'The role that did it; NULL: tms itself';
COMMENT ON COLUMN tms.task_history.letter_id IS 'The letter it is about';

CREATE FUNCTION @extschema@.tms_classify_error(error_type text, error_message text DEFAULT NULL) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tms_classify_error_wrapper';
COMMENT ON FUNCTION @extschema@.tms_classify_error(text, text) IS
    'Which kind of error it is (timeout, validation, external_api or quota_exceeded), from what a client says of it. error_type: the name of an exception, an error code, a SQLSTATE or an HTTP status; NULL and unknown: the message decides, else external_api, which is tried again';

CREATE FUNCTION @extschema@.tms_dlq_retry(id uuid, payload jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_dlq_retry';
COMMENT ON FUNCTION @extschema@.tms_dlq_retry(uuid, jsonb) IS
    'Brings a dead letter back at commit, at rest or snoozed as it may be, with a fresh set of attempts and without using a round. payload: takes the place of the event''s, which is kept in tms.dead_letter_acts. True; false when it is out for delivery already. For the letter''s company and the platform. Errors: 42704 no such letter, or another company''s; 55000 it is closed, or out while there is a payload; 54000 payload over tms.max_payload_bytes; 22004 id NULL';

CREATE FUNCTION @extschema@.tms_dlq_edit(id uuid, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_dlq_edit';
COMMENT ON FUNCTION @extschema@.tms_dlq_edit(uuid, jsonb) IS
    'Puts another payload into the event of a dead letter; the former one is kept in tms.dead_letter_acts. It is not sent before the letter comes back. For the letter''s company and the platform. Errors: 42704 no such letter, or another company''s; 55000 it is closed, or out for delivery; 54000 payload over tms.max_payload_bytes; 22004 NULL';

CREATE FUNCTION @extschema@.tms_dlq_snooze(id uuid, until timestamptz) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_dlq_snooze_wrapper';
COMMENT ON FUNCTION @extschema@.tms_dlq_snooze(uuid, timestamptz) IS
    'Leaves a dead letter alone until a time within the next ten years: it comes back then, if it would have come back before; one that is at rest stays so. tms_dlq_retry ends it sooner. For the letter''s company and the platform. Errors: 42704 no such letter, or another company''s; 55000 it is closed; 22023 a time that is past, infinite or too far; 22004 NULL';

CREATE FUNCTION @extschema@.tms_dlq_discard(id uuid, reason text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_dlq_discard_wrapper';
COMMENT ON FUNCTION @extschema@.tms_dlq_discard(uuid, text) IS
    'Gives up a dead letter: its event is cancelled at commit, and others of its ordering key go on. reason (1 to 1000 characters) is kept with both. An attempt that is on the wire is not recalled. For the letter''s company and the platform. Errors: 42704 no such letter, or another company''s; 55000 it is closed; 22023 an empty or too long reason; 22004 NULL';

CREATE FUNCTION @extschema@.tms_dlq_replay(filter jsonb, dry_run boolean DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_dlq_replay_wrapper';
COMMENT ON FUNCTION @extschema@.tms_dlq_replay(jsonb, boolean) IS
    'Brings back, as tms_dlq_retry does, the open letters that are like the filter, the oldest first; returns how many. Keys: company_id, error_type, target_system, event_type, agent_name, created_after, created_before, ids, limit (10000), rate_per_second (each target''s letters are spread in time; without it by tms.dead_letter_rate). Snoozed letters are meant by ids alone. dry_run: counts and changes nothing. For the caller''s company, or the platform. Errors: 22023 a filter that is not valid, 42501 no company or another''s, 22004 NULL';

CREATE FUNCTION @extschema@.tms_dlq_requeue_due() RETURNS bigint
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_dlq_requeue_due_wrapper';
COMMENT ON FUNCTION @extschema@.tms_dlq_requeue_due() IS
    'Does now what the scheduler does by the clock: letters whose time has come begin their next round, at most tms.dead_letter_rate a second and tms.dead_letter_in_flight at one time for each target; those of targets that are paused or not called at present wait. Returns how many came back. For the caller''s company, or the platform. Errors: 42501 no company';
