//! A private postmaster: started as a child, killed at will, gone with the test.
//!
//! - `install`: which server, as whom, where      - `template`: one initdb for all
//! - `room`: the cluster's directory              - `nursery`: the thread that starts servers
//! - `postmaster`: the process                    - `builder`: what it is to be like
//! - `sql`: its clients                        - `tms`: the extension in its databases
//! - `standby`: a copy that follows it            - `backup`: copies that do not
//! - `upgrade`: what pg_upgrade makes of it       - `clock`: its time of day, which tests may set

mod backup;
mod builder;
mod clock;
mod install;
mod nursery;
mod postmaster;
mod room;
mod sql;
mod standby;
mod template;
mod tms;
mod upgrade;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use backup::{BaseBackup, RECOVERY_SIGNAL, STANDBY_SIGNAL};
pub use builder::Builder;
pub use install::Installation;
pub use nix::sys::signal::Signal;
pub use postmaster::Mode;
pub use sql::PsqlOutput;
pub use tms::DispatcherLife;

use crate::port::free_port;
use crate::wait::{Backoff, eventually};
use postmaster::{Plan, Postmaster};
use room::Room;

/// How long processes of a dead postmaster may go on holding its shared memory.
const ORPHANS: Duration = Duration::from_secs(30);

/// How long a postmaster that was killed may take to end.
const DYING: Duration = Duration::from_secs(10);

/// A private server. It ends with this value, and with this process however that ends.
///
/// Its directory is removed too, unless `TMS_KEEP` is set or the test panics.
#[derive(Debug)]
pub struct Cluster {
    installation: Installation,
    room: Room,
    port: AtomicU16,
    postmaster: Mutex<Option<Postmaster>>,
    outlives_us: bool,
    clock: Option<clock::Clock>,
}

/// A place in the server's log.
#[derive(Debug, Clone, Copy)]
pub struct LogMark(usize);

impl Cluster {
    /// A cluster with choices to make before it starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Stops and removes a cluster that was started to outlive its process.
    pub fn stop_named(name: &str) {
        builder::remove_named(&Installation::from_env(), name);
    }

    fn new(installation: Installation, room: Room, outlives_us: bool) -> Self {
        Self {
            installation,
            room,
            port: AtomicU16::new(free_port()),
            postmaster: Mutex::new(None),
            outlives_us,
            clock: None,
        }
    }

    /// Starts the server, after a stop or after its death, and waits until it accepts connections.
    ///
    /// It keeps its port, unless somebody has taken it. A postmaster that was killed a moment ago is waited for.
    #[track_caller]
    pub fn start(&self) {
        let mut postmaster = self.postmaster();
        if let Some(last) = postmaster.as_mut() {
            eventually(
                "the end of the last postmaster; is the server running already?",
                DYING,
                || last.ended(),
            );
        }
        let patience = Instant::now() + ORPHANS;
        let mut backoff = Backoff::default();
        loop {
            let mark = self.log_mark();
            match Postmaster::start(&self.plan()) {
                Ok(started) => break *postmaster = Some(started),
                Err(status) => {
                    let said = self.log_since(mark);
                    let orphaned = said.contains("shared memory block") || said.contains("lock file");
                    if said.contains("could not create any TCP/IP sockets") {
                        self.port.store(free_port(), Ordering::Relaxed);
                    } else if !orphaned || Instant::now() > patience {
                        panic!("the server did not start ({status}):\n{said}");
                    }
                    backoff.pause();
                }
            }
        }
    }

    fn plan(&self) -> Plan<'_> {
        Plan {
            installation: &self.installation,
            room: &self.room,
            port: self.port(),
            outlives_us: self.outlives_us,
            clock: self.clock.as_ref(),
        }
    }

    /// Stops the server, waits until it has ended, and says how long that took.
    #[track_caller]
    pub fn stop(&self, mode: Mode) -> Duration {
        let begin = Instant::now();
        if let Some(mut postmaster) = self.postmaster().take() {
            assert!(
                postmaster.stop(mode),
                "the server did not stop ({mode:?}):\n{}",
                self.log_tail(40)
            );
        }
        begin.elapsed()
    }

    /// Stops and starts.
    #[track_caller]
    pub fn restart(&self, mode: Mode) {
        self.stop(mode);
        self.start();
    }

    /// Lets the server read its configuration again. It does so in its own time: wait for the effect.
    pub fn reload(&self) {
        if let Some(postmaster) = &*self.postmaster() {
            postmaster.reload();
        }
    }

    /// Sets the clock of a server that was built with [`Builder::own_clock`]: wrong by so many seconds from now on.
    #[track_caller]
    pub fn shift_clock(&self, seconds: i64) {
        self.clock.as_ref().expect("a clock of its own").shift(seconds);
    }

    /// Changes a setting in postgresql.conf and reloads.
    pub fn set(&self, name: &str, value: &str) {
        self.append_conf(&builder::line(name, value));
        self.reload();
    }

    fn append_conf(&self, lines: &str) {
        let conf = self.data_dir().join("postgresql.conf");
        let file = fs::File::options().append(true).open(&conf);
        file.and_then(|mut file| file.write_all(lines.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", conf.display()));
    }

    /// The postmaster's pid.
    #[track_caller]
    pub fn postmaster_pid(&self) -> i32 {
        self.postmaster().as_ref().expect("the server is stopped").pid()
    }

    /// Kills a process without a chance to clean up; false when it was gone already.
    pub fn kill9(&self, pid: i32) -> bool {
        self.signal(pid, Signal::SIGKILL)
    }

    /// Sends any signal; false when the process was gone already.
    pub fn signal(&self, pid: i32, signal: Signal) -> bool {
        postmaster::send(pid, signal)
    }

    /// Waits until the server takes connections again, for example after it restarted itself because one of its
    /// processes was killed. Right after a kill it may not have noticed yet: wait for the log first.
    #[track_caller]
    pub fn wait_until_accepting(&self, deadline: Duration) {
        eventually("the server accepts connections", deadline, || {
            self.try_client_as("postgres", "postgres")
        });
    }

    /// Everything the server has logged.
    pub fn log(&self) -> String {
        self.log_since(LogMark(0))
    }

    /// The end of the log as it is now.
    pub fn log_mark(&self) -> LogMark {
        LogMark(fs::metadata(self.room.log()).map_or(0, |log| log.len() as usize))
    }

    /// What has been logged since then.
    pub fn log_since(&self, mark: LogMark) -> String {
        let bytes = fs::read(self.room.log()).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(mark.0..).unwrap_or_default()).into_owned()
    }

    /// Waits until a line with these words has been logged since the mark, and returns it.
    #[track_caller]
    pub fn wait_for_log(&self, mark: LogMark, words: &str, deadline: Duration) -> String {
        eventually(&format!("{words:?} in the log"), deadline, || {
            let said = self.log_since(mark);
            let line = said.lines().find(|line| line.contains(words));
            line.map(str::to_owned).ok_or(said)
        })
    }

    fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The server's port on 127.0.0.1, which is also in the name of its socket.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// The directory of its socket.
    pub fn socket_dir(&self) -> &Path {
        self.room.sockets()
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.room.data()
    }

    /// Its log file.
    pub fn log_file(&self) -> PathBuf {
        self.room.log()
    }

    /// The server it was made with.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<Postmaster>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.outlives_us {
            return;
        }
        if let Some(mut postmaster) = self.postmaster().take() {
            postmaster.stop(Mode::Immediate);
        }
        if std::thread::panicking() {
            self.room.keep();
            let log = self.room.log();
            eprintln!(
                "--- the last lines of {} ---\n{}\n---",
                log.display(),
                self.log_tail(40)
            );
        } else if std::env::var_os("TMS_KEEP").is_some() {
            self.room.keep();
            eprintln!("kept: {}", self.room.base().display());
        } else {
            self.room.remove();
        }
    }
}
