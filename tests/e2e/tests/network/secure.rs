//! A receiver that shows a certificate of an authority made for the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::{ServerConnection, StreamOwned};
use tms_e2e::peer::{Peer, RawReceiver};

use crate::authority::{Authority, Issued, server_config};

/// A receiver that speaks TLS and counts the requests that came through.
pub struct Secure {
    receiver: RawReceiver,
    requests: Arc<AtomicUsize>,
}

impl Secure {
    /// Shows this certificate; admits only clients with a certificate of `clients`, if given.
    pub fn start(issued: &Issued, clients: Option<&Authority>) -> Self {
        let config = Arc::new(server_config(issued, clients));
        let requests = Arc::new(AtomicUsize::new(0));
        let seen = requests.clone();
        let receiver = RawReceiver::start(move |stream| {
            let session = ServerConnection::new(config.clone()).expect("a session");
            let mut peer = Peer::over(StreamOwned::new(session, stream));
            while peer.request() {
                seen.fetch_add(1, Ordering::SeqCst);
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        });
        Self { receiver, requests }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.receiver.port())
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.receiver.accepted()
    }
}

/// A file that the server's user can read; it goes with this value.
pub struct File(PathBuf);

impl File {
    pub fn new(text: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("tms-network-{}-{number}.pem", std::process::id()));
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its permissions");
        Self(path)
    }

    pub fn path(&self) -> &str {
        path_text(&self.0)
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
