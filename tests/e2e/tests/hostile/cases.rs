//! The misbehaviours, and what an attempt must come to with each of them.

use std::time::Duration;

use tms_e2e::peer::Peer;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a receiver does with each connection.
pub type Behaviour = fn(Peer);

/// The same, under a name that a target can have.
pub type Named = (&'static str, Behaviour);

/// What an attempt comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    Delivered(i32),
    /// Tried again, with the kind of error, the status if there is one, and some of the words.
    Again(&'static str, Option<i32>, &'static str),
    /// Dead at once.
    Dead(&'static str, Option<i32>, &'static str),
}

/// A misbehaviour and its fate.
pub struct Case {
    pub name: &'static str,
    pub fate: Fate,
    pub behaviour: Behaviour,
}

const fn case(name: &'static str, fate: Fate, behaviour: Behaviour) -> Case {
    Case {
        name,
        fate,
        behaviour,
    }
}

const DELIVERED: Fate = Fate::Delivered(200);
const TIMEOUT: Fate = Fate::Again("timeout", None, "timed out while waiting for the response");
const CLOSED: Fate = Fate::Again("external_api", None, "the connection ended");
const NOT_HTTP: Fate = Fate::Again("external_api", None, "the answer was not valid HTTP");
const REDIRECT: &str = "redirects are not followed";

/// After one request, writes `head` and then `more` for as long as it is taken.
fn pour(mut peer: Peer, head: &str, more: &[u8]) {
    peer.request();
    peer.write(head);
    while !more.is_empty() && peer.write(more) {}
}

/// After one request, writes `head` and nothing more, and keeps the connection.
fn stay(mut peer: Peer, head: &str) {
    peer.request();
    peer.write(head);
    peer.wait_for_end();
}

/// After one request, writes `head` and then `more` again and again, a byte at a time.
fn drip(mut peer: Peer, head: &str, more: &str) {
    peer.request();
    peer.write(head);
    for byte in more.bytes().cycle() {
        if !peer.write([byte]) {
            return;
        }
        // The slowness is what is tested.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Answers every request with these bytes.
fn answer(mut peer: Peer, bytes: &str) {
    while peer.request() && peer.write(bytes) {}
}

/// 100 MB of body, as announced.
pub fn hundred_megabytes(peer: Peer) {
    pour(
        peer,
        "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n",
        &[b'x'; 65_536],
    );
}

/// 1 MB of headers, and a good answer behind them.
pub fn megabyte_of_headers(mut peer: Peer) {
    peer.request();
    let line = format!("x-much: {}\r\n", "y".repeat(1_014));
    peer.write("HTTP/1.1 200 OK\r\n");
    peer.write(line.repeat(1_024));
    peer.write("content-length: 0\r\n\r\n");
}

/// Headers without end.
pub fn endless_headers(peer: Peer) {
    pour(peer, "HTTP/1.1 200 OK\r\n", b"x-header: with something in it\r\n");
}

/// A body without end or length.
pub fn endless_body(peer: Peer) {
    pour(peer, "HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 65_536]);
}

/// Interim answers without end.
pub fn endless_interim(peer: Peer) {
    pour(peer, "", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
}

/// A refusal with 100 MB of reasons.
pub fn long_refusal(peer: Peer) {
    pour(
        peer,
        "HTTP/1.1 500 No\r\ncontent-length: 104857600\r\n\r\n",
        &[b'x'; 65_536],
    );
}

/// Takes the connection and says nothing.
pub fn hang(peer: Peer) {
    stay(peer, "");
}

/// A head that never comes to an end.
pub fn slow_head(peer: Peer) {
    drip(peer, "HTTP/1.1 200 OK\r\n", "x-a: 1\r\n");
}

/// A body that never comes to an end.
pub fn slow_body(peer: Peer) {
    drip(peer, "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n", "x");
}

pub const CASES: &[Case] = &[
    case("hangs", TIMEOUT, hang),
    case("head-byte-by-byte", TIMEOUT, slow_head),
    case("body-byte-by-byte", TIMEOUT, slow_body),
    case("chunks-byte-by-byte", TIMEOUT, |peer| {
        drip(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
        );
    }),
    case("closes-at-once", CLOSED, drop),
    case("closes-after-the-request", CLOSED, |peer| pour(peer, "", b"")),
    case("closes-in-the-head", CLOSED, |peer| {
        pour(peer, "HTTP/1.1 200 OK\r\ncontent-ty", b"");
    }),
    case("closes-in-the-body", CLOSED, |peer| {
        pour(
            peer,
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
            b"",
        );
    }),
    case("closes-between-chunks", CLOSED, |peer| {
        pour(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            b"",
        );
    }),
    case("body-of-100-mb", DELIVERED, hundred_megabytes),
    case("endless-body", DELIVERED, endless_body),
    case(
        "refusal-of-100-mb",
        Fate::Again("external_api", Some(500), "HTTP 500"),
        long_refusal,
    ),
    case("headers-of-1-mb", NOT_HTTP, megabyte_of_headers),
    case("endless-headers", NOT_HTTP, endless_headers),
    case("not-http", NOT_HTTP, |peer| stay(peer, "220 mail ESMTP\r\n")),
    case("binary", NOT_HTTP, |peer| {
        stay(peer, "\u{16}\u{3}\u{1}\0\u{1}\r\n\r\n");
    }),
    case("chunk-size-that-is-none", NOT_HTTP, |peer| {
        stay(
            peer,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        );
    }),
    case("endless-interim-answers", NOT_HTTP, endless_interim),
    case("interim-answers-then-200", DELIVERED, |peer| {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        answer(peer, &format!("{interim}{OK}"));
    }),
    case("interim-answer-and-silence", TIMEOUT, |peer| {
        stay(peer, "HTTP/1.1 102 Processing\r\n\r\n");
    }),
    case(
        "switch-of-protocols",
        Fate::Again(
            "external_api",
            Some(101),
            "an interim response came as the final one",
        ),
        |peer| {
            stay(
                peer,
                "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            );
        },
    ),
    case("no-content-with-a-body", Fate::Delivered(204), |peer| {
        answer(peer, "HTTP/1.1 204 No Content\r\n\r\nsurprise");
    }),
    case(
        "redirect-within",
        Fate::Dead("validation", Some(302), REDIRECT),
        |peer| {
            answer(
                peer,
                "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n",
            );
        },
    ),
    case(
        "redirect-elsewhere",
        Fate::Dead("validation", Some(307), REDIRECT),
        |peer| {
            let to = "location: http://169.254.169.254/latest/meta-data\r\n";
            answer(
                peer,
                &format!("HTTP/1.1 307 There\r\n{to}content-length: 0\r\n\r\n"),
            );
        },
    ),
    case("length-too-short", DELIVERED, |peer| {
        answer(peer, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nok and more");
    }),
    case("length-too-long", TIMEOUT, |peer| {
        stay(peer, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok");
    }),
    case("lengths-that-contradict", NOT_HTTP, |peer| {
        stay(
            peer,
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
        );
    }),
    case("length-below-zero", NOT_HTTP, |peer| {
        stay(peer, "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok");
    }),
];
