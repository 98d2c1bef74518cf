//! Ports that stay free while their owner is down.
//!
//! The kernel's own choice (bind to 0) comes from the range of outgoing connections. A port from there may be taken
//! as somebody's source port while its owner restarts; worse, a client that keeps dialling a closed port of that
//! range on loopback is one day given the same source port and is connected to itself. So ports are chosen below it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpSocket;

const FIRST: u16 = 12_000;

/// A port of 127.0.0.1 that was free a moment ago; whoever binds it must be ready to ask for another.
pub fn free_port() -> u16 {
    bind_fresh()
        .and_then(|socket| socket.local_addr())
        .expect("no free port on 127.0.0.1")
        .port()
}

/// A socket bound to a fresh port of 127.0.0.1.
///
/// Bound without SO_REUSEADDR, so that a port somebody else holds, even without listening, is never shared; the
/// option is set afterwards for the sake of the owner's own rebinding.
pub(crate) fn bind_fresh() -> io::Result<TcpSocket> {
    let mut refusal = None;
    for port in candidates() {
        let socket = TcpSocket::new_v4()?;
        match socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            Ok(()) => {
                socket.set_reuseaddr(true)?;
                return Ok(socket);
            }
            Err(error) => refusal = Some(error),
        }
    }
    Err(refusal.expect("at least one candidate"))
}

/// Binds the very port again, which connections of its last life may still be named after.
pub(crate) fn bind_again(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Candidates that differ between the threads of a process and, most likely, between processes.
fn candidates() -> impl Iterator<Item = u16> {
    static DRAWN: AtomicU32 = AtomicU32::new(0);
    let end = outgoing_range_start().unwrap_or(32_768).max(FIRST + 1);
    let span = u32::from(end - FIRST);
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.subsec_nanos());
    let seed = std::process::id().wrapping_mul(7_919).wrapping_add(clock >> 10);
    let low = (0..256).map(move |_| {
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        FIRST + (seed.wrapping_add(drawn.wrapping_mul(31)) % span) as u16
    });
    // Where nothing below the range is free, the kernel's choice is better than none.
    low.chain([0])
}

fn outgoing_range_start() -> Option<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_is_never_drawn_and_its_owner_binds_it_again() {
        let held = bind_fresh().unwrap();
        let address = held.local_addr().unwrap();
        assert!(TcpSocket::new_v4().unwrap().bind(address).is_err());
        assert_eq!(bind_again(address).unwrap().local_addr().unwrap(), address);
        assert_ne!(free_port(), address.port());
    }
}
