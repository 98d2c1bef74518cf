//! What the owner decides before anything is sent: the engine's limits and its targets. Data only.

use std::time::Duration;

/// Limits and sizes of one engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// I/O threads; 0 counts as 1.
    pub threads: usize,
    /// Bytes kept of the body of an answer that is not 2xx.
    pub response_body_limit: usize,
    /// Bytes of a body that are read before its connection is given up instead of reused.
    pub drain_limit: usize,
    /// An idle connection is closed after this time.
    pub idle_timeout: Duration,
    /// Longest time for TCP and TLS together, inside the timeout of the attempt.
    pub connect_timeout: Duration,
    /// So many outcomes wake the owner whatever the time.
    pub completion_batch: usize,
    /// The owner is woken at most once in this time, unless a batch is full or nothing else is in flight.
    pub completion_delay: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            threads: 1,
            response_body_limit: 1024,
            drain_limit: 64 * 1024,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            completion_batch: 500,
            completion_delay: Duration::from_millis(2),
        }
    }
}

/// Times beyond this count as this: sums with the clock must not overflow, because that would be a panic.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The owner's number for a target.
pub type TargetId = u32;

/// Clear text or TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 over TCP.
    Http,
    /// HTTP/1.1 over TLS, certificate and name verified.
    Https,
}

/// Where and how the events of one target are sent.
#[derive(Clone)]
pub struct TargetSpec {
    /// Clear text or TLS.
    pub scheme: Scheme,
    /// Host name or address literal (IPv6 with or without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Value of the Host header.
    pub authority: String,
    /// Request target in origin form, `/path?query`.
    pub path_and_query: String,
    /// Request method.
    pub method: String,
    /// Headers of every request, `user-agent` and `content-type` among them.
    pub headers: Vec<(String, String)>,
    /// Time for a whole attempt, from the moment it gets its place (waiting in the queue does not count) until the
    /// body of the answer is read: resolve, connect, TLS, send, answer.
    pub timeout: Duration,
    /// Most connections at a time, over all threads; 0 counts as 1.
    pub max_concurrency: usize,
    /// Whether loopback, private and other special addresses may be dialled.
    pub allow_private_network: bool,
}
