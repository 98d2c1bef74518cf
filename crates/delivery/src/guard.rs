//! Which addresses may be dialled. Asked for every address after resolution, so that no name, redirect or
//! notation leads a request into the network the database stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Refuses every address that is not public, with the name of its range.
pub fn check(addr: IpAddr) -> Result<(), &'static str> {
    match addr {
        IpAddr::V4(v4) => check_v4(v4),
        IpAddr::V6(v6) => check_v6(v6),
    }
}

/// What is refused even to a target that may use private networks: addresses that are no single host.
pub fn check_private_allowed(addr: IpAddr) -> Result<(), &'static str> {
    let addr = addr.to_canonical();
    if addr.is_unspecified() {
        return Err("unspecified");
    }
    if addr.is_multicast() {
        return Err("multicast");
    }
    if addr == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err("broadcast");
    }
    Ok(())
}

/// IPv4 ranges of the IANA special-purpose registry: first octets, prefix length, name. The first match counts.
const V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 32, "unspecified"),
    ([0, 0, 0, 0], 8, "this network (0.0.0.0/8)"),
    ([10, 0, 0, 0], 8, "private (10.0.0.0/8)"),
    ([100, 64, 0, 0], 10, "shared address space (100.64.0.0/10)"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private (172.16.0.0/12)"),
    ([192, 0, 0, 0], 24, "protocol assignments (192.0.0.0/24)"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "6to4 relay (192.88.99.0/24)"),
    ([192, 168, 0, 0], 16, "private (192.168.0.0/16)"),
    ([198, 18, 0, 0], 15, "benchmarking (198.18.0.0/15)"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([240, 0, 0, 0], 4, "reserved (240.0.0.0/4)"),
];

/// IPv6 ranges that are refused whatever is inside.
const V6: &[([u16; 3], u32, &str)] = &[
    ([0x0100, 0, 0], 48, "discard-only (100::/64)"),
    ([0x2001, 0x0002, 0], 48, "benchmarking (2001:2::/48)"),
    ([0x2001, 0x0010, 0], 28, "ORCHID (2001:10::/28)"),
    ([0x2001, 0x0020, 0], 28, "ORCHID (2001:20::/28)"),
    ([0x2001, 0x0db8, 0], 32, "documentation"),
    ([0x3fff, 0, 0], 20, "documentation"),
    ([0x5f00, 0, 0], 16, "segment routing (5f00::/16)"),
    ([0xfc00, 0, 0], 7, "unique local (fc00::/7)"),
    ([0xfe80, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0], 10, "site-local (fec0::/10)"),
    ([0xff00, 0, 0], 8, "multicast"),
    // Local-use translation: what is embedded means what the operator of the network says.
    ([0x0064, 0xff9b, 1], 48, "local NAT64 (64:ff9b:1::/48)"),
];

fn check_v4(addr: Ipv4Addr) -> Result<(), &'static str> {
    let bits = u32::from(addr);
    for &(prefix, length, name) in V4 {
        let mask = u32::MAX << (32 - length);
        if bits & mask == u32::from(Ipv4Addr::from(prefix)) {
            return Err(name);
        }
    }
    Ok(())
}

fn check_v6(addr: Ipv6Addr) -> Result<(), &'static str> {
    if addr.is_unspecified() {
        return Err("unspecified");
    }
    if addr.is_loopback() {
        return Err("loopback");
    }
    let bits = u128::from(addr);
    for &(prefix, length, name) in V6 {
        let prefix = prefix
            .iter()
            .fold(0u128, |sum, part| (sum << 16) | u128::from(*part))
            << 80;
        if bits >> (128 - length) == prefix >> (128 - length) {
            return Err(name);
        }
    }
    embedded_v4(addr).map_or(Ok(()), check_v4)
}

/// The IPv4 address that packets to this IPv6 address end up at, or go through.
fn embedded_v4(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    let part = addr.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match part {
        // Mapped, compatible, translated (SIIT) and NAT64: the last 32 bits.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        // 6to4: the 32 bits after the prefix.
        [0x2002, high, low, ..] => Some(from(high, low)),
        // Teredo: the client, with every bit inverted.
        [0x2001, 0, _, _, _, _, high, low] => Some(from(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, check_private_allowed};

    #[test]
    fn special_addresses_are_refused_by_name() {
        let refused = [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "this network"),
            ("10.0.0.1", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.1", "shared"),
            ("100.127.255.255", "shared"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.8", "protocol"),
            ("192.0.2.1", "documentation"),
            ("192.168.1.1", "private"),
            ("198.18.0.1", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.1.2.3", "private"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:0:192.168.0.1", "private"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b:1::808:808", "local NAT64"),
            ("100::1", "discard"),
            ("2001::f5ff:fffe", "private"),
            ("2001:2::1", "benchmarking"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "loopback"),
            ("2002:c0a8:101::1", "private"),
            ("fc00::1", "unique local"),
            ("fd12:3456::1", "unique local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ];
        for (text, range) in refused {
            let name = check(text.parse().unwrap()).expect_err(text);
            assert!(name.contains(range), "{text}: {name} instead of {range}");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.1.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "192.169.0.1",
            "198.17.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:4860:4860::8888",
            "fbff::1",
            "2001:0:0:0:0:0:f7f7:f7f7",
        ] {
            assert_eq!(check(text.parse().unwrap()), Ok(()), "{text}");
        }
    }

    #[test]
    fn private_networks_can_be_allowed_but_not_every_address() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "fd00::1",
            "169.254.1.1",
            "::ffff:192.168.0.1",
            "8.8.8.8",
        ] {
            assert_eq!(check_private_allowed(text.parse().unwrap()), Ok(()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(check_private_allowed(text.parse().unwrap()).is_err(), "{text}");
        }
    }
}
