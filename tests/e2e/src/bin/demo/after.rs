//! What stays when the demo has ended, and how it ends.
//!
//! The server stays, and so must a receiver, or the first event from psql would fail. It is this program once more, as a
//! process of its own, and it cannot be left behind: it ends by itself when the demo's directory goes, when the server
//! does not come back, and when another demo has put its own receiver in its place.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver, Record, Request};
use tms_e2e::wait::eventually;

use crate::office;
use crate::stage::{CLUSTER, Stage};
use crate::trouble::Fallible;

const LOG: &str = "receiver.log";
const PID: &str = "receiver.pid";

/// Long enough for `pg_ctl restart`, short enough for somebody who waits for `make demo-stop`.
const GRACE: Duration = Duration::from_secs(3);

/// Starts the receiver that stays, on the port of the one before; returns its log.
pub fn leave_receiver(stage: &Stage, port: u16) -> Fallible<PathBuf> {
    let directory = stage.directory();
    let log = directory.join(LOG);
    let output = fs::File::create(&log)?;
    let child = Command::new(std::env::current_exe()?)
        .arg("receive")
        .arg(port.to_string())
        .arg(&directory)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C in the terminal is not for what is to stay.
        .process_group(0)
        .spawn()?;
    fs::write(directory.join(PID), child.id().to_string())?;
    Ok(log)
}

/// Serves until nobody needs it any more; what the process that stays does.
pub fn receive(port: u16, directory: &Path) -> Fallible<()> {
    let _receiver = Receiver::builder()
        .port(port)
        .record(Record::Counts)
        .behaviour(Behaviour::choose(|request| {
            note(request);
            office::fixed_answer(request.path).unwrap_or_default()
        }))
        .start();
    let mut needed = Instant::now();
    while directory.exists() && needed.elapsed() < GRACE {
        if is_ours(directory) && server_runs(directory) {
            needed = Instant::now();
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn note(request: &Request<'_>) {
    // A log that cannot be written is no reason to refuse events.
    let _ = writeln!(
        std::io::stdout(),
        "{} {} {} {}",
        request.path,
        request.header("tms-event-type").unwrap_or("-"),
        request.id.unwrap_or_default(),
        String::from_utf8_lossy(request.body)
    );
}

fn is_ours(directory: &Path) -> bool {
    read_pid(&directory.join(PID)) == Some(std::process::id())
}

fn server_runs(directory: &Path) -> bool {
    let data = directory.join("data");
    // A postmaster works in its data directory; a process that merely has inherited the number does not.
    read_pid(&data.join("postmaster.pid"))
        .and_then(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok())
        .is_some_and(|cwd| cwd == data)
}

fn read_pid(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

/// Ends the server and the receiver of the last demo and removes its directory; false when there was none.
pub fn stop() -> bool {
    let Some(state) = std::env::var_os("TMS_STATE_DIR").map(PathBuf::from) else {
        panic!("TMS_STATE_DIR is not set: `make demo-stop` sets it");
    };
    let directory = state.join(CLUSTER);
    let was_there = directory.exists();
    let receiver = read_pid(&directory.join(PID));
    Cluster::stop_named(CLUSTER);
    if let Some(pid) = receiver {
        eventually(
            &format!("the end of the demo's receiver, pid {pid}"),
            Duration::from_secs(20),
            || (!is_receiver(pid)).then_some(()),
        );
    }
    was_there
}

/// Whether the process is the one we started, and not one that has inherited its number.
fn is_receiver(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).nth(1) == Some(b"receive"))
}
