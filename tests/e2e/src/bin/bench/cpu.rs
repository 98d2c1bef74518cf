//! Who used the CPU: the dispatcher by thread, the other processes of the server by kind, the receiver, and the rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::proc;
use crate::report::Detail;

/// The kernel counts in hundredths of a second, whatever it uses itself.
const TICK_MICROS: f64 = 10_000.0;

/// Time in user and in kernel mode, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    user: u64,
    system: u64,
}

/// The processes to look at.
pub struct Watched {
    pub postmaster: i32,
    pub dispatcher: i32,
    pub receiver: i32,
}

/// What everybody had used at one moment.
pub struct Snapshot {
    by_name: BTreeMap<String, Ticks>,
    machine: u64,
}

impl Snapshot {
    pub fn take(watched: &Watched) -> Self {
        let mut by_name: BTreeMap<String, Ticks> = BTreeMap::new();
        let mut add = |name: String, ticks: Ticks| {
            let sum = by_name.entry(name).or_default();
            sum.user += ticks.user;
            sum.system += ticks.system;
        };
        for thread in proc::threads(watched.dispatcher) {
            if let Some(stat) = Stat::read(&thread) {
                let is_main = thread.ends_with(watched.dispatcher.to_string());
                let name = if is_main { "main thread" } else { &stat.name };
                add(format!("dispatcher: {name}"), stat.ticks);
            }
        }
        for (pid, stat) in all_processes() {
            if pid == watched.dispatcher {
                continue;
            } else if pid == watched.receiver {
                add("receiver (its process)".into(), stat.ticks);
            } else if pid == std::process::id() as i32 {
                add("this bench".into(), stat.ticks);
            } else if pid == watched.postmaster {
                add("postgres: postmaster".into(), stat.ticks);
            } else if stat.parent == watched.postmaster {
                add(format!("postgres: {}", kind_of(pid)), stat.ticks);
            }
        }
        Self {
            by_name,
            machine: machine_ticks(),
        }
    }

    /// What was used between the two, per event, the greatest first.
    pub fn per_event(&self, before: &Self, events: usize, title: String) -> Detail {
        let micros = |ticks: u64| ticks as f64 * TICK_MICROS / events as f64;
        let mut accounted = 0;
        let mut rows = Vec::new();
        for (name, now) in &self.by_name {
            let then = before.by_name.get(name).copied().unwrap_or_default();
            // A kind of which a process has ended may have less than it had.
            let user = now.user.saturating_sub(then.user);
            let system = now.system.saturating_sub(then.system);
            accounted += user + system;
            if user + system > 0 {
                rows.push((
                    name.clone(),
                    vec![micros(user + system), micros(user), micros(system)],
                ));
            }
        }
        rows.sort_by(|(_, one), (_, other)| other[0].total_cmp(&one[0]));
        let others = (self.machine - before.machine).saturating_sub(accounted);
        rows.push((
            "the rest of the machine, which should be next to nothing".into(),
            vec![micros(others)],
        ));
        Detail {
            title,
            columns: vec!["us/event", "user", "system"],
            rows,
        }
    }
}

/// One line of /proc/.../stat.
struct Stat {
    name: String,
    parent: i32,
    ticks: Ticks,
}

impl Stat {
    fn read(directory: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(directory.join("stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name stands in parentheses and may contain some itself.
        let (before, after) = line.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        Some(Self {
            name: before.split_once('(')?.1.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            ticks: Ticks {
                user: fields.get(11)?.parse().ok()?,
                system: fields.get(12)?.parse().ok()?,
            },
        })
    }
}

fn all_processes() -> Vec<(i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, Stat::read(&entry.path())?))
        })
        .collect()
}

/// `walwriter` from the title `postgres: walwriter`; sessions are one kind, whoever is in them.
fn kind_of(pid: i32) -> String {
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title).replace('\0', " ");
    let title = title.trim().trim_start_matches("postgres: ");
    if title.contains("[local]") || title.contains("127.0.0.1") {
        "sessions".into()
    } else {
        title.to_owned()
    }
}

/// All time of all cores that was not idle.
fn machine_ticks() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user, nice, system; then idle and iowait; then irq and softirq.
    [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_parentheses() {
        let line = "7 (tms-io (0)) S 3 7 7 0 -1 0 0 0 0 0 11 12 0 0 20 0 1 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent), ("tms-io (0)", 3));
        assert_eq!(stat.ticks, Ticks { user: 11, system: 12 });
    }
}
