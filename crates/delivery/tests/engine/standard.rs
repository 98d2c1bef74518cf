//! Standard Webhooks: what is signed is what arrives, also when it is compressed.

use crate::support::{GENEROUS, Harness, OK, Received, Receiver, job, job_with, recording, status};
use flate2::read::GzDecoder;
use std::io::Read;
use std::time::SystemTime;
use tms_delivery::{HeaderName, Job, Key, TargetSpec};
use tms_domain::signature::{sign, verify};

fn key(byte: u8) -> Key {
    Key::from_bytes(&[byte; 32]).unwrap()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs().try_into().unwrap()
}

/// Checks a request as a receiver would, with the bytes that came.
fn verified(request: &Received, keys: &[Key]) -> bool {
    let [id, timestamp, signature] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| request.header(name).unwrap());
    let timestamp = timestamp.parse().unwrap();
    verify(keys, id, timestamp, &request.body, signature, now(), 60).is_ok()
}

fn signing(keys: Vec<Key>, gzip_from: Option<usize>, spec: TargetSpec) -> TargetSpec {
    TargetSpec {
        signing_keys: keys,
        gzip_from,
        ..spec
    }
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut body).unwrap();
    body
}

#[test]
fn every_attempt_is_signed_with_every_key() {
    let (receiver, requests) = recording();
    let mut harness = Harness::to(signing(vec![key(1), key(2)], None, receiver.spec()));
    // Beyond 64 KiB the signature is made on another thread.
    for length in [0, 6, 65_536, 65_537, 3_000_000] {
        let before = now();
        assert_eq!(harness.complete(job_with(vec![b'x'; length])).result, status(200));
        let request = requests.recv().unwrap();
        assert_eq!(request.body.len(), length);
        assert!(verified(&request, &[key(1)]) && verified(&request, &[key(2)]));
        assert!(!verified(&request, &[key(3)]));
        let timestamp: i64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
        assert!((before..=now()).contains(&timestamp));
        let id = "00000000-0000-0000-0000-000000000001";
        assert_eq!(request.header("webhook-id"), Some(id));
        let expected = sign(&[key(1), key(2)], id, timestamp, &request.body);
        assert_eq!(request.header("webhook-signature"), Some(expected.as_str()));
    }
}

#[test]
fn without_keys_there_is_a_time_and_no_signature() {
    let (receiver, requests) = recording();
    let mut harness = Harness::to(receiver.spec());
    assert_eq!(harness.send(), status(200));
    let request = requests.recv().unwrap();
    assert_eq!(request.header("webhook-signature"), None);
    assert!(request.header("webhook-timestamp").is_some());
    // And with keys from now on.
    harness
        .engine
        .set_target(1, signing(vec![key(1)], None, receiver.spec()));
    assert_eq!(harness.send(), status(200));
    assert!(verified(&requests.recv().unwrap(), &[key(1)]));
}

#[test]
fn nobody_else_sets_the_headers_of_the_engine() {
    const NAMES: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let (receiver, requests) = recording();
    for keys in [vec![key(1)], Vec::new()] {
        let mut spec = signing(keys, None, receiver.spec());
        spec.headers
            .extend(NAMES.map(|name| (name.to_owned(), "forged".to_owned())));
        let mut harness = Harness::to(spec);
        let headers = NAMES.map(|name| (HeaderName::from_static(name).into(), "forged".to_owned()));
        let forged = Job {
            headers: headers.into(),
            ..job(1, 1)
        };
        assert_eq!(harness.complete(forged).result, status(200));
        for line in requests.recv().unwrap().headers {
            assert!(!line.ends_with(": forged"), "{line}");
        }
    }
}

#[test]
fn a_request_sent_again_over_another_connection_is_signed_for_it() {
    // Each connection is closed after one answer, so every second request may find a dead one.
    let (seen, requests) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |mut peer, _| {
        let request = peer.request().unwrap();
        peer.write(OK);
        // Closed before the next request is thought of: one that is on its way to a receiver who closes may have been seen.
        drop(peer);
        seen.send(request).unwrap();
    });
    let mut harness = Harness::to(signing(vec![key(1)], None, receiver.spec()));
    for _ in 0..10 {
        assert_eq!(harness.send(), status(200));
        assert!(verified(&requests.recv_timeout(GENEROUS).unwrap(), &[key(1)]));
    }
}

#[test]
fn large_bodies_are_compressed_and_signed_as_they_are_sent() {
    let (receiver, requests) = recording();
    let mut harness = Harness::to(signing(vec![key(1)], Some(1000), receiver.spec()));
    let text = |length: usize| {
        b"{\"load\": 123456, \"state\": \"assigned\"} ".repeat(length / 38 + 1)[..length].to_vec()
    };
    for length in [0, 999, 1000, 4096, 4097, 10_000_000] {
        let body = text(length);
        assert_eq!(harness.complete(job_with(body.clone())).result, status(200));
        let request = requests.recv().unwrap();
        assert!(verified(&request, &[key(1)]), "{length}");
        let encoding = request.header("content-encoding");
        if length < 1000 {
            assert!(request.body == body && encoding.is_none(), "{length}");
        } else {
            assert_eq!(encoding, Some("gzip"), "{length}");
            assert!(
                unpacked(&request.body) == body && request.body.len() * 2 < length,
                "{length}"
            );
        }
    }
}

#[test]
fn what_is_encoded_already_is_left_as_it_is() {
    let (receiver, requests) = recording();
    let spec = signing(Vec::new(), Some(0), receiver.spec());
    let mut by_target = spec.clone();
    by_target.headers.push(("Content-Encoding".into(), "zstd".into()));
    for (spec, name) in [(spec, Some("Content-Encoding")), (by_target, None)] {
        let mut harness = Harness::to(spec);
        let mut encoded = job(1, 7);
        encoded
            .headers
            .extend(name.map(|name| (name.into(), "zstd".into())));
        assert_eq!(harness.complete(encoded).result, status(200));
        let request = requests.recv().unwrap();
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        assert_eq!(request.body, b"body 7");
    }
}

#[test]
fn a_body_that_takes_long_to_compress_holds_up_nobody() {
    let (receiver, _requests) = recording();
    let mut harness = Harness::to(receiver.spec());
    harness
        .engine
        .set_target(2, signing(vec![key(1)], Some(1), receiver.spec()));
    let noise = |seed: u32| {
        (0..20_000_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) ^ seed) as u8)
            .collect()
    };
    let large = (0..4).map(|number| Job {
        body: noise(number),
        ..job(2, 1000 + u64::from(number))
    });
    harness.engine.submit(large.collect());
    harness.submit(1, 0..200);
    let mut small = 0;
    loop {
        let outcome = harness.outcome();
        assert_eq!(outcome.result, status(200));
        if outcome.key >= 1000 {
            break;
        }
        small += 1;
    }
    assert!(small > 50, "{small} small ones before the first large one");
}
