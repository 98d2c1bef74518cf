-- Who may do what: the grants of PUBLIC and of each capability, as the catalog has them.
CREATE TEMP VIEW grants AS
    WITH members AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'tms'
         WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
    acls AS (
        SELECT 'function ' || p.oid::regprocedure AS object, p.proowner AS owner,
               coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
          FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        UNION ALL
        SELECT c.oid::regclass::text, c.relowner,
               coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
          FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        UNION ALL
        SELECT c.oid::regclass || '.' || a.attname, c.relowner, a.attacl
          FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
        UNION ALL
        SELECT 'schema ' || n.nspname, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
          FROM members m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid)
    SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS grantee, object,
           string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ', ' ORDER BY x.privilege_type) AS rights
      FROM acls, aclexplode(acl) x WHERE x.grantee <> owner GROUP BY 1, 2;

SELECT * FROM grants ORDER BY grantee, object COLLATE "C";

CREATE ROLE privileges_producer; CREATE ROLE privileges_consumer; CREATE ROLE privileges_agent;
CREATE ROLE privileges_approver; CREATE ROLE privileges_operator; CREATE ROLE privileges_auditor;
SELECT tms_grant(('privileges_' || c)::name, c) FROM unnest(ARRAY['producer', 'consumer', 'agent', 'approver', 'operator', 'auditor']) c;
SELECT grantee, object, rights FROM grants WHERE grantee LIKE 'privileges\_%' ORDER BY grantee, object COLLATE "C";

-- A right that two capabilities give stays until both are taken away.
SELECT tms_grant('privileges_operator', 'producer'), tms_grant('privileges_operator', 'auditor');
SELECT tms_revoke('privileges_operator', 'operator');
SELECT object FROM grants WHERE grantee = 'privileges_operator' ORDER BY object COLLATE "C";
SELECT tms_revoke('privileges_operator', 'auditor');
SELECT object FROM grants WHERE grantee = 'privileges_operator' ORDER BY object COLLATE "C";
SELECT tms_revoke('privileges_operator', 'producer');
SELECT tms_revoke(('privileges_' || c)::name, c) FROM unnest(ARRAY['producer', 'consumer', 'agent', 'approver', 'auditor']) c;
SELECT * FROM grants WHERE grantee LIKE 'privileges\_%';
SELECT role, capability FROM tms.role_capabilities;
DROP ROLE privileges_producer, privileges_consumer, privileges_agent, privileges_approver, privileges_operator, privileges_auditor;
