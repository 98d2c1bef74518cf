-- Who is which company. The rows are read by the library alone; no capability gives access to this table.

CREATE TABLE tms.role_bindings (
    role       regrole NOT NULL PRIMARY KEY,
    company_id uuid,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.role_bindings IS
    'Roles that act for a company: bound ones (company_id set) and enrolled ones (company_id NULL: the company comes from the request)';
COMMENT ON COLUMN tms.role_bindings.role IS 'The role itself; members of it are not bound by this row';
COMMENT ON COLUMN tms.role_bindings.company_id IS 'The company the role always acts for; NULL: taken from request.jwt.claims -> app_metadata -> company_id, else from tms.company_id';
COMMENT ON COLUMN tms.role_bindings.created_at IS 'When the role was bound or enrolled last';
ALTER TABLE tms.role_bindings ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

-- Backends keep bindings and targets in memory; this tells them that a row changed, at the commit of the change.
CREATE FUNCTION tms.invalidate_caches() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tms_invalidate_caches';
COMMENT ON FUNCTION tms.invalidate_caches() IS
    'Trigger: makes every backend drop what it remembers of the table, and the dispatcher read its targets again, at commit';

CREATE TRIGGER invalidate_caches AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tms.role_bindings
    FOR EACH STATEMENT EXECUTE FUNCTION tms.invalidate_caches();
ALTER TABLE tms.role_bindings ENABLE ALWAYS TRIGGER invalidate_caches;
COMMENT ON TRIGGER invalidate_caches ON tms.role_bindings IS 'Caches of role bindings are dropped at commit';

CREATE FUNCTION @extschema@.tms_bind_role(role name, company_id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_bind_role_wrapper';
COMMENT ON FUNCTION @extschema@.tms_bind_role(name, uuid) IS
    'Makes a role act for one company, whatever its session sets; with NULL enrols it, so that the company comes from the request. Platform right. Errors: 42704 unknown role, 42501 caller without the right';

CREATE FUNCTION @extschema@.tms_unbind_role(role name) RETURNS boolean
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_unbind_role_wrapper';
COMMENT ON FUNCTION @extschema@.tms_unbind_role(name) IS
    'Takes a role''s binding or enrolment away; true when there was one. Platform right. Errors: 42704 unknown role, 42501 caller without the right';

CREATE FUNCTION @extschema@.tms_grant(role name, capability text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_grant_wrapper';
COMMENT ON FUNCTION @extschema@.tms_grant(name, text) IS
    'Grants a role what a capability needs: producer, consumer, agent, approver, operator, auditor or pseudonymizer. Platform right. Errors: 42704 unknown role, 22023 unknown capability, 42501 caller without the right';

CREATE FUNCTION @extschema@.tms_revoke(role name, capability text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_revoke_wrapper';
COMMENT ON FUNCTION @extschema@.tms_revoke(name, text) IS
    'Takes a capability''s grants away from a role, except what another capability it holds still needs. Platform right. Errors as tms_grant';

CREATE TABLE tms.role_capabilities (
    role       regrole NOT NULL,
    capability text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (role, capability)
);
COMMENT ON TABLE tms.role_capabilities IS 'Which role was given which capability; the grants themselves are ordinary GRANTs on functions and tables';
COMMENT ON COLUMN tms.role_capabilities.role IS 'The role that tms_grant named';
COMMENT ON COLUMN tms.role_capabilities.capability IS 'producer, consumer, agent, approver, operator, auditor or pseudonymizer';
COMMENT ON COLUMN tms.role_capabilities.granted_at IS 'When tms_grant was called';
ALTER TABLE tms.role_capabilities ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it
