-- Which server and database this is: a restored copy must not call production.

CREATE FUNCTION tms.recovery_token() RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tms_recovery_token_wrapper';
COMMENT ON FUNCTION tms.recovery_token() IS
    'What stands for the latest start of this server from a backup (point-in-time restore, or a base backup started by itself); NULL when it never began as a copy. Kept in the file tms.recovered of the data directory';

-- Not marked for pg_dump: it is about this server's data directory, not about what the database holds. That also lets the row
-- below be made here, where a row of a dumped table would collide with the restored one.
CREATE TABLE tms.installation (
    recovery        text NOT NULL PRIMARY KEY,
    acknowledged_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tms.installation IS 'Restores of this server that this database goes on after, one row each; no row: none was acknowledged. Read by the library alone';
COMMENT ON COLUMN tms.installation.recovery IS 'What tms.recovery_token() was when tms_adopt() was called, or the extension created';
COMMENT ON COLUMN tms.installation.acknowledged_at IS 'When that was';
ALTER TABLE tms.installation ENABLE ROW LEVEL SECURITY;  -- no policy: nobody but the owner reads it

-- A database that gets the extension after a restore is no copy of anything.
INSERT INTO tms.installation (recovery)
SELECT r.token FROM tms.recovery_token() AS r (token) WHERE r.token IS NOT NULL;

CREATE FUNCTION @extschema@.tms_adopt() RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, tms, pg_temp
    AS 'MODULE_PATHNAME', 'tms_adopt_wrapper';
COMMENT ON FUNCTION @extschema@.tms_adopt() IS
    'Makes this database the one that delivers: after a restore, a copy or pg_upgrade nothing is sent until it is called, at whose commit all targets are served again; events that the original delivers as well arrive twice. Says what there was to adopt; harmless where nothing was. Platform right. Errors: 42501 caller without the right';
