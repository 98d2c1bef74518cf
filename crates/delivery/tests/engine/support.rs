//! A receiver whose connections are handled by a closure, and an engine with the waiting done.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tms_delivery::{Completion, Engine, EngineConfig, Failure, Job, Response, Scheme, TargetId, TargetSpec};

pub(crate) const GENEROUS: Duration = Duration::from_secs(20);
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One connection as the receiver sees it.
pub(crate) struct Peer<S = TcpStream>(pub(crate) BufReader<S>);

pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(found, _)| *found == name);
        found.map(|(_, value)| value)
    }
}

impl<S: Read + Write> Peer<S> {
    /// The next request; `None` when the engine has closed the connection.
    pub(crate) fn request(&mut self) -> Option<Received> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let line = lines.remove(0);
        let length = lines
            .iter()
            .find_map(|header| header.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
        self.0.read_exact(&mut body).ok()?;
        Some(Received {
            line,
            headers: lines,
            body,
        })
    }

    /// False once the engine has closed the connection.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(bytes.as_ref()).is_ok()
    }
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Receiver {
    /// Runs `handle` on a thread for each connection, with the number of the connection.
    pub(crate) fn start(handle: impl Fn(Peer, usize) + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, handle) = (Arc::clone(&accepted), Arc::new(handle));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let handle = Arc::clone(&handle);
                std::thread::spawn(move || handle(Peer(BufReader::new(stream)), number));
            }
        });
        Receiver { port, accepted }
    }

    /// Answers every request with `bytes`.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Receiver {
        let bytes = bytes.into();
        Receiver::start(move |mut peer, _| while peer.request().is_some() && peer.write(&bytes) {})
    }

    /// Answers one request with `bytes` and closes the connection.
    pub(crate) fn answering_once(bytes: impl Into<Vec<u8>>) -> Receiver {
        let bytes = bytes.into();
        Receiver::start(move |mut peer, _| {
            peer.request();
            peer.write(&bytes);
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn spec(&self) -> TargetSpec {
        spec(self.port)
    }
}

pub(crate) fn spec(port: u16) -> TargetSpec {
    TargetSpec {
        scheme: Scheme::Http,
        host: "127.0.0.1".into(),
        port,
        authority: format!("hooks.example:{port}"),
        path_and_query: "/in?kind=load".into(),
        method: "POST".into(),
        headers: vec![
            ("user-agent".into(), "tms/test".into()),
            ("x-plan".into(), "target".into()),
        ],
        timeout: GENEROUS,
        max_concurrency: 4,
        allow_private_network: true,
        signing_keys: Vec::new(),
        gzip_from: None,
        keeps_success: false,
    }
}

/// A receiver that answers with 200, and every request it has received.
pub(crate) fn recording() -> (Receiver, std::sync::mpsc::Receiver<Received>) {
    let (seen, requests) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |mut peer, _| {
        while let Some(request) = peer.request() {
            seen.send(request).ok();
            peer.write(OK);
        }
    });
    (receiver, requests)
}

/// A file that is gone after the test.
pub(crate) struct Scratch(pub(crate) std::path::PathBuf);

impl Scratch {
    pub(crate) fn new(content: &str) -> Scratch {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("tms-engine-{}-{number}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

pub(crate) struct Harness {
    pub(crate) engine: Engine,
    waiting: Vec<Completion>,
}

impl Harness {
    pub(crate) fn new() -> Harness {
        Harness::with(EngineConfig::default())
    }

    pub(crate) fn with(config: EngineConfig) -> Harness {
        Harness::around(Engine::start(config).unwrap())
    }

    pub(crate) fn around(engine: Engine) -> Harness {
        Harness {
            engine,
            waiting: Vec::new(),
        }
    }

    /// An engine with target 1.
    pub(crate) fn to(spec: TargetSpec) -> Harness {
        let harness = Harness::new();
        harness.engine.set_target(1, spec);
        harness
    }

    pub(crate) fn submit(&self, target: TargetId, keys: impl IntoIterator<Item = u64>) {
        self.engine
            .submit(keys.into_iter().map(|key| job(target, key)).collect());
    }

    /// The next outcome.
    pub(crate) fn outcome(&mut self) -> Completion {
        let deadline = Instant::now() + GENEROUS;
        while self.waiting.is_empty() {
            assert!(Instant::now() < deadline, "no outcome came");
            assert!(self.engine.is_alive());
            readable(&self.engine, Duration::from_secs(1));
            self.engine.drain(&mut self.waiting);
        }
        self.waiting.remove(0)
    }

    /// Hands over one job and waits for its outcome.
    pub(crate) fn complete(&mut self, job: Job) -> Completion {
        self.engine.submit(vec![job]);
        self.outcome()
    }

    /// Sends one job to target 1 and waits for its outcome.
    pub(crate) fn send(&mut self) -> Result<Response, Failure> {
        self.submit(1, [7]);
        let outcome = self.outcome();
        assert_eq!((outcome.key, outcome.target), (7, 1));
        outcome.result
    }
}

pub(crate) fn job(target: TargetId, key: u64) -> Job {
    Job {
        key,
        target,
        lane: 0,
        webhook_id: u128::from(key).to_be_bytes(),
        headers: Vec::new(),
        body: format!("body {key}").into_bytes(),
    }
}

/// A job for target 1 with that body.
pub(crate) fn job_with(body: Vec<u8>) -> Job {
    Job { body, ..job(1, 1) }
}

pub(crate) fn readable(engine: &Engine, within: Duration) -> bool {
    let within = PollTimeout::try_from(within).unwrap();
    poll(&mut [PollFd::new(engine.as_fd(), PollFlags::POLLIN)], within).unwrap() > 0
}

pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn status(status: u16) -> Result<Response, Failure> {
    Ok(Response {
        status,
        retry_after: None,
        excerpt: None,
    })
}
