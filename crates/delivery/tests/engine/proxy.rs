//! Requests through an outbound proxy.

use crate::support::{Harness, OK, Peer, Received, Receiver, recording, spec, status};
use crate::tls::{Authority, https, ordinary};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, channel};
use std::time::Duration;
use tms_delivery::{Completion, EngineConfig, Failure, Phase, ProxySpec, Scheme, TargetSpec};

fn through(port: u16, no_proxy: &[&str]) -> EngineConfig {
    EngineConfig {
        proxy: Some(ProxySpec {
            url: format!("http://user:hid%64en@127.0.0.1:{port}"),
            no_proxy: no_proxy.iter().map(|&entry| entry.to_owned()).collect(),
        }),
        ..EngineConfig::default()
    }
}

const AUTHORIZATION: Option<&str> = Some("Basic dXNlcjpoaWRkZW4=");

/// A proxy that opens the tunnels it is asked for, to this machine.
fn tunnelling() -> (Receiver, mpsc::Receiver<Received>) {
    let (seen, requests) = channel();
    let proxy = Receiver::start(move |mut peer, _| {
        let request = peer.request().unwrap();
        let authority = request.line.split(' ').nth(1).unwrap().to_owned();
        seen.send(request).unwrap();
        let (_, port) = authority.rsplit_once(':').unwrap();
        let target = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        peer.write("HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n");
        splice(peer, target);
    });
    (proxy, requests)
}

fn splice(peer: Peer, target: TcpStream) {
    let client = peer.0.into_inner();
    let (mut from_client, mut to_target) = (client.try_clone().unwrap(), target.try_clone().unwrap());
    let upwards = std::thread::spawn(move || {
        std::io::copy(&mut from_client, &mut to_target).ok();
        to_target.shutdown(Shutdown::Write).ok();
    });
    let (mut from_target, mut to_client) = (target, client);
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from_target.read(&mut buffer) {
        if to_client.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to_client.shutdown(Shutdown::Both).ok();
    upwards.join().unwrap();
}

fn named(host: &str, scheme: Scheme) -> TargetSpec {
    TargetSpec {
        scheme,
        host: host.into(),
        authority: format!("{host}:8080"),
        allow_private_network: false,
        ..spec(8080)
    }
}

fn attempt(config: EngineConfig, spec: TargetSpec) -> Completion {
    let mut harness = Harness::with(config);
    harness.engine.set_target(1, spec);
    harness.submit(1, [1]);
    harness.outcome()
}

#[test]
fn an_http_target_is_asked_for_by_its_whole_url() {
    let (proxy, requests) = recording();
    let mut harness = Harness::with(through(proxy.port, &[]));
    // A name that only the proxy knows.
    harness.engine.set_target(1, named("hooks.invalid", Scheme::Http));
    for _ in 0..3 {
        assert_eq!(harness.send(), status(200));
        let request = requests.recv().unwrap();
        assert_eq!(
            request.line,
            "POST http://hooks.invalid:8080/in?kind=load HTTP/1.1"
        );
        assert_eq!(request.header("host"), Some("hooks.invalid:8080"));
        assert_eq!(request.header("proxy-authorization"), AUTHORIZATION);
        assert_eq!(request.body, b"body 7");
    }
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn an_https_target_is_reached_through_a_tunnel() {
    let authority = Authority::new();
    let (target, requests) = ordinary(&authority);
    let (proxy, tunnels) = tunnelling();
    let mut harness = authority.trusted(through(proxy.port, &[]));
    harness.engine.set_target(1, https(&target));
    for _ in 0..3 {
        assert_eq!(harness.send(), status(200));
        let (request, _) = requests.recv().unwrap();
        assert_eq!(request.line, "POST /in?kind=load HTTP/1.1");
        assert_eq!(request.header("proxy-authorization"), None);
    }
    let tunnel = tunnels.recv().unwrap();
    let at = format!("localhost:{}", target.port);
    assert_eq!(tunnel.line, format!("CONNECT {at} HTTP/1.1"));
    assert_eq!(tunnel.header("host"), Some(at.as_str()));
    assert_eq!(tunnel.header("proxy-authorization"), AUTHORIZATION);
    assert_eq!((proxy.connections(), target.connections()), (1, 1));
}

#[test]
fn the_tunnel_does_not_replace_the_certificate() {
    let (target, requests) = ordinary(&Authority::new());
    let (proxy, _tunnels) = tunnelling();
    let outcome = attempt(through(proxy.port, &[]), https(&target));
    assert!(
        matches!(outcome.result, Err(Failure::Tls(_))) && !outcome.sent,
        "{outcome:?}"
    );
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_a_failure_to_connect() {
    let endless = "x: y\r\n".repeat(100_000);
    for (answer, expected) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy answered 403"),
        ("HTTP/1.1 502 No\r\ncontent-length: 2\r\n\r\nno", "valid HTTP"),
        (
            "HTTP/1.1 407 Who\r\n\r\n",
            "the proxy wants other credentials (407)",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", "valid HTTP"),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", "valid HTTP"),
        (&format!("HTTP/1.1 200 OK\r\n{endless}"), "valid HTTP"),
        (
            "HTTP/1.1 200 OK\r\nvia: me\r\n",
            "the proxy closed the connection",
        ),
        ("", "the proxy closed the connection"),
    ] {
        let proxy = Receiver::answering_once(answer);
        let outcome = attempt(through(proxy.port, &[]), named("hooks.invalid", Scheme::Https));
        let Err(Failure::Connect(text)) = &outcome.result else {
            panic!("{answer:.40}: {outcome:?}");
        };
        assert!(
            text.contains(expected) && !outcome.sent,
            "{answer:.40}: {outcome:?}"
        );
        assert!(!format!("{outcome:?}").contains("hidden"));
    }
}

#[test]
fn a_proxy_that_wants_other_credentials_is_no_answer_of_the_target() {
    let answer = "HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n";
    let proxy = Receiver::answering(answer);
    let outcome = attempt(through(proxy.port, &[]), named("hooks.invalid", Scheme::Http));
    let expected = Failure::Connect("the proxy wants other credentials (407)".into());
    assert_eq!((outcome.result, outcome.sent), (Err(expected), false));
    // Without a proxy it is what the target says.
    let outcome = attempt(EngineConfig::default(), Receiver::answering(answer).spec());
    assert_eq!((outcome.result, outcome.sent), (status(407), true));
}

#[test]
fn a_proxy_that_says_nothing_ends_at_the_connect_timeout() {
    let proxy = Receiver::start(|mut peer, _| {
        peer.request();
        peer.request();
    });
    let config = EngineConfig {
        connect_timeout: Duration::from_millis(300),
        ..through(proxy.port, &[])
    };
    let outcome = attempt(config, named("hooks.invalid", Scheme::Https));
    assert_eq!(
        (outcome.result, outcome.sent),
        (Err(Failure::Timeout(Phase::Connect)), false)
    );
}

#[test]
fn exceptions_are_reached_without_it() {
    let proxy = Receiver::answering("HTTP/1.1 201 By proxy\r\ncontent-length: 0\r\n\r\n");
    let target = Receiver::answering(OK);
    for (list, direct) in [
        (&["127.0.0.0/8"][..], true),
        (&["127.0.0.1"], true),
        (&["a.example", "*"], true),
        (&["10.0.0.0/8", "example.com"], false),
        (&[], false),
    ] {
        let outcome = attempt(through(proxy.port, list), target.spec());
        assert_eq!(outcome.result, status(if direct { 200 } else { 201 }), "{list:?}");
    }
    assert_eq!((proxy.connections(), target.connections()), (2, 3));
}

#[test]
fn a_proxy_is_no_way_around_the_guard() {
    let proxy = Receiver::answering(OK);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "localhost",
        "a.localhost",
        "[::1]",
        "::ffff:127.0.0.1",
    ] {
        for scheme in [Scheme::Http, Scheme::Https] {
            let outcome = attempt(through(proxy.port, &[]), named(host, scheme));
            let expected = Err(Failure::AddressRefused("loopback".into()));
            assert_eq!((outcome.result, outcome.sent), (expected, false), "{host}");
        }
    }
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn a_host_that_could_smuggle_a_line_is_an_invalid_request() {
    let proxy = Receiver::answering(OK);
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut spec = named("hooks.invalid", scheme);
        spec.host = "a\r\nx-evil: 1".into();
        let outcome = attempt(through(proxy.port, &[]), spec);
        assert!(
            matches!(outcome.result, Err(Failure::InvalidRequest(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(proxy.connections(), 0);
}
