//! From an origin to a connection: resolve, check every address, dial, tunnel, TLS, HTTP. Each step ends in time.

use crate::connection::Connection;
use crate::failures::words;
use crate::guard;
use crate::literal;
use crate::network::Network;
use crate::proxy::Proxy;
use crate::request::Origin;
use crate::resolve::Resolver;
use crate::tls::Tls;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tms_domain::failure::{Failure, Phase};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

#[cfg(test)]
mod tests;

/// Shared by all threads of an engine.
pub(crate) struct Connector {
    pub(crate) network: Box<dyn Network>,
    pub(crate) resolver: Resolver,
    pub(crate) proxy: Option<Arc<Proxy>>,
    pub(crate) tls: Tls,
    pub(crate) connect_timeout: Duration,
}

impl Connector {
    /// A fresh connection to `origin`, or why not; ends by `until`.
    pub(crate) async fn open(&self, origin: &Arc<Origin>, until: Instant) -> Result<Connection, Failure> {
        let proxy = self.proxy.as_deref().filter(|_| origin.proxied);
        let (host, port, private) = match proxy {
            Some(proxy) => {
                check_unresolved(origin)?;
                (&proxy.host, proxy.port, true)
            }
            None => (&origin.host, origin.port, origin.allow_private),
        };
        let addresses = timeout_at(until, self.resolver.resolve(host, &*self.network))
            .await
            .unwrap_or(Err(Failure::Timeout(Phase::Resolve)))?;
        let until = until.min(Instant::now() + self.connect_timeout);
        let establish = async {
            let stream = self.dial(&allowed(&addresses, private)?, port, until).await?;
            self.establish(origin, proxy, stream).await
        };
        timeout_at(until, establish)
            .await
            .unwrap_or(Err(Failure::Timeout(Phase::Connect)))
    }

    async fn establish(
        &self,
        origin: &Arc<Origin>,
        proxy: Option<&Proxy>,
        mut stream: TcpStream,
    ) -> Result<Connection, Failure> {
        // A request is written in one piece: waiting for more before it is sent only adds latency.
        stream
            .set_nodelay(true)
            .map_err(|error| Failure::Connect(words(&error).into()))?;
        if !origin.tls {
            return Connection::over_tcp(stream, Arc::clone(origin)).await;
        }
        if let Some(proxy) = proxy {
            proxy.tunnel(&mut stream, &origin.authority()).await?;
        }
        let stream = self.tls.connect(&origin.host, stream).await?;
        Connection::over_tls(stream, Arc::clone(origin)).await
    }

    /// Tries the addresses in order; each gets an equal part of the time that is left, so that a dead first one does
    /// not use up the time of a good second one.
    async fn dial(&self, to: &[Allowed], port: u16, until: Instant) -> Result<TcpStream, Failure> {
        let mut last = Failure::Connect("the name has no address".into());
        for (tried, &Allowed(addr)) in to.iter().enumerate() {
            let now = Instant::now();
            let left = u32::try_from(to.len() - tried).unwrap_or(u32::MAX);
            let part = now + until.saturating_duration_since(now) / left;
            last = match timeout_at(part, self.network.dial(SocketAddr::new(addr, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => Failure::Connect(words(&error).into()),
                Err(_) => Failure::Timeout(Phase::Connect),
            };
        }
        Err(last)
    }
}

/// An address that the guard has let pass: nothing else is dialled.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Allowed(IpAddr);

/// The addresses that may be dialled; an error only if there is none.
fn allowed(addresses: &[IpAddr], allow_private: bool) -> Result<Vec<Allowed>, Failure> {
    let mut refused = None;
    let mut allowed = Vec::with_capacity(addresses.len());
    for &addr in addresses {
        match check(addr, allow_private) {
            Ok(()) => allowed.push(Allowed(addr)),
            Err(range) => refused = refused.or(Some(range)),
        }
    }
    match refused {
        Some(range) if allowed.is_empty() => Err(Failure::AddressRefused(range.to_owned())),
        _ => Ok(allowed),
    }
}

fn check(addr: IpAddr, allow_private: bool) -> Result<(), &'static str> {
    if allow_private {
        guard::check_private_allowed(addr)
    } else {
        guard::check(addr)
    }
}

/// What can be said of a host that the proxy will resolve.
fn check_unresolved(origin: &Origin) -> Result<(), Failure> {
    let verdict = match literal::address(&origin.host) {
        Some(addr) => check(addr, origin.allow_private),
        None if literal::is_localhost(&origin.host) && !origin.allow_private => Err("loopback"),
        None => Ok(()),
    };
    verdict.map_err(|range| Failure::AddressRefused(range.to_owned()))
}
