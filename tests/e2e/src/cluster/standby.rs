//! A copy of a running server that follows it by streaming.

use std::path::{Path, PathBuf};

use super::Cluster;
use super::install::Installation;

/// Where the server is that is to be followed.
#[derive(Debug, Clone)]
pub(super) struct Primary {
    sockets: PathBuf,
    port: u16,
}

impl Primary {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self {
            sockets: cluster.socket_dir().to_owned(),
            port: cluster.port(),
        }
    }
}

/// Copies the running server to `data` and leaves there what makes it a standby.
pub(super) fn copy_to(installation: &Installation, data: &Path, primary: &Primary) {
    base_backup(
        installation,
        data,
        primary,
        &["--wal-method=stream", "--write-recovery-conf"],
    );
}

/// Copies the running server to `data`.
pub(super) fn base_backup(installation: &Installation, data: &Path, primary: &Primary, how: &[&str]) {
    let output = installation
        .command("pg_basebackup")
        .args([
            "--no-password",
            "--no-sync",
            "--checkpoint=fast",
            "--username=postgres",
        ])
        .args(how)
        .arg("--host")
        .arg(&primary.sockets)
        .arg("--port")
        .arg(primary.port.to_string())
        .arg("--pgdata")
        .arg(data)
        .output()
        .unwrap_or_else(|error| panic!("pg_basebackup: {error}"));
    assert!(
        output.status.success(),
        "pg_basebackup: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
