//! The server's own pgbench as the client: it costs less CPU than what it measures.

use std::process::Command;

use tms_e2e::cluster::Cluster;

use crate::ground::{DB, small_payload};

pub struct Pgbench<'a> {
    pub cluster: &'a Cluster,
    pub user: &'a str,
    pub clients: u32,
    pub seconds: u32,
    pub synchronous_commit: bool,
}

impl Pgbench<'_> {
    /// Transactions a second of a statement that may use `:payload`, prepared once in each session.
    pub fn run(&self, statement: &str) -> f64 {
        let mut command = Command::new(self.cluster.installation().program("pgbench"));
        // A PGDATABASE of the caller is not meant for us.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        let commit = if self.synchronous_commit { "on" } else { "off" };
        command.env("PGOPTIONS", format!("-c synchronous_commit={commit}"));
        command.arg("-h").arg(self.cluster.socket_dir());
        for (option, value) in [
            ("-p", self.cluster.port().to_string()),
            ("-U", self.user.into()),
            ("-c", self.clients.to_string()),
            ("-T", self.seconds.to_string()),
            ("-j", "2".into()),
            ("-M", "prepared".into()),
            ("-D", format!("payload={}", small_payload())),
            ("-f", "/dev/stdin".into()),
        ] {
            command.args([option, &value]);
        }
        command.args(["-n", DB]);
        let said = feed(command, statement);
        tps(&said).unwrap_or_else(|| panic!("pgbench:\n{said}"))
    }
}

fn feed(mut command: Command, script: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;

    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("pgbench: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(script.as_bytes()).expect("pgbench's script");
    drop(stdin);
    let output = child.wait_with_output().expect("pgbench can be waited for");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "pgbench:\n{}", said.concat());
    said.concat()
}

fn tps(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found() {
        let said = "latency average = 0.5 ms\ntps = 14556.25 (without initial connection time)\n";
        assert_eq!(tps(said), Some(14_556.25));
        assert_eq!(tps("pgbench: error"), None);
    }
}
