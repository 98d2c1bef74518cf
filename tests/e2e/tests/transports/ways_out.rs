//! The ways out of this machine: a proxy, an authority of one's own, a certificate to show, remembered addresses.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;
use tms_e2e::peer::RawReceiver;
use tms_e2e::receiver::{Receiver, Record};
use tms_e2e::story::{DB, SOON, Story, run};
use tms_e2e::wait::{eventually, eventually_eq};

use crate::authority::Authority;
use crate::looks::{becomes, enqueue};
use crate::tls::{TlsServer, file};

/// Quick to try again, so that a story goes on soon after the way is open.
fn patient() -> Value {
    json!({ "retry": { "base_ms": 100, "max_ms": 200 } })
}

fn set(story: &Story, name: &str, url: &str) {
    story.cluster.set_http_target(DB, name, url, patient());
}

/// Sets all of these in one reload, and waits for the dispatcher that begins with them.
fn with_settings(cluster: &Cluster, settings: &[(&str, &str)]) {
    let before = eventually("a dispatcher", SOON, || cluster.dispatcher(DB));
    let mut client = cluster.client(DB);
    for (name, value) in settings {
        run(&mut client, &format!("ALTER SYSTEM SET {name} = '{value}'"));
    }
    run(&mut client, "SELECT pg_reload_conf()");
    eventually("a dispatcher with the new settings", SOON, || {
        cluster.dispatcher(DB).filter(|now| *now != before)
    });
}

#[test]
fn requests_go_through_the_proxy_but_for_the_hosts_it_is_not_for() {
    let story = Story::begin();
    let proxy = Receiver::builder().record(Record::Full).start();
    let mut client = story.client();
    let url = format!("http://carrier:hid%64en@127.0.0.1:{}", proxy.port());
    let settings = [
        ("tms.http_proxy", url.as_str()),
        ("tms.no_proxy", "127.0.0.1, .internal"),
    ];
    with_settings(&story.cluster, &settings);
    // A name that only the proxy could know.
    let set_far = "SELECT tms_target_set('far', 'http', '{\"url\": \"http://hooks.invalid:8080/in?x=1\"}')";
    client.execute(set_far, &[]).expect("a target");
    let far = enqueue(&mut client, "far", r#"{"load": 1}"#);
    proxy.wait_for("the request at the proxy", SOON, |seen| seen.times(far) == 1);
    let request = &proxy.requests()[0];
    assert_eq!(&*request.path, "http://hooks.invalid:8080/in?x=1");
    assert_eq!(request.header("host"), Some("hooks.invalid:8080"));
    assert_eq!(
        request.header("proxy-authorization"),
        Some("Basic Y2FycmllcjpoaWRkZW4=")
    );
    assert_eq!(request.body, br#"{"load": 1}"#);

    let near = enqueue(&mut client, "first", "{}");
    story.arrives("the request without the proxy", near);
    assert_eq!((proxy.count(), story.times(far)), (1, 0));
    story.all_done();
    let log = story.cluster.log();
    assert!(log.contains("tms.http_proxy") && !log.contains("hidden") && !log.contains("hid%64en"));
}

#[test]
fn tls_goes_through_the_proxy_in_a_tunnel() {
    let story = Story::begin();
    let authority = Authority::new("ours");
    let server = TlsServer::start(&authority, None);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let port = server.receiver.port();
    let proxy = RawReceiver::start({
        let asked = asked.clone();
        move |stream| tunnel(stream, port, &asked)
    });
    let ca = file(&story.cluster, "ca.pem", &authority.pem);
    let url = format!("http://127.0.0.1:{}", proxy.port());
    with_settings(
        &story.cluster,
        &[("tms.tls_ca_file", &ca), ("tms.http_proxy", &url)],
    );
    set(&story, "far", &format!("https://localhost:{port}/hook"));
    enqueue(&mut story.client(), "far", "{}");
    eventually_eq("one request over TLS", SOON, 1, || server.seen().len());
    assert_eq!(
        *asked.lock().expect("lines"),
        [format!("CONNECT localhost:{port} HTTP/1.1")]
    );
    story.all_done();
}

/// Reads a CONNECT, opens its tunnel, and carries bytes until either side ends.
fn tunnel(mut client: TcpStream, port: u16, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let line = String::from_utf8_lossy(&head)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    asked.lock().expect("lines").push(line);
    let Ok(mut target) = TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    let answered = client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
    let (Ok(()), Ok(mut from_client), Ok(mut to_target)) = (answered, client.try_clone(), target.try_clone())
    else {
        return;
    };
    let upwards = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_target);
        let _ = to_target.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut target, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
}

#[test]
fn a_receiver_of_one_s_own_authority_is_trusted_once_the_setting_names_it() {
    let story = Story::begin();
    let authority = Authority::new("ours");
    let server = TlsServer::start(&authority, None);
    let mut client = story.client();
    set(&story, "tls", &server.url());
    let ask = "SELECT tms_enqueue('load.moved', '{}', 'tls', max_retries => 100)";
    client.execute(ask, &[]).expect("an event");
    let failed = "SELECT (count(*) > 0)::text FROM tms.delivery_attempts
                   WHERE outcome = 'retry' AND error_type = 'external_api' AND error_message ~* 'certificate'";
    becomes(&mut client, failed, &[], "true");
    assert_eq!(server.seen().len(), 0);
    let path = file(&story.cluster, "ca.pem", &authority.pem);
    with_settings(&story.cluster, &[("tms.tls_ca_file", &path)]);
    story.all_done();
    assert_eq!(server.seen(), [false]);
}

#[test]
fn a_certificate_is_shown_to_the_receiver_that_asks_for_one() {
    let story = Story::begin();
    let (servers, clients) = (Authority::new("of servers"), Authority::new("of clients"));
    let server = TlsServer::start(&servers, Some(&clients));
    let shown = clients.issue("tms", |_| ());
    let cluster = &story.cluster;
    let ca = file(cluster, "ca.pem", &servers.pem);
    let (own, key) = (
        file(cluster, "own.pem", &shown.certificate),
        file(cluster, "own.key", &shown.key),
    );
    let settings = [
        ("tms.tls_ca_file", ca.as_str()),
        ("tms.tls_certificate_file", own.as_str()),
        ("tms.tls_key_file", key.as_str()),
    ];
    with_settings(cluster, &settings);
    set(&story, "tls", &server.url());
    enqueue(&mut story.client(), "tls", "{}");
    story.all_done();
    assert_eq!(server.seen(), [true]);
}

#[test]
fn a_file_that_is_none_is_said_in_the_log_and_stops_nothing_for_good() {
    let story = Story::begin();
    let mark = story.cluster.log_mark();
    story.cluster.set("tms.tls_ca_file", "/nowhere/ca.pem");
    story
        .cluster
        .wait_for_log(mark, "cannot start its I/O threads", SOON);
    assert!(story.cluster.log_since(mark).contains("/nowhere/ca.pem"));
    let event = enqueue(&mut story.client(), "first", "{}");
    story.cluster.set("tms.tls_ca_file", "");
    story.arrives("the event, once the setting is right", event);
}

#[test]
fn addresses_are_remembered_when_that_is_wanted() {
    let story = Story::begin();
    with_settings(&story.cluster, &[("tms.dns_cache", "60s")]);
    let url = format!("http://localhost:{}/named", story.receiver.port());
    set(&story, "named", &url);
    let mut client = story.client();
    for _ in 0..3 {
        let event = enqueue(&mut client, "named", "{}");
        story.arrives("an event by name", event);
        // The next one needs a new connection, and an address for it.
        story.receiver.stop();
        story.receiver.restart_on_same_port();
    }
    story.all_done();
    assert_eq!(story.receiver.distinct(), 3);
}
