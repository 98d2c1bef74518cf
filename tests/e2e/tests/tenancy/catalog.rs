//! The catalog decides what is tested: an object of the extension without a case fails the test by its name.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use postgres::Client;

use crate::stage::{API_ROLES, Ground, Stage, run};
use crate::{functions, tables};

#[test]
fn no_object_lets_one_company_see_or_touch_another() {
    let stage = Stage::peopled(Ground::Plain);
    every_object_has_a_case(&stage);
    tables::keep_companies_apart(&stage);
    functions::keep_companies_apart(&stage);
    nobody_was_given_more_than_meant(&stage);
}

#[test]
fn no_object_does_so_after_generous_default_privileges() {
    let stage = Stage::peopled(Ground::GenerousDefaults);
    every_object_has_a_case(&stage);
    nobody_was_given_more_than_meant(&stage);
    the_api_roles_have_what_everybody_has(&stage);
    tables::keep_companies_apart(&stage);
    functions::keep_companies_apart(&stage);
}

#[test]
fn no_object_does_so_in_a_schema_of_its_own() {
    let stage = Stage::peopled(Ground::SchemaExtensions);
    every_object_has_a_case(&stage);
    tables::keep_companies_apart(&stage);
    functions::keep_companies_apart(&stage);
    nobody_was_given_more_than_meant(&stage);
}

#[test]
fn what_this_test_is_for_does_not_escape_it() {
    let stage = Stage::peopled(Ground::Plain);
    for (change, back, check, told) in FAULTS {
        run(&mut stage.owner(), change);
        let missed = catch_unwind(AssertUnwindSafe(|| check(&stage)));
        let told_us = missed.expect_err(change);
        let told_us = told_us.downcast_ref::<String>().map_or("", String::as_str);
        assert!(told_us.contains(told), "{change}: {told_us}");
        run(&mut stage.owner(), back);
    }
    every_object_has_a_case(&stage);
    nobody_was_given_more_than_meant(&stage);
}

type Fault = (&'static str, &'static str, fn(&Stage), &'static str);

/// A mistake, how to undo it, what must notice it, and a part of what that says.
const FAULTS: [Fault; 6] = [
    (
        "CREATE FUNCTION tms_unheard_of() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION tms ADD FUNCTION tms_unheard_of()",
        "ALTER EXTENSION tms DROP FUNCTION tms_unheard_of(); DROP FUNCTION tms_unheard_of()",
        every_object_has_a_case,
        "function tms_unheard_of",
    ),
    (
        "CREATE TABLE tms.unheard_of ()",
        "DROP TABLE tms.unheard_of",
        every_object_has_a_case,
        "table unheard_of",
    ),
    (
        "GRANT UPDATE (processed_at) ON tms.event_outbox TO b_operator",
        "REVOKE UPDATE (processed_at) ON tms.event_outbox FROM b_operator",
        tables::keep_companies_apart,
        "b_operator must be denied",
    ),
    (
        "ALTER TABLE tms.delivery_attempts DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tms.delivery_attempts ENABLE ROW LEVEL SECURITY",
        tables::keep_companies_apart,
        "reads delivery_attempts",
    ),
    (
        "ALTER VIEW tms.outbox_status SET (security_invoker = false)",
        "ALTER VIEW tms.outbox_status SET (security_invoker = true)",
        tables::keep_companies_apart,
        "counts by outbox_status",
    ),
    (
        "GRANT EXECUTE ON FUNCTION tms_target_pause(text) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION tms_target_pause(text) FROM PUBLIC",
        nobody_was_given_more_than_meant,
        "PUBLIC EXECUTE function tms_target_pause",
    ),
];

/// What CREATE EXTENSION made, as `kind name`, with what is in schema tms or called tms_ besides. The row types of tables, which
/// are members of their own since PostgreSQL 17, go with their tables.
const OBJECTS: &str = "
    SELECT CASE WHEN p.oid IS NOT NULL THEN 'function ' || p.proname
                WHEN c.oid IS NOT NULL THEN CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view '
                                                 WHEN 'S' THEN 'sequence ' ELSE 'relation of kind ' || c.relkind::text || ' ' END
                                            || c.relname
                WHEN n.oid IS NOT NULL THEN 'schema ' || n.nspname
                ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END
      FROM pg_depend d
      JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'tms'
      LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_namespace n ON d.classid = 'pg_namespace'::regclass AND n.oid = d.objid
      LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
      LEFT JOIN pg_type element ON element.oid = t.typelem
     WHERE d.deptype = 'e'
       AND COALESCE(t.typrelid, 0) = 0 AND COALESCE(element.typrelid, 0) = 0
    UNION
    SELECT CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence '
                          ELSE 'relation of kind ' || c.relkind::text || ' ' END || c.relname
      FROM pg_class c WHERE c.relnamespace = 'tms'::regnamespace AND c.relkind NOT IN ('i', 'c', 't')
    UNION
    SELECT 'function ' || p.proname FROM pg_proc p
     WHERE p.proname LIKE 'tms\\_%' OR p.pronamespace = 'tms'::regnamespace";

fn every_object_has_a_case(stage: &Stage) {
    let mut owner = stage.owner();
    let found: BTreeSet<String> = names(&mut owner, OBJECTS).into_iter().collect();
    let known: BTreeSet<String> = tables::names()
        .chain(functions::names())
        .chain(["schema tms".to_owned()])
        .collect();
    let without_case: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        without_case.is_empty() && gone.is_empty(),
        "objects without a case: {without_case:?}; cases without an object: {gone:?}"
    );
    let overloaded = names(
        &mut owner,
        "SELECT proname::text FROM pg_proc WHERE proname LIKE 'tms\\_%' GROUP BY proname HAVING count(*) > 1",
    );
    assert!(
        overloaded.is_empty(),
        "cases know functions by name only, and these are overloaded: {overloaded:?}"
    );
}

/// Every grant on an object of the extension to somebody else than its owner, as `grantee right object`.
const GRANTS: &str = "
    WITH member AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'tms'
         WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
    acl AS (
        SELECT 'function ' || p.proname AS object, p.proowner AS owner, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
          FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        UNION ALL
        SELECT c.relname, c.relowner, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\",
                                                                    c.relowner))
          FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        UNION ALL
        SELECT c.relname || '.' || a.attname, c.relowner, a.attacl
          FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
        UNION ALL
        SELECT 'schema ' || n.nspname, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
          FROM member m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid)
    SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END || ' ' || x.privilege_type || ' ' || object
      FROM acl, aclexplode(acl.acl) x
     WHERE x.grantee <> acl.owner";

fn nobody_was_given_more_than_meant(stage: &Stage) {
    let meant = [
        "PUBLIC EXECUTE function tms_current_company",
        "PUBLIC EXECUTE function tms_version",
        "PUBLIC USAGE schema tms",
    ];
    let given: Vec<String> = names(&mut stage.owner(), GRANTS);
    let of_roles = |grant: &&String| {
        ["a_", "b_", "stateless_"]
            .iter()
            .any(|prefix| grant.starts_with(prefix))
    };
    let beyond: Vec<_> = given
        .iter()
        .filter(|grant| !meant.contains(&grant.as_str()) && !of_roles(grant))
        .collect();
    assert!(beyond.is_empty(), "given to nobody's knowledge: {beyond:?}");
    for grant in meant {
        assert!(
            given.iter().any(|given| given == grant),
            "{grant} is missing; policies need it"
        );
    }
    let too_much: Vec<_> = given.iter().filter(|grant| grant.contains("_none ")).collect();
    assert!(
        too_much.is_empty(),
        "for roles without a capability: {too_much:?}"
    );
}

fn the_api_roles_have_what_everybody_has(stage: &Stage) {
    let mut owner = stage.owner();
    for role in API_ROLES {
        let readable = names(
            &mut owner,
            &format!(
                "SELECT c.relname::text FROM pg_class c
                  WHERE c.relnamespace = 'tms'::regnamespace AND c.relkind IN ('r', 'v', 'S')
                    AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('{role}', c.oid, 'USAGE, SELECT, UPDATE')
                        ELSE has_any_column_privilege('{role}', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                          OR has_table_privilege('{role}', c.oid, 'DELETE, TRUNCATE, TRIGGER') END"
            ),
        );
        assert!(readable.is_empty(), "{role} has rights on {readable:?}");
        let callable = names(
            &mut owner,
            &format!(
                "SELECT p.proname::text FROM pg_proc p
                  WHERE (p.proname LIKE 'tms\\_%' OR p.pronamespace = 'tms'::regnamespace)
                    AND has_function_privilege('{role}', p.oid, 'EXECUTE') ORDER BY 1"
            ),
        );
        assert_eq!(callable, ["tms_current_company", "tms_version"], "{role}");
        assert_eq!(
            stage.ask(
                &mut owner,
                &format!("SELECT has_schema_privilege('{role}', 'tms', 'CREATE')")
            ),
            Some("f".into()),
            "{role} may create in schema tms"
        );
    }
}

#[track_caller]
fn names(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client
        .query(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
