//! The receiver as a process of its own, and its statistics.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// It is built beside this program.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    own.with_file_name("receiver")
}

/// Says at once what is missing, instead of after the first server has started.
pub fn assert_built() {
    if !program().is_file() {
        eprintln!(
            "the receiver is missing beside this program; build it: cargo build --release -p tms-e2e --bin receiver"
        );
        std::process::exit(2);
    }
}

/// Ends when its stdin does, which is when this value does.
pub struct Receiving {
    child: Child,
    url: String,
    control: BufReader<TcpStream>,
}

impl Receiving {
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(program())
            .arg("--until-eof")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receiver");
        let mut url = String::new();
        let stdout = child.stdout.as_mut().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut url)
            .expect("the receiver's URL");
        let url = url.trim().to_owned();
        let stream = TcpStream::connect(address(&url)).expect("a connection to the receiver");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        // Only so that a bench that is wrong ends.
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a time limit");
        Self {
            child,
            url,
            control: BufReader::new(stream),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// For clients that speak to it directly.
    pub fn address(&self) -> &str {
        address(&self.url)
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// How many different events have arrived.
    pub fn distinct(&mut self) -> usize {
        self.stats()["distinct"].as_u64().expect("a count") as usize
    }

    /// Everything it says of itself; a record is complete in its file afterwards.
    pub fn stats(&mut self) -> Value {
        let body = self.ask("GET", "/__stats");
        serde_json::from_slice(&body).expect("statistics are JSON")
    }

    /// Forgets what has arrived.
    pub fn reset(&mut self) {
        self.ask("POST", "/__reset");
    }

    /// What it says of itself since the last time, and forgets it: nothing that arrives meanwhile is lost.
    pub fn take(&mut self) -> Value {
        let body = self.ask("POST", "/__take");
        serde_json::from_slice(&body).expect("statistics are JSON")
    }

    fn ask(&mut self, method: &str, path: &str) -> Vec<u8> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: 0\r\n\r\n");
        let stream = self.control.get_mut();
        stream
            .write_all(request.as_bytes())
            .expect("a question to the receiver");
        read_answer(&mut self.control).expect("an answer of the receiver")
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn address(url: &str) -> &str {
    let rest = url.trim_start_matches("http://");
    rest.split('/').next().expect("a split has a first part")
}

/// The body of the next answer on a connection; an error unless the answer is 200.
pub fn read_answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(format!("the receiver said {line:?}")));
    }
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            header => {
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().map_err(std::io::Error::other)?;
                }
            }
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}
