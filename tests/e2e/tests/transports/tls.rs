//! Receivers that speak TLS, with certificates of authorities made for the test.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tms_e2e::cluster::Cluster;
use tms_e2e::peer::{Peer, RawReceiver};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// An authority that signs what it is asked to.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        Issued {
            certificate: params.signed_by(&key, &self.issuer).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn file(&self, cluster: &Cluster, name: &str) -> String {
        file(cluster, name, &self.pem)
    }
}

/// A file that the server can read and that goes with its cluster.
pub fn file(cluster: &Cluster, name: &str, pem: &str) -> String {
    let path: PathBuf = cluster.data_dir().join(name);
    fs::write(&path, pem).expect("a file in the data directory");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// A receiver for `localhost` that speaks TLS and answers 200.
pub struct TlsServer {
    pub receiver: RawReceiver,
    /// For each request, whether its sender had shown a certificate.
    seen: Arc<Mutex<Vec<bool>>>,
}

impl TlsServer {
    /// With `clients`, it asks for a certificate of that authority.
    pub fn start(authority: &Authority, clients: Option<&Authority>) -> Self {
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

    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.receiver.port())
    }

    pub fn seen(&self) -> Vec<bool> {
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
