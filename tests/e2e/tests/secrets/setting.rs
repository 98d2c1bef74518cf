//! A statement that hands over a secret and fails is not repeated in the server log, nor is the secret in what it says.

use crate::{IN_HEADER, IN_KEY, PATIENCE, SECRETS, has_no_secret, options, run, secret_path, stage};

/// Statements that hand the secret to `tms_target_set` and fail, each for a reason of its own.
fn failing_statements() -> Vec<String> {
    let url = format!("https://h.example{}", secret_path());
    let good = format!("\"url\": \"{url}\", \"headers\": {{\"x-key\": \"{IN_HEADER}\"}}");
    let set = |options: &str| format!("SELECT tms_target_set('t', 'http', '{options}')");
    vec![
        set(&format!("{{{good}, \"time_out\": 1}}")),
        set(&format!("{{{good}, \"timeout_ms\": -1}}")),
        set(&format!("{{{good}, \"retry\": {{\"factor\": 0}}}}")),
        set(&format!("{{{good}, \"secret\": \"{IN_HEADER}\"}}")),
        set(&format!(
            "{{{good}, \"signing\": false, \"secret\": \"whsec_{IN_KEY}\"}}"
        )),
        set(&format!(
            "{{{good}, \"secret\": \"whsec_{IN_KEY}\", \"time_out\": 1}}"
        )),
        set(&format!("{{\"url\": \"{url} \", \"headers\": {{}}}}")),
        set(&format!("{{\"url\": \"https://user:{IN_HEADER}@h.example/\"}}")),
        set(&format!(
            "{{\"url\": \"{url}\", \"headers\": {{\"x-key\": \"{IN_HEADER}\\r\\n\"}}}}"
        )),
        set(&format!(
            "{{\"url\": \"{url}\", \"headers\": {{\"x-key: {IN_HEADER}\": \"\"}}}}"
        )),
        set(&format!("{{\"uri\": \"{url}\"}}")),
        set(&format!("\"{url}\"")),
        // Not JSON: the server's own parser quotes what it stumbled over.
        set(&format!("{{\"url\" \"{url}\"}}")),
        set(&format!("{{\"url\": {IN_HEADER}}}")),
        format!("SELECT TMS_Target_Set('t', 'nothttp', '{{{good}}}')"),
        format!("SELECT tms_target_set(name => 'Bad Name', transport => 'http', options => '{{{good}}}')"),
        format!("SELECT tms_target_set('t', 'http', '{{{good}}}', 'no uuid')"),
        format!("DO $$ BEGIN PERFORM tms_target_set('t', 'nothttp', '{{{good}}}'); END $$"),
        format!("EXECUTE setting('{{{good}, \"time_out\": 1}}')"),
        format!("SELECT keep('{url}', '{IN_HEADER}')"),
    ]
}

#[test]
fn a_setting_that_fails_does_not_put_the_secret_into_the_log() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "PREPARE setting(jsonb) AS SELECT tms_target_set('t', 'http', $1);
         CREATE FUNCTION keep(url text, key text) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN PERFORM tms_target_set('t', 'nothttp', jsonb_build_object('url', url, 'headers', jsonb_build_object('x-key', key))); END $$",
    );
    let mut leaks = Vec::new();
    for statement in failing_statements() {
        let mark = cluster.log_mark();
        let error = owner.batch_execute(&statement).expect_err(&statement);
        let told = error
            .as_db_error()
            .unwrap_or_else(|| panic!("{statement}: {error:?}"));
        let logged = cluster.wait_for_log(mark, told.code().code(), PATIENCE);
        assert!(logged.contains("ERROR"), "{logged}");
        let said = cluster.log_since(mark);
        if SECRETS.iter().any(|secret| said.contains(secret)) {
            leaks.push(format!("{statement}\n--- logged:\n{said}"));
        }
        // Errors of ours do not tell the client either, who may show them to somebody else; 22P02 is the server's, which
        // quotes what it could not read.
        if told.code().code() != "22P02" {
            for part in [Some(told.message()), told.detail(), told.hint()]
                .into_iter()
                .flatten()
            {
                has_no_secret("the error", part);
            }
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn nor_does_one_whose_secret_came_as_a_parameter() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let options = serde_json::json!({"url": format!("https://h.example{}", secret_path()), "time_out": 1});
    let mark = cluster.log_mark();
    for transport in ["http", "nothttp"] {
        owner
            .execute("SELECT tms_target_set('t', $1, $2)", &[&transport, &options])
            .expect_err("a misspelt option");
    }
    cluster.wait_for_log(mark, "22023", PATIENCE);
    has_no_secret("the server log", &cluster.log_since(mark));
}

#[test]
fn nor_does_one_that_had_no_right_or_no_time() {
    let cluster = stage();
    let set = format!(
        "SELECT tms_target_set('t', 'http', '{}')",
        options(&format!("https://h.example{}", secret_path()))
    );
    let mut app = cluster.client_as("app", "postgres");
    let mark = cluster.log_mark();
    app.batch_execute(&set).expect_err("permission denied");
    let mut owner = cluster.client("postgres");
    let mut other = cluster.client("postgres");
    run(&mut owner, &set);
    run(&mut owner, "BEGIN; SELECT tms_target_pause('t')");
    run(&mut other, "SET lock_timeout = '10ms'");
    other
        .batch_execute(&set)
        .expect_err("canceling statement due to lock timeout");
    run(&mut owner, "ROLLBACK");
    run(&mut other, "BEGIN READ ONLY");
    other.batch_execute(&set).expect_err("read-only transaction");
    run(&mut other, "ROLLBACK");
    cluster.wait_for_log(mark, "25006", PATIENCE);
    has_no_secret("the server log", &cluster.log_since(mark));
}

#[test]
fn an_ordinary_failing_statement_is_logged_as_always() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    owner
        .batch_execute("SELECT tms_target_set('t', 'nothttp', '{}')")
        .expect_err("no such transport");
    let mark = cluster.log_mark();
    owner
        .batch_execute("SELECT 'an ordinary statement' / 0")
        .expect_err("no such operator");
    cluster.wait_for_log(mark, "STATEMENT:  SELECT 'an ordinary statement' / 0", PATIENCE);
    // A failure that somebody caught hides nothing afterwards.
    run(
        &mut owner,
        "CREATE FUNCTION caught() RETURNS void LANGUAGE plpgsql AS $$
             BEGIN PERFORM tms_target_set('t', 'nothttp', '{}'); EXCEPTION WHEN OTHERS THEN NULL; END $$",
    );
    run(&mut owner, "SELECT caught()");
    owner
        .batch_execute("SELECT 'after it was caught' / 0")
        .expect_err("no number");
    cluster.wait_for_log(mark, "STATEMENT:  SELECT 'after it was caught' / 0", PATIENCE);
    run(
        &mut owner,
        "PREPARE enqueue(text) AS SELECT tms_enqueue('a', '{}', $1)",
    );
    owner
        .batch_execute("EXECUTE enqueue('nowhere')")
        .expect_err("no such target");
    cluster.wait_for_log(mark, "STATEMENT:  EXECUTE enqueue('nowhere')", PATIENCE);
}
