//! Hosts that are an address in themselves, in every notation that a resolver, or a proxy, would take for one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address, or `None` if `host` needs a name server. A zone (`fe80::1%eth0`) plays no part in which address it
/// is; `localhost` is no name to ask anybody for (RFC 6761).
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let bare = host.split_once('%').map_or(host, |(bare, _)| bare);
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(v6));
    }
    numeric_v4(host.strip_suffix('.').unwrap_or(host)).map(IpAddr::V4)
}

/// Whether `host` means this machine by definition.
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// One to four numbers, each decimal, octal (`0177`) or hexadecimal (`0x7f`); the last fills what is left of the
/// 32 bits. This is what inet_aton reads, and with it getaddrinfo and most URL parsers.
fn numeric_v4(host: &str) -> Option<Ipv4Addr> {
    let mut numbers = Vec::with_capacity(4);
    for part in host.split('.') {
        if numbers.len() == 4 {
            return None;
        }
        numbers.push(number(part)?);
    }
    let last = numbers.pop()?;
    let room = 32 - 8 * u32::try_from(numbers.len()).ok()?;
    if u64::from(last) >> room != 0 || numbers.iter().any(|&part| part > 255) {
        return None;
    }
    let mut bits = 0;
    for part in &numbers {
        bits = (bits << 8) | u64::from(*part);
    }
    u32::try_from((bits << room) | u64::from(last))
        .ok()
        .map(Ipv4Addr::from)
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // from_str_radix would take a sign.
    if !digits.chars().all(|letter| letter.is_digit(radix)) {
        return None;
    }
    if digits.is_empty() && radix == 16 {
        return Some(0);
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::{address, is_localhost};

    #[test]
    fn every_notation_is_the_address_it_means() {
        for (host, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("127.0.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("0X7F.0x0.0.0x1", "127.0.0.1"),
            ("017700000001", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("0xa9fea9fe", "169.254.169.254"),
            ("10.256", "10.0.1.0"),
            ("0", "0.0.0.0"),
            ("0x", "0.0.0.0"),
            ("4294967295", "255.255.255.255"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]", "fe80::1"),
            ("fe80::1%", "fe80::1"),
        ] {
            assert_eq!(address(host), Some(expected.parse().unwrap()), "{host}");
        }
    }

    #[test]
    fn what_is_a_name_or_nonsense_is_no_address() {
        for host in [
            "",
            ".",
            "example.com",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.256",
            "4294967296",
            "+1",
            "1.+2",
            "09",
            "0xg",
            "1..2",
            "127.0.0.1..",
            "a.127.0.0.1",
            "eth0%fe80::1",
        ] {
            assert_eq!(address(host), None, "{host}");
        }
    }

    #[test]
    fn localhost_is_known_by_name() {
        for host in ["localhost", "LocalHost.", "a.b.localhost"] {
            assert!(is_localhost(host), "{host}");
        }
        for host in ["localhost.example", "alocalhost", ""] {
            assert!(!is_localhost(host), "{host}");
        }
    }
}
