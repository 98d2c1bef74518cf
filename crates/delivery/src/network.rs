//! The two things asked of the network, behind a door of their own: so a test can answer a name differently each
//! time it is asked for, and see what is dialled.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use tokio::net::TcpStream;

pub(crate) type Asked<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

pub(crate) trait Network: Send + Sync {
    /// The addresses of a name, in the order they are to be tried.
    fn lookup<'a>(&'a self, host: &'a str) -> Asked<'a, Vec<IpAddr>>;

    fn dial(&self, to: SocketAddr) -> Asked<'_, TcpStream>;
}

/// The system's resolver and sockets.
pub(crate) struct System;

impl Network for System {
    fn lookup<'a>(&'a self, host: &'a str) -> Asked<'a, Vec<IpAddr>> {
        Box::pin(async move {
            // The port plays no part in the answer.
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }

    fn dial(&self, to: SocketAddr) -> Asked<'_, TcpStream> {
        Box::pin(TcpStream::connect(to))
    }
}
