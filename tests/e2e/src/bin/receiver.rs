//! The receiver as a process of its own, for the demo and the benches.
//!
//! `receiver [--port N] [--record FILE] [--latency] [--until-eof]` prints its URL and serves. Paths below `/__` are
//! its own: `GET /__stats`, `POST /__reset`, `POST /__take` (both in one), and `POST /__behave` with a body that `Behaviour::from_json` reads.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tms_e2e::latency::{self, Latencies};
use tms_e2e::receiver::{Behaviour, Receiver, Record, Request};

const USAGE: &str = "receiver [--port N] [--record FILE] [--latency] [--until-eof]

  --port N        listen there instead of on a free port
  --record FILE   append a line per request: unix microseconds, webhook-id, path
  --latency       measure from the number under \"t\" in the body, unix microseconds
  --until-eof     end when stdin ends, so that nothing outlives the one who started it";

fn main() -> ExitCode {
    let mut options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let desk = Arc::new(Desk::new(&mut options));
    let receiver = start(&options, &desk);
    println!("{}", receiver.url());
    io::stdout().flush().expect("stdout");
    if options.until_eof {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).expect("stdin");
        desk.flush();
        return ExitCode::SUCCESS;
    }
    loop {
        // Written out now and then, because nobody tells this process before it is killed.
        thread::sleep(Duration::from_millis(500));
        desk.flush();
    }
}

#[derive(Default)]
struct Options {
    port: u16,
    record: Option<File>,
    latency: bool,
    until_eof: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--port" => options.port = value()?.parse().map_err(|error| format!("--port: {error}"))?,
                "--record" => {
                    let path = value()?;
                    let file = File::options().create(true).append(true).open(&path);
                    options.record = Some(file.map_err(|error| format!("{path}: {error}"))?);
                }
                "--latency" => options.latency = true,
                "--until-eof" => options.until_eof = true,
                _ => return Err(format!("unknown argument: {argument}")),
            }
        }
        Ok(options)
    }
}

/// Set before the URL is printed, so before anybody can ask.
static RECEIVER: OnceLock<Receiver> = OnceLock::new();

fn start(options: &Options, desk: &Arc<Desk>) -> &'static Receiver {
    let control = desk.clone();
    let mut builder = Receiver::builder().port(options.port).record(Record::Counts);
    builder = builder.control("/__", move |request| control.control(request));
    if desk.latencies.is_some() || desk.record.is_some() {
        let observer = desk.clone();
        builder = builder.observe(move |request| observer.observe(request));
    }
    RECEIVER.get_or_init(|| builder.start())
}

/// What this process keeps beyond what the receiver itself does.
struct Desk {
    latencies: Option<Mutex<Latencies>>,
    record: Option<Mutex<BufWriter<File>>>,
}

impl Desk {
    fn new(options: &mut Options) -> Self {
        let record = options.record.take().map(|file| Mutex::new(BufWriter::new(file)));
        Self {
            latencies: options.latency.then(Mutex::default),
            record,
        }
    }

    fn observe(&self, request: &Request<'_>) {
        let now = latency::unix_micros(request.at);
        if let Some(latencies) = &self.latencies
            && let Some(sent_at) = latency::sent_at(request.body)
        {
            lock(latencies).record(now - sent_at);
        }
        if let Some(record) = &self.record {
            let id = request.id.unwrap_or_default();
            writeln!(lock(record), "{now} {id} {}", request.path).expect("the record");
        }
    }

    fn flush(&self) {
        if let Some(record) = &self.record {
            lock(record).flush().expect("the record");
        }
    }

    fn control(&self, request: &Request<'_>) -> Behaviour {
        let Some(receiver) = RECEIVER.get() else {
            return Behaviour::status(503);
        };
        match (request.method, request.path) {
            ("GET", "/__stats") => {
                self.flush();
                answer(200, &self.stats(receiver))
            }
            ("POST", "/__reset") => {
                self.forget(receiver);
                answer(200, &json!({}))
            }
            // On the thread that serves: nothing arrives in between.
            ("POST", "/__take") => {
                let stats = self.stats(receiver);
                self.forget(receiver);
                answer(200, &stats)
            }
            ("POST", "/__behave") => match behaviour(request.body) {
                Ok(behaviour) => {
                    receiver.behave(behaviour);
                    answer(200, &json!({}))
                }
                Err(error) => answer(400, &json!({ "error": error })),
            },
            _ => answer(
                404,
                &json!({ "paths": ["GET /__stats", "POST /__reset", "POST /__take", "POST /__behave"] }),
            ),
        }
    }

    fn forget(&self, receiver: &Receiver) {
        receiver.reset();
        if let Some(latencies) = &self.latencies {
            lock(latencies).reset();
        }
    }

    fn stats(&self, receiver: &Receiver) -> Value {
        let latency = self
            .latencies
            .as_ref()
            .and_then(|latencies| lock(latencies).summary());
        receiver.look(|seen| {
            json!({
                "count": seen.count(),
                "distinct": seen.distinct(),
                "duplicates": seen.duplicates(),
                "bytes": seen.bytes(),
                "in_flight": seen.in_flight(),
                "max_in_flight": seen.max_in_flight(),
                "latency": latency.map(|summary| summary.to_json()),
                "cpu_us": own_cpu_micros(),
            })
        })
    }
}

fn behaviour(body: &[u8]) -> Result<Behaviour, String> {
    let value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Behaviour::from_json(&value)
}

fn answer(status: u16, body: &Value) -> Behaviour {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Behaviour::Status(status, headers, body.to_string().into_bytes())
}

/// CPU time of the thread that asks, which is the one that serves: what the receiver itself costs.
fn own_cpu_micros() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: u64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1_000)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
