//! The postmaster as a direct child process: its start, its signals and its end are exact.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::clock::Clock;
use super::install::Installation;
use super::nursery;
use super::room::Room;
use crate::wait::Backoff;

/// Long enough for crash recovery of a loaded server on two busy cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When the last client has left.
    Smart,
    /// At once, in order: transactions are rolled back.
    Fast,
    /// Without a word: the next start recovers from the log.
    Immediate,
}

impl Mode {
    fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::SIGTERM,
            Self::Fast => Signal::SIGINT,
            Self::Immediate => Signal::SIGQUIT,
        }
    }
}

/// Where and how to start.
pub(super) struct Plan<'a> {
    pub(super) installation: &'a Installation,
    pub(super) room: &'a Room,
    pub(super) port: u16,
    pub(super) outlives_us: bool,
    pub(super) clock: Option<&'a Clock>,
}

#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    /// Starts and waits until connections are accepted; Err when the server ended instead.
    pub(super) fn start(plan: &Plan<'_>) -> Result<Self, ExitStatus> {
        let mut postmaster = Self { child: spawn(plan) };
        let pid_file = plan.room.data().join("postmaster.pid");
        let end = Instant::now() + PATIENCE;
        let mut backoff = Backoff::default();
        loop {
            if let Some(status) = postmaster.ended() {
                return Err(status);
            }
            if accepts(&pid_file, postmaster.pid()) {
                return Ok(postmaster);
            }
            assert!(
                Instant::now() < end,
                "the server was not ready within {PATIENCE:?}; log: {}",
                plan.room.log().display()
            );
            backoff.pause();
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(super) fn reload(&self) {
        send(self.pid(), Signal::SIGHUP);
    }

    /// The status it ended with, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    /// Asks it to stop and waits until it has; false if it has not in time.
    pub(super) fn stop(&mut self, mode: Mode) -> bool {
        send(self.pid(), mode.signal());
        let end = Instant::now() + PATIENCE;
        let mut backoff = Backoff::default();
        while self.ended().is_none() {
            if Instant::now() > end {
                return false;
            }
            backoff.pause();
        }
        true
    }
}

fn spawn(plan: &Plan<'_>) -> Child {
    let mut command = if plan.outlives_us {
        let mut command = plan.installation.command("postgres");
        // Ctrl-C in the terminal is for us, not for what is to stay.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    } else {
        plan.installation.command_that_dies_with_us("postgres", "QUIT")
    };
    let log = File::options().create(true).append(true).open(plan.room.log());
    let log = log.unwrap_or_else(|error| panic!("{}: {error}", plan.room.log().display()));
    command
        .arg("-D")
        .arg(plan.room.data())
        .arg("-k")
        .arg(plan.room.sockets())
        .args(["-p", &plan.port.to_string()]);
    if let Some(clock) = plan.clock {
        command.envs(clock.environment());
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log twice"))
        .stderr(log);
    nursery::spawn(command).unwrap_or_else(|error| panic!("postgres: {error}"))
}

/// The server says so in its pid file: the pid in the first line, the state in the eighth. A file left by a crash
/// names another pid. Asking by connecting would fill the log with refusals.
fn accepts(pid_file: &Path, pid: i32) -> bool {
    let Ok(text) = fs::read_to_string(pid_file) else {
        return false;
    };
    let mut lines = text.lines();
    lines.next().is_some_and(|first| first.trim() == pid.to_string())
        && lines
            .nth(6)
            .is_some_and(|state| matches!(state.trim(), "ready" | "standby"))
}

/// Sends a signal; false when there is no such process any more.
pub(super) fn send(pid: i32, signal: Signal) -> bool {
    // 0 and negative numbers would mean groups of processes.
    assert!(pid > 1, "not the pid of a process: {pid}");
    signal::kill(Pid::from_raw(pid), signal).is_ok()
}

/// The postmaster that runs on this data directory, whoever started it.
pub(super) fn running_on(data: &Path) -> Option<i32> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    // A postmaster works in its data directory; a process that merely has inherited the number does not.
    let works_in: PathBuf = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (works_in == data.canonicalize().ok()?).then_some(pid)
}
