//! What the owner decides before anything is sent: the engine's limits and its targets. Data only.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tms_domain::signature::Key;

/// Limits and surroundings of one engine. `==` tells whether a running engine was started with the same; the files
/// are compared by name.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The proxy that requests go through; none unless set, whatever the environment says.
    pub proxy: Option<ProxySpec>,
    /// Certificates in PEM that are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate chain and private key in PEM, shown to receivers that ask for one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// How long the addresses of a name are remembered; 0 looks them up for each new connection. That a name could
    /// not be resolved is not remembered.
    pub dns_cache: Duration,
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
            proxy: None,
            ca_file: None,
            client_certificate: None,
            dns_cache: Duration::from_secs(5),
        }
    }
}

/// An outbound HTTP proxy: asked for a tunnel by CONNECT for https targets, for the whole URL for http targets.
///
/// The proxy resolves the names of targets, so only a host that is written as an address, or is `localhost`, can be
/// checked here: which names lead into private networks is the proxy's to refuse. Its own address may be private.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxySpec {
    /// `http://[user:password@]host[:port]`, the credentials percent-encoded; port 80 if none is given.
    pub url: String,
    /// What is reached without the proxy: `example.com` and `.example.com` (the name and all below it), an address,
    /// a network such as `10.0.0.0/8`, or `*` for everything.
    pub no_proxy: Vec<String>,
}

/// Leaves out the URL, which may hold credentials.
impl fmt::Debug for ProxySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySpec")
            .field("no_proxy", &self.no_proxy)
            .finish_non_exhaustive()
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
    /// Keys that each request is signed with, anew for every attempt (Standard Webhooks); none: no signature.
    pub signing_keys: Vec<Key>,
    /// Bodies of at least so many bytes are sent as gzip, unless a header says that they are encoded already.
    pub gzip_from: Option<usize>,
    /// Whether the body of a success is kept too, as far as that of a failure: some receivers say there that it is none.
    pub keeps_success: bool,
}
