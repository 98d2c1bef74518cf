//! What a receiver may answer, and what the owner is told of it.

use crate::support::{Harness, OK, Peer, Receiver, job, job_with, recording, spec, status};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::SystemTime;
use tms_delivery::{Failure, HeaderName, Job, Response};

#[test]
fn a_request_arrives_as_it_was_meant() {
    let (receiver, requests) = recording();
    let mut harness = Harness::to(receiver.spec());
    let before = SystemTime::now();
    harness.engine.submit(vec![Job {
        key: 42,
        target: 1,
        lane: 0,
        webhook_id: *b"0123456789abcdef",
        headers: vec![
            (HeaderName::from_static("x-kind").into(), "load".into()),
            ("X-Plan".into(), "job".into()),
            (String::from("x-umlaut").into(), "Grüße".into()),
        ],
        body: b"{\"a\":1}".to_vec(),
    }]);
    let outcome = harness.outcome();
    assert_eq!(
        (outcome.key, outcome.target, outcome.result),
        (42, 1, status(200))
    );
    assert!(outcome.started >= before && outcome.duration.as_nanos() > 0);

    let request = requests.recv().unwrap();
    assert_eq!(request.line, "POST /in?kind=load HTTP/1.1");
    assert_eq!(request.body, b"{\"a\":1}");
    let stamped = request.header("webhook-timestamp").unwrap().parse().unwrap();
    let since = before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!((since..since + 20).contains(&stamped), "{stamped}");
    let mut headers = request.headers;
    headers.retain(|line| !line.starts_with("webhook-timestamp"));
    headers.sort();
    let host = format!("host: hooks.example:{}", receiver.port);
    let expected = [
        "content-length: 7",
        &host,
        "user-agent: tms/test",
        "webhook-id: 30313233-3435-3637-3839-616263646566",
        "x-kind: load",
        "x-plan: job",
        "x-umlaut: Grüße",
    ];
    assert_eq!(headers, expected);
}

#[test]
fn an_empty_body_and_a_large_one_are_sent() {
    let (receiver, requests) = recording();
    let mut harness = Harness::to(receiver.spec());
    for length in [0, 3_000_000] {
        assert_eq!(harness.complete(job_with(vec![b'x'; length])).result, status(200));
        assert_eq!(requests.recv().unwrap().body.len(), length);
    }
}

#[test]
fn a_refusal_comes_with_retry_after_and_excerpt() {
    let body = "e".repeat(5000);
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 429 Too Many\r\nretry-after: 120\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut harness = Harness::to(receiver.spec());
    for _ in 0..2 {
        let expected = Response {
            status: 429,
            retry_after: Some("120".into()),
            excerpt: Some(body.as_bytes()[..1024].to_vec()),
        };
        assert_eq!(harness.send(), Ok(expected));
    }
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn a_redirect_is_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(move |mut peer, _| {
        while let Some(request) = peer.request() {
            assert!(request.line.starts_with("POST /in?kind=load "));
            peer.write(answer);
        }
    });
    let mut harness = Harness::to(receiver.spec());
    assert_eq!(harness.send(), status(302));
    assert_eq!(harness.send(), status(302));
}

#[test]
fn interim_answers_are_skipped() {
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{OK}"
    ));
    let mut harness = Harness::to(receiver.spec());
    assert_eq!(harness.send(), status(200));
    assert_eq!(harness.send(), status(200));
}

#[test]
fn a_body_where_there_may_be_none_spoils_nothing() {
    let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\nsurprise");
    let mut harness = Harness::to(receiver.spec());
    assert_eq!(harness.send(), status(204));
}

#[test]
fn bodies_of_every_framing_are_read_to_their_end() {
    for (answer, connections) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n",
            1,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 1),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
            3,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 3),
    ] {
        let receiver = Receiver::answering(answer);
        let mut harness = Harness::to(receiver.spec());
        for _ in 0..3 {
            assert_eq!(harness.send(), status(200), "{answer}");
        }
        assert_eq!(receiver.connections(), connections, "{answer}");
    }
    let receiver = Receiver::answering_once("HTTP/1.1 200 OK\r\n\r\nuntil the connection ends");
    assert_eq!(Harness::to(receiver.spec()).send(), status(200));
}

#[test]
fn a_success_that_breaks_off_is_none() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "",
    ] {
        let result = Harness::to(Receiver::answering_once(answer).spec()).send();
        assert!(matches!(result, Err(Failure::Closed(_))), "{answer}: {result:?}");
    }
}

#[test]
fn a_refusal_that_breaks_off_is_still_one() {
    let receiver = Receiver::answering_once("HTTP/1.1 503 No\r\ncontent-length: 100\r\n\r\nonly this");
    let expected = Response {
        status: 503,
        retry_after: None,
        excerpt: Some(b"only this".to_vec()),
    };
    assert_eq!(Harness::to(receiver.spec()).send(), Ok(expected));
}

#[test]
fn what_is_not_http_is_a_protocol_failure() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 9999 No\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nna me: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    ] {
        let result = Harness::to(Receiver::answering_once(answer).spec()).send();
        assert!(
            matches!(result, Err(Failure::Protocol(_))),
            "{answer}: {result:?}"
        );
    }
}

#[test]
fn nobody_listening_is_a_refused_connection() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let result = Harness::to(spec(port)).send();
    assert_eq!(result, Err(Failure::Connect("connection refused".into())));
}

#[test]
fn an_unknown_name_is_a_resolve_failure() {
    let mut spec = spec(80);
    spec.host = "no-such-host.invalid".into();
    let result = Harness::to(spec).send();
    match result {
        Err(Failure::Resolve(text)) => assert!(!text.contains("no-such-host"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    let receiver = Receiver::answering(OK);
    for host in [
        "127.0.0.1",
        "localhost",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "127.1",
        "0x7f000001",
    ] {
        let mut spec = receiver.spec();
        spec.host = host.into();
        spec.allow_private_network = false;
        let result = Harness::to(spec).send();
        assert_eq!(result, Err(Failure::AddressRefused("loopback".into())), "{host}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn every_address_of_a_name_is_tried() {
    // The receiver listens on 127.0.0.1 alone; localhost may be ::1 first.
    let mut spec = Receiver::answering(OK).spec();
    spec.host = "localhost".into();
    assert_eq!(Harness::to(spec).send(), status(200));
}

#[test]
fn what_cannot_be_sent_is_an_invalid_request() {
    let receiver = Receiver::answering(OK);
    let mut harness = Harness::new();
    let mut bad = |change: &dyn Fn(&mut tms_delivery::TargetSpec)| {
        let mut spec = receiver.spec();
        change(&mut spec);
        harness.engine.set_target(1, spec);
        match harness.send() {
            Err(Failure::InvalidRequest(text)) => assert!(!text.contains("secret"), "{text}"),
            other => panic!("{other:?}"),
        }
    };
    bad(&|spec| spec.method = "PO ST".into());
    bad(&|spec| spec.method = "CONNECT".into());
    bad(&|spec| spec.path_and_query = "http://elsewhere/secret".into());
    bad(&|spec| spec.path_and_query = "/a b secret".into());
    bad(&|spec| spec.authority = "a\r\nb: secret".into());
    bad(&|spec| spec.headers.push(("x".into(), "secret\r\nx-evil: 1".into())));
    bad(&|spec| spec.headers.push(("na me".into(), "secret".into())));
    bad(&|spec| spec.headers.push(("Content-Length".into(), "0".into())));
    bad(&|spec| spec.headers.push(("Proxy-Authorization".into(), "secret".into())));
    bad(&|spec| spec.headers.push(("Transfer-Encoding".into(), "chunked".into())));

    harness.engine.set_target(1, receiver.spec());
    for name in ["host", "na me", "Connection"] {
        let headers = vec![(name.into(), "x".into())];
        let outcome = harness.complete(Job { headers, ..job(1, 1) });
        assert!(
            matches!(outcome.result, Err(Failure::InvalidRequest(_))) && !outcome.sent,
            "{name}"
        );
    }
    assert_eq!(receiver.connections(), 0);
    assert_eq!(harness.send(), status(200));
}

#[test]
fn a_stale_connection_is_replaced_without_an_attempt() {
    let (closed, closes) = channel();
    let receiver = Receiver::start(move |mut peer: Peer, _| {
        peer.request();
        peer.write(OK);
        drop(peer);
        closed.send(()).unwrap();
    });
    let mut harness = Harness::to(receiver.spec());
    for sent in 1..=50 {
        assert_eq!(harness.send(), status(200));
        closes.recv().unwrap();
        assert_eq!(receiver.connections(), sent);
    }
}
