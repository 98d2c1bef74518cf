-- What is wrong, in one place.

CREATE FUNCTION @extschema@.tms_health()
    RETURNS TABLE (subject text, state text, detail text, hint text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$
SELECT pg_catalog.concat('redaction of ', place.name),
       CASE WHEN t.tgenabled OPERATOR(pg_catalog.=) 'A' THEN 'ok' WHEN t.tgenabled OPERATOR(pg_catalog.=) 'O' THEN 'warning' ELSE 'error' END,
       CASE WHEN t.tgenabled OPERATOR(pg_catalog.=) 'A' THEN 'Every row is redacted before it is written.'
                        WHEN t.tgenabled OPERATOR(pg_catalog.=) 'O' THEN 'Rows that are written under session_replication_role = replica are not redacted.'
                        WHEN t.tgenabled OPERATOR(pg_catalog.=) 'R' THEN 'Only rows that are written under session_replication_role = replica are redacted.'
                        WHEN t.tgenabled OPERATOR(pg_catalog.=) 'D' THEN 'The trigger redact_row is disabled: rows land as they are.'
                        ELSE 'The trigger redact_row is gone: rows land as they are.' END,
       CASE WHEN t.tgenabled OPERATOR(pg_catalog.=) 'A' THEN NULL
            WHEN t.tgenabled IS NULL THEN pg_catalog.format('CREATE TRIGGER redact_row BEFORE INSERT OR UPDATE%3$s ON %1$s FOR EACH ROW EXECUTE FUNCTION tms.redact_row(%2$s); ALTER TABLE %1$s ENABLE ALWAYS TRIGGER redact_row', place.name, place.columns, place.updates)
            ELSE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER redact_row', place.name) END
  FROM (VALUES ('tms.agent_logs', $q$'message', 'meta'$q$, ''),
               ('tms.dead_letter_queue', $q$'error_message', 'payload?'$q$, ' OF error_message, payload'),
               ('tms.dead_letter_acts', $q$'reason', 'detail?'$q$, ' OF reason, detail'),
               ('tms.delivery_attempts', $q$'error_message', 'response_excerpt'$q$, ''), ('tms.policy_decisions', $q$'input'$q$, ''),
               ('tms.agent_tasks', $q$'payload', 'result', 'error_message', 'confirm_note'$q$,
                ' OF payload, result, error_message, confirm_note')) AS place (name, columns, updates)
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid OPERATOR(pg_catalog.=) place.name::pg_catalog.regclass
        AND t.tgfoid OPERATOR(pg_catalog.=) 'tms.redact_row()'::pg_catalog.regprocedure
UNION ALL
SELECT pg_catalog.concat(s.component, COALESCE(' of ' OPERATOR(pg_catalog.||) s.database, '')),
       CASE WHEN s.hint IS NULL THEN 'ok' ELSE 'warning' END, pg_catalog.concat(s.state, ': ', s.detail), s.hint
  FROM @extschema@.tms_worker_status() s
$f$;
COMMENT ON FUNCTION @extschema@.tms_health() IS
    'One row for each thing that is to be right: state is ok, warning or error, hint says what to do. Names every place where redaction was switched off, and what the workers report';
