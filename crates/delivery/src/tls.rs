//! TLS: one client configuration per engine, made when it is first needed, because reading the system's roots
//! takes tens of milliseconds and an engine without https targets needs none.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};
use tms_domain::failure::Failure;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Default)]
pub(crate) struct Tls {
    extra_roots: Vec<u8>,
    connector: Arc<OnceLock<Result<TlsConnector, Failure>>>,
}

impl Tls {
    /// `extra_roots`: certificates in PEM that are trusted in addition to the system's.
    pub(crate) fn new(extra_roots: &[u8]) -> Tls {
        Tls {
            extra_roots: extra_roots.to_vec(),
            connector: Arc::default(),
        }
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
        let extra = self.extra_roots.clone();
        let made = tokio::task::spawn_blocking(move || cell.get_or_init(|| make(&extra)).clone()).await;
        made.unwrap_or_else(|_| Err(Failure::Tls("the root certificates could not be loaded".into())))
    }
}

fn make(extra: &[u8]) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let extra: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(extra).collect();
    let extra =
        extra.map_err(|_| Failure::Tls("the additional root certificates are not valid PEM".into()))?;
    roots.add_parsable_certificates(extra);
    if roots.is_empty() {
        return Err(Failure::Tls(
            "no root certificate was found on this system (package ca-certificates)".into(),
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Failure::Tls("no TLS version is available".into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
