//! Whose company a role is: what it is bound to, or what its request says when it is enrolled.

use postgres::Client;

use crate::stage::{A, B, Ground, Stage, attempt, must_be_denied, run};

fn claims(client: &mut Client, claims: &str) {
    run(
        client,
        &format!(
            "SELECT set_config('request.jwt.claims', '{}', false)",
            claims.replace('\'', "''")
        ),
    );
}

fn claiming(company: &str) -> String {
    format!("{{\"role\": \"authenticated\", \"app_metadata\": {{\"company_id\": \"{company}\"}}}}")
}

fn setting(client: &mut Client, company: &str) {
    run(client, &format!("SET tms.company_id = '{company}'"));
}

fn some(company: &str) -> Option<String> {
    Some(company.to_owned())
}

/// A stage with one role, and that role's session.
fn alone(company: Option<Option<&str>>) -> (Stage, Client) {
    let stage = Stage::bare(Ground::Plain);
    stage.add_role("app", None, &["producer", "operator"]);
    if let Some(company) = company {
        stage.bind("app", company);
    }
    let client = stage.client("app");
    (stage, client)
}

#[test]
fn a_bound_role_is_its_company_whatever_its_session_says() {
    let (stage, mut client) = alone(Some(Some(A)));
    assert_eq!(stage.company(&mut client), some(A));
    setting(&mut client, B);
    assert_eq!(stage.company(&mut client), some(A));
    claims(&mut client, &claiming(B));
    assert_eq!(stage.company(&mut client), some(A));
    stage.ask(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'n8n')");
    let written = stage.ask(&mut stage.owner(), "SELECT company_id FROM tms.event_outbox");
    assert_eq!(written, some(A));
}

#[test]
fn a_role_without_a_company_sees_nothing_and_enqueues_nothing() {
    let (stage, mut client) = alone(None);
    setting(&mut client, A);
    claims(&mut client, &claiming(A));
    assert_eq!(stage.company(&mut client), None);
    let mut owner = stage.owner();
    stage.ask(&mut owner, "SELECT tms_enqueue('load.moved', '{}', 'n8n', '{a}')");
    stage.ask(&mut owner, "SELECT tms_enqueue('load.moved', '{}', 'n8n')");
    assert_eq!(
        stage.ask(&mut client, "SELECT count(*) FROM tms.event_outbox"),
        some("0")
    );
    for call in [
        "SELECT tms_enqueue('load.moved', '{}', 'n8n')",
        "SELECT tms_enqueue('load.moved', '{}', 'n8n', '{a}')",
        "SELECT tms_enqueue_batch('load.moved', ARRAY['{}']::jsonb[], 'n8n')",
        "SELECT tms_enqueue_batch('load.moved', '{}', 'n8n')",
        "INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('x', '{}', 'n8n')",
    ] {
        must_be_denied(&mut client, "a role of no company", &stage.text(call));
    }
}

#[test]
fn an_enrolled_role_takes_its_company_from_the_claims_and_else_from_the_setting() {
    let (stage, mut client) = alone(Some(None));
    assert_eq!(stage.company(&mut client), None);
    setting(&mut client, B);
    assert_eq!(stage.company(&mut client), some(B));
    claims(&mut client, &claiming(A));
    assert_eq!(stage.company(&mut client), some(A));
    // Claims that name none leave it to the setting, as does a request without claims.
    for none in [
        "",
        "{}",
        "{\"sub\": \"x\"}",
        "{\"app_metadata\": {}}",
        "{\"app_metadata\": {\"company_id\": \"\"}}",
        "{\"app_metadata\": {\"company_id\": null}}",
    ] {
        claims(&mut client, none);
        assert_eq!(stage.company(&mut client), some(B), "{none}");
    }
    setting(&mut client, "");
    assert_eq!(stage.company(&mut client), None);
}

#[test]
fn what_a_user_may_write_into_a_token_is_not_looked_at() {
    let (stage, mut client) = alone(Some(None));
    for ignored in [
        format!("{{\"user_metadata\": {{\"company_id\": \"{A}\"}}}}"),
        format!("{{\"raw_user_meta_data\": {{\"company_id\": \"{A}\"}}, \"app_metadata\": {{}}}}"),
        format!("{{\"company_id\": \"{A}\"}}"),
        format!("{{\"app_metadata\": {{\"user_metadata\": {{\"company_id\": \"{A}\"}}}}}}"),
    ] {
        claims(&mut client, &ignored);
        assert_eq!(stage.company(&mut client), None, "{ignored}");
    }
}

#[test]
fn claims_that_cannot_be_read_are_no_company_and_not_the_settings_either() {
    let (stage, mut client) = alone(Some(None));
    setting(&mut client, B);
    for bad in [
        "{",
        "not json",
        "{\"app_metadata\": {\"company_id\": \"not a uuid\"}}",
        "{\"app_metadata\": {\"company_id\": 7}}",
        "{\"app_metadata\": {\"company_id\": {\"a\": 1}}}",
        "{\"app_metadata\": {\"company_id\": [\"aaaaaaaa-0000-4000-8000-00000000000a\"]}}",
        "{\"app_metadata\": {\"company_id\": \"aaaaaaaa-0000-4000-8000-00000000000a; --\"}}",
    ] {
        claims(&mut client, bad);
        assert_eq!(stage.company(&mut client), None, "{bad}");
        must_be_denied(
            &mut client,
            "a request with unreadable claims",
            "SELECT tms_enqueue('x', '{}', 'n8n')",
        );
    }
    claims(&mut client, "");
    setting(&mut client, "not a uuid");
    assert_eq!(stage.company(&mut client), None);
}

#[test]
fn a_pooled_connection_forgets_the_request_before() {
    let (stage, mut client) = alone(Some(None));
    for local in [
        format!("SET LOCAL tms.company_id = '{A}'"),
        format!("SELECT set_config('request.jwt.claims', '{}', true)", claiming(A)),
        format!("SET LOCAL \"request.jwt.claims\" = '{}'", claiming(A)),
    ] {
        run(&mut client, "BEGIN");
        run(&mut client, &local);
        assert_eq!(stage.company(&mut client), some(A), "{local}");
        run(&mut client, "COMMIT");
        assert_eq!(stage.company(&mut client), None, "after {local}");
    }
    let left = stage.ask(&mut client, "SELECT current_setting('request.jwt.claims')");
    assert_eq!(left, some(""), "what SET LOCAL leaves behind");
}

#[test]
fn a_supabase_request_enqueues_for_the_company_of_its_claims() {
    let stage = Stage::bare(Ground::GenerousDefaults);
    let mut owner = stage.owner();
    run(&mut owner, "CREATE ROLE authenticator LOGIN NOINHERIT");
    run(
        &mut owner,
        "GRANT anon, authenticated, service_role TO authenticator",
    );
    stage.bind("authenticated", None);
    stage.ask(&mut owner, "SELECT tms_grant('authenticated', 'producer')");
    let mut client = stage.client("authenticator");
    for company in [A, B] {
        run(&mut client, "BEGIN");
        run(&mut client, "SET LOCAL ROLE authenticated");
        run(
            &mut client,
            &format!(
                "SELECT set_config('request.jwt.claims', '{}', true)",
                claiming(company)
            ),
        );
        stage.ask(&mut client, "SELECT tms_enqueue('load.moved', '{}', 'n8n')");
        let seen = "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox";
        assert_eq!(stage.ask(&mut client, seen), some(company));
        run(&mut client, "COMMIT");
    }
    run(&mut client, "SET ROLE anon");
    claims(&mut client, &claiming(A));
    assert_eq!(stage.company(&mut client), None);
    must_be_denied(
        &mut client,
        "anon",
        "SELECT tms_enqueue('load.moved', '{}', 'n8n')",
    );
    must_be_denied(&mut client, "anon", "TABLE tms.event_outbox");
}

#[test]
fn the_platform_enqueues_for_any_company_and_for_none() {
    let stage = Stage::bare(Ground::Plain);
    let mut owner = stage.owner();
    for (company, expected) in [("'{a}'", some(A)), ("'{b}'", some(B)), ("NULL", None)] {
        let enqueue = format!("SELECT tms_enqueue('load.moved', '{{}}', 'n8n', {company})");
        let id = stage.ask(&mut owner, &enqueue).expect("an id");
        let of = format!("SELECT company_id FROM tms.event_outbox WHERE id = '{id}'");
        assert_eq!(stage.ask(&mut owner, &of), expected);
    }
    stage.add_role("b_all", Some(B), &["producer", "operator"]);
    let seen = attempt(
        &mut stage.client("b_all"),
        "SELECT company_id FROM tms.event_outbox",
    );
    assert_eq!(
        seen,
        Ok(vec![vec![some(B)]]),
        "events of the platform belong to no company"
    );
}
