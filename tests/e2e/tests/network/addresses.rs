//! A target without `allow_private_network` reaches no private address, however it is written: the target is refused when it is
//! set, or its event is dead at once and no connection is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::peer::{Peer, RawReceiver};

use crate::stage::{End, Stage};

/// Hosts that mean this machine: a connection to any of them would be seen.
const HERE: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F.0x0.0.0x1",
    "017700000001",
    "0177.0.0.01",
    "%31%32%37.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "localhost",
    "LocalHost",
    "0.0.0.0",
    "0",
    "0x0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:0]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
];

/// Hosts elsewhere that no public network has.
const ELSEWHERE: &[&str] = &[
    "10.0.0.1",
    "10.256",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "0xc0a80101",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001::80ff:fffe]",
    "[2001::f5ff:fffe]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[::10.0.0.1]",
];

/// Names for this machine that only some resolvers know.
const NAMES: &[&str] = &["localhost.", "any.localhost", "ip6-localhost"];

/// Hosts that cannot be part of a URL: a zone names an interface of this machine.
const NO_HOSTS: &[&str] = &[
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[::1%25lo]",
    "256.0.0.1",
    "0x100000000",
    "127.0.0.1:0",
];

const REFUSED: &str = "the address is not allowed for this target: ";

/// One listener for each family on one port.
struct Listeners(Vec<RawReceiver>);

impl Listeners {
    fn start() -> Self {
        fn answering(stream: std::net::TcpStream) {
            let mut peer = Peer::over(stream);
            while peer.request() && peer.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") {}
        }
        loop {
            // All addresses of this machine, so that 0.0.0.0 and the like would be seen too.
            let port = tms_e2e::port::free_port();
            let any = [
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ];
            // The first may take both families.
            let all: Vec<_> = any
                .into_iter()
                .filter_map(|address| RawReceiver::on(address, port, answering))
                .collect();
            if !all.is_empty() {
                return Self(all);
            }
        }
    }

    fn port(&self) -> u16 {
        self.0[0].port()
    }

    fn accepted(&self) -> usize {
        self.0.iter().map(RawReceiver::accepted).sum()
    }
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    let stage = Stage::set(Cluster::builder());
    let listeners = Listeners::start();
    let mut wrong = Vec::new();
    let hosts: Vec<&str> = HERE.iter().chain(ELSEWHERE).copied().collect();
    let mut set = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let (target, url) = (
            format!("t{number}"),
            format!("http://{host}:{}/", listeners.port()),
        );
        match stage.set_target(&target, &url, json!({ "timeout_ms": 2000 })) {
            Ok(()) => {
                stage.enqueue(&target, 3);
                set.push((host, target));
            }
            Err(error) if error.code().is_some_and(|code| code.code() == "22023") => {}
            Err(error) => wrong.push(format!("{host}: {error:?}")),
        }
    }
    // Most are an address in an unusual form, and are dialled, or not: few may be refused as URLs.
    assert!(set.len() + 3 >= hosts.len(), "{} of {}", set.len(), hosts.len());
    for (host, target) in &set {
        match stage.end_of(target) {
            End::Dead {
                error,
                message,
                permanent: true,
                status: None,
            } if error == "validation" && message.starts_with(REFUSED) => {}
            other => wrong.push(format!("{host}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(listeners.accepted(), 0, "a connection was made");
}

#[test]
fn names_for_this_machine_are_refused_where_they_are_known() {
    let stage = Stage::set(Cluster::builder());
    let listeners = Listeners::start();
    for name in NAMES {
        let target = name.replace('.', "-").trim_matches('-').to_owned();
        let url = format!("http://{name}:{}/", listeners.port());
        stage.set_target(&target, &url, json!({})).expect("a target");
        stage.enqueue(&target, 0);
        let End::Dead { message, .. } = stage.end_of(&target) else {
            panic!("{name} was delivered to");
        };
        let is_unknown = message.starts_with("the host name could not be resolved");
        assert!(is_unknown || message.starts_with(REFUSED), "{name}: {message}");
    }
    assert_eq!(listeners.accepted(), 0, "a connection was made");
}

#[test]
fn what_is_no_host_is_refused_when_the_target_is_set() {
    let stage = Stage::set(Cluster::builder());
    for host in NO_HOSTS {
        for options in [json!({}), json!({ "allow_private_network": true })] {
            let error = stage
                .set_target("t", &format!("http://{host}/"), options)
                .expect_err(host);
            let code = error.code().map(|code| code.code().to_owned());
            assert_eq!(code.as_deref(), Some("22023"), "{host}: {error:?}");
        }
    }
}

#[test]
fn a_target_that_may_use_private_networks_reaches_this_machine_in_each_of_these_forms() {
    let stage = Stage::set(Cluster::builder());
    let listeners = Listeners::start();
    let options = json!({ "timeout_ms": 5000, "allow_private_network": true });
    let mut wrong = Vec::new();
    let mut reached = 0;
    for (number, host) in HERE.iter().enumerate() {
        let (target, url) = (
            format!("t{number}"),
            format!("http://{host}:{}/", listeners.port()),
        );
        if stage.set_target(&target, &url, options.clone()).is_err() {
            continue;
        }
        stage.enqueue(&target, 0);
        // Nobody means an address that names no host, whatever networks are allowed; of the forms of IPv6 that hold an
        // IPv4 address the system dials one.
        let is_nobody = matches!(*host, "0.0.0.0" | "0" | "0x0" | "[::]" | "[::ffff:0:0]");
        let is_unroutable = matches!(*host, "[::127.0.0.1]" | "[::ffff:0:127.0.0.1]");
        match stage.end_of(&target) {
            End::Delivered if !is_nobody => reached += 1,
            End::Dead { error, .. } if is_nobody && error == "validation" => {}
            End::Dead { error, .. } if is_unroutable && error != "validation" => {}
            other => wrong.push(format!("{host}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        reached >= 12,
        "{reached} forms were reached: the other test proves too little"
    );
    assert_eq!(listeners.accepted(), reached);
}
