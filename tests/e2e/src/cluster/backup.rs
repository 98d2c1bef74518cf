//! Copies of a cluster: base backups that other clusters begin from, and dumps by the server's own programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{Installation, forget_client_settings};
use super::{Cluster, PsqlOutput, standby};

/// Files that tell PostgreSQL how to begin with a backup; any of them, or none.
pub const RECOVERY_SIGNAL: &str = "recovery.signal";
/// See [`RECOVERY_SIGNAL`].
pub const STANDBY_SIGNAL: &str = "standby.signal";

/// A base backup of a running server.
#[derive(Debug, Clone)]
pub struct BaseBackup {
    data: PathBuf,
}

/// What a cluster begins from instead of an empty server.
#[derive(Debug, Clone)]
pub(super) struct Start {
    backup: BaseBackup,
    signals: Vec<String>,
}

impl Start {
    pub(super) fn new(backup: &BaseBackup, signals: &[&str]) -> Self {
        Self {
            backup: backup.clone(),
            signals: signals.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

impl Cluster {
    /// Takes a base backup, which stays beside the data directory for as long as the cluster.
    #[track_caller]
    pub fn base_backup(&self) -> BaseBackup {
        let data = self.data_dir().with_file_name("backup");
        let _ = fs::remove_dir_all(&data);
        standby::base_backup(
            self.installation(),
            &data,
            &standby::Primary::of(self),
            &["--wal-method=stream"],
        );
        BaseBackup { data }
    }

    /// Archives finished WAL files from now on in the directory that is returned; the server must have been started with
    /// archive_mode.
    pub fn archive_wal(&self) -> PathBuf {
        let archive = self.data_dir().with_file_name("archive");
        fs::create_dir_all(&archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
        self.installation().give(&archive);
        self.set("archive_command", &format!("cp %p {}/%f", archive.display()));
        archive
    }

    /// Runs one of the server's client programs, such as pg_dump, as this role; `args` follow the connection's.
    pub fn program(&self, name: &str, user: &str, args: &[&str]) -> PsqlOutput {
        let mut command = Command::new(self.installation().program(name));
        forget_client_settings(&mut command);
        command.arg("--host").arg(self.socket_dir());
        command.args([
            "--port",
            &self.port().to_string(),
            "--username",
            user,
            "--no-password",
        ]);
        let output = command.args(args).output();
        let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
        PsqlOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Copies the backup to `data` and leaves the signals there.
pub(super) fn copy_to(installation: &Installation, data: &Path, start: &Start) {
    let output = Command::new("cp")
        .arg("-a")
        .arg(&start.backup.data)
        .arg(data)
        .output();
    let output = output.expect("cp");
    assert!(
        output.status.success(),
        "cp -a: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    for signal in &start.signals {
        let path = data.join(signal);
        File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        installation.give(&path);
    }
}
