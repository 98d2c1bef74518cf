//! Rights: what is the platform's stays the platform's, and nobody borrows the rights of the extension's owner.

use std::time::Duration;

use postgres::Client;
use tms_e2e::ask::{self, Refusal, run, text};
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Receiver, Record};
use tms_e2e::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";

/// What only the platform may do, and one call of each.
const PLATFORM: [(&str, &str); 9] = [
    (
        "tms_bind_role(name, uuid)",
        "SELECT tms_bind_role('app', 'bbbbbbbb-0000-4000-8000-00000000000b')",
    ),
    ("tms_unbind_role(name)", "SELECT tms_unbind_role('app')"),
    ("tms_grant(name, text)", "SELECT tms_grant('app', 'auditor')"),
    ("tms_revoke(name, text)", "SELECT tms_revoke('app', 'producer')"),
    (
        "tms_target_set(text, text, jsonb, uuid)",
        "SELECT tms_target_set('n8n', 'http', '{\"url\": \"https://elsewhere.example/\"}')",
    ),
    (
        "tms_target_rotate_secret(text, interval)",
        "SELECT tms_target_rotate_secret('signed')",
    ),
    ("tms_adopt()", "SELECT tms_adopt()"),
    ("tms_target_pause(text)", "SELECT tms_target_pause('n8n')"),
    ("tms_target_resume(text)", "SELECT tms_target_resume('paused')"),
];

/// Everything those calls could change, in one text.
const STATE: &str = "
    SELECT concat((SELECT string_agg(b::text, ' ' ORDER BY b::text) FROM tms.role_bindings b),
                  (SELECT string_agg(c::text, ' ' ORDER BY c::text) FROM tms.role_capabilities c),
                  (SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM tms.targets t),
                  (SELECT string_agg(s::text, ' ' ORDER BY s::text) FROM tms.target_secrets s),
                  (SELECT string_agg(o::text, ' ' ORDER BY o::text) FROM tms.target_overrides o),
                  (SELECT string_agg(proname || proacl::text, ' ' ORDER BY proname) FROM pg_proc WHERE proname LIKE 'tms\\_%'))";

/// A server with three targets, of which one comes from another installation, and the role `app`, a producer of a company.
fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    run(
        &mut cluster.client("postgres"),
        &format!(
            "CREATE EXTENSION tms;
             SELECT tms_target_set(n, 'http', '{{\"url\": \"https://hooks.example/\"}}') FROM unnest(ARRAY['n8n', 'paused']) n;
             SELECT tms_target_pause('paused');
             SELECT tms_target_set('signed', 'http', '{{\"url\": \"https://hooks.example/\", \"signing\": true}}');
             UPDATE tms.targets SET installation = 'another' WHERE name = 'signed';
             CREATE ROLE app LOGIN;
             SELECT tms_bind_role('app', '{COMPANY}'), tms_grant('app', 'producer');"
        ),
    );
    cluster
}

fn recording() -> Receiver {
    Receiver::builder().record(Record::Full).start()
}
/// The SQLSTATE and message of a statement that must fail.
#[track_caller]
fn refusal(client: &mut Client, sql: &str) -> (String, String) {
    let Refusal { code, message, .. } = ask::refusal(client, sql);
    (code, message)
}
#[test]
fn only_the_platform_binds_grants_and_sets_targets() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let before = text(&mut owner, STATE);
    let mut app = cluster.client_as("app", "postgres");
    for (function, call) in PLATFORM {
        let (state, message) = refusal(&mut app, call);
        assert_eq!(state, "42501", "{call}: {message}");
        assert!(
            message.starts_with("permission denied for function"),
            "{function}: {message}"
        );
    }
    assert_eq!(text(&mut owner, STATE), before);
}

#[test]
fn execute_given_by_hand_does_not_make_a_platform() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (function, _) in PLATFORM {
        run(
            &mut owner,
            &format!("GRANT EXECUTE ON FUNCTION {function} TO app"),
        );
    }
    let before = text(&mut owner, STATE);
    let mut app = cluster.client_as("app", "postgres");
    for (_, call) in PLATFORM {
        let (state, message) = refusal(&mut app, call);
        assert_eq!(state, "42501", "{call}: {message}");
        assert!(message.starts_with("permission denied to "), "{call}: {message}");
    }
    assert_eq!(text(&mut owner, STATE), before);
}

#[test]
fn a_definer_function_of_the_platform_does_not_make_its_caller_one() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "CREATE FUNCTION do_it(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
             AS $$ BEGIN EXECUTE statement; END $$",
    );
    let before = text(&mut owner, STATE);
    let mut app = cluster.client_as("app", "postgres");
    for (_, call) in PLATFORM {
        let (state, message) = refusal(&mut app, &format!("SELECT do_it($call${call}$call$)"));
        assert_eq!(state, "42501", "{call}: {message}");
    }
    assert_eq!(text(&mut owner, STATE), before);
}

#[test]
fn a_role_with_bypassrls_is_platform_once_the_owner_lets_it_call() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE ROLE ops LOGIN BYPASSRLS");
    let mut ops = cluster.client_as("ops", "postgres");
    for (function, call) in PLATFORM {
        assert_eq!(refusal(&mut ops, call).0, "42501", "{call}");
        run(
            &mut owner,
            &format!("GRANT EXECUTE ON FUNCTION {function} TO ops"),
        );
        run(&mut ops, call);
    }
    run(&mut owner, "SELECT tms_grant('ops', 'producer')");
    run(&mut ops, "SELECT tms_enqueue('load.moved', '{}', 'n8n')");
    run(
        &mut ops,
        &format!("SELECT tms_enqueue('load.moved', '{{}}', 'n8n', '{COMPANY}')"),
    );
    let companies = "SELECT string_agg(coalesce(company_id::text, 'none'), ' ' ORDER BY company_id NULLS FIRST) FROM tms.event_outbox";
    assert_eq!(text(&mut owner, companies), format!("none {COMPANY}"));
}

#[test]
fn names_of_roles_are_taken_as_they_are() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let longest = "r".repeat(63);
    for name in ["Dispatcher \"East\"", "o'neil", "select", "Ümlaut", &longest] {
        let quoted = name.replace('"', "\"\"");
        let literal = name.replace('\'', "''");
        run(&mut owner, &format!("CREATE ROLE \"{quoted}\" LOGIN"));
        run(
            &mut owner,
            &format!("SELECT tms_bind_role('{literal}', '{COMPANY}'), tms_grant('{literal}', 'producer')"),
        );
        let mut client = cluster.client_as(name, "postgres");
        assert_eq!(
            text(&mut client, "SELECT tms_current_company()::text"),
            COMPANY,
            "{name}"
        );
        run(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'n8n')");
        run(
            &mut owner,
            &format!("SELECT tms_revoke('{literal}', 'producer'), tms_unbind_role('{literal}')"),
        );
        assert_eq!(
            refusal(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'n8n')").0,
            "42501",
            "{name}"
        );
        run(&mut owner, &format!("DROP ROLE \"{quoted}\""));
    }
}

/// Objects that stand in for what a careless statement would call by an unqualified name.
const TRAPS: &str = "
    CREATE TABLE evil.loot (who name, what text);
    GRANT ALL ON evil.loot TO PUBLIC;
    CREATE FUNCTION evil.take(what text) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO evil.loot VALUES (current_user, what); RETURN true; END $$;
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS
        $$ SELECT pg_catalog.now() WHERE evil.take('now') $$;
    CREATE FUNCTION evil.nextval(text) RETURNS bigint LANGUAGE sql AS $$ SELECT 1::bigint WHERE evil.take('nextval') $$;
    CREATE FUNCTION evil.unnest(uuid[]) RETURNS SETOF uuid LANGUAGE sql AS
        $$ SELECT pg_catalog.unnest($1) WHERE evil.take('unnest') $$;
    CREATE FUNCTION evil.unnest(jsonb[]) RETURNS SETOF jsonb LANGUAGE sql AS
        $$ SELECT pg_catalog.unnest($1) WHERE evil.take('unnest') $$;
    CREATE FUNCTION evil.unnest(uuid[], jsonb[]) RETURNS TABLE (id uuid, payload jsonb) LANGUAGE sql AS
        $$ SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WHERE evil.take('unnest') $$;
    CREATE FUNCTION evil.uuid_v7() RETURNS uuid LANGUAGE sql AS
        $$ SELECT pg_catalog.gen_random_uuid() WHERE evil.take('uuid_v7') $$;
    CREATE FUNCTION evil.tms_current_company() RETURNS uuid LANGUAGE sql AS
        $$ SELECT pg_catalog.gen_random_uuid() WHERE evil.take('company') $$;
    CREATE FUNCTION evil.same(oid, oid) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('oid = oid') $$;
    CREATE FUNCTION evil.same(regrole, oid) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('regrole = oid') $$;
    CREATE FUNCTION evil.same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('text = text') $$;
    CREATE FUNCTION evil.same(uuid, uuid) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('uuid = uuid') $$;
    CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE sql AS
        $$ SELECT pg_catalog.gen_random_uuid() WHERE evil.take('gen_random_uuid') $$;
    CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
        $$ SELECT pg_catalog.clock_timestamp() WHERE evil.take('clock_timestamp') $$;
    CREATE FUNCTION evil.jsonb_or_null(text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb WHERE evil.take('jsonb') $$;
    CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS
        $$ SELECT pg_catalog.unnest($1) WHERE evil.take('unnest') $$;
    CREATE FUNCTION evil.same(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('times') $$;
    CREATE FUNCTION evil.same(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('bigints') $$;
    CREATE FUNCTION evil.same(int, int) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.take('ints') $$;
    CREATE OPERATOR evil.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.same);
    CREATE OPERATOR evil.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.same);
    CREATE OPERATOR evil.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.same);
    CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.same);
    CREATE OPERATOR evil.< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.same);
    CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.same);
    CREATE OPERATOR evil.> (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.same);
    CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
    CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.same);
    CREATE OPERATOR evil.= (LEFTARG = regrole, RIGHTARG = oid, FUNCTION = evil.same);
    CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
    CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.same);
    CREATE TABLE evil.event_outbox (id int); CREATE TABLE evil.targets (id int); CREATE TABLE evil.role_bindings (id int);
    CREATE TABLE evil.idempotency_keys (id int); CREATE TABLE evil.subscriptions (id int); CREATE TABLE evil.webhook_sources (id int);
    CREATE TEMP TABLE idempotency_keys (id int); CREATE TEMP TABLE subscriptions (id int); CREATE TEMP TABLE webhook_sources (id int);
    CREATE TEMP TABLE event_outbox (id int); CREATE TEMP TABLE targets (id int); CREATE TEMP TABLE role_bindings (id int);";

#[test]
fn a_hostile_search_path_borrows_nobodys_rights() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "CREATE SCHEMA evil AUTHORIZATION app; GRANT USAGE ON SCHEMA evil TO PUBLIC; SELECT tms_target_set('pulled', 'pull');
         SELECT tms_grant('app', c) FROM unnest(ARRAY['consumer', 'operator', 'auditor']) c",
    );
    let mut app = cluster.client_as("app", "postgres");
    run(&mut app, TRAPS);
    // Before the library prepares its first statement in this session.
    run(&mut app, "SET search_path = evil, pg_temp, pg_catalog, public");
    for call in [
        "SELECT public.tms_enqueue('load.moved', '{}', 'n8n')",
        "SELECT public.tms_enqueue('load.moved', '{}', 'n8n', headers => '{\"x-a\": \"b\"}', priority => 3)",
        "SELECT public.tms_enqueue_batch('load.moved', ARRAY['{}', '{}']::jsonb[], 'n8n')",
        "INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('load.moved', '{}', 'n8n')",
        "SELECT public.tms_enqueue('load.moved', '{}', 'n8n', idempotency_key => 'k', ordering_key => 'k')",
        "SELECT public.tms_enqueue('load.moved', '{}', 'n8n', idempotency_key => 'k')",
        "SELECT public.tms_enqueue_batch('load.moved', ARRAY['{}', '{}']::jsonb[], 'pulled', ordering_keys => ARRAY['k', NULL])",
        "INSERT INTO tms.event_outbox (event_type, payload, target_system, idempotency_key, ordering_key) VALUES ('load.moved', '{}', 'n8n', 'l', 'l')",
        "SELECT public.tms_subscribe('load.*', 'n8n')",
        "SELECT public.tms_publish('load.moved', '{}', idempotency_key => 'm')",
        "SELECT public.tms_unsubscribe('load.*', 'n8n')",
        "SELECT public.tms_outbox_ack(pg_catalog.array_agg(lease_token)) FROM public.tms_outbox_claim('pulled', 1)",
        "SELECT public.tms_outbox_nack(lease_token, 'timeout', 'none') FROM public.tms_outbox_claim('pulled', 1)",
        "SELECT public.tms_target_test('n8n')",
        "SELECT public.tms_target_set('n8n', 'http', '{}', public.tms_current_company())",
        "SELECT public.tms_event_explain(id) FROM tms.event_outbox",
        "SELECT public.tms_event_cancel(public.tms_target_test('n8n'), 'a test')",
        "SELECT public.tms_webhook_source_set('partner', '{\"secret\": \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"}')",
        "SELECT public.tms_webhook_verify('partner', '{}', '{}')",
        "SELECT public.tms_current_company()",
        "SELECT * FROM public.tms_worker_status()",
        "SELECT * FROM tms.target_status",
        "SELECT * FROM tms.outbox_status",
    ] {
        run(&mut app, call);
    }
    assert_eq!(
        refusal(&mut app, "SELECT public.tms_enqueue('load.moved', '{}', 'n8m')").0,
        "42704"
    );
    // The owner falls into the same trap when it works for the role's sake.
    run(&mut owner, "SET search_path = evil, pg_catalog, public");
    for (_, call) in PLATFORM {
        run(&mut owner, &call.replace("tms_", "public.tms_"));
    }
    let loot = "SELECT pg_catalog.string_agg(DISTINCT who || ': ' || what, ', ') FROM evil.loot";
    assert_eq!(text(&mut owner, loot), "", "what was called with whose rights");
    let events = "SELECT pg_catalog.count(*)::pg_catalog.text FROM tms.event_outbox";
    assert_eq!(text(&mut owner, events), "12");
}

#[test]
fn a_refused_event_leaves_the_session_who_it_was() {
    let cluster = stage();
    let mut app = cluster.client_as("app", "postgres");
    run(&mut app, "BEGIN");
    for wrong in [
        "'x', '{}', 'nowhere'",
        "'x y', '{}', 'n8n'",
        "'x', '{}', 'n8n', NULL, ''",
        "'x', '{}', 'n8n', NULL, 'key', repeat('k', 10240)",
        "'x y', '{}', 'n8n', NULL, 'key', 'key'",
    ] {
        run(
            &mut app,
            &format!(
                "DO $$ BEGIN PERFORM tms_enqueue({wrong}); RAISE 'accepted'; EXCEPTION
                     WHEN undefined_object OR invalid_parameter_value THEN NULL; END $$"
            ),
        );
        assert_eq!(text(&mut app, "SELECT current_user::text"), "app");
        run(&mut app, "SAVEPOINT s");
        assert_eq!(refusal(&mut app, "TABLE tms.target_secrets").0, "42501");
        run(&mut app, "ROLLBACK TO s");
    }
    run(&mut app, "SELECT tms_enqueue('x', '{}', 'n8n')");
    run(&mut app, "COMMIT");
    assert_eq!(text(&mut app, "SELECT count(*)::text FROM tms.event_outbox"), "1");
}

#[test]
fn a_companys_version_leads_nowhere_the_platform_has_left() {
    let cluster = Cluster::builder().start();
    let (left, allowed) = (recording(), recording());
    let set = |client: &mut Client, receiver: &Receiver, path: &str, header: &str, company: &str| {
        let own = if company == "NULL" {
            ", \"allow_private_network\": true"
        } else {
            ""
        };
        let options = format!(
            "{{\"url\": \"{}\", \"headers\": {{\"x-key\": \"{header}\"}}{own}}}",
            receiver.url_of(path)
        );
        run(
            client,
            &format!("SELECT tms_target_set('n8n', 'http', '{options}', {company})"),
        );
    };
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms; CREATE ROLE app LOGIN");
    set(&mut owner, &left, "/all", "of-the-platform", "NULL");
    run(
        &mut owner,
        &format!(
            "SELECT tms_bind_role('app', '{COMPANY}'), tms_grant('app', 'producer'), tms_grant('app', 'operator')"
        ),
    );
    let mut app = cluster.client_as("app", "postgres");
    let company = format!("'{COMPANY}'");
    set(&mut app, &left, "/own", "of-the-company", &company);
    let enqueue = "SELECT tms_enqueue('load.moved', '{}', 'n8n')";
    run(&mut app, enqueue);
    left.wait_for("the company's event", PATIENCE, |seen| seen.distinct() == 1);
    assert_eq!(left.requests()[0].path.as_ref(), "/own");
    assert_eq!(left.requests()[0].header("x-key"), Some("of-the-company"));

    // The platform goes to another place, with credentials for that place.
    set(&mut owner, &allowed, "/all", "for-the-new-place", "NULL");
    run(&mut app, enqueue);
    run(&mut owner, enqueue);
    allowed.wait_for("the platform's event", PATIENCE, |seen| seen.distinct() == 1);
    eventually("the company's version is held", PATIENCE, || {
        let said = text(
            &mut app,
            "SELECT state || ': ' || reason FROM tms.target_status WHERE company_id IS NOT NULL",
        );
        if said.starts_with("held: ") {
            Ok(())
        } else {
            Err(said)
        }
    });
    assert_eq!(left.count(), 1, "nothing more goes to the place that was left");
    assert_eq!(allowed.count(), 1, "the company did not choose to go there");

    // Set again for the new place, what waited goes there.
    set(&mut app, &allowed, "/own", "of-the-company", &company);
    allowed.wait_for("what waited", PATIENCE, |seen| seen.distinct() == 2);
    let request = allowed.requests().remove(1);
    assert_eq!(request.path.as_ref(), "/own");
    assert_eq!(request.header("x-key"), Some("of-the-company"));
    assert_eq!(left.count(), 1);
}
