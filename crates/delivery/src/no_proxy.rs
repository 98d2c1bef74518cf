//! Which hosts are reached without the proxy.

use crate::literal;
use std::net::IpAddr;
use tms_domain::problem::Problem;
use tms_domain::shown::quoted;

/// The parsed list.
pub(crate) struct NoProxy(Vec<Rule>);

enum Rule {
    Everything,
    /// The name and all names below it.
    Name(String),
    /// A network, as IPv6 bits; IPv4 is mapped into it.
    Network {
        bits: u128,
        length: u32,
    },
}

const EXPECTED: &str =
    "Expected names such as example.com or .example.com, addresses, networks such as 10.0.0.0/8, or *.";

impl NoProxy {
    /// Empty entries count for nothing, as they do in the environment variable of that name.
    pub(crate) fn parse(list: &[String]) -> Result<NoProxy, Problem> {
        let entries = list
            .iter()
            .map(|entry| entry.trim())
            .filter(|entry| !entry.is_empty());
        entries.map(rule).collect::<Result<_, _>>().map(NoProxy)
    }

    pub(crate) fn covers(&self, host: &str) -> bool {
        let address = literal::address(host).map(mapped);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0.iter().any(|rule| match rule {
            Rule::Everything => true,
            Rule::Network { bits, length } => address.is_some_and(|address| begins(address, *bits, *length)),
            Rule::Name(parent) => {
                address.is_none()
                    && name
                        .strip_suffix(parent.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        })
    }
}

fn rule(entry: &str) -> Result<Rule, Problem> {
    if entry == "*" {
        return Ok(Rule::Everything);
    }
    if let Some((network, length)) = entry.split_once('/') {
        return cidr(network, length).ok_or_else(|| invalid(entry));
    }
    if let Some(address) = literal::address(entry) {
        let bits = mapped(address);
        return Ok(Rule::Network { bits, length: 128 });
    }
    let name = entry.trim_start_matches("*.").trim_start_matches('.');
    let name = name.strip_suffix('.').unwrap_or(name);
    let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(known) {
        return Err(invalid(entry));
    }
    Ok(Rule::Name(name.to_ascii_lowercase()))
}

fn cidr(network: &str, length: &str) -> Option<Rule> {
    let address: IpAddr = network.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    (length <= most).then(|| Rule::Network {
        bits: mapped(address),
        length: length + before,
    })
}

fn invalid(entry: &str) -> Problem {
    Problem::new(format!("{} is no exception from a proxy", quoted(entry)))
        .detail(EXPECTED)
        .hint("Separate entries by commas; ports cannot be given.")
}

fn mapped(address: IpAddr) -> u128 {
    u128::from(match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    })
}

fn begins(address: u128, bits: u128, length: u32) -> bool {
    length == 0 || (address ^ bits) >> (128 - length) == 0
}

#[cfg(test)]
mod tests {
    use super::NoProxy;

    fn covers(list: &str, host: &str) -> bool {
        let list: Vec<String> = list.split(',').map(str::to_owned).collect();
        NoProxy::parse(&list).unwrap().covers(host)
    }

    #[test]
    fn each_kind_of_rule_covers_what_it_says() {
        for (list, host) in [
            ("*", "anything.example"),
            ("*", "1.2.3.4"),
            ("example.com", "example.com"),
            ("example.com", "a.b.Example.COM."),
            (".example.com", "example.com"),
            ("*.example.com", "a.example.com"),
            ("x, example.com ,", "example.com"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3", "::ffff:10.1.2.3"),
            ("10.0.0.0/8", "10.255.1.1"),
            ("10.0.0.0/8", "0x0a000001"),
            ("0.0.0.0/0", "8.8.8.8"),
            ("::/0", "8.8.8.8"),
            ("fd00::/8", "[fd12::1]"),
            ("::1", "::1"),
        ] {
            assert!(covers(list, host), "{list} covers {host}");
        }
        for (list, host) in [
            ("", "example.com"),
            ("example.com", "notexample.com"),
            ("example.com", "example.com.evil"),
            ("a.example.com", "example.com"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "10.example"),
            ("0.0.0.0/0", "2606:4700::1"),
            ("fd00::/8", "fe00::1"),
            ("3.4", "1.2.3.4"),
        ] {
            assert!(!covers(list, host), "{list} does not cover {host}");
        }
    }

    #[test]
    fn an_entry_that_says_nothing_is_refused() {
        for entry in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "a/8",
            "10.0.0.0/",
            "a b",
            ".",
            "http://x",
            "x:80",
        ] {
            let problem = NoProxy::parse(&[entry.to_owned()]).err().expect(entry);
            assert!(
                problem.message.contains(entry) && problem.hint.is_some(),
                "{problem:?}"
            );
        }
    }
}
