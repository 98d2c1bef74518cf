//! The password of a proxy is the server's own.

use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually_eq;

use crate::{PATIENCE, keeps_everywhere, run, text};

const USER: &str = "pr0xyuser";
const PASSWORD: &str = "PR0XYS3CRET";

#[test]
fn the_password_of_a_proxy_shows_nowhere() {
    // Nobody listens: each attempt fails at the proxy, and says so.
    let cluster = Cluster::builder()
        .conf("log_min_messages", "debug1")
        .conf("log_error_verbosity", "verbose")
        .conf("tms.http_proxy", &format!("http://{USER}:{PASSWORD}@127.0.0.1:1"))
        .start();
    run(
        &mut cluster.client("postgres"),
        "CREATE EXTENSION tms; CREATE ROLE app LOGIN;
         SELECT tms_bind_role('app', 'aaaaaaaa-0000-4000-8000-00000000000a');
         SELECT tms_grant('app', c) FROM unnest(ARRAY['producer', 'operator', 'auditor']) c;
         SELECT tms_target_set('far', 'http', '{\"url\": \"https://receiver.example/\", \"retry\": {\"base_ms\": 1, \"max_ms\": 1}}');",
    );
    let mut app = cluster.client_as("app", "postgres");
    run(
        &mut app,
        "SELECT tms_enqueue('load.moved', '{}', 'far', max_retries => 1)",
    );
    eventually_eq("the dead letter", PATIENCE, "1".to_owned(), || {
        text(&mut app, "SELECT count(*)::text FROM tms.dead_letter_queue")
    });
    let shown = app.batch_execute("SHOW tms.http_proxy").unwrap_err();
    assert_eq!(
        shown.as_db_error().map(|error| error.code().code()),
        Some("42501")
    );
    keeps_everywhere(&cluster, &[PASSWORD, "cHIweHl1c2VyOlBSMFhZUzNDUkVU"]);
}

#[test]
fn a_reload_that_changes_it_does_not_say_it_either() {
    let cluster = Cluster::builder().start();
    let mark = cluster.log_mark();
    cluster.set("tms.http_proxy", &format!("http://{USER}:{PASSWORD}@127.0.0.1:1"));
    let said = cluster.wait_for_log(mark, "tms.http_proxy", PATIENCE);
    assert!(!said.contains(PASSWORD), "{said}");
    assert!(!cluster.log().contains(PASSWORD), "{}", cluster.log());
}

#[test]
fn nor_does_that_of_one_that_cannot_be_used() {
    let cluster = Cluster::builder()
        .conf(
            "tms.http_proxy",
            &format!("ftp://{USER}:{PASSWORD}@proxy.example"),
        )
        .start();
    let mark = cluster.log_mark();
    run(&mut cluster.client("postgres"), "CREATE EXTENSION tms");
    cluster.wait_for_log(mark, "the proxy cannot be used", PATIENCE);
    let log = cluster.log();
    assert!(!log.contains(PASSWORD), "{log}");
}
