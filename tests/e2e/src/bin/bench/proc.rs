//! What /proc says of a process: its memory, its voluntary waits; and of the machine: its load.

use std::fs;
use std::path::Path;

/// Memory of a process in megabytes (10^6 bytes).
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The most it had resident at any time, shared memory included.
    pub peak: f64,
    /// Its own: heap and stacks.
    pub anon: f64,
    /// Its own or shared with others: programs and libraries.
    pub file: f64,
    /// Pages of the server's shared memory it has touched.
    pub shmem: f64,
}

impl Memory {
    pub fn of(pid: i32) -> Self {
        let status = status(Path::new(&format!("/proc/{pid}")));
        let megabytes = |key: &str| number(&status, key) as f64 * 1024.0 / 1e6;
        Self {
            peak: megabytes("VmHWM:"),
            anon: megabytes("RssAnon:"),
            file: megabytes("RssFile:"),
            shmem: megabytes("RssShmem:"),
        }
    }

    /// What would be gone if the process were: everything but the server's shared memory.
    pub fn own(&self) -> f64 {
        self.anon + self.file
    }
}

/// How often the threads of a process have gone to sleep of their own accord; each time something woke them again.
pub fn voluntary_waits(pid: i32) -> u64 {
    threads(pid)
        .iter()
        .map(|thread| number(&status(thread), "voluntary_ctxt_switches:"))
        .sum()
}

/// The directories of a process's threads; none when it has ended.
pub fn threads(pid: i32) -> Vec<std::path::PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| task.path())
        .collect()
}

/// Of the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0)
}

fn status(directory: &Path) -> String {
    fs::read_to_string(directory.join("status")).unwrap_or_default()
}

fn number(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_of_its_own_and_has_waited() {
        let pid = std::process::id() as i32;
        let memory = Memory::of(pid);
        assert!(
            memory.anon > 0.0 && memory.file > 0.0 && memory.peak > 0.0,
            "{memory:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(voluntary_waits(pid) > 0);
    }
}
