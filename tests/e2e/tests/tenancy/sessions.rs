//! The company of a session while roles and bindings change under it.

use std::time::Duration;

use postgres::Client;
use tms_e2e::cluster::Mode;
use tms_e2e::wait::eventually_eq;

use crate::stage::{A, B, Ground, Stage, attempt, must_be_denied, run};

const PATIENCE: Duration = Duration::from_secs(60);

fn some(company: &str) -> Option<String> {
    Some(company.to_owned())
}

/// A role of each company, and an event of each.
fn two_companies() -> Stage {
    let stage = Stage::bare(Ground::Plain);
    stage.add_role("a_all", Some(A), &["producer", "operator"]);
    stage.add_role("b_all", Some(B), &["producer", "operator"]);
    for role in ["a_all", "b_all"] {
        stage.ask(
            &mut stage.client(role),
            "SELECT tms_enqueue('load.moved', '{}', 'n8n')",
        );
    }
    stage
}

fn sees(stage: &Stage, client: &mut Client) -> Option<String> {
    stage.ask(
        client,
        "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox",
    )
}

#[test]
fn set_role_leads_a_bound_session_to_no_other_company() {
    let stage = two_companies();
    let mut owner = stage.owner();
    stage.add_role("a_too", Some(A), &["producer", "operator"]);
    stage.add_role("enrolled", None, &["producer", "operator"]);
    stage.bind("enrolled", None);
    stage.add_role("stateless", None, &["producer", "operator"]);
    run(&mut owner, "GRANT b_all, a_too, enrolled, stateless TO a_all");
    let mut client = stage.client("a_all");
    for other in ["b_all", "stateless"] {
        run(&mut client, &format!("SET ROLE {other}"));
        assert_eq!(stage.company(&mut client), None, "{other}");
        assert_eq!(sees(&stage, &mut client), None, "{other}");
        must_be_denied(
            &mut client,
            other,
            "SELECT tms_enqueue('load.moved', '{}', 'n8n')",
        );
        must_be_denied(
            &mut client,
            other,
            &stage.text("SELECT tms_enqueue('load.moved', '{}', 'n8n', '{b}')"),
        );
    }
    run(&mut client, "SET ROLE a_too");
    assert_eq!(stage.company(&mut client), some(A));
    run(&mut client, "SET ROLE enrolled");
    for (company, expected) in [(A, some(A)), (B, None)] {
        run(&mut client, &format!("SET tms.company_id = '{company}'"));
        assert_eq!(
            stage.company(&mut client),
            expected,
            "enrolled, asking for {company}"
        );
    }
    run(&mut client, "RESET ROLE");
    assert_eq!(stage.company(&mut client), some(A));
}

#[test]
fn a_session_that_is_no_company_may_become_one() {
    let stage = two_companies();
    let mut owner = stage.owner();
    run(
        &mut owner,
        "CREATE ROLE pooler LOGIN NOINHERIT IN ROLE a_all, b_all",
    );
    let mut client = stage.client("pooler");
    assert_eq!(stage.company(&mut client), None);
    for (role, company) in [("a_all", A), ("b_all", B)] {
        run(&mut client, &format!("SET ROLE {role}"));
        assert_eq!(stage.company(&mut client), some(company));
        assert_eq!(sees(&stage, &mut client), some(company));
        run(&mut owner, &format!("SET SESSION AUTHORIZATION {role}"));
        assert_eq!(sees(&stage, &mut owner), some(company));
        run(&mut owner, "RESET SESSION AUTHORIZATION");
    }
}

#[test]
fn a_definer_function_runs_for_the_company_of_its_caller() {
    let stage = two_companies();
    let mut owner = stage.owner();
    run(&mut owner, "CREATE SCHEMA app; GRANT ALL ON SCHEMA app TO PUBLIC");
    for role in ["b_all", "postgres"] {
        run(&mut owner, &format!("SET ROLE {role}"));
        for (name, returns, body) in [
            ("whose", "uuid", "SELECT tms_current_company()"),
            ("enqueue", "uuid", "SELECT tms_enqueue('load.moved', '{}', 'n8n')"),
            (
                "enqueue_b",
                "uuid",
                "SELECT tms_enqueue('load.moved', '{}', 'n8n', '{b}')",
            ),
            (
                "seen",
                "text",
                "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox",
            ),
        ] {
            let create = format!(
                "CREATE FUNCTION app.{name}_of_{role}() RETURNS {returns} LANGUAGE sql SECURITY DEFINER AS $$ {body} $$"
            );
            run(&mut owner, &stage.text(&create));
        }
        run(&mut owner, "RESET ROLE");
    }
    let mut client = stage.client("a_all");
    for role in ["b_all", "postgres"] {
        assert_eq!(
            stage.ask(&mut client, &format!("SELECT app.whose_of_{role}()")),
            some(A)
        );
        let id = stage
            .ask(&mut client, &format!("SELECT app.enqueue_of_{role}()"))
            .expect("an id");
        let of = format!("SELECT company_id FROM tms.event_outbox WHERE id = '{id}'");
        assert_eq!(stage.ask(&mut owner, &of), some(A));
        must_be_denied(&mut client, "a_all", &format!("SELECT app.enqueue_b_of_{role}()"));
    }
    // The rights are the function's: b_all's stop at the policy, the owner's do not.
    assert_eq!(stage.ask(&mut client, "SELECT app.seen_of_b_all()"), some(A));
}

#[test]
fn open_sessions_see_a_changed_binding_at_its_commit() {
    let stage = two_companies();
    let mut open: Vec<(&str, Client)> = [
        "",
        "BEGIN",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
    ]
    .into_iter()
    .map(|begin| (begin, stage.client("a_all")))
    .collect();
    for (begin, client) in &mut open {
        run(client, "PREPARE whose AS SELECT tms_current_company()");
        run(client, begin);
        assert_eq!(sees(&stage, client), some(A));
        assert_eq!(stage.company(client), some(A));
    }
    let mut owner = stage.owner();
    for expected in [some(B), None, some(A)] {
        run(&mut owner, "BEGIN");
        match &expected {
            Some(company) => stage.ask(&mut owner, &format!("SELECT tms_bind_role('a_all', '{company}')")),
            None => stage.ask(&mut owner, "SELECT tms_unbind_role('a_all')"),
        };
        let before = stage.company(&mut open[0].1);
        assert_ne!(before, expected, "seen before it was committed");
        run(&mut owner, "COMMIT");
        for (begin, client) in &mut open {
            assert_eq!(stage.company(client), expected, "{begin:?} to {expected:?}");
            assert_eq!(
                stage.ask(client, "EXECUTE whose"),
                expected,
                "{begin:?} to {expected:?}"
            );
        }
    }
}

#[test]
fn a_query_in_an_open_transaction_follows_the_binding() {
    let stage = two_companies();
    let mut client = stage.client("a_all");
    run(&mut client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(sees(&stage, &mut client), some(A));
    stage.bind("a_all", Some(B));
    assert_eq!(
        sees(&stage, &mut client),
        some(B),
        "the snapshot holds B's event, and the role is B now"
    );
    must_be_denied_inside(
        &mut client,
        &stage.text("SELECT tms_enqueue('load.moved', '{}', 'n8n', '{a}')"),
    );
}

/// Within the transaction that is open.
fn must_be_denied_inside(client: &mut Client, sql: &str) {
    match attempt(client, sql) {
        Err(refused) if refused.is_denied() => {}
        other => panic!("{sql} must be denied; instead: {other:?}"),
    }
}

#[test]
fn a_binding_that_is_rolled_back_is_seen_by_nobody_afterwards() {
    let stage = two_companies();
    let mut owner = stage.owner();
    let mut client = stage.client("a_all");
    run(&mut owner, "BEGIN");
    stage.ask(&mut owner, "SELECT tms_bind_role('a_all', '{b}')");
    run(&mut owner, "SET LOCAL SESSION AUTHORIZATION a_all");
    assert_eq!(
        stage.company(&mut owner),
        some(B),
        "the transaction sees its own change"
    );
    assert_eq!(stage.company(&mut client), some(A));
    run(&mut owner, "ROLLBACK");
    run(&mut owner, "SET SESSION AUTHORIZATION a_all");
    assert_eq!(stage.company(&mut owner), some(A));
    run(&mut owner, "RESET SESSION AUTHORIZATION");

    run(&mut owner, "BEGIN");
    run(&mut owner, "SAVEPOINT s");
    stage.ask(&mut owner, "SELECT tms_bind_role('a_all', '{b}')");
    run(&mut owner, "SET LOCAL SESSION AUTHORIZATION a_all");
    assert_eq!(stage.company(&mut owner), some(B));
    run(&mut owner, "ROLLBACK TO s");
    run(&mut owner, "SET LOCAL SESSION AUTHORIZATION a_all");
    assert_eq!(stage.company(&mut owner), some(A), "after ROLLBACK TO");
    run(&mut owner, "COMMIT");
    assert_eq!(stage.company(&mut client), some(A));
}

#[test]
fn what_a_dropped_role_was_is_swept_away() {
    let stage = two_companies();
    let mut owner = stage.owner();
    run(&mut owner, "DROP OWNED BY a_all");
    run(&mut owner, "DROP ROLE a_all");
    // The scheduler sweeps when it starts, and then every few minutes.
    drop(owner);
    stage.cluster.restart(Mode::Fast);
    let mut owner = stage.owner();
    for table in ["role_bindings", "role_capabilities"] {
        eventually_eq(&format!("the sweep of {table}"), PATIENCE, some("b_all"), || {
            stage.ask(
                &mut owner,
                &format!("SELECT string_agg(DISTINCT role::text, ' ') FROM tms.{table}"),
            )
        });
    }
    // A role of the same name is somebody else.
    stage.add_role("a_all", None, &["producer"]);
    assert_eq!(stage.company(&mut stage.client("a_all")), None);
}
