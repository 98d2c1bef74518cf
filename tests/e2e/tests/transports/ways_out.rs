//! The ways out of this machine: a proxy, an authority of one's own, a certificate to show, remembered addresses.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tms_e2e::cluster::Cluster;
use tms_e2e::peer::{Peer, RawReceiver};
use tms_e2e::receiver::{Receiver, Record};
use tms_e2e::story::{DB, SOON, Story};
use tms_e2e::wait::{eventually, eventually_eq};

use crate::looks::{becomes, enqueue};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Quick to try again, so that a story goes on soon after the way is open.
fn patient() -> Value {
    json!({ "retry": { "base_ms": 100, "max_ms": 200 } })
}

fn set(story: &Story, name: &str, url: &str) {
    story.cluster.set_http_target(DB, name, url, patient());
}

/// Waits until the dispatcher that has read the settings anew is another one.
fn with_setting(cluster: &Cluster, name: &str, value: &str) {
    let before = cluster.dispatcher(DB).expect("a dispatcher");
    cluster.set(name, value);
    eventually("a dispatcher with the new setting", SOON, || {
        cluster.dispatcher(DB).filter(|now| *now != before)
    });
}

#[test]
fn requests_go_through_the_proxy_but_for_the_hosts_it_is_not_for() {
    let story = Story::begin();
    let proxy = Receiver::builder().record(Record::Full).start();
    let mut client = story.client();
    story.cluster.set("tms.no_proxy", "127.0.0.1, .internal");
    let url = format!("http://carrier:hid%64en@127.0.0.1:{}", proxy.port());
    with_setting(&story.cluster, "tms.http_proxy", &url);
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
    assert!(!story.cluster.log().contains("hidden") && !story.cluster.log().contains("hid%64en"));
}

#[test]
fn tls_goes_through_the_proxy_in_a_tunnel() {
    let story = Story::begin();
    let authority = Authority::new();
    let server = TlsServer::start(&authority, None);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let port = server.receiver.port();
    let proxy = RawReceiver::start({
        let asked = asked.clone();
        move |stream| tunnel(stream, port, &asked)
    });
    story
        .cluster
        .set("tms.tls_ca_file", &authority.file(&story.cluster, "ca.pem"));
    with_setting(
        &story.cluster,
        "tms.http_proxy",
        &format!("http://127.0.0.1:{}", proxy.port()),
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

/// An authority that signs what it is asked to.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        Issued {
            certificate: params.signed_by(&key, &self.issuer).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    fn file(&self, cluster: &Cluster, name: &str) -> String {
        file(cluster, name, &self.pem)
    }
}

/// A file that the server can read and that goes with its cluster.
fn file(cluster: &Cluster, name: &str, pem: &str) -> String {
    let path: PathBuf = cluster.data_dir().join(name);
    fs::write(&path, pem).expect("a file in the data directory");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// A receiver for `localhost` that speaks TLS and answers 200.
struct TlsServer {
    receiver: RawReceiver,
    /// For each request, whether its sender had shown a certificate.
    seen: Arc<Mutex<Vec<bool>>>,
}

impl TlsServer {
    /// With `clients`, it asks for a certificate of that authority.
    fn start(authority: &Authority, clients: Option<&Authority>) -> Self {
        let config = Arc::new(server_config(&authority.issue("localhost"), clients));
        let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
        let known = seen.clone();
        let receiver = RawReceiver::start(move |mut stream| {
            let mut session = ServerConnection::new(config.clone()).expect("a session");
            while session.is_handshaking() {
                if session.complete_io(&mut stream).is_err() {
                    return;
                }
            }
            let shown = session.peer_certificates().is_some();
            let mut peer = Peer::over(StreamOwned::new(session, stream));
            while peer.request() {
                known.lock().expect("requests").push(shown);
                peer.write(OK);
            }
        });
        Self { receiver, seen }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.receiver.port())
    }

    fn seen(&self) -> Vec<bool> {
        self.seen.lock().expect("requests").clone()
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

fn server_config(issued: &Issued, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&authority.pem)).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key");
    let chain = vec![certificate(&issued.certificate)];
    builder
        .with_single_cert(chain, key)
        .expect("a certificate with its key")
}

#[test]
fn a_receiver_of_one_s_own_authority_is_trusted_once_the_setting_names_it() {
    let story = Story::begin();
    let authority = Authority::new();
    let server = TlsServer::start(&authority, None);
    let mut client = story.client();
    set(&story, "tls", &server.url());
    let ask = "SELECT tms_enqueue('load.moved', '{}', 'tls', max_retries => 100)";
    client.execute(ask, &[]).expect("an event");
    let failed = "SELECT (count(*) > 0)::text FROM tms.delivery_attempts
                   WHERE outcome = 'retry' AND error_type = 'external_api' AND error_message ~* 'certificate'";
    becomes(&mut client, failed, &[], "true");
    assert_eq!(server.seen().len(), 0);
    let path = authority.file(&story.cluster, "ca.pem");
    with_setting(&story.cluster, "tms.tls_ca_file", &path);
    story.all_done();
    assert_eq!(server.seen(), [false]);
}

#[test]
fn a_certificate_is_shown_to_the_receiver_that_asks_for_one() {
    let story = Story::begin();
    let (servers, clients) = (Authority::new(), Authority::new());
    let server = TlsServer::start(&servers, Some(&clients));
    let shown = clients.issue("tms");
    let cluster = &story.cluster;
    cluster.set("tms.tls_ca_file", &servers.file(cluster, "ca.pem"));
    cluster.set(
        "tms.tls_certificate_file",
        &file(cluster, "own.pem", &shown.certificate),
    );
    with_setting(cluster, "tms.tls_key_file", &file(cluster, "own.key", &shown.key));
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
    with_setting(&story.cluster, "tms.dns_cache", "60s");
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
