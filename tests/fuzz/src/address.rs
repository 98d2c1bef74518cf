//! The address guard: the input is an address in bytes (16 or more, else 4) and as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tms_delivery::guard::{check as guard, check_private_allowed};
use tms_domain::endpoint;

use crate::text;

/// Every form of a private address that comes to mind, and public ones.
pub const SEEDS: &[&[u8]] = &[
    b"\x7f\0\0\x01",
    b"\x0a\0\0\x01",
    b"\xa9\xfe\xa9\xfe",
    b"\x08\x08\x08\x08",
    b"\x08\x08\x04\x04",
    b"\xc0\xa8\x01\x01",
    b"\x64\x40\0\x01",
    b"\x64\x80\0\x01",
    b"\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01",
    b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
    b"\0\x64\xff\x9b\0\0\0\0\0\0\0\0\x0a\0\0\x01",
    b"\x20\x02\x7f\0\0\x01\0\0\0\0\0\0\0\0\0\x01",
    b"\x20\x01\0\0\0\0\0\0\0\0\0\0\x80\xff\xff\xfe",
    b"\x20\x01\x48\x60\x48\x60\0\0\0\0\0\0\0\0\x88\x88",
    b"\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
    b"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
    b"127.0.0.1",
    b"8.8.8.8",
    b"::ffff:10.0.0.1",
    b"64:ff9b::192.168.0.1",
    b"2606:4700::1111",
];

/// What is private stays refused in whatever form it comes; answers whether the address is public.
pub fn check(data: &[u8]) -> bool {
    let mut public = false;
    if let Some(bytes) = data.first_chunk::<16>() {
        public |= check_v6(Ipv6Addr::from(*bytes));
    } else if let Some(bytes) = data.first_chunk::<4>() {
        public |= check_v4(Ipv4Addr::from(*bytes));
    }
    match text(data).parse() {
        Ok(IpAddr::V4(addr)) => public |= check_v4(addr),
        Ok(IpAddr::V6(addr)) => public |= check_v6(addr),
        Err(_) => {}
    }
    public
}

fn check_v4(addr: Ipv4Addr) -> bool {
    let verdict = guard(IpAddr::V4(addr));
    let special = addr.is_loopback()
        || addr.is_private()
        || addr.is_link_local()
        || addr.is_multicast()
        || addr.is_broadcast()
        || addr.is_documentation()
        || addr.octets()[0] == 0
        || addr.octets()[0] >= 240;
    assert!(!(special && verdict.is_ok()), "{addr} passes");
    if verdict.is_ok() {
        assert_eq!(check_private_allowed(IpAddr::V4(addr)), Ok(()), "{addr}");
    }
    for form in carried(addr) {
        let carried = guard(IpAddr::V6(form));
        assert!(verdict.is_ok() || carried.is_err(), "{addr} passes as {form}");
    }
    check_written(addr);
    verdict.is_ok()
}

/// IPv6 addresses whose packets end up at the IPv4 address, or go through it.
fn carried(addr: Ipv4Addr) -> [Ipv6Addr; 6] {
    let bits = u128::from(u32::from(addr));
    [
        // Mapped, compatible, translated, NAT64, 6to4, Teredo.
        0xffff << 32 | bits,
        bits,
        0xffff << 48 | bits,
        0x0064_ff9b << 96 | bits,
        0x2002 << 112 | bits << 80 | 1,
        0x2001_0000 << 96 | (bits ^ 0xffff_ffff),
    ]
    .map(Ipv6Addr::from)
}

/// Whatever notation of the address a URL has, the host is the address in its usual form: nothing else is resolved.
fn check_written(addr: Ipv4Addr) {
    let bits = u32::from(addr);
    let [a, b, c, d] = addr.octets();
    for host in [
        format!("{bits}"),
        format!("0x{bits:x}"),
        format!("0{bits:o}"),
        format!("{a}.{}", bits & 0x00ff_ffff),
        format!("{a}.0x{b:x}.{}", bits & 0xffff),
        format!("0{a:o}.{b}.0X{c:X}.{d}"),
        format!("{addr}."),
    ] {
        let read = endpoint::parse(&format!("http://{host}/"));
        if let Ok(read) = read {
            assert_eq!(read.host, addr.to_string(), "{host} is taken for another place");
        }
    }
}

fn check_v6(addr: Ipv6Addr) -> bool {
    let verdict = guard(IpAddr::V6(addr));
    let special = addr.is_loopback()
        || addr.is_unspecified()
        || addr.is_multicast()
        || addr.is_unique_local()
        || addr.is_unicast_link_local();
    assert!(!(special && verdict.is_ok()), "{addr} passes");
    if verdict.is_ok() {
        assert_eq!(check_private_allowed(IpAddr::V6(addr)), Ok(()), "{addr}");
    }
    if let Some(v4) = addr.to_ipv4_mapped() {
        assert_eq!(verdict, guard(IpAddr::V4(v4)), "{addr}");
        check_v4(v4);
    }
    let read = endpoint::parse(&format!("http://[{addr}]/"));
    let host = read.ok().and_then(|read| read.host.parse().ok());
    assert_eq!(host, Some(addr), "{addr} is taken for another place");
    verdict.is_ok()
}
