//! The plainest of HTTP clients, so that nothing stands between a test and the bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tms_e2e::receiver::Receiver;
use uuid::Uuid;

pub struct Wire {
    stream: BufReader<TcpStream>,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Wire {
    pub fn to(receiver: &Receiver) -> Self {
        Self::to_port(receiver.port())
    }

    pub fn to_port(port: u16) -> Self {
        Self::try_to_port(port).expect("a connection")
    }

    pub fn try_to_port(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        // Only so that a test that is wrong ends.
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("a write");
    }

    pub fn post(&mut self, id: Uuid, body: &str) {
        self.send(&post(id, body));
    }

    /// The next answer; None when the connection ends before its headers do.
    pub fn answer(&mut self) -> Option<Answer> {
        let status = self.line()?;
        let mut headers = Vec::new();
        loop {
            match self.line()? {
                line if line.is_empty() => break,
                line => headers.push(line),
            }
        }
        let length = headers
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = Vec::new();
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        (&mut self.stream)
            .take(length)
            .read_to_end(&mut body)
            .expect("a body");
        Some(Answer {
            status: status[9..12].parse().expect("a status"),
            headers,
            body,
        })
    }

    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("an end");
        rest
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }
}

pub fn post(id: Uuid, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /hook HTTP/1.1\r\nhost: x\r\nWebhook-Id: {id}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}
