-- Whose targets these are: the stamp of this server and database, and its adoption.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset null '(null)'
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
CREATE ROLE api_installation_operator;
SELECT tms_grant('api_installation_operator', 'operator');
CREATE VIEW stamp AS SELECT system_identifier || '-' || d.oid AS own
  FROM pg_control_system(), pg_database d WHERE d.datname = current_database();

-- A server that never was a copy has nothing to acknowledge.
SELECT tms.recovery_token();
SELECT * FROM tms.installation;
SELECT tms_adopt();

-- Who sets a target puts the stamp on it.
SELECT tms_target_set('api-installation', 'http', '{"url": "https://receiver.example/hook"}');
SELECT installation = own AS is_ours FROM tms.targets, stamp;
SELECT tms_adopt();

-- As a restore would leave them.
INSERT INTO tms.targets (name, transport, installation) VALUES ('a', 'notify', 'another'), ('b', 'notify', 'another');
SELECT tms_adopt();
SELECT name, installation = own AS is_ours FROM tms.targets, stamp ORDER BY name;
UPDATE tms.targets SET installation = 'another' WHERE name = 'a';
SELECT tms_adopt();
SELECT tms_adopt();

-- A right of the platform.
UPDATE tms.targets SET installation = 'another' WHERE name = 'a';
SET ROLE api_installation_operator;
CALL refused($$SELECT tms_adopt()$$);
CALL refused($$SELECT tms.recovery_token()$$);
CALL refused($$SELECT * FROM tms.installation$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION tms_adopt() TO api_installation_operator;
SET ROLE api_installation_operator;
CALL refused($$SELECT tms_adopt()$$);
RESET ROLE;
SELECT name FROM tms.targets WHERE installation = 'another';

REVOKE EXECUTE ON FUNCTION tms_adopt() FROM api_installation_operator;
SELECT tms_revoke('api_installation_operator', 'operator');
DELETE FROM tms.targets;
DROP ROLE api_installation_operator;
DROP PROCEDURE refused;
DROP VIEW stamp;
