//! Receivers that are slow, endless or dead cost what was allowed and no more.

use crate::support::{GENEROUS, Harness, OK, Peer, Receiver, job_with, status};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tms_delivery::{EngineConfig, Failure, Phase, Response};

const SHORT: Duration = Duration::from_millis(300);

fn drip(peer: &mut Peer, bytes: &[u8]) {
    for byte in bytes.iter().cycle() {
        if !peer.write([*byte]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn timed_out_in_time(receiver: &Receiver) {
    let mut spec = receiver.spec();
    spec.timeout = SHORT;
    let mut harness = Harness::to(spec);
    let begin = Instant::now();
    assert_eq!(harness.send(), Err(Failure::Timeout(Phase::Response)));
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < GENEROUS / 4);
}

#[test]
fn a_head_that_comes_byte_by_byte_times_out() {
    timed_out_in_time(&Receiver::start(|mut peer, _| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\n");
        drip(&mut peer, b"x-more: 1\r\n");
    }));
}

#[test]
fn a_body_that_comes_byte_by_byte_times_out() {
    timed_out_in_time(&Receiver::start(|mut peer, _| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n");
        drip(&mut peer, b"x");
    }));
}

#[test]
fn silence_times_out_and_the_connection_is_closed() {
    let (gone, went) = channel();
    let receiver = Receiver::start(move |mut peer, _| {
        peer.request();
        let end = peer.request();
        gone.send(end.is_none()).unwrap();
    });
    timed_out_in_time(&receiver);
    assert!(went.recv_timeout(GENEROUS).unwrap());
}

#[test]
fn a_refusal_whose_body_never_ends_counts_by_its_status() {
    let receiver = Receiver::start(|mut peer, _| {
        peer.request();
        peer.write("HTTP/1.1 500 No\r\ncontent-length: 50000\r\n\r\nreason");
        peer.request();
    });
    let mut spec = receiver.spec();
    spec.timeout = SHORT;
    let expected = Response {
        status: 500,
        retry_after: None,
        excerpt: Some(b"reason".to_vec()),
    };
    assert_eq!(Harness::to(spec).send(), Ok(expected));
}

/// Answers with `head` and then as much as is taken; reports how much that was.
fn flooding(
    head: &'static str,
    piece: Vec<u8>,
    total: usize,
) -> (Receiver, std::sync::mpsc::Receiver<usize>) {
    let (taken, amounts) = channel();
    let receiver = Receiver::start(move |mut peer, _| {
        peer.request();
        peer.write(head);
        let mut written = 0;
        while written < total && peer.write(&piece) {
            written += piece.len();
        }
        taken.send(written).unwrap();
    });
    (receiver, amounts)
}

#[test]
fn a_hundred_megabytes_are_neither_kept_nor_read() {
    let chunk = [&b"10000\r\n"[..], &[b'x'; 65536], b"\r\n"].concat();
    for (head, piece, code) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n",
            vec![b'x'; 65536],
            200,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            chunk.clone(),
            200,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 65536], 200),
        (
            "HTTP/1.1 500 No\r\ncontent-length: 104857600\r\n\r\n",
            vec![b'x'; 65536],
            500,
        ),
        (
            "HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n",
            chunk,
            500,
        ),
    ] {
        let (receiver, amounts) = flooding(head, piece, 104_857_600);
        let answer = Harness::to(receiver.spec()).send().unwrap();
        assert_eq!(
            (answer.status, answer.excerpt.map(|bytes| bytes.len())),
            (code, (code == 500).then_some(1024))
        );
        // What the sockets buffer is written without being read.
        assert!(amounts.recv_timeout(GENEROUS).unwrap() < 50_000_000, "{head}");
    }
}

#[test]
fn a_megabyte_of_headers_is_a_protocol_failure() {
    let line = [&b"x: "[..], &[b'y'; 1000], b"\r\n"].concat();
    for piece in [line, vec![b'y'; 1000], b"a: b\r\n".to_vec()] {
        let (receiver, _) = flooding("HTTP/1.1 200 OK\r\nlong: ", piece, 1_000_000);
        let result = Harness::to(receiver.spec()).send();
        assert!(matches!(result, Err(Failure::Protocol(_))), "{result:?}");
    }
}

#[test]
fn a_body_within_the_limit_keeps_its_connection() {
    let answer = |length: usize| {
        [
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes(),
            vec![b'x'; length],
        ]
        .concat()
    };
    for (length, connections) in [(65536, 1), (65537, 3)] {
        let receiver = Receiver::answering(answer(length));
        let mut harness = Harness::to(receiver.spec());
        for _ in 0..3 {
            assert_eq!(harness.send(), status(200));
        }
        assert_eq!(receiver.connections(), connections, "{length}");
    }
}

#[test]
fn an_address_that_swallows_everything_ends_at_the_connect_timeout() {
    // A full accept queue: the kernel drops further connection requests.
    let listener = socket_with_full_backlog();
    let mut harness = Harness::with(EngineConfig {
        connect_timeout: SHORT,
        ..EngineConfig::default()
    });
    harness.engine.set_target(1, crate::support::spec(listener.port));
    assert_eq!(harness.send(), Err(Failure::Timeout(Phase::Connect)));
}

struct Full {
    port: u16,
    _listener: std::net::TcpListener,
    _filling: Vec<std::net::TcpStream>,
}

fn socket_with_full_backlog() -> Full {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let listener = {
        let _guard = runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1).unwrap().into_std().unwrap()
    };
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        filling.push(stream);
    }
    Full {
        port: address.port(),
        _listener: listener,
        _filling: filling,
    }
}

#[test]
fn a_receiver_that_answers_before_it_has_read_is_heard() {
    let receiver = Receiver::start(|mut peer, _| {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut peer.0, &mut line).unwrap();
        peer.write("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n");
        // Reads on, so that the answer is not lost to a reset.
        std::io::copy(&mut peer.0, &mut std::io::sink()).ok();
    });
    let mut harness = Harness::to(receiver.spec());
    for _ in 0..2 {
        let outcome = harness.complete(job_with(vec![b'x'; 50_000_000]));
        assert_eq!((outcome.result, outcome.sent), (status(413), true));
    }
}

#[test]
fn one_slow_receiver_does_not_delay_another() {
    let (release, held) = channel::<()>();
    let held = std::sync::Mutex::new(held);
    let slow = Receiver::start(move |mut peer, _| {
        peer.request();
        held.lock().unwrap().recv().ok();
    });
    let fast = Receiver::answering(OK);
    let mut harness = Harness::to(fast.spec());
    harness.engine.set_target(2, slow.spec());
    harness.submit(2, 100..110);
    for _ in 0..20 {
        assert_eq!(harness.send(), status(200));
    }
    drop(release);
}
