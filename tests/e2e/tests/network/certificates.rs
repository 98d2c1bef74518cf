//! TLS for real: what a receiver shows is verified, and nothing is sent to one that proves nothing.

use rcgen::{CertificateParams, date_time_ymd};
use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually;

use crate::authority::{Authority, Issued};
use crate::secure::{File, Secure};
use crate::stage::{DATABASE, End, PATIENCE, Stage};

/// Two quick attempts.
fn options() -> Value {
    json!({ "allow_private_network": true, "timeout_ms": 5000, "retry": { "base_ms": 10, "max_ms": 10 } })
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

fn early(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(4000, 1, 1);
}

fn as_it_is(_: &mut CertificateParams) {}

/// Delivers one event to the receiver over a target of that name.
#[track_caller]
fn attempt(stage: &Stage, target: &str, receiver: &Secure) -> End {
    let set = stage.set_target(target, &receiver.url(), options());
    set.unwrap_or_else(|error| panic!("{target}: {error:?}"));
    stage.enqueue(target, 1);
    stage.end_of(target)
}

#[track_caller]
fn is_refused(end: &End, words: &[&str]) {
    let End::Dead {
        error,
        message,
        permanent,
        status,
    } = end
    else {
        panic!("{end:?}");
    };
    assert_eq!(
        (error.as_str(), *permanent, *status),
        ("external_api", false, None),
        "{message}"
    );
    assert!(words.iter().any(|words| message.contains(words)), "{message}");
    assert!(message.ends_with("; gave up after 2 attempts"), "{message}");
}

#[test]
fn certificates_that_prove_nothing_are_refused_before_anything_is_sent() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let file = File::new(&authority.pem);
    let stage = Stage::set(Cluster::builder().conf("tms.tls_ca_file", file.path()));
    let cases: [(&str, Issued, &str); 4] = [
        (
            "expired",
            authority.issue("localhost", expired),
            "certificate refused: expired",
        ),
        (
            "early",
            authority.issue("localhost", early),
            "certificate refused: not valid yet",
        ),
        (
            "wrong-name",
            authority.issue("elsewhere.example", as_it_is),
            "certificate refused: not valid for the host name",
        ),
        (
            "unknown",
            other.issue("localhost", as_it_is),
            "certificate refused: unknown issuer",
        ),
    ];
    for (target, issued, words) in &cases {
        let receiver = Secure::start(issued, None);
        let end = attempt(&stage, target, &receiver);
        is_refused(&end, &[*words]);
        assert_eq!((receiver.requests(), receiver.connections()), (0, 2), "{target}");
    }
    // The same server, with a certificate that proves what it is.
    let receiver = Secure::start(&authority.issue("localhost", as_it_is), None);
    assert_eq!(attempt(&stage, "good", &receiver), End::Delivered);
    assert_eq!(receiver.requests(), 1);
}

#[test]
fn a_private_authority_is_trusted_once_the_setting_names_it() {
    let authority = Authority::new("ours");
    let stage = Stage::set(Cluster::builder());
    let receiver = Secure::start(&authority.issue("localhost", as_it_is), None);
    let end = attempt(&stage, "before", &receiver);
    is_refused(&end, &["certificate refused: unknown issuer"]);
    assert_eq!(receiver.requests(), 0);

    let file = File::new(&authority.pem);
    let before = stage.cluster.dispatcher(DATABASE);
    stage.cluster.set("tms.tls_ca_file", file.path());
    // It is read when a dispatcher starts, and one whose settings have changed makes room for the next.
    eventually("a dispatcher that has read the file", PATIENCE, || {
        let now = stage.cluster.dispatcher(DATABASE);
        (now.is_some() && now != before).then_some(())
    });
    assert_eq!(attempt(&stage, "after", &receiver), End::Delivered);
    assert_eq!(receiver.requests(), 1);
}

#[test]
fn a_client_certificate_is_shown_to_a_receiver_that_asks_for_one() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("of clients"));
    let file = File::new(&authority.pem);
    let issued = authority.issue("localhost", as_it_is);
    let stage = Stage::set(Cluster::builder().conf("tms.tls_ca_file", file.path()));
    let receiver = Secure::start(&issued, Some(&clients));
    let end = attempt(&stage, "without", &receiver);
    // The receiver's refusal may be overtaken by the end of the connection.
    is_refused(
        &end,
        &[
            "the TLS handshake failed",
            "the connection ended",
            "could not connect",
        ],
    );
    assert_eq!(receiver.requests(), 0);
    drop(stage);

    let own = clients.issue("tms", as_it_is);
    let (chain, key) = (File::new(&own.certificate), File::new(&own.key));
    let builder = Cluster::builder()
        .conf("tms.tls_ca_file", file.path())
        .conf("tms.tls_certificate_file", chain.path())
        .conf("tms.tls_key_file", key.path());
    let stage = Stage::set(builder);
    assert_eq!(attempt(&stage, "with", &receiver), End::Delivered);
    assert_eq!(receiver.requests(), 1);
}

#[test]
fn a_receiver_without_tls_is_not_spoken_to_in_clear_text() {
    let stage = Stage::set(Cluster::builder());
    let plain = tms_e2e::receiver::Receiver::start();
    let url = plain.url().replace("http://127.0.0.1", "https://localhost");
    stage.set_target("plain", &url, options()).expect("a target");
    stage.enqueue("plain", 1);
    is_refused(&stage.end_of("plain"), &["the receiver did not answer with TLS"]);
    assert_eq!(plain.count(), 0);
}

#[test]
fn a_file_that_cannot_be_read_keeps_events_and_is_named_in_the_log() {
    let authority = Authority::new("ours");
    let file = File::new(&authority.pem);
    let receiver = Secure::start(&authority.issue("localhost", as_it_is), None);
    let stage = Stage::set(Cluster::builder().conf("tms.tls_ca_file", "/nonexistent/authority.pem"));
    let mark = stage.cluster.log_mark();
    stage
        .set_target("waiting", &receiver.url(), options())
        .expect("a target");
    stage.enqueue("waiting", 0);
    let said = stage
        .cluster
        .wait_for_log(mark, "the dispatcher cannot start its I/O threads", PATIENCE);
    assert!(said.contains("/nonexistent/authority.pem"), "{said}");
    let failing = "SELECT hint FROM tms_worker_status() WHERE component = 'dispatcher' AND state = 'failing'";
    eventually("a status that says so", PATIENCE, || {
        stage.client().query_opt(failing, &[]).expect("the status")
    });
    assert_eq!(receiver.connections(), 0);

    stage.cluster.set("tms.tls_ca_file", file.path());
    assert_eq!(stage.end_of("waiting"), End::Delivered);
    assert_eq!(receiver.requests(), 1);
}
