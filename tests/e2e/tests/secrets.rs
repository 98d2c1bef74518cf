//! A target's URL path and headers are secrets: the receiver gets them, and nobody else.

use std::time::Duration;

use postgres::Client;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver, Record};
use tms_e2e::wait::{eventually, eventually_eq};

const PATIENCE: Duration = Duration::from_secs(90);
/// In the path of the URL, as Slack has it.
const IN_PATH: &str = "T0SECRETPATH";
const IN_QUERY: &str = "S3CRETQUERY";
const IN_HEADER: &str = "BearerS3CRETHEADER";
const SECRETS: [&str; 3] = [IN_PATH, IN_QUERY, IN_HEADER];

/// A server that says all it has to say, and a company's role with every capability.
fn stage() -> Cluster {
    let cluster = Cluster::builder()
        .conf("log_min_messages", "debug1")
        .conf("log_parameter_max_length_on_error", "-1")
        .conf("log_error_verbosity", "verbose")
        .conf("tms.record_attempts", "all")
        .start();
    run(
        &mut cluster.client("postgres"),
        "CREATE EXTENSION tms; CREATE ROLE app LOGIN;
         SELECT tms_bind_role('app', 'aaaaaaaa-0000-4000-8000-00000000000a');
         SELECT tms_grant('app', c) FROM unnest(ARRAY['producer', 'consumer', 'agent', 'approver', 'operator', 'auditor']) c;",
    );
    cluster
}

#[track_caller]
fn run(client: &mut Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{sql}: {error:?}");
    }
}

#[track_caller]
fn text(client: &mut Client, sql: &str) -> String {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

fn secret_path() -> String {
    format!("/services/{IN_PATH}/hook?key={IN_QUERY}")
}

/// One quick attempt and one retry.
fn options(url: &str) -> String {
    format!(
        "{{\"url\": \"{url}\", \"headers\": {{\"Authorization\": \"{IN_HEADER}\"}}, \"allow_private_network\": true,
           \"timeout_ms\": 1000, \"retry\": {{\"base_ms\": 10, \"max_ms\": 10}}}}"
    )
}

fn set_target(cluster: &Cluster, name: &str, url: &str) {
    run(
        &mut cluster.client("postgres"),
        &format!("SELECT tms_target_set('{name}', 'http', '{}')", options(url)),
    );
}

fn enqueue(cluster: &Cluster, target: &str) {
    let enqueue =
        format!("SELECT tms_enqueue('load.moved', '{{\"load\": 1}}', '{target}', max_retries => 1)");
    run(&mut cluster.client_as("app", "postgres"), &enqueue);
}

#[track_caller]
fn has_no_secret(place: &str, said: &str) {
    for secret in SECRETS {
        assert!(!said.contains(secret), "{place} shows {secret}: {said}");
    }
}

/// Every row of every table and view of schema tms but the one that keeps the secrets, as this session sees it.
fn everything_readable(client: &mut Client) -> String {
    let relations = client
        .query(
            "SELECT c.oid::regclass::text FROM pg_class c
              WHERE c.relnamespace = 'tms'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'target_secrets'
                AND has_table_privilege(c.oid, 'SELECT')",
            &[],
        )
        .unwrap();
    let rows = |name: String| {
        text(
            client,
            &format!("SELECT string_agg(t::text, E'\\n') FROM {name} t"),
        )
    };
    relations
        .iter()
        .map(|row| row.get(0))
        .map(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn keeps_the_secret_everywhere(cluster: &Cluster) {
    for role in ["postgres", "app"] {
        let mut client = cluster.client_as(role, "postgres");
        has_no_secret(&format!("what {role} reads"), &everything_readable(&mut client));
        let status = "SELECT string_agg(s::text, ' ') FROM tms_worker_status() s";
        has_no_secret("tms_worker_status", &text(&mut client, status));
    }
    has_no_secret(
        "the workers' activity",
        &text(&mut cluster.client("postgres"), ACTIVITY),
    );
    has_no_secret("the server log", &cluster.log());
}

const ACTIVITY: &str =
    "SELECT string_agg(a::text, E'\\n') FROM pg_stat_activity a WHERE backend_type LIKE 'tms%'";

#[test]
fn the_receiver_gets_path_and_headers_and_nobody_else_does() {
    let cluster = stage();
    let receiver = Receiver::builder().record(Record::Full).start();
    set_target(&cluster, "near", &receiver.url_of(&secret_path()));
    enqueue(&cluster, "near");
    receiver.wait_for("the event", PATIENCE, |seen| seen.distinct() == 1);
    let request = receiver.requests().remove(0);
    assert_eq!(request.path.as_ref(), secret_path());
    assert_eq!(request.header("authorization"), Some(IN_HEADER));
    let mut owner = cluster.client("postgres");
    let recorded = "SELECT count(*)::text FROM tms.delivery_attempts WHERE outcome = 'delivered'";
    eventually_eq("the record of the attempt", PATIENCE, "1".to_owned(), || {
        text(&mut owner, recorded)
    });
    keeps_the_secret_everywhere(&cluster);
    let mut app = cluster.client_as("app", "postgres");
    let error = app.batch_execute("TABLE tms.target_secrets").unwrap_err();
    assert_eq!(
        error.as_db_error().map(|error| error.code().code()),
        Some("42501")
    );
}

/// How receivers repeat what they were sent.
const ECHOES: [fn(&str, &str) -> String; 6] = [
    |path, key| format!("Cannot POST {path}: authorization {key}"),
    |path, _| format!("Cannot POST {}", path.split('?').next().unwrap_or_default()),
    |path, _| {
        format!(
            "{{\"error\": \"Cannot\", \"path\": \"{}\"}}",
            path.replace('/', "\\/")
        )
    },
    |path, _| {
        format!(
            "Cannot go on from /login?next={}",
            path.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D")
        )
    },
    |_, _| format!("Cannot find the channel {IN_PATH}"),
    |_, _| format!("Cannot accept the key {IN_QUERY}"),
];

/// Answers every request with this status and one of those bodies.
fn echoing(status: u16, echo: fn(&str, &str) -> String) -> Behaviour {
    Behaviour::choose(move |request| {
        let body = echo(request.path, request.header("authorization").unwrap_or_default());
        let moved = vec![(
            "location".to_owned(),
            format!("http://127.0.0.1:1{}", request.path),
        )];
        Behaviour::Status(status, moved, body.into_bytes())
    })
}

#[test]
fn a_receiver_that_repeats_the_request_does_not_publish_it() {
    let cluster = stage();
    let receiver = Receiver::start();
    set_target(&cluster, "near", &receiver.url_of(&secret_path()));
    let mut letters = 0;
    for status in [404, 500, 302] {
        for echo in ECHOES {
            receiver.behave(echoing(status, echo));
            enqueue(&cluster, "near");
            letters += 1;
            dies(&cluster, letters);
        }
    }
    let mut owner = cluster.client("postgres");
    let kept = "SELECT count(*)::text FROM tms.delivery_attempts WHERE response_excerpt LIKE '%Cannot%'";
    // 404 and 302 end it at once, 500 is tried again.
    assert_eq!(text(&mut owner, kept), "24", "the rest of each answer is kept");
    keeps_the_secret_everywhere(&cluster);
}

#[test]
fn no_failure_of_the_wire_names_more_than_the_host() {
    let cluster = stage();
    let receiver = Receiver::start();
    let urls = [
        // Nobody listens; no such name; not TLS; refused by the guard below.
        format!("http://127.0.0.1:1{}", secret_path()),
        format!("http://no-such-host.invalid{}", secret_path()),
        format!("https://127.0.0.1:{}{}", receiver.port(), secret_path()),
    ];
    for (index, url) in urls.iter().enumerate() {
        let name = format!("broken-{index}");
        set_target(&cluster, &name, url);
        enqueue(&cluster, &name);
    }
    let guarded = options(&receiver.url_of(&secret_path())).replace("\"allow_private_network\": true,", "");
    run(
        &mut cluster.client("postgres"),
        &format!("SELECT tms_target_set('guarded', 'http', '{guarded}')"),
    );
    enqueue(&cluster, "guarded");
    set_target(&cluster, "near", &receiver.url_of(&secret_path()));
    let mut letters = urls.len() + 1;
    for behaviour in [
        Behaviour::Close,
        Behaviour::CloseMidBody,
        Behaviour::Raw(b"SSH-2.0\r\n".to_vec()),
    ] {
        receiver.behave(behaviour);
        enqueue(&cluster, "near");
        // A body that breaks off after a status of success may count as delivered.
        eventually("the end of the event", PATIENCE, || ended(&cluster, letters + 1));
        letters += 1;
    }
    receiver.behave(Behaviour::Hang);
    enqueue(&cluster, "near");
    receiver.wait_for("a request on the wire", PATIENCE, |seen| seen.in_flight() > 0);
    has_no_secret(
        "the workers' activity",
        &text(&mut cluster.client("postgres"), ACTIVITY),
    );
    eventually("the timeout", PATIENCE, || ended(&cluster, letters + 1));
    keeps_the_secret_everywhere(&cluster);
}

/// Whether this many events have come to an end, delivered or dead.
fn ended(cluster: &Cluster, expected: usize) -> Result<(), String> {
    let ended = "SELECT concat((SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NOT NULL)
                             + (SELECT count(*) FROM tms.dead_letter_queue))";
    let seen = text(&mut cluster.client("postgres"), ended);
    if seen == expected.to_string() {
        Ok(())
    } else {
        Err(seen)
    }
}

#[track_caller]
fn dies(cluster: &Cluster, letters: usize) {
    let count = "SELECT count(*)::text FROM tms.dead_letter_queue";
    let mut owner = cluster.client("postgres");
    eventually_eq("the dead letter", PATIENCE, letters.to_string(), || {
        text(&mut owner, count)
    });
}

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
