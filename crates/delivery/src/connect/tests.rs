//! What is dialled, shown with a network that answers as the test says.

use super::{Allowed, Connector, allowed};
use crate::network::{Asked, Network};
use crate::proxy::Proxy;
use crate::request::Origin;
use crate::resolve::Resolver;
use crate::tls::Tls;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tms_domain::failure::Failure;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

/// Answers each look-up with the next of its answers, the last one for ever, and notes what is dialled. Every
/// connection ends up at `listener`.
struct Rebinding {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
    listener: SocketAddr,
}

impl Network for Rebinding {
    fn lookup<'a>(&'a self, _: &'a str) -> Asked<'a, Vec<IpAddr>> {
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        Box::pin(async { Ok(answer) })
    }

    fn dial(&self, to: SocketAddr) -> Asked<'_, TcpStream> {
        self.dialled.lock().unwrap().push(to);
        Box::pin(TcpStream::connect(self.listener))
    }
}

/// Opens a connection so many times; returns how each went, and what was dialled.
fn opening(
    answers: &[&[&str]],
    dns_cache: Duration,
    origin: Origin,
    proxy: Option<Proxy>,
    times: usize,
) -> (Vec<Result<(), Failure>>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let results = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let parsed = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let connector = Connector {
            network: Box::new(Rebinding {
                answers: Mutex::new(answers.iter().map(parsed).collect()),
                dialled: Arc::clone(&dialled),
                listener: listener.local_addr().unwrap(),
            }),
            resolver: Resolver::new(dns_cache),
            proxy: proxy.map(Arc::new),
            tls: Tls::load(None, None).unwrap(),
            connect_timeout: HOUR,
        };
        let origin = Arc::new(origin);
        let mut results = Vec::new();
        for _ in 0..times {
            let opened = connector.open(&origin, Instant::now() + HOUR).await;
            results.push(opened.map(drop));
        }
        results
    });
    let dialled = dialled
        .lock()
        .unwrap()
        .iter()
        .map(SocketAddr::to_string)
        .collect();
    (results, dialled)
}

fn origin(host: &str, proxied: bool) -> Origin {
    Origin {
        tls: false,
        host: host.into(),
        port: 80,
        allow_private: false,
        proxied,
    }
}

fn refused<T>(range: &str) -> Result<T, Failure> {
    Err(Failure::AddressRefused(range.into()))
}

#[test]
fn only_allowed_addresses_are_dialled() {
    let mixed = [
        "10.0.0.1".parse().unwrap(),
        "1.1.1.1".parse().unwrap(),
        "::1".parse().unwrap(),
    ];
    assert_eq!(allowed(&mixed, false).unwrap(), [Allowed(mixed[1])]);
    assert_eq!(allowed(&mixed, true).unwrap(), mixed.map(Allowed));
    assert_eq!(allowed(&mixed[..1], false), refused("private (10.0.0.0/8)"));
}

/// A name server that answers with a public address first and with a private one when asked again: what was checked
/// is what is dialled, because nobody asks again.
#[test]
fn an_answer_that_changes_leads_nowhere_that_was_not_checked() {
    let answers: [&[&str]; 3] = [&["1.1.1.1"], &["127.0.0.1"], &["10.0.0.1", "8.8.8.8"]];
    let (results, dialled) = opening(&answers, Duration::ZERO, origin("a.example", false), None, 3);
    assert_eq!(results, [Ok(()), refused("loopback"), Ok(())]);
    assert_eq!(dialled, ["1.1.1.1:80", "8.8.8.8:80"]);
}

#[test]
fn a_remembered_answer_is_checked_too() {
    let answers: [&[&str]; 2] = [&["127.0.0.1"], &["1.1.1.1"]];
    let (results, dialled) = opening(&answers, HOUR, origin("a.example", false), None, 2);
    assert_eq!(results, [refused("loopback"), refused("loopback")]);
    assert!(dialled.is_empty());
}

#[test]
fn hosts_that_are_addresses_are_checked_in_every_notation() {
    for (host, range) in [
        ("127.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.1", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::1", "loopback"),
        ("2001:0:1:1:1:1:80ff:fffe", "loopback"),
        ("169.254.169.254", "link-local"),
        ("0xa9fea9fe", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("[fe80::1%25lo]", "link-local"),
    ] {
        for proxied in [false, true] {
            let proxy = proxied.then(proxy);
            let (results, dialled) = opening(&[&["1.1.1.1"]], HOUR, origin(host, proxied), proxy, 1);
            assert_eq!(results, [refused(range)], "{host}");
            assert!(dialled.is_empty(), "{host}");
        }
    }
}

fn proxy() -> Proxy {
    let spec = crate::config::ProxySpec {
        url: "http://proxy.internal:3128".into(),
        no_proxy: Vec::new(),
    };
    Proxy::new(&spec).unwrap()
}

#[test]
fn a_proxy_may_be_private_and_its_targets_names_are_its_own_affair() {
    let answers: [&[&str]; 1] = [&["10.0.0.1"]];
    let (results, dialled) = opening(&answers, HOUR, origin("a.example", true), Some(proxy()), 1);
    assert_eq!(results, [Ok(())]);
    assert_eq!(dialled, ["10.0.0.1:3128"]);
    let (results, _) = opening(&answers, HOUR, origin("LOCALHOST.", true), Some(proxy()), 1);
    assert_eq!(results, [refused("loopback")]);
}

#[test]
fn a_name_without_an_address_is_a_resolve_failure() {
    struct Nothing;
    impl Network for Nothing {
        fn lookup<'a>(&'a self, _: &'a str) -> Asked<'a, Vec<IpAddr>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn dial(&self, _: SocketAddr) -> Asked<'_, TcpStream> {
            Box::pin(async { Err(io::Error::other("nothing to dial")) })
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(Resolver::new(HOUR).resolve("a.example", &Nothing));
    assert_eq!(answer, Err(Failure::Resolve("the name has no address".into())));
}
