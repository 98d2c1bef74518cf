//! Which server is tested, as whom it runs, and where its clusters live: the environment says so.
//!
//! - `TMS_PG_BIN`: the bin directory of a server that has tms installed
//! - `TMS_STATE_DIR`: a directory for clusters, which the server's user may enter
//! - `TMS_PG_MAJOR`: its major version; asked of the server when unset
//! - `TMS_RUN_AS`: when the tests run as root, the user that runs the server, since PostgreSQL refuses root

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, User};

/// A server's programs and the circumstances they run under.
#[derive(Debug, Clone)]
pub struct Installation {
    bin: PathBuf,
    version: String,
    major: u32,
    state: PathBuf,
    user: Option<(Uid, Gid)>,
}

impl Installation {
    /// Reads the environment, and panics with what is missing.
    pub fn from_env() -> Self {
        let major = env::var("TMS_PG_MAJOR").ok().filter(|major| !major.is_empty());
        Self::with_programs(PathBuf::from(required("TMS_PG_BIN")), major)
    }

    /// The programs of another server under the same circumstances; the major is asked of the server where it is not given.
    pub(super) fn with_programs(bin: PathBuf, major: Option<String>) -> Self {
        let state = PathBuf::from(required("TMS_STATE_DIR"));
        fs::create_dir_all(&state)
            .unwrap_or_else(|error| panic!("TMS_STATE_DIR {}: {error}", state.display()));
        let version = version_of(&bin.join("postgres"));
        let major = major.as_deref().unwrap_or_else(|| major_of(&version));
        let major = major
            .parse()
            .unwrap_or_else(|_| panic!("TMS_PG_MAJOR is not a number: {major}"));
        let state = state.canonicalize().expect("the state directory was just made");
        Self {
            bin,
            version,
            major,
            state,
            user: server_user(),
        }
    }

    /// The major version of the server.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// One of the server's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// Names what clusters may share: a template is of no use to another build of the same major.
    pub(super) fn template_name(&self) -> String {
        let build: String = self
            .version
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        format!("template-{}-{build}", self.major)
    }

    /// A program of the server, run as its user.
    pub(super) fn command(&self, program: &str) -> Command {
        self.run(program, None)
    }

    /// The same, and the kernel sends it this signal when the thread that started it ends.
    pub(super) fn command_that_dies_with_us(&self, program: &str, signal: &str) -> Command {
        self.run(program, Some(signal))
    }

    fn run(&self, program: &str, on_our_death: Option<&str>) -> Command {
        let path = self.program(program);
        let mut command = if self.user.is_none() && on_our_death.is_none() {
            Command::new(path)
        } else {
            let mut command = Command::new("setpriv");
            if let Some((uid, gid)) = self.user {
                command.args([
                    format!("--reuid={uid}"),
                    format!("--regid={gid}"),
                    "--clear-groups".into(),
                ]);
            }
            // Changing the user clears the signal; setpriv sets it after that.
            if let Some(signal) = on_our_death {
                command.arg(format!("--pdeathsig={signal}"));
            }
            command.arg(path);
            command
        };
        // Wherever the tests were started, the server's user may not be able to be there.
        command.current_dir(&self.state);
        forget_client_settings(&mut command);
        command
    }

    /// Gives a directory to the server's user.
    pub(super) fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .unwrap_or_else(|error| panic!("chown {}: {error}", path.display()));
        }
    }
}

/// A PGDATA or PGOPTIONS of the caller must not reach the servers and clients of the tests.
pub(super) fn forget_client_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG")) {
            command.env_remove(name);
        }
    }
}

fn required(name: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| {
        panic!(
            "{name} is not set. These tests need a server: `make test` sets TMS_PG_BIN (bin directory of a server \
             with tms installed), TMS_STATE_DIR (where its clusters live) and, as root, TMS_RUN_AS"
        )
    })
}

fn server_user() -> Option<(Uid, Gid)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let name = required("TMS_RUN_AS");
    match User::from_name(&name) {
        Ok(Some(user)) if !user.uid.is_root() => Some((user.uid, user.gid)),
        _ => panic!("TMS_RUN_AS names no user that may run PostgreSQL: {name}"),
    }
}

fn version_of(postgres: &Path) -> String {
    let output = Command::new(postgres).arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("TMS_PG_BIN: {}: {error}", postgres.display()));
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .trim_start_matches("postgres ")
        .to_owned()
}

/// `15` from `(PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major_of(version: &str) -> &str {
    let number = version
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let number = number.unwrap_or_else(|| panic!("no version in {version:?}"));
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .expect("a split has a first part")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_from_the_version() {
        assert_eq!(major_of("(PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"), "15");
        assert_eq!(major_of("(PostgreSQL) 18beta1"), "18");
    }
}
