//! The receiver as a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tms_e2e::latency::unix_micros;
use uuid::Uuid;

use crate::wire::Wire;

/// Ends when its stdin does, which is when this value does.
struct Process {
    child: Child,
    port: u16,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_receiver"));
        command
            .arg("--until-eof")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the receiver");
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut url)
            .unwrap();
        let port = url
            .trim()
            .strip_prefix("http://127.0.0.1:")
            .and_then(|rest| rest.strip_suffix("/hook"));
        Self {
            port: port.expect("a URL").parse().unwrap(),
            child,
        }
    }

    fn wire(&self) -> Wire {
        Wire::to_port(self.port)
    }

    fn stats(&self) -> Value {
        let mut wire = self.wire();
        wire.send(b"GET /__stats HTTP/1.1\r\n\r\n");
        serde_json::from_slice(&wire.answer().unwrap().body).unwrap()
    }

    fn control(&self, path: &str, body: &str) -> u16 {
        let mut wire = self.wire();
        wire.send(
            format!(
                "POST {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        wire.answer().unwrap().status
    }

    /// Closes its stdin and waits.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn it_counts_measures_forgets_and_misbehaves_on_request() {
    let process = Process::start(&["--latency"]);
    let mut wire = process.wire();
    for number in [1, 2, 2] {
        let sent = unix_micros(std::time::SystemTime::now()) - 5_000;
        wire.post(
            Uuid::from_u128(number),
            &format!("{{\"t\": {sent}, \"load\": 1}}"),
        );
        assert_eq!(wire.answer().unwrap().status, 200);
    }
    let stats = process.stats();
    assert_eq!(
        (&stats["count"], &stats["distinct"], &stats["duplicates"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert_eq!(stats["latency"]["count"], 3);
    assert!(stats["latency"]["p50_us"].as_u64().unwrap() >= 5_000, "{stats}");
    assert_eq!(process.control("/__behave", r#"{"status": 503}"#), 200);
    wire.post(Uuid::from_u128(3), "{}");
    assert_eq!(wire.answer().unwrap().status, 503);
    assert_eq!(process.control("/__behave", r#"{"sing": true}"#), 400);
    assert_eq!(process.control("/__reset", ""), 200);
    let stats = process.stats();
    assert_eq!((&stats["count"], &stats["latency"]), (&0.into(), &Value::Null));
    process.end();
}

#[test]
fn it_writes_a_line_per_request() {
    let file = std::env::temp_dir().join(format!("tms-e2e-record-{}", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let process = Process::start(&["--record", file.to_str().unwrap()]);
    let mut wire = process.wire();
    for number in [7, 8] {
        wire.post(Uuid::from_u128(number), "{}");
        wire.answer().unwrap();
    }
    process.end();
    let record = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let ids: Vec<&str> = record
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(ids, [7, 8].map(|number| Uuid::from_u128(number).to_string()));
}
