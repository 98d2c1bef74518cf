//! HTTPS against certificate authorities made for the test.

use crate::support::{GENEROUS, Harness, OK, Peer, Received, Receiver, Scratch, status};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::BufReader;
use std::sync::Arc;
use std::sync::mpsc::{self, channel};
use std::time::Duration;
use tms_delivery::{Completion, EngineConfig, Failure, Phase, Scheme, TargetSpec};

/// An authority that signs what it is asked to.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        Issued {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// An engine that trusts it.
    pub(crate) fn trusted(&self, config: EngineConfig) -> Harness {
        let file = Scratch::new(&self.pem);
        Harness::with(EngineConfig {
            ca_file: Some(file.0.clone()),
            ..config
        })
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A receiver that speaks TLS with `issued`, wants a client certificate from `clients` if given, and answers 200.
fn serving(
    issued: &Issued,
    clients: Option<&Authority>,
    alpn: &[u8],
) -> (Receiver, mpsc::Receiver<(Received, bool)>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&authority.pem)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let chain = vec![certificate(&issued.certificate)];
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = Arc::new(config);
    let (seen, requests) = channel();
    let receiver = Receiver::start(move |peer, _| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut peer = Peer(BufReader::new(StreamOwned::new(session, peer.0.into_inner())));
        while let Some(request) = peer.request() {
            let shown = peer.0.get_ref().conn.peer_certificates().is_some();
            seen.send((request, shown)).ok();
            peer.write(OK);
        }
    });
    (receiver, requests)
}

/// A receiver for `localhost`, as most are.
pub(crate) fn ordinary(authority: &Authority) -> (Receiver, mpsc::Receiver<(Received, bool)>) {
    serving(&authority.issue("localhost", |_| {}), None, b"http/1.1")
}

pub(crate) fn https(receiver: &Receiver) -> TargetSpec {
    TargetSpec {
        scheme: Scheme::Https,
        host: "localhost".into(),
        ..receiver.spec()
    }
}

/// What becomes of one job for `spec`.
fn attempt(mut harness: Harness, spec: TargetSpec) -> Completion {
    harness.engine.set_target(1, spec);
    harness.submit(1, [1]);
    harness.outcome()
}

#[test]
fn a_verified_connection_delivers_and_is_kept() {
    let authority = Authority::new();
    let (receiver, requests) = ordinary(&authority);
    let mut harness = authority.trusted(EngineConfig::default());
    harness.engine.set_target(1, https(&receiver));
    for _ in 0..10 {
        assert_eq!(harness.send(), status(200));
        let (request, certified) = requests.recv().unwrap();
        assert!(request.body == b"body 7" && !certified);
    }
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn certificates_that_prove_nothing_are_refused_before_a_byte_is_sent() {
    let (authority, other) = (Authority::new(), Authority::new());
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(4000, 1, 1);
    for (issued, texts) in [
        (
            other.issue("localhost", |_| {}),
            // Which of the two is said depends on how far the authorities' names agree.
            ["unknown issuer", "bad signature"],
        ),
        (authority.issue("localhost", expired), ["expired"; 2]),
        (authority.issue("localhost", early), ["not valid yet"; 2]),
        (
            authority.issue("elsewhere.example", |_| {}),
            ["not valid for the host name"; 2],
        ),
    ] {
        let (receiver, requests) = serving(&issued, None, b"http/1.1");
        let outcome = attempt(authority.trusted(EngineConfig::default()), https(&receiver));
        let expected = texts.map(|text| Err(Failure::Tls(format!("certificate refused: {text}"))));
        assert!(expected.contains(&outcome.result), "{outcome:?}");
        assert!(!outcome.sent && requests.try_recv().is_err());
    }
}

#[test]
fn without_a_file_only_the_systems_authorities_count() {
    let (receiver, _) = ordinary(&Authority::new());
    let outcome = attempt(Harness::new(), https(&receiver));
    assert!(matches!(outcome.result, Err(Failure::Tls(_))), "{outcome:?}");
}

#[test]
fn a_client_certificate_is_shown_to_a_receiver_that_asks_for_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let issued = authority.issue("localhost", |_| {});
    let (receiver, requests) = serving(&issued, Some(&clients), b"http/1.1");
    let outcome = attempt(authority.trusted(EngineConfig::default()), https(&receiver));
    // The receiver's refusal may be overtaken by the end of the connection.
    assert!(
        matches!(outcome.result, Err(Failure::Tls(_) | Failure::Closed(_))),
        "{outcome:?}"
    );
    assert!(requests.try_recv().is_err());

    let own = clients.issue("tms", |_| {});
    let (chain, key) = (Scratch::new(&own.certificate), Scratch::new(&own.key));
    let harness = authority.trusted(EngineConfig {
        client_certificate: Some((chain.0.clone(), key.0.clone())),
        ..EngineConfig::default()
    });
    assert_eq!(attempt(harness, https(&receiver)).result, status(200));
    assert!(requests.recv().unwrap().1);
}

#[test]
fn a_receiver_without_http_1_1_is_a_tls_failure() {
    let authority = Authority::new();
    let (receiver, _) = serving(&authority.issue("localhost", |_| {}), None, b"h2");
    let outcome = attempt(authority.trusted(EngineConfig::default()), https(&receiver));
    assert!(matches!(outcome.result, Err(Failure::Tls(_))), "{outcome:?}");
}

#[test]
fn an_answer_in_clear_text_is_a_tls_failure() {
    let receiver = Receiver::start(|mut peer, _| {
        peer.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        peer.request();
    });
    let outcome = attempt(Harness::new(), https(&receiver));
    let expected = Failure::Tls("the receiver did not answer with TLS".into());
    assert_eq!((outcome.result, outcome.sent), (Err(expected), false));
}

#[test]
fn a_handshake_that_hangs_ends_in_time_and_nothing_was_sent() {
    let receiver = Receiver::start(|mut peer, _| {
        std::io::copy(&mut peer.0, &mut std::io::sink()).ok();
    });
    let mut spec = https(&receiver);
    spec.timeout = Duration::from_millis(300);
    let outcome = attempt(Harness::new(), spec);
    assert_eq!(
        (outcome.result, outcome.sent),
        (Err(Failure::Timeout(Phase::Connect)), false)
    );
    assert!(outcome.duration < GENEROUS / 4);
}
