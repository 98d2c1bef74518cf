//! What can go wrong between the dispatcher and a receiver, in the words the classification needs.
//!
//! The delivery engine produces these, [`crate::outcome`] decides what they mean. Texts in here must never hold a
//! URL, a header value or a body: they end up in `tms.dead_letter_queue` and `tms.delivery_attempts`.

use std::error::Error;
use std::fmt;

use crate::shown::one_line;

/// The longest text of the engine that is repeated, in characters.
const TEXT_LIMIT: usize = 300;

/// The phase of an attempt that ran out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the name server.
    Resolve,
    /// TCP connection and TLS handshake.
    Connect,
    /// The request was, or may have been, sent; no complete answer came.
    Response,
}

/// Why an attempt ended without a complete HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The host name has no address, or the name server did not answer.
    Resolve(String),
    /// Every address of the host refused or could not be reached.
    Connect(String),
    /// The TLS handshake failed: certificate, name or protocol.
    Tls(String),
    /// The attempt's time ran out.
    Timeout(Phase),
    /// An address of the host is not public and the target does not allow private networks.
    AddressRefused(String),
    /// The connection ended before the response was complete.
    Closed(String),
    /// The answer was not valid HTTP, or its head was larger than the engine accepts.
    Protocol(String),
    /// The request could not be formed from the target and the event; trying again cannot help.
    InvalidRequest(String),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Response => "waiting for the response",
        })
    }
}

/// One line for people. The engine's text is cut and escaped: parts of it, such as the names in a certificate, were
/// chosen by the receiver.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, text) = match self {
            Self::Timeout(phase) => return write!(f, "timed out while {phase}"),
            Self::Resolve(text) => ("the host name could not be resolved", text),
            Self::Connect(text) => ("could not connect", text),
            Self::Tls(text) => ("the TLS handshake failed", text),
            Self::AddressRefused(text) => ("the address is not allowed for this target", text),
            Self::Closed(text) => ("the connection ended before the response was complete", text),
            Self::Protocol(text) => ("the answer was not valid HTTP", text),
            Self::InvalidRequest(text) => ("the request could not be formed", text),
        };
        if text.is_empty() {
            f.write_str(what)
        } else {
            write!(f, "{what}: {}", one_line(text, TEXT_LIMIT))
        }
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_reads_as_one_short_line() {
        for (failure, expected) in [
            (
                Failure::Timeout(Phase::Resolve),
                "timed out while resolving the host name",
            ),
            (Failure::Timeout(Phase::Connect), "timed out while connecting"),
            (
                Failure::Timeout(Phase::Response),
                "timed out while waiting for the response",
            ),
            (Failure::Connect(String::new()), "could not connect"),
            (
                Failure::Tls("not valid for\nname".to_owned()),
                "the TLS handshake failed: not valid for\\nname",
            ),
        ] {
            assert_eq!(failure.to_string(), expected);
        }
        let long = Failure::Protocol("x".repeat(100_000)).to_string();
        assert!(long.len() < 400, "{}", long.len());
    }
}
