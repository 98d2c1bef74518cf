//! TLS: one client configuration per engine. The operator's files are read when the engine starts, so that a mistake
//! is told then; the rest is made when it is first needed, because reading the system's roots takes tens of
//! milliseconds and an engine without https targets needs none.

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tms_domain::failure::Failure;
use tms_domain::problem::Problem;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A PEM file with more than this was not meant for us.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

pub(crate) struct Tls {
    files: Arc<Files>,
    connector: Arc<OnceLock<Result<TlsConnector, Failure>>>,
}

/// What the operator has given.
struct Files {
    roots: RootCertStore,
    identity: Option<Arc<dyn ResolvesClientCert>>,
}

impl Tls {
    /// Reads the authorities trusted in addition to the system's, and the certificate chain and private key to show.
    pub(crate) fn load(ca_file: Option<&Path>, client: Option<&(PathBuf, PathBuf)>) -> Result<Tls, Problem> {
        let roots = ca_file.map(authorities).transpose()?;
        let identity = client.map(|(chain, key)| identity(chain, key)).transpose()?;
        let roots = roots.unwrap_or_else(RootCertStore::empty);
        Ok(Tls {
            files: Arc::new(Files { roots, identity }),
            connector: Arc::default(),
        })
    }

    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Failure::InvalidRequest("the host is not a name that a certificate can be for".into())
        })?;
        let connector = self.connector().await?;
        connector
            .connect(name, stream)
            .await
            .map_err(|error| crate::failures::handshake(&error))
    }

    async fn connector(&self) -> Result<TlsConnector, Failure> {
        if let Some(ready) = self.connector.get() {
            return ready.clone();
        }
        // Off the I/O thread: files are read and parsed.
        let cell = Arc::clone(&self.connector);
        let files = Arc::clone(&self.files);
        let made = tokio::task::spawn_blocking(move || cell.get_or_init(|| make(&files)).clone()).await;
        made.unwrap_or_else(|_| Err(Failure::Tls("the root certificates could not be loaded".into())))
    }
}

fn make(files: &Files) -> Result<TlsConnector, Failure> {
    let mut roots = files.roots.clone();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Failure::Tls(
            "no root certificate was found on this system (package ca-certificates)".into(),
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Failure::Tls("no TLS version is available".into()))?
        .with_root_certificates(roots);
    let mut config = match &files.identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::clone(identity)),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn authorities(path: &Path) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|_| {
            unusable(path, "holds a certificate that cannot be an authority")
                .detail("Expected certificates of authorities in PEM.")
                .hint("Check it with: openssl x509 -noout -text -in FILE")
        })?;
    }
    Ok(roots)
}

fn identity(chain: &Path, key: &Path) -> Result<Arc<dyn ResolvesClientCert>, Problem> {
    let certificates = certificates(chain)?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| {
        unusable(key, "holds no private key in PEM")
            .detail("Expected PKCS #8, PKCS #1 or SEC1, without a passphrase.")
            .hint("Remove a passphrase with: openssl pkey -in FILE -out NEW_FILE")
    })?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(certificates, private, &provider).map_err(|error| {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => "does not belong to the client certificate",
            _ => "holds a key of a kind that cannot be used, or its certificate cannot be read",
        };
        unusable(key, why)
            .detail("Expected the RSA, ECDSA or Ed25519 key of the first certificate in the chain.")
            .hint("Give the two files of one certificate.")
    })?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(path, "holds no certificate in PEM")
            .detail("Expected one or more blocks that begin with -----BEGIN CERTIFICATE-----.")
            .hint("Convert DER with: openssl x509 -inform der -in FILE -out NEW_FILE")),
    }
}

/// The owner waits for it: so no directory, no pipe, nothing endless.
fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |why: &str| {
        unusable(path, &format!("could not be read: {why}"))
            .detail("It is read as the user that runs the server, when the engine starts.")
            .hint("Check the path and the permissions.")
    };
    let about = std::fs::metadata(path).map_err(|error| unreadable(&error.to_string()))?;
    if !about.is_file() {
        return Err(unreadable("it is no file"));
    }
    if about.len() > FILE_LIMIT {
        return Err(unreadable("it is larger than 16 MiB"));
    }
    std::fs::read(path).map_err(|error| unreadable(&error.to_string()))
}

fn unusable(path: &Path, why: &str) -> Problem {
    Problem::new(format!("the file \"{}\" {why}", path.display()))
}
