//! How a cluster is to be: collected first, then started.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::clock::Clock;
use super::install::Installation;
use super::room::{self, Room};
use super::{BaseBackup, Cluster, backup, postmaster, standby, template, upgrade};
use crate::wait::eventually;

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct Builder {
    preload: bool,
    durable: bool,
    own_clock: bool,
    name: Option<String>,
    conf: Vec<(String, String)>,
    beginning: Beginning,
}

/// What its data directory begins as.
#[derive(Debug, Clone)]
enum Beginning {
    Empty,
    Standby(standby::Primary),
    Backup(backup::Start),
    Upgrade(upgrade::Old),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            preload: true,
            durable: false,
            own_clock: false,
            name: None,
            conf: Vec::new(),
            beginning: Beginning::Empty,
        }
    }
}

impl Builder {
    /// Whether `shared_preload_libraries` names tms; it does unless told otherwise.
    pub fn preload(mut self, preload: bool) -> Self {
        self.preload = preload;
        self
    }

    /// Whether commits wait for the disk. They do not unless told to: a process that is killed loses nothing by
    /// it, only a machine that loses power would.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// With a clock that [`Cluster::shift_clock`] sets.
    pub fn own_clock(mut self) -> Self {
        self.own_clock = true;
        self
    }

    /// A line of postgresql.conf; the last one for a name wins.
    pub fn conf(mut self, name: &str, value: &str) -> Self {
        self.conf.push((name.into(), value.into()));
        self
    }

    /// A cluster by name that goes on running when this value and this process end, until
    /// [`Cluster::stop_named`]. One of that name from an earlier run is stopped and replaced.
    pub fn outlives_us_as(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A hot standby of that server, which must run: its copy, fed by streaming.
    pub fn standby_of(mut self, primary: &Cluster) -> Self {
        self.beginning = Beginning::Standby(standby::Primary::of(primary));
        self
    }

    /// Begins from a base backup, with these of the files that tell PostgreSQL how.
    pub fn from_backup(mut self, backup: &BaseBackup, signals: &[&str]) -> Self {
        self.beginning = Beginning::Backup(backup::Start::new(backup, signals));
        self
    }

    /// What pg_upgrade makes of that server, which must be stopped; it stays as it is. The environment may name the programs of a
    /// newer major in `TMS_UPGRADE_TO_BIN`; else it is an upgrade from a major to itself, which pg_upgrade does all the same.
    pub fn upgrade_of(mut self, old: &Cluster) -> Self {
        self.beginning = Beginning::Upgrade(upgrade::Old::of(old));
        self
    }

    /// Makes the cluster and waits until it accepts connections.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let installation = match &self.beginning {
            Beginning::Upgrade(_) => upgrade::newer_installation(),
            _ => Installation::from_env(),
        };
        let room = match &self.name {
            None => Room::take(&installation),
            Some(name) => {
                remove_named(&installation, name);
                Room::named(&installation, named(&installation, name))
            }
        };
        match &self.beginning {
            Beginning::Empty => template::copy_to(&installation, &room.data()),
            Beginning::Standby(primary) => standby::copy_to(&installation, &room.data(), primary),
            Beginning::Backup(start) => backup::copy_to(&installation, &room.data(), start),
            Beginning::Upgrade(old) => upgrade::upgrade_to(&installation, &room, old),
        }
        let clock = self.own_clock.then(|| Clock::new(room.base()));
        let mut cluster = Cluster::new(installation, room, self.name.is_some());
        cluster.clock = clock;
        cluster.append_conf(&self.lines());
        cluster.start();
        cluster
    }

    fn lines(&self) -> String {
        let disk = if self.durable { "on" } else { "off" };
        let mut all = vec![
            ("listen_addresses", "127.0.0.1"),
            ("max_worker_processes", "16"),
            ("fsync", disk),
            ("full_page_writes", disk),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("log_line_prefix", "%m [%p] %b %d %e: "),
        ];
        if self.preload {
            all.push(("shared_preload_libraries", "tms"));
        }
        all.extend(
            self.conf
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        all.iter().map(|(name, value)| line(name, value)).collect()
    }
}

/// `name = 'value'`, quoted as postgresql.conf wants it.
pub(super) fn line(name: &str, value: &str) -> String {
    let mut line = String::new();
    let value = value.replace('\\', "\\\\").replace('\'', "''");
    writeln!(line, "{name} = '{value}'").expect("a string takes every line");
    line
}

fn named(installation: &Installation, name: &str) -> PathBuf {
    installation.state().join(name)
}

/// Stops the cluster of that name, if it runs, and removes it.
pub(super) fn remove_named(installation: &Installation, name: &str) {
    let base = named(installation, name);
    let data = base.join("data");
    if let Some(pid) = postmaster::running_on(&data) {
        postmaster::send(pid, Signal::SIGQUIT);
        eventually(
            &format!("the end of the cluster {name}, pid {pid}"),
            Duration::from_secs(60),
            || postmaster::running_on(&data).is_none().then_some(()),
        );
    }
    room::remove(&base);
}
