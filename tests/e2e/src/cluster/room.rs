//! A cluster's directory: `data`, `server.log`, the socket, and a lock that tells the living from the dead.
//!
//! A test process that was killed leaves its directories behind. Each is locked by its owner for as long as that
//! lives, so the next one to come finds what nobody holds any more and removes it, unless it was meant to be kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::install::Installation;

/// A socket's path must fit in 107 bytes, its name `.s.PGSQL.NNNNN` included.
const LONGEST_SOCKET_DIR: usize = 90;
const KEPT: &str = "kept";

#[derive(Debug)]
pub(super) struct Room {
    base: PathBuf,
    sockets: PathBuf,
    /// The lock goes with this file, however the process ends.
    _owner: Option<File>,
}

impl Room {
    /// A directory for a cluster that ends with this process.
    pub(super) fn take(installation: &Installation) -> Self {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let all = parent(installation);
        // Between the directory and its lock nobody may sweep.
        let door = File::create(all.join("door.lock")).expect("a lock file");
        door.lock().expect("the lock of the clusters");
        sweep(&all);
        let base = loop {
            let number = TAKEN.fetch_add(1, Ordering::Relaxed);
            let base = all.join(format!("{}-{number}", std::process::id()));
            // A kept one of an earlier process may have that name.
            if fs::create_dir(&base).is_ok() {
                break base;
            }
            assert!(all.is_dir(), "{} has gone", all.display());
        };
        let owner = File::create(base.join("owner.lock")).expect("a lock file");
        owner.lock().expect("the lock of a new cluster");
        Self::furnish(installation, base, Some(owner))
    }

    /// A directory by name, for a cluster that outlives this process; it must not be there.
    pub(super) fn named(installation: &Installation, base: PathBuf) -> Self {
        fs::create_dir_all(&base).unwrap_or_else(|error| panic!("{}: {error}", base.display()));
        Self::furnish(installation, base, None)
    }

    fn furnish(installation: &Installation, base: PathBuf, owner: Option<File>) -> Self {
        installation.give(&base);
        let near = base.join("s");
        let sockets = if near.as_os_str().len() <= LONGEST_SOCKET_DIR {
            near
        } else {
            short_directory(&base)
        };
        fs::create_dir_all(&sockets).unwrap_or_else(|error| panic!("{}: {error}", sockets.display()));
        installation.give(&sockets);
        Self {
            base,
            sockets,
            _owner: owner,
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.base.join("server.log")
    }

    pub(super) fn sockets(&self) -> &Path {
        &self.sockets
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Protects the directory from being swept.
    pub(super) fn keep(&self) {
        let _ = File::create(self.base.join(KEPT));
    }

    pub(super) fn remove(&self) {
        remove(&self.base);
    }
}

/// The directory of all clusters that end with their process.
fn parent(installation: &Installation) -> PathBuf {
    let all = installation.state().join("clusters");
    fs::create_dir_all(&all).unwrap_or_else(|error| panic!("{}: {error}", all.display()));
    let _ = fs::set_permissions(&all, fs::Permissions::from_mode(0o755));
    all
}

fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let base = entry.path();
        if !base.is_dir() || base.join(KEPT).exists() {
            continue;
        }
        if is_abandoned(&base) {
            remove(&base);
        }
    }
}

fn is_abandoned(base: &Path) -> bool {
    match File::open(base.join("owner.lock")) {
        Ok(owner) => owner.try_lock().is_ok(),
        // What an earlier removal could not finish; a new directory gets its lock before anybody may look.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes a cluster's directory, and its socket directory where that is elsewhere.
pub(super) fn remove(base: &Path) {
    let _ = fs::remove_dir_all(short_directory(base));
    // A server that is just dying may still write; what is left then is swept by the next to come.
    let _ = fs::remove_dir_all(base);
}

/// A place for the socket of a cluster whose own path is too long, found again from that path alone.
fn short_directory(base: &Path) -> PathBuf {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    base.hash(&mut hasher);
    Path::new("/tmp").join(format!("tms-{:016x}", hasher.finish()))
}
