//! A target's URL path, headers and signing keys are secrets: the receiver gets what is for it, and nobody else anything.

mod keys;
mod proxy;
mod setting;

use std::time::Duration;

use postgres::Client;
use tms_e2e::ask::{run, text};
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver, Record};
use tms_e2e::wait::{eventually, eventually_eq};

const PATIENCE: Duration = Duration::from_secs(90);
/// In the path of the URL, as Slack has it.
const IN_PATH: &str = "T0SECRETPATH";
const IN_QUERY: &str = "S3CRETQUERY";
const IN_HEADER: &str = "BearerS3CRETHEADER";
/// What follows whsec_ in a signing key: base64, as any key.
const IN_KEY: &str = "S3CRETKEYS3CRETKEYS3CRETKEYS3CRE";
const SECRETS: [&str; 4] = [IN_PATH, IN_QUERY, IN_HEADER, IN_KEY];

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
    has_none_of(&SECRETS, place, said);
}

#[track_caller]
fn has_none_of(secrets: &[&str], place: &str, said: &str) {
    for secret in secrets {
        assert!(!said.contains(secret), "{place} shows {secret}: {said}");
    }
}

/// Every row of every table and view of schema tms as this session sees it; the owner alone sees those that keep the secrets.
fn everything_readable(client: &mut Client) -> String {
    let relations = client
        .query(
            "SELECT c.oid::regclass::text FROM pg_class c
              WHERE c.relnamespace = 'tms'::regnamespace AND c.relkind IN ('r', 'v')
                AND NOT (c.relname LIKE '%\\_secrets' AND current_user = 'postgres')
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
    keeps_everywhere(cluster, &SECRETS);
}

/// Whatever anybody can read of the database and its server.
#[track_caller]
fn keeps_everywhere(cluster: &Cluster, secrets: &[&str]) {
    for role in ["postgres", "app"] {
        let mut client = cluster.client_as(role, "postgres");
        for (place, said) in [
            ("the tables", everything_readable(&mut client)),
            (
                "tms_worker_status",
                text(
                    &mut client,
                    "SELECT string_agg(s::text, ' ') FROM tms_worker_status() s",
                ),
            ),
            (
                "tms_event_explain",
                text(
                    &mut client,
                    "SELECT string_agg(tms_event_explain(id), ' ') FROM tms.event_outbox",
                ),
            ),
        ] {
            has_none_of(secrets, &format!("{place}, to {role},"), &said);
        }
    }
    let mut app = cluster.client_as("app", "postgres");
    for everything in [
        "SELECT string_agg(a::text, E'\n') FROM pg_stat_activity a",
        "SELECT string_agg(s::text, E'\n') FROM pg_settings s",
    ] {
        has_none_of(secrets, "what the server shows app", &text(&mut app, everything));
    }
    has_none_of(
        secrets,
        "the workers' activity",
        &text(&mut cluster.client("postgres"), ACTIVITY),
    );
    has_none_of(secrets, "the auditor's dump", &auditors_dump(cluster));
    has_none_of(secrets, "the server log", &cluster.log());
}

/// As docs/restore.md has it; the role is an auditor among other things.
#[track_caller]
fn auditors_dump(cluster: &Cluster) -> String {
    let options = ["--exclude-table=tms.target_secrets", "--enable-row-security"];
    let parts = ["--extension=tms", "--schema=tms", "postgres"];
    let dump = cluster.program("pg_dump", "app", &[&options[..], &parts[..]].concat());
    let dump = dump.expect_success().stdout;
    assert!(
        dump.contains("COPY tms.event_outbox "),
        "a dump without the events: {dump}"
    );
    dump
}

const ACTIVITY: &str =
    "SELECT string_agg(a::text, E'\n') FROM pg_stat_activity a WHERE backend_type LIKE 'tms%'";

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
