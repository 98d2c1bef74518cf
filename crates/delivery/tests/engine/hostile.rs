//! Receivers that do what receivers should not: each ends in the right outcome within its target's timeout, the
//! owner knows whether the request may have been seen, and another target's requests are answered meanwhile.

use crate::support::{Harness, OK, Peer, Receiver, spec, status};
use std::collections::HashMap;
use std::net::TcpListener;
use std::time::Duration;
use tms_delivery::{Completion, Failure, Phase, Response, TargetSpec};

const TIMEOUT: Duration = Duration::from_millis(1000);
/// The timer wakes a busy machine late.
const MARGIN: Duration = Duration::from_secs(3);
const ATTEMPTS: u64 = 4;
const NEIGHBOURS: u64 = 300;

/// What must come of it.
enum Expected {
    Status(u16),
    Closed,
    Protocol,
    Timeout,
    Refused,
}

struct Case {
    name: &'static str,
    behaviour: fn(Peer),
    expected: Expected,
    /// `None`: it depends on who is faster.
    sent: Option<bool>,
}

const fn case(name: &'static str, expected: Expected, behaviour: fn(Peer)) -> Case {
    Case {
        name,
        behaviour,
        expected,
        sent: Some(true),
    }
}

/// After one request, writes `bytes` and then `more` for as long as it is taken.
fn pour(mut peer: Peer, bytes: &str, more: &[u8]) {
    peer.request();
    peer.write(bytes);
    while !more.is_empty() && peer.write(more) {}
}

/// After one request, writes `bytes` and waits until the engine ends the connection.
fn stay(mut peer: Peer, bytes: &str) {
    peer.request();
    peer.write(bytes);
    peer.request();
}

fn drip(mut peer: Peer, bytes: &str, more: &str) {
    peer.request();
    peer.write(bytes);
    for byte in more.bytes().cycle() {
        if !peer.write([byte]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

const CASES: &[Case] = &[
    case("hangs after accept", Expected::Timeout, |peer| stay(peer, "")),
    case("hangs without reading", Expected::Timeout, |peer| {
        std::thread::sleep(TIMEOUT + MARGIN);
        drop(peer);
    }),
    case("a head byte by byte", Expected::Timeout, |peer| {
        drip(peer, "HTTP/1.1 200 OK\r\n", "x-a: 1\r\n");
    }),
    case("a body byte by byte", Expected::Timeout, |peer| {
        drip(peer, "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n", "x");
    }),
    case("a chunk byte by byte", Expected::Timeout, |peer| {
        drip(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
        );
    }),
    case(
        "a content-length that is too long, and silence",
        Expected::Timeout,
        |peer| {
            stay(peer, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok");
        },
    ),
    case("interim answers without end", Expected::Protocol, |peer| {
        pour(peer, "", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    }),
    Case {
        sent: None,
        ..case("closes at once", Expected::Closed, drop)
    },
    case("closes after the request", Expected::Closed, |peer| {
        pour(peer, "", b"")
    }),
    case("closes in the head", Expected::Closed, |peer| {
        pour(peer, "HTTP/1.1 200 OK\r\ncontent-ty", b"");
    }),
    case("closes in the body", Expected::Closed, |peer| {
        pour(peer, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok", b"");
    }),
    case("closes between chunks", Expected::Closed, |peer| {
        pour(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            b"",
        );
    }),
    case("closes after an interim answer", Expected::Closed, |peer| {
        pour(peer, "HTTP/1.1 100 Continue\r\n\r\n", b"");
    }),
    case("a refusal that breaks off", Expected::Status(503), |peer| {
        pour(peer, "HTTP/1.1 503 No\r\ncontent-length: 10\r\n\r\n", b"");
    }),
    case("a refusal whose body never ends", Expected::Status(500), |peer| {
        stay(peer, "HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\n");
    }),
    case("an endless body", Expected::Status(200), |peer| {
        pour(peer, "HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 65536]);
    }),
    case("a hundred megabytes", Expected::Status(200), |peer| {
        pour(
            peer,
            "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n",
            &[b'x'; 65536],
        );
    }),
    case("an endless row of headers", Expected::Protocol, |peer| {
        pour(peer, "HTTP/1.1 200 OK\r\n", b"x-header: with something in it\r\n");
    }),
    case("an endless header", Expected::Protocol, |peer| {
        pour(peer, "HTTP/1.1 200 OK\r\nx: ", &[b'y'; 1000]);
    }),
    case("an endless status line", Expected::Protocol, |peer| {
        pour(peer, "HTTP/1.1 200 ", &[b'y'; 1000]);
    }),
    case("an endless chunk extension", Expected::Protocol, |peer| {
        pour(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;",
            &[b'y'; 1000],
        );
    }),
    case("endless trailers", Expected::Protocol, |peer| {
        pour(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"x-trailer: 1\r\n",
        );
    }),
    case("not HTTP", Expected::Protocol, |peer| {
        stay(peer, "220 mail ESMTP\r\n")
    }),
    case("binary", Expected::Protocol, |peer| {
        stay(peer, "\u{16}\u{3}\u{1}\0\u{1}\r\n\r\n")
    }),
    case("a chunk size that is none", Expected::Protocol, |peer| {
        stay(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        );
    }),
    case("a chunk size that overflows", Expected::Protocol, |peer| {
        stay(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        );
    }),
    case("lengths that contradict", Expected::Protocol, |peer| {
        stay(
            peer,
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
        );
    }),
    case("a length that is none", Expected::Protocol, |peer| {
        stay(peer, "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok");
    }),
    case(
        "a content-length that is too short",
        Expected::Status(200),
        |mut peer| {
            // What is left over is no answer to the next request: the connection is not used again.
            while peer.request().is_some()
                && peer.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nok and more")
            {}
        },
    ),
    case("interim answers, then 200", Expected::Status(200), |mut peer| {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        while peer.request().is_some() && peer.write(interim) && peer.write(OK) {}
    }),
    case("204 with a body", Expected::Status(204), |mut peer| {
        while peer.request().is_some() && peer.write("HTTP/1.1 204 No Content\r\n\r\nsurprise") {}
    }),
    case("a redirect", Expected::Status(307), |mut peer| {
        let answer = "HTTP/1.1 307 There\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        while peer.request().is_some() && peer.write(answer) {}
    }),
    case("a switch of protocols", Expected::Status(101), |peer| {
        stay(
            peer,
            "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        );
    }),
];

impl Case {
    fn fits(&self, result: &Result<Response, Failure>) -> bool {
        match self.expected {
            Expected::Status(expected) => matches!(result, Ok(answer) if answer.status == expected),
            Expected::Closed => matches!(result, Err(Failure::Closed(_))),
            Expected::Protocol => matches!(result, Err(Failure::Protocol(_))),
            Expected::Timeout => *result == Err(Failure::Timeout(Phase::Response)),
            Expected::Refused => matches!(result, Err(Failure::Connect(_))),
        }
    }
}

/// Sends to the hostile receiver and to a good one at the same time, over one I/O thread.
fn check(case: &Case, hostile: TargetSpec, neighbour: &Receiver) {
    let mut harness = Harness::to(TargetSpec {
        timeout: TIMEOUT,
        ..hostile
    });
    harness.engine.set_target(2, neighbour.spec());
    harness.submit(1, 0..ATTEMPTS);
    harness.submit(2, 1000..1000 + NEIGHBOURS);
    let outcomes: Vec<Completion> = (0..ATTEMPTS + NEIGHBOURS).map(|_| harness.outcome()).collect();
    let mut seen = HashMap::new();
    for outcome in &outcomes {
        *seen.entry(outcome.target).or_insert(0) += 1;
        let name = case.name;
        if outcome.target == 2 {
            assert_eq!(outcome.result, status(200), "beside: {name}");
            assert!(
                outcome.duration < TIMEOUT,
                "beside: {name}: {:?}",
                outcome.duration
            );
        } else {
            assert!(case.fits(&outcome.result), "{name}: {outcome:?}");
            assert_eq!(
                outcome.sent,
                case.sent.unwrap_or(outcome.sent),
                "{name}: {outcome:?}"
            );
            assert!(
                outcome.duration < TIMEOUT + MARGIN,
                "{name}: {:?}",
                outcome.duration
            );
        }
    }
    assert_eq!(
        seen,
        HashMap::from([(1, ATTEMPTS), (2, NEIGHBOURS)]),
        "{}",
        case.name
    );
    if matches!(case.expected, Expected::Timeout) {
        // While the hostile one was waited for, all of the neighbour's were answered.
        let first = outcomes.iter().position(|outcome| outcome.target == 1);
        assert!(
            first.unwrap() as u64 >= NEIGHBOURS / 2,
            "{}: {first:?}",
            case.name
        );
    }
}

#[test]
fn each_misbehaviour_has_its_outcome_and_disturbs_nobody() {
    let neighbour = Receiver::answering(OK);
    for case in CASES {
        let behaviour = case.behaviour;
        let hostile = Receiver::start(move |peer, _| behaviour(peer));
        check(case, hostile.spec(), &neighbour);
    }
}

#[test]
fn a_receiver_that_refuses_has_seen_nothing() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refuses = Case {
        name: "refuses",
        behaviour: drop,
        expected: Expected::Refused,
        sent: Some(false),
    };
    check(&refuses, spec(unused), &Receiver::answering(OK));
}
