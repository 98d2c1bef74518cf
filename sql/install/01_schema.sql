-- The room everything else stands in. Functions go to the schema CREATE EXTENSION was given, tables and views to tms.

-- Nothing in this script is found by way of a schema that somebody else can write to (CVE-2022-2625).
SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA tms;
COMMENT ON SCHEMA tms IS 'Tables, views and internals of the tms extension; its functions live in the schema the extension was created in';

CREATE FUNCTION tms.notice_unless_preloaded() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_notice_unless_preloaded_wrapper';
COMMENT ON FUNCTION tms.notice_unless_preloaded() IS
    'Raises a NOTICE when tms is not in shared_preload_libraries, where events are stored but nothing delivers them';

CREATE FUNCTION @extschema@.tms_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tms_version_wrapper';
COMMENT ON FUNCTION @extschema@.tms_version() IS
    'Version of the tms library that this server has loaded; the version of the SQL is pg_extension.extversion';

CREATE FUNCTION tms.uuid_v7() RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tms_uuid_v7_wrapper';
COMMENT ON FUNCTION tms.uuid_v7() IS
    'A time-ordered UUID (RFC 9562, version 7): 48 bits of Unix milliseconds, 12 bits of their fraction, 62 random bits';

CREATE FUNCTION @extschema@.tms_current_company() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'tms_current_company_wrapper';
COMMENT ON FUNCTION @extschema@.tms_current_company() IS
    'The company the calling role acts for: the one it is bound to (tms_bind_role), or for an enrolled role the one its request claims name, else the setting tms.company_id; NULL where there is none, and NULL sees no row of any company';
