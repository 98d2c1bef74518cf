//! Receivers that speak TLS, with certificates of authorities made for the test.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::{ServerConnection, StreamOwned};
use tms_e2e::cluster::Cluster;
use tms_e2e::peer::{Peer, RawReceiver};

use crate::authority::{Authority, server_config};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

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
        let config = Arc::new(server_config(&authority.issue("localhost", |_| ()), clients));
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
