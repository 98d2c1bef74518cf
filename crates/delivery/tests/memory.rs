//! What receivers send without end is not kept. A process of its own, because memory is counted by process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "engine/support.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the engine, which use more of it"
)]
mod support;

use support::{Harness, Receiver};
use tms_delivery::TargetSpec;

const CONNECTIONS: usize = 16;
/// Far below one answer of any of them: 16 connections with 64 KiB of buffer, and the threads of the receivers.
const ALLOWED_KB: u64 = 32 * 1024;

/// The most memory this process has had, in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Twice as many requests as connections, each answered with `head` and a hundred megabytes of `unit`.
fn send(head: &'static str, unit: &str) {
    let piece = unit.repeat(65536 / unit.len());
    let receiver = Receiver::start(move |mut peer, _| {
        peer.request();
        let mut left = 100 * 1024 * 1024;
        let mut open = peer.write(head);
        while open && left > 0 {
            open = peer.write(&piece);
            left -= piece.len();
        }
    });
    let mut harness = Harness::to(TargetSpec {
        max_concurrency: CONNECTIONS,
        ..receiver.spec()
    });
    let jobs = 2 * CONNECTIONS;
    harness.submit(1, 0..jobs as u64);
    (0..jobs).for_each(|_| drop(harness.outcome()));
}

#[test]
fn memory_stays_flat_whatever_is_sent() {
    // What the receivers need for themselves is there before it counts.
    send("HTTP/1.1 204 OK\r\n\r\n", "x");
    let before = peak();
    for (head, unit) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n", "x"),
        ("HTTP/1.1 500 No\r\n\r\n", "x"),
        (
            "HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n",
            "4\r\nabcd\r\n",
        ),
        ("HTTP/1.1 200 OK\r\n", "x-header: with something in it\r\n"),
        ("HTTP/1.1 200 OK\r\nx: ", "y"),
        ("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    ] {
        send(head, unit);
        let more = peak() - before;
        assert!(more < ALLOWED_KB, "{more} kB more after {head}");
    }
}
