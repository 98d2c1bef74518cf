//! HTTPS against a certificate authority made for the test.

use crate::support::{Harness, OK, Receiver, status};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use tms_delivery::{Engine, EngineConfig, Failure, Scheme, TargetSpec};

/// A receiver that speaks TLS for `name`, and its authority in PEM.
fn receiver(name: &str, alpn: &'static [u8]) -> (Receiver, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = Arc::new(config);
    let receiver = Receiver::start(move |peer, _| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(session, peer.0.into_inner()));
        let mut buffer = Vec::new();
        let mut byte = [0];
        // Requests of the test end with their body "body 7".
        while stream.read(&mut byte).is_ok_and(|length| length > 0) {
            buffer.push(byte[0]);
            if buffer.ends_with(b"\r\n\r\nbody 7") && stream.get_mut().write_all(OK.as_bytes()).is_err() {
                return;
            }
        }
    });
    (receiver, pem)
}

fn https(receiver: &Receiver) -> TargetSpec {
    TargetSpec {
        scheme: Scheme::Https,
        host: "localhost".into(),
        ..receiver.spec()
    }
}

fn trusting(pem: &str) -> Harness {
    Harness::around(Engine::start_trusting(EngineConfig::default(), pem.as_bytes()).unwrap())
}

#[test]
fn a_verified_connection_delivers_and_is_kept() {
    let (receiver, pem) = receiver("localhost", b"http/1.1");
    let mut harness = trusting(&pem);
    harness.engine.set_target(1, https(&receiver));
    for _ in 0..10 {
        assert_eq!(harness.send(), status(200));
    }
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn an_unknown_authority_is_a_tls_failure() {
    let (receiver, _) = receiver("localhost", b"http/1.1");
    let (_, other) = self::receiver("localhost", b"http/1.1");
    let mut harness = trusting(&other);
    harness.engine.set_target(1, https(&receiver));
    let result = harness.send();
    // Which of the two is said depends on how far the authorities' names agree.
    let texts = [
        "certificate refused: unknown issuer",
        "certificate refused: bad signature",
    ];
    assert!(
        matches!(&result, Err(Failure::Tls(text)) if texts.contains(&text.as_str())),
        "{result:?}"
    );
}

#[test]
fn a_certificate_for_another_name_is_a_tls_failure() {
    let (receiver, pem) = receiver("elsewhere.example", b"http/1.1");
    let mut harness = trusting(&pem);
    harness.engine.set_target(1, https(&receiver));
    let expected = Failure::Tls("certificate refused: not valid for the host name".into());
    assert_eq!(harness.send(), Err(expected));
}

#[test]
fn a_receiver_without_http_1_1_is_a_tls_failure() {
    let (receiver, pem) = receiver("localhost", b"h2");
    let mut harness = trusting(&pem);
    harness.engine.set_target(1, https(&receiver));
    let result = harness.send();
    assert!(matches!(result, Err(Failure::Tls(_))), "{result:?}");
}

#[test]
fn an_answer_in_clear_text_is_a_tls_failure() {
    let receiver = Receiver::start(|mut peer, _| {
        peer.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        peer.request();
    });
    let (_, pem) = self::receiver("localhost", b"http/1.1");
    let mut harness = trusting(&pem);
    harness.engine.set_target(1, https(&receiver));
    assert_eq!(
        harness.send(),
        Err(Failure::Tls("the receiver did not answer with TLS".into()))
    );
}
