-- Roles, companies and capabilities that are refused.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set refused :abs_srcdir '/sql/refused.inc'
\i :refused
CREATE ROLE errors_tenancy_bound;
CREATE ROLE errors_tenancy_stateless;
SELECT tms_target_set('errors-tenancy', 'http', '{"url": "https://receiver.example/hook"}');
SELECT tms_bind_role('errors_tenancy_bound', '11111111-1111-4111-8111-111111111111');
SELECT tms_grant('errors_tenancy_bound', 'producer');
SELECT tms_grant('errors_tenancy_stateless', 'producer');
CREATE TABLE before AS SELECT (SELECT array_agg(b::text) FROM tms.role_bindings b) AS bindings,
                              (SELECT array_agg(c::text) FROM tms.role_capabilities c) AS capabilities;
-- Roles
CALL refused($$SELECT tms_bind_role('errors_tenancy_nobody', '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$SELECT tms_bind_role(NULL, '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$SELECT tms_bind_role('', NULL)$$);
CALL refused($$SELECT tms_bind_role('public', NULL)$$);
CALL refused($$SELECT tms_bind_role('ERRORS_TENANCY_BOUND', NULL)$$);
CALL refused($$SELECT tms_unbind_role('errors_tenancy_nobody')$$);
CALL refused($$SELECT tms_bind_role('errors_tenancy_bound', 'not a uuid')$$);
-- Capabilities
CALL refused($$SELECT tms_grant('errors_tenancy_nobody', 'producer')$$);
CALL refused($$SELECT tms_grant('errors_tenancy_bound', 'producers')$$);
CALL refused($$SELECT tms_grant('errors_tenancy_bound', 'superuser')$$);
CALL refused($$SELECT tms_grant('errors_tenancy_bound', '')$$);
CALL refused($$SELECT tms_grant('errors_tenancy_bound', NULL)$$);
CALL refused($$SELECT tms_grant(NULL, 'producer')$$);
CALL refused($$SELECT tms_grant('public', 'producer')$$);
CALL refused($$SELECT tms_revoke('errors_tenancy_bound', 'prodcuer')$$);
CALL refused($$SELECT tms_revoke('errors_tenancy_nobody', 'producer')$$);
CALL refused($$SELECT tms_revoke(NULL, NULL)$$);
-- Not strictly an error: nothing to take away
SELECT tms_unbind_role('errors_tenancy_stateless');
SELECT tms_revoke('errors_tenancy_stateless', 'auditor');
SELECT tms_unbind_role(NULL);
-- Another's company, an unknown one and none are the same to a bound role
SET ROLE errors_tenancy_bound;
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-tenancy', '22222222-2222-4222-8222-222222222222')$$);
CALL refused($$SELECT tms_enqueue_batch('a', ARRAY['1']::jsonb[], 'errors-tenancy', '22222222-2222-4222-8222-222222222222')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id)
                 VALUES ('a', '{}', 'errors-tenancy', '22222222-2222-4222-8222-222222222222')$$);
CALL refused($$INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id)
                 VALUES ('a', '{}', 'errors-tenancy', NULL)$$);
SET ROLE errors_tenancy_stateless;
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-tenancy')$$);
CALL refused($$SELECT tms_enqueue('a', '{}', 'errors-tenancy', '22222222-2222-4222-8222-222222222222')$$);
CALL refused($$SELECT tms_enqueue_batch('a', '{}', 'errors-tenancy')$$);
-- What is the platform's
CALL refused($$SELECT tms_bind_role('errors_tenancy_stateless', '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$SELECT tms_target_pause('errors-tenancy')$$);
RESET ROLE;
-- EXECUTE that somebody gave by hand is not enough
GRANT EXECUTE ON FUNCTION tms_bind_role(name, uuid), tms_unbind_role(name), tms_grant(name, text), tms_revoke(name, text),
    tms_target_set(text, text, jsonb, uuid), tms_target_pause(text), tms_target_resume(text) TO errors_tenancy_stateless;
SET ROLE errors_tenancy_stateless;
CALL refused($$SELECT tms_bind_role('errors_tenancy_stateless', '11111111-1111-4111-8111-111111111111')$$);
CALL refused($$SELECT tms_unbind_role('errors_tenancy_bound')$$);
CALL refused($$SELECT tms_grant('errors_tenancy_stateless', 'auditor')$$);
CALL refused($$SELECT tms_revoke('errors_tenancy_bound', 'producer')$$);
CALL refused($$SELECT tms_target_set('errors-tenancy', 'http', '{"url": "https://h.example/hush"}')$$);
CALL refused($$SELECT tms_target_pause('errors-tenancy')$$);
CALL refused($$SELECT tms_target_resume('no such target')$$);
RESET ROLE;
-- Nothing has changed
SELECT count(*) FROM tms.event_outbox;
SELECT state, host FROM tms.target_status;
SELECT (SELECT array_agg(b::text) FROM tms.role_bindings b) = bindings AS bindings_are_the_same,
       (SELECT array_agg(c::text) FROM tms.role_capabilities c) = capabilities AS capabilities_are_the_same FROM before;
DROP TABLE before;
DELETE FROM tms.targets;
SELECT tms_unbind_role('errors_tenancy_bound');
SELECT tms_revoke('errors_tenancy_bound', 'producer'), tms_revoke('errors_tenancy_stateless', 'producer');
DROP OWNED BY errors_tenancy_bound, errors_tenancy_stateless;
DROP ROLE errors_tenancy_bound, errors_tenancy_stateless;
DROP PROCEDURE refused(text);
