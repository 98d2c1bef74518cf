-- Tasks of agents: one row a task, changed by functions alone.

CREATE TABLE tms.agent_tasks (
    id               uuid NOT NULL DEFAULT tms.uuid_v7() PRIMARY KEY,
    company_id       uuid DEFAULT @extschema@.tms_current_company(),
    agent_name       text COLLATE "C" NOT NULL,
    fn_name          text NOT NULL,
    payload          jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    waits_for        text CHECK (waits_for IN ('confirmation')),
    priority         integer NOT NULL DEFAULT 0,
    available_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    turn             timestamptz,
    attempts         integer NOT NULL DEFAULT 0,
    lost_leases      integer NOT NULL DEFAULT 0,
    lease_token      uuid,
    leased_until     timestamptz,
    leased_by        text,
    tokens_used      bigint NOT NULL DEFAULT 0,
    api_calls_used   bigint NOT NULL DEFAULT 0,
    cost_usd         numeric,
    result           jsonb,
    error_type       text,
    error_message    text,
    idempotency_key  text,
    submitted_by     text NOT NULL,
    confirmed_by     text,
    confirmed_at     timestamptz,
    confirmed_sha256 text,
    confirm_note     text,
    cancelled_at     timestamptz,
    cancel_reason    text,
    created_at       timestamptz NOT NULL DEFAULT pg_catalog.now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.agent_tasks IS 'Tasks of agents, from submission to their end and until retention takes them; no capability changes a row but through the tms_task functions';
COMMENT ON COLUMN tms.agent_tasks.id IS 'The task''s id; time-ordered';
COMMENT ON COLUMN tms.agent_tasks.company_id IS 'The company the task belongs to; NULL: the platform';
COMMENT ON COLUMN tms.agent_tasks.agent_name IS 'The agent whose policy it runs under';
COMMENT ON COLUMN tms.agent_tasks.fn_name IS 'The function the agent is to call';
COMMENT ON COLUMN tms.agent_tasks.payload IS 'What it is called with; redacted by the rules of the company and of the agent''s policy before it was written';
COMMENT ON COLUMN tms.agent_tasks.status IS 'queued, running, done or failed';
COMMENT ON COLUMN tms.agent_tasks.waits_for IS 'confirmation: a person must agree before it runs; NULL: nothing of the kind';
COMMENT ON COLUMN tms.agent_tasks.priority IS 'From -100 to 100: a point is worth a minute of waiting';
COMMENT ON COLUMN tms.agent_tasks.available_at IS 'Not claimed before this time';
COMMENT ON COLUMN tms.agent_tasks.turn IS 'Its place in its agent''s line: available_at, a minute earlier for each point of priority; NULL: not in the line';
COMMENT ON COLUMN tms.agent_tasks.attempts IS 'How often it was claimed';
COMMENT ON COLUMN tms.agent_tasks.lost_leases IS 'How often a lease ran out since it was last put into the line by hand or by its dead letter';
COMMENT ON COLUMN tms.agent_tasks.lease_token IS 'What the last claim was given; it is good while status is running and until leased_until';
COMMENT ON COLUMN tms.agent_tasks.leased_until IS 'When the lease runs out';
COMMENT ON COLUMN tms.agent_tasks.leased_by IS 'The worker that claimed it last, by the name it gave';
COMMENT ON COLUMN tms.agent_tasks.tokens_used IS 'Tokens that were charged to it';
COMMENT ON COLUMN tms.agent_tasks.api_calls_used IS 'Calls of paid services that were charged to it';
COMMENT ON COLUMN tms.agent_tasks.cost_usd IS 'What it has cost in dollars, as its usage says; NULL: nobody said';
COMMENT ON COLUMN tms.agent_tasks.result IS 'What it was completed with; redacted like payload';
COMMENT ON COLUMN tms.agent_tasks.error_type IS 'Of the last failure: timeout, validation, external_api or quota_exceeded';
COMMENT ON COLUMN tms.agent_tasks.error_message IS 'Of the last failure, in words; redacted';
COMMENT ON COLUMN tms.agent_tasks.idempotency_key IS 'The submitter''s name for it: submitted once per company and agent within tms.idempotency_window';
COMMENT ON COLUMN tms.agent_tasks.submitted_by IS 'The role that submitted it, which cannot confirm it';
COMMENT ON COLUMN tms.agent_tasks.confirmed_by IS 'The role that agreed, or refused';
COMMENT ON COLUMN tms.agent_tasks.confirmed_at IS 'When it did';
COMMENT ON COLUMN tms.agent_tasks.confirmed_sha256 IS 'SHA-256 of what was agreed to: agent, function and payload in canonical form (RFC 8785); it is taken again when the task is claimed';
COMMENT ON COLUMN tms.agent_tasks.confirm_note IS 'What the person said';
COMMENT ON COLUMN tms.agent_tasks.cancelled_at IS 'When tms_task_cancel ended it, or a person refused it';
COMMENT ON COLUMN tms.agent_tasks.cancel_reason IS 'Why';
COMMENT ON COLUMN tms.agent_tasks.created_at IS 'Start of the transaction that submitted it';
COMMENT ON COLUMN tms.agent_tasks.started_at IS 'When it was claimed last';
COMMENT ON COLUMN tms.agent_tasks.finished_at IS 'When it became done or failed';
COMMENT ON COLUMN tms.agent_tasks.updated_at IS 'Last change';

CREATE INDEX agent_tasks_line ON tms.agent_tasks (agent_name, company_id, turn, id) WHERE turn IS NOT NULL;
COMMENT ON INDEX tms.agent_tasks_line IS 'The line of each agent and company: what can be claimed now, in the order it is';
CREATE INDEX agent_tasks_later ON tms.agent_tasks (available_at)
    WHERE turn IS NULL AND status = 'queued' AND waits_for IS NULL;
COMMENT ON INDEX tms.agent_tasks_later IS 'Tasks that are not to be claimed before their time';
CREATE INDEX agent_tasks_leases ON tms.agent_tasks (leased_until) WHERE status = 'running';
COMMENT ON INDEX tms.agent_tasks_leases IS 'Leases by their end';
CREATE INDEX agent_tasks_finished ON tms.agent_tasks (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON INDEX tms.agent_tasks_finished IS 'Finished tasks by age, for retention';

ALTER TABLE tms.agent_tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY company_reads ON tms.agent_tasks FOR SELECT
    USING (company_id = (SELECT @extschema@.tms_current_company()));
COMMENT ON POLICY company_reads ON tms.agent_tasks IS 'A role sees the tasks of its company';
CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE OF payload, result, error_message, confirm_note ON tms.agent_tasks
    FOR EACH ROW EXECUTE FUNCTION tms.redact_row('payload', 'result', 'error_message', 'confirm_note');
ALTER TABLE tms.agent_tasks ENABLE ALWAYS TRIGGER redact_row;
COMMENT ON TRIGGER redact_row ON tms.agent_tasks IS 'Personal data does not land; fires for replicated rows too';

CREATE FUNCTION tms.task_held_by(agent_name text, company_id uuid) RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_task_held_by_wrapper';
COMMENT ON FUNCTION tms.task_held_by(text, uuid) IS
    'The limit that keeps an agent''s next task from being claimed at this moment, as a path in its policy; NULL: none does, or the caller may not know';

CREATE VIEW tms.task_status WITH (security_invoker = true) AS
    SELECT t.id, t.company_id, t.agent_name, t.fn_name, t.status, t.priority, t.attempts, t.created_at,
           CASE
               WHEN t.status IN ('done', 'failed') THEN NULL
               WHEN t.status = 'running' AND t.leased_until < pg_catalog.clock_timestamp() THEN 'its lease ran out: it goes back to its line'
               WHEN t.status = 'running' THEN 'it runs, under a lease until leased_until'
               WHEN t.waits_for = 'confirmation' THEN 'a person must agree: tms_task_confirm'
               WHEN t.available_at > pg_catalog.clock_timestamp() THEN 'its time has not come: available_at'
               ELSE COALESCE('held by ' OPERATOR(pg_catalog.||) tms.task_held_by(t.agent_name, t.company_id), 'an agent must claim it')
           END AS waits,
           t.available_at, t.leased_by, t.leased_until, t.error_type, t.error_message, t.finished_at
      FROM tms.agent_tasks t;
COMMENT ON VIEW tms.task_status IS 'Each task with why it waits';
COMMENT ON COLUMN tms.task_status.id IS 'The task';
COMMENT ON COLUMN tms.task_status.company_id IS 'Its company';
COMMENT ON COLUMN tms.task_status.agent_name IS 'Its agent';
COMMENT ON COLUMN tms.task_status.fn_name IS 'Its function';
COMMENT ON COLUMN tms.task_status.status IS 'queued, running, done or failed';
COMMENT ON COLUMN tms.task_status.priority IS 'A point is worth a minute of waiting';
COMMENT ON COLUMN tms.task_status.attempts IS 'How often it was claimed';
COMMENT ON COLUMN tms.task_status.created_at IS 'When it was submitted';
COMMENT ON COLUMN tms.task_status.waits IS 'Why it is not finished, at this moment; NULL when it is';
COMMENT ON COLUMN tms.task_status.available_at IS 'It is not claimed before this time';
COMMENT ON COLUMN tms.task_status.leased_by IS 'The worker that claimed it last';
COMMENT ON COLUMN tms.task_status.leased_until IS 'When its lease runs out';
COMMENT ON COLUMN tms.task_status.error_type IS 'Of the last failure';
COMMENT ON COLUMN tms.task_status.error_message IS 'Of the last failure';
COMMENT ON COLUMN tms.task_status.finished_at IS 'When it became done or failed';

CREATE FUNCTION @extschema@.tms_task_submit(
        agent_name text, fn_name text, payload jsonb DEFAULT '{}', company_id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL,
        priority integer DEFAULT 0, available_at timestamptz DEFAULT NULL)
    RETURNS uuid LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_submit';
COMMENT ON FUNCTION @extschema@.tms_task_submit(text, text, jsonb, uuid, text, integer, timestamptz) IS
    'Submits a task for an agent in the caller''s transaction and returns its id. The policy decides: a function that is not allowed is an error, one that needs confirmation waits for tms_task_confirm. The payload is redacted before it is written. priority: from -100 to 100, a point is worth a minute of waiting; available_at NULL: at once; with an idempotency_key that was used for the agent within tms.idempotency_window nothing is submitted and the first task''s id is returned. company_id NULL: the caller''s company, or the platform. Errors: 42501 the policy denies it, no company or another''s; 22023 a value out of range; 22004 NULL; 54000 the payload is over tms.max_payload_bytes; 40001 above READ COMMITTED when another transaction has just used the idempotency key';

CREATE FUNCTION @extschema@.tms_task_claim(
        agent_name text, worker text, max_tasks integer DEFAULT 1, lease interval DEFAULT '5 minutes', wait interval DEFAULT '0')
    RETURNS TABLE (id uuid, lease_token uuid, fn_name text, payload jsonb, company_id uuid, attempt integer, leased_until timestamptz,
                   created_at timestamptz)
    LANGUAGE c VOLATILE ROWS 1 SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
    AS 'MODULE_PATHNAME', 'tms_task_claim';
COMMENT ON FUNCTION @extschema@.tms_task_claim(text, text, integer, interval, interval) IS
    'Hands out up to max_tasks (1 to 1000) tasks of an agent, each under a lease (above 0, up to 1 day) with a token of its own; nobody else gets them until the lease has run out. worker: a name for people, 1 to 255 characters. In the order of tms.agent_tasks.turn; a company gets its own tasks, a role of the platform those of all companies in turns. Every task is held against the policy that is committed now, and charged to its limits. wait (up to 30 seconds): when there is nothing to claim the call waits for it; above READ COMMITTED it does not. No rows when nothing can be claimed. Errors: 42501 the agent has no policy, no company; 22023 a value out of range; 22004 NULL; 40001 above READ COMMITTED when another agent was faster';

CREATE FUNCTION @extschema@.tms_task_heartbeat(id uuid, lease_token uuid, lease interval DEFAULT '5 minutes') RETURNS timestamptz
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_heartbeat_wrapper';
COMMENT ON FUNCTION @extschema@.tms_task_heartbeat(uuid, uuid, interval) IS
    'Makes a lease last for lease (above 0, up to 1 day) from now on and returns its end. Errors: 55000 the lease is over: stop working, the task may be another''s; 42704 no such task, or another company''s; 22023 a value out of range; 22004 NULL';

CREATE FUNCTION @extschema@.tms_task_charge(
        id uuid, lease_token uuid, tokens bigint DEFAULT 0, api_calls integer DEFAULT 0, model text DEFAULT NULL)
    RETURNS jsonb LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_charge_wrapper';
COMMENT ON FUNCTION @extschema@.tms_task_charge(uuid, uuid, bigint, integer, text) IS
    'Charges tokens and calls of paid services to a running task, before they are used, and returns {"tokens_used", "tokens_left", "api_calls_used", "api_calls_left"}; what is left is null where the policy sets no limit. Errors: 53400 the task would use more than the policy allows, and nothing is charged; 55000 the lease is over; 42704 no such task, or another company''s; 22023 a value out of range; 22004 NULL';

CREATE FUNCTION @extschema@.tms_task_complete(id uuid, lease_token uuid, result jsonb DEFAULT '{}', usage jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_complete';
COMMENT ON FUNCTION @extschema@.tms_task_complete(uuid, uuid, jsonb, jsonb) IS
    'Ends a task as done, in the caller''s transaction: what the agent writes in it is there together with the completion, or not at all. result is redacted before it is written. usage: {"tokens", "api_calls", "cost_usd", "model"} that were not charged before; booked in full, also over a limit. Called again with the same token it does nothing. Errors: 55000 the lease is over; 42704 no such task, or another company''s; 54000 the result is over tms.max_payload_bytes; 22023 usage is not valid; 22004 NULL';

CREATE FUNCTION @extschema@.tms_task_fail(id uuid, lease_token uuid, error_type text, error_message text) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_fail_wrapper';
COMMENT ON FUNCTION @extschema@.tms_task_fail(uuid, uuid, text, text) IS
    'Ends this run of a task as failed and returns the type of error it was found to be: timeout, validation, external_api or quota_exceeded. error_type: one of these, or what the agent''s client calls it, such as RateLimitError, ETIMEDOUT or 503. A dead letter has the task from now on: validation rests until a person acts, the others come back after their backoff. error_message: in words, redacted, cut to 1000 characters, may be NULL. Errors: 55000 the lease is over; 42704 no such task, or another company''s; 22004 NULL';

CREATE FUNCTION @extschema@.tms_task_confirm(id uuid, approve boolean, note text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_confirm_wrapper';
COMMENT ON FUNCTION @extschema@.tms_task_confirm(uuid, boolean, text) IS
    'Agrees to a task that waits for confirmation, or refuses it, which ends it as failed. Whoever submitted it cannot. What was agreed to is known by its hash, and held against the task when it is claimed. Errors: 42501 the caller submitted it; 55000 it does not wait for confirmation; 42704 no such task, or another company''s; 22023 a note of more than 1000 characters; 22004 NULL';

CREATE FUNCTION @extschema@.tms_task_cancel(id uuid, reason text) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_task_cancel_wrapper';
COMMENT ON FUNCTION @extschema@.tms_task_cancel(uuid, text) IS
    'Ends a task that is queued or running as failed, with a reason (1 to 1000 characters); the lease of one that runs is over at commit. True when it was not finished, false when it was. Errors: 42704 no such task, or another company''s; 22023 an empty or too long reason; 22004 NULL';
