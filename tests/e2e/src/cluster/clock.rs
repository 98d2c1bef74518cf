//! A clock that a test sets back or forward, for one server and nobody else.
//!
//! A small library that is loaded before libc answers the server's questions for the time of day; what measures intervals
//! stays true, as it does when a machine's clock is set. It is compiled on the spot: who builds Rust has a `cc`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("clock.c");

/// The shift of one server's clock.
#[derive(Debug)]
pub(super) struct Clock {
    library: PathBuf,
    path: PathBuf,
    seconds: File,
}

impl Clock {
    /// A clock that goes right, in a directory that the server's user may read.
    pub(super) fn new(directory: &Path) -> Self {
        let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
        fs::write(&source, SOURCE).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl")
            .output()
            .unwrap_or_else(|error| panic!("cc: {error}"));
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let path = directory.join("clock.shift");
        let seconds = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let clock = Self {
            library,
            path,
            seconds,
        };
        clock.shift(0);
        clock
    }

    /// The clock goes wrong by so many seconds from now on.
    pub(super) fn shift(&self, seconds: i64) {
        self.seconds
            .write_all_at(&seconds.to_ne_bytes(), 0)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }

    /// What a server is started with to go by this clock.
    pub(super) fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("TMS_TEST_CLOCK", &self.path)]
    }
}
