//! How many requests per second the engine makes, and what one costs: a receiver in a thread of its own (or the
//! one given as HOST:PORT), 200,000 jobs of 60 bytes, 32 connections, batches of 500.
//!
//! `cargo run --release -p tms-delivery --example flood -- [JOBS] [CONNECTIONS] [THREADS] [SIGNING_KEYS] [HOST:PORT]`

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::error::Error;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tms_delivery::{Completion, Engine, EngineConfig, HeaderKey, HeaderName, Job, Key, Scheme, TargetSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-type: application/json\r\n\
    content-length: 11\r\n\r\n{\"ok\":true}";
const BATCH: usize = 500;
const AHEAD: usize = 2000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let jobs: usize = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let connections: usize = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let keys: u8 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let address = arguments.next().map_or_else(receiver, Ok)?;
    let (host, port) = address.rsplit_once(':').ok_or("HOST:PORT")?;

    let engine = Engine::start(EngineConfig {
        threads,
        ..EngineConfig::default()
    })?;
    let mut spec = spec(host, port.parse()?, connections);
    for number in 0..keys {
        let key = Key::from_bytes(&[number; 32]);
        spec.signing_keys.push(key.map_err(|problem| problem.message)?);
    }
    engine.set_target(1, spec);
    run(&engine, 2_000)?;
    let before = cpu_by_thread()?;
    let begin = Instant::now();
    let wakes = run(&engine, jobs)?;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{jobs} jobs, {connections} connections, {threads} threads: {:.0}/s, {wakes} wakes",
        jobs as f64 / seconds
    );
    for (name, ticks) in cpu_by_thread()? {
        let earlier = before
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(0, |(_, ticks)| *ticks);
        println!(
            "  {name:<16} {:>6.2} us CPU per request",
            (ticks - earlier) as f64 * 10_000.0 / jobs as f64
        );
    }
    latency(&engine)?;
    engine.shutdown();
    Ok(())
}

/// Keeps up to [`AHEAD`] jobs with the engine until all have come back.
fn run(engine: &Engine, jobs: usize) -> Result<usize, Box<dyn Error>> {
    let (mut sent, mut done, mut wakes) = (0, 0, 0);
    let mut outcomes = Vec::new();
    while done < jobs {
        while sent < jobs && sent - done + BATCH <= AHEAD {
            let count = BATCH.min(jobs - sent);
            engine.submit((sent..sent + count).map(|key| job(key as u64)).collect());
            sent += count;
        }
        wait(engine)?;
        wakes += 1;
        engine.drain(&mut outcomes);
        done += outcomes.len();
        check(&outcomes)?;
        outcomes.clear();
    }
    Ok(wakes)
}

/// One job at a time, from submit to its outcome.
fn latency(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let mut outcomes = Vec::new();
    for key in 0..500 {
        let begin = Instant::now();
        engine.submit(vec![job(key)]);
        while outcomes.is_empty() {
            wait(engine)?;
            engine.drain(&mut outcomes);
        }
        times.push(begin.elapsed());
        check(&outcomes)?;
        outcomes.clear();
        std::thread::sleep(Duration::from_millis(1));
    }
    times.sort();
    println!(
        "  one at a time, submit to outcome: p50 {:?}, p99 {:?}",
        times[250], times[495]
    );
    Ok(())
}

fn wait(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let mut polled = [PollFd::new(engine.as_fd(), PollFlags::POLLIN)];
    if poll(&mut polled, PollTimeout::from(10_000u16))? == 0 || !engine.is_alive() {
        return Err("the engine does not answer".into());
    }
    Ok(())
}

fn check(outcomes: &[Completion]) -> Result<(), Box<dyn Error>> {
    match outcomes
        .iter()
        .find(|outcome| outcome.result.as_ref().map(|answer| answer.status) != Ok(200))
    {
        Some(bad) => Err(format!("{:?}", bad.result).into()),
        None => Ok(()),
    }
}

fn job(key: u64) -> Job {
    const TYPE: HeaderName = HeaderName::from_static("tms-event-type");
    Job {
        key,
        target: 1,
        lane: key % 3,
        webhook_id: u128::from(key).to_be_bytes(),
        headers: vec![(HeaderKey::Known(TYPE), "load.assigned".to_owned())],
        body: br#"{"type":"load.assigned","data":{"load":123456,"carrier":7}}\n"#.to_vec(),
    }
}

fn spec(host: &str, port: u16, max_concurrency: usize) -> TargetSpec {
    TargetSpec {
        scheme: Scheme::Http,
        host: host.to_owned(),
        port,
        authority: format!("{host}:{port}"),
        path_and_query: "/hook".to_owned(),
        method: "POST".to_owned(),
        headers: vec![
            ("user-agent".to_owned(), "tms".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        timeout: Duration::from_secs(10),
        max_concurrency,
        allow_private_network: true,
        signing_keys: Vec::new(),
        gzip_from: None,
        keeps_success: false,
    }
}

/// User and system time of each thread in clock ticks (10 ms), by name.
fn cpu_by_thread() -> Result<Vec<(String, u64)>, Box<dyn Error>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(entry?.path().join("stat"))?;
        let (front, back) = stat.rsplit_once(')').ok_or("stat")?;
        let name = front.split_once('(').ok_or("stat")?.1.to_owned();
        let ticks = back
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>)
            .sum::<Result<u64, _>>()?;
        threads.push((name, ticks));
    }
    Ok(threads)
}

/// Answers everything with 200 as soon as a head and its 60 bytes are there.
fn receiver() -> Result<String, Box<dyn Error>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    std::thread::Builder::new()
        .name("receiver".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    tokio::spawn(answer(listener.accept().await?.0));
                }
                #[allow(unreachable_code)]
                Ok::<(), std::io::Error>(())
            })
        })?;
    Ok(address)
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some(head) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
            if buffer.len() < head + 4 + 60 {
                break;
            }
            buffer.drain(..head + 4 + 60);
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}
