//! What pg_upgrade makes of a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Cluster;
use super::install::Installation;
use super::room::Room;
use crate::port::free_port;

/// The cluster that is upgraded, and with which programs it was run.
#[derive(Debug, Clone)]
pub(super) struct Old {
    data: PathBuf,
    bin: PathBuf,
}

impl Old {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let postgres = cluster.installation().program("postgres");
        Self {
            data: cluster.data_dir(),
            bin: postgres.parent().expect("a program is in a directory").to_owned(),
        }
    }
}

/// The server that is upgraded to.
pub(super) fn newer_installation() -> Installation {
    match std::env::var_os("TMS_UPGRADE_TO_BIN") {
        Some(bin) if !bin.is_empty() => Installation::with_programs(bin.into(), None),
        _ => Installation::from_env(),
    }
}

/// Makes the room's data directory an upgraded copy of the old one.
pub(super) fn upgrade_to(installation: &Installation, room: &Room, old: &Old) {
    initdb(installation, &room.data(), major_of(&old.data));
    let mut upgrade = installation.command("pg_upgrade");
    upgrade
        .arg("--old-bindir")
        .arg(&old.bin)
        .arg("--new-bindir")
        .arg(installation.program("."))
        .arg("--old-datadir")
        .arg(&old.data)
        .arg("--new-datadir")
        .arg(room.data())
        .arg("--socketdir")
        .arg(room.sockets())
        .args([
            "--old-port",
            &free_port().to_string(),
            "--new-port",
            &free_port().to_string(),
        ])
        .arg("--username=postgres")
        // It leaves a script where it is run.
        .current_dir(room.base());
    run("pg_upgrade", upgrade);
}

fn major_of(data: &Path) -> u32 {
    let version = std::fs::read_to_string(data.join("PG_VERSION"))
        .unwrap_or_else(|error| panic!("PG_VERSION of the old server: {error}"));
    version
        .trim()
        .parse()
        .unwrap_or_else(|error| panic!("PG_VERSION {version:?}: {error}"))
}

fn initdb(installation: &Installation, data: &Path, old_major: u32) {
    let mut initdb = installation.command("initdb");
    initdb.args([
        "--no-sync",
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]);
    if installation.major() >= 18 && old_major < 18 {
        // Checksums became the default with 18, and both must have them or neither.
        initdb.arg("--no-data-checksums");
    }
    initdb.arg("-D").arg(data);
    run("initdb", initdb);
}

fn run(name: &str, mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        output.status.success(),
        "{name}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
