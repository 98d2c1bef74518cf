-- Rights start from nothing: what default privileges gave away is taken back, then the few things anybody may do are granted.
-- Capabilities are granted to roles by tms_grant.

DO $$
DECLARE
    stmt text;
BEGIN
    FOR stmt IN
        -- the schema, which is in the search_path of every SECURITY DEFINER function: nobody else may create in it
        SELECT pg_catalog.format('REVOKE ALL ON SCHEMA tms FROM %s',
                   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::pg_catalog.text END)
          FROM pg_catalog.pg_namespace n
         CROSS JOIN LATERAL (SELECT DISTINCT x.grantee FROM pg_catalog.aclexplode(n.nspacl) x
                              WHERE x.grantee OPERATOR(pg_catalog.<>) n.nspowner) a
         WHERE n.nspname OPERATOR(pg_catalog.=) 'tms'
        UNION ALL
        -- every function, table, view and sequence of this extension, and every role its rights were given to
        SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %s',
                   CASE d.classid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'FUNCTION'
                                  ELSE CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END END,
                   CASE d.classid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass
                                  THEN d.objid::pg_catalog.regprocedure::pg_catalog.text
                                  ELSE d.objid::pg_catalog.regclass::pg_catalog.text END,
                   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::pg_catalog.text END)
          FROM pg_catalog.pg_depend d
          JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid AND e.extname OPERATOR(pg_catalog.=) 'tms'
          LEFT JOIN pg_catalog.pg_proc p
                 ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid OPERATOR(pg_catalog.=) d.objid
          LEFT JOIN pg_catalog.pg_class c
                 ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid OPERATOR(pg_catalog.=) d.objid
         CROSS JOIN LATERAL (
               SELECT DISTINCT x.grantee
                 FROM pg_catalog.aclexplode(COALESCE(p.proacl, c.relacl,
                          CASE WHEN p.oid IS NOT NULL THEN pg_catalog.acldefault('f', p.proowner)
                               WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN pg_catalog.acldefault('s', c.relowner)
                               ELSE pg_catalog.acldefault('r', c.relowner) END)) x
                WHERE x.grantee OPERATOR(pg_catalog.<>) COALESCE(p.proowner, c.relowner)) a
         WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND d.deptype OPERATOR(pg_catalog.=) 'e'
           AND (p.oid IS NOT NULL OR c.relkind IN ('r', 'v', 'S'))
    LOOP
        EXECUTE stmt;
    END LOOP;
END
$$;

-- Names nothing that is readable by itself: every object has its own grants.
GRANT USAGE ON SCHEMA tms TO PUBLIC;

-- Harmless for anybody, and policies call it in every role's name.
GRANT EXECUTE ON FUNCTION @extschema@.tms_current_company() TO PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.tms_version() TO PUBLIC;

-- pg_dump leaves the rows of an extension's tables out unless it is told otherwise. Left out on purpose: tms.installation, which
-- is about this server, and tms.target_health and tms.target_load, which the dispatcher of the copy writes anew. An auditor's
-- pg_dump reads each of these but tms.target_secrets: what is added here goes to READ_DUMP in src/api/tenancy.rs too.
SELECT pg_catalog.pg_extension_config_dump('tms.role_bindings', '');
SELECT pg_catalog.pg_extension_config_dump('tms.role_capabilities', '');
SELECT pg_catalog.pg_extension_config_dump('tms.targets', '');
SELECT pg_catalog.pg_extension_config_dump('tms.target_secrets', '');
SELECT pg_catalog.pg_extension_config_dump('tms.target_overrides', '');
SELECT pg_catalog.pg_extension_config_dump('tms.event_outbox', '');
SELECT pg_catalog.pg_extension_config_dump('tms.event_outbox_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tms.event_outbox_order_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tms.idempotency_keys', '');
SELECT pg_catalog.pg_extension_config_dump('tms.dead_letter_queue', '');
SELECT pg_catalog.pg_extension_config_dump('tms.dead_letter_acts', '');
SELECT pg_catalog.pg_extension_config_dump('tms.delivery_attempts', '');
SELECT pg_catalog.pg_extension_config_dump('tms.delivery_attempts_id', '');
SELECT pg_catalog.pg_extension_config_dump('tms.subscriptions', '');
SELECT pg_catalog.pg_extension_config_dump('tms.webhook_sources', '');
SELECT pg_catalog.pg_extension_config_dump('tms.webhook_source_secrets', '');
SELECT pg_catalog.pg_extension_config_dump('tms.webhook_receipts', '');
SELECT pg_catalog.pg_extension_config_dump('tms.policies', '');
SELECT pg_catalog.pg_extension_config_dump('tms.policy_heads', '');
SELECT pg_catalog.pg_extension_config_dump('tms.policy_changes', '');
SELECT pg_catalog.pg_extension_config_dump('tms.policy_decisions', '');
SELECT pg_catalog.pg_extension_config_dump('tms.policy_spending', '');
SELECT pg_catalog.pg_extension_config_dump('tms.redaction_rules', '');
SELECT pg_catalog.pg_extension_config_dump('tms.redaction_keys', '');
SELECT pg_catalog.pg_extension_config_dump('tms.agent_logs', '');
SELECT pg_catalog.pg_extension_config_dump('tms.agent_tasks', '');

-- Says what is missing when the server was not started with the library.
SELECT tms.notice_unless_preloaded();
