//! From an origin to a connection: resolve, check every address, dial, TLS, HTTP. Each step ends in time.

use crate::connection::Connection;
use crate::failures::words;
use crate::guard;
use crate::request::Origin;
use crate::resolve::Resolver;
use crate::tls::Tls;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tms_domain::failure::{Failure, Phase};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Shared by all threads of an engine.
pub(crate) struct Connector {
    pub(crate) resolver: Resolver,
    pub(crate) tls: Tls,
    pub(crate) connect_timeout: Duration,
}

impl Connector {
    /// A fresh connection to `origin`, or why not; ends by `until`.
    pub(crate) async fn open(&self, origin: &Arc<Origin>, until: Instant) -> Result<Connection, Failure> {
        let addresses = timeout_at(until, self.resolver.resolve(&origin.host))
            .await
            .unwrap_or(Err(Failure::Timeout(Phase::Resolve)))?;
        let allowed = allowed(&addresses, origin.allow_private)?;
        let until = until.min(Instant::now() + self.connect_timeout);
        timeout_at(until, self.establish(origin, &allowed, until))
            .await
            .unwrap_or(Err(Failure::Timeout(Phase::Connect)))
    }

    async fn establish(
        &self,
        origin: &Arc<Origin>,
        to: &[IpAddr],
        until: Instant,
    ) -> Result<Connection, Failure> {
        let stream = dial(to, origin.port, until).await?;
        // A request is written in one piece: waiting for more before it is sent only adds latency.
        stream
            .set_nodelay(true)
            .map_err(|error| Failure::Connect(words(&error).into()))?;
        if origin.tls {
            let stream = self.tls.connect(&origin.host, stream).await?;
            Connection::over_tls(stream, Arc::clone(origin)).await
        } else {
            Connection::over_tcp(stream, Arc::clone(origin)).await
        }
    }
}

/// The addresses that may be dialled; an error only if there is none.
fn allowed(addresses: &[IpAddr], allow_private: bool) -> Result<Vec<IpAddr>, Failure> {
    let check = if allow_private {
        guard::check_private_allowed
    } else {
        guard::check
    };
    let mut refused = None;
    let mut allowed = Vec::with_capacity(addresses.len());
    for &addr in addresses {
        match check(addr) {
            Ok(()) => allowed.push(addr),
            Err(range) => refused = refused.or(Some(range)),
        }
    }
    match refused {
        Some(range) if allowed.is_empty() => Err(Failure::AddressRefused(range.to_owned())),
        _ => Ok(allowed),
    }
}

/// Tries the addresses in order; each gets an equal part of the time that is left, so that a dead first one does
/// not use up the time of a good second one.
async fn dial(addresses: &[IpAddr], port: u16, until: Instant) -> Result<TcpStream, Failure> {
    let mut last = Failure::Connect("the name has no address".into());
    for (tried, &addr) in addresses.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let part = now + until.saturating_duration_since(now) / left;
        last = match timeout_at(part, TcpStream::connect(SocketAddr::new(addr, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => Failure::Connect(words(&error).into()),
            Err(_) => Failure::Timeout(Phase::Connect),
        };
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::allowed;
    use tms_domain::failure::Failure;

    #[test]
    fn only_allowed_addresses_are_dialled() {
        let mixed = [
            "10.0.0.1".parse().unwrap(),
            "1.1.1.1".parse().unwrap(),
            "::1".parse().unwrap(),
        ];
        assert_eq!(allowed(&mixed, false).unwrap(), [mixed[1]]);
        assert_eq!(allowed(&mixed, true).unwrap(), mixed);
        assert_eq!(
            allowed(&mixed[..1], false).unwrap_err(),
            Failure::AddressRefused("private (10.0.0.0/8)".into())
        );
    }
}
