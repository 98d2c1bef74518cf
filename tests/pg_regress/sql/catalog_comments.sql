-- Every object says what it is for. Each of these lists what does not, so each is expected to be empty.
CREATE TEMP VIEW members AS
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'tms'
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
CREATE TEMP VIEW relations AS
    SELECT c.* FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

SELECT pg_describe_object(classid, objid, 0) AS member FROM members WHERE obj_description(objid, classid::regclass::text) IS NULL;
SELECT extname AS extension FROM pg_extension WHERE extname = 'tms' AND obj_description(oid, 'pg_extension') IS NULL;
SELECT c.relname AS relation, a.attname AS column FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL;
SELECT c.relname AS relation, t.tgname AS trigger FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid
 WHERE NOT t.tgisinternal AND obj_description(t.oid, 'pg_trigger') IS NULL;
SELECT c.relname AS relation, p.polname AS policy FROM relations c JOIN pg_policy p ON p.polrelid = c.oid
 WHERE obj_description(p.oid, 'pg_policy') IS NULL;
-- Indexes of constraints are described by the constraint they serve, or by its table.
SELECT i.relname AS index FROM relations c JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
 WHERE NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = i.oid AND o.contype IN ('p', 'u', 'x'))
   AND obj_description(i.oid, 'pg_class') IS NULL;

-- Rules that hold for every object.
SELECT relname AS view_with_its_owners_rights FROM relations
 WHERE relkind = 'v' AND NOT coalesce(reloptions @> '{security_invoker=true}', false);
SELECT relname AS table_without_row_security FROM relations WHERE relkind = 'r' AND NOT relrowsecurity;
SELECT p.proname AS definer_without_its_own_search_path FROM pg_proc p JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 WHERE p.prosecdef AND NOT coalesce('search_path=pg_catalog, tms, pg_temp' = ANY (p.proconfig), false);
SELECT c.relname AS trigger_that_a_replica_skips, t.tgname FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'A';
-- pg_dump keeps the rows of every table, and where every sequence is, but for what is about the server and not about the data.
SELECT relname AS not_dumped FROM relations
 WHERE relkind IN ('r', 'S') AND relname NOT IN ('installation', 'target_health', 'target_load')
   AND NOT oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'tms');
-- A policy asks for the company once a statement, not once a row.
SELECT c.relname, p.polname AS policy_that_asks_for_each_row FROM relations c JOIN pg_policy p ON p.polrelid = c.oid
 WHERE concat(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) ~ 'tms_current_company'
   AND concat(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) !~ 'SELECT tms_current_company';

-- The library reads a new event by these numbers and writes 2 and 17 of it (src/pg/trigger.rs).
SELECT attnum, attname, atttypid::regtype FROM pg_attribute
 WHERE attrelid = 'tms.event_outbox'::regclass AND attnum > 0 ORDER BY attnum;
