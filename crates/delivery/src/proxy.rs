//! The way through an HTTP proxy: what its setting means, and the tunnel it is asked for.

use crate::config::ProxySpec;
use crate::failures::words;
use crate::no_proxy::NoProxy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use tms_domain::endpoint::{self, Scheme};
use tms_domain::failure::Failure;
use tms_domain::problem::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest answer to CONNECT.
const HEAD_LIMIT: usize = 16 * 1024;
const EXPECTED: &str = "Expected http://host:port or http://user:password@host:port.";

/// A proxy as connections need it.
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Value of Proxy-Authorization; marked as sensitive.
    authorization: Option<HeaderValue>,
    exempt: NoProxy,
}

impl Proxy {
    pub(crate) fn new(spec: &ProxySpec) -> Result<Proxy, Problem> {
        let (credentials, url) = without_credentials(&spec.url);
        let endpoint = endpoint::parse(&url).map_err(|problem| Problem {
            message: format!("the proxy cannot be used: {problem}"),
            detail: Some(EXPECTED.to_owned()),
            hint: Some("Percent-encode special characters of the user name and password.".to_owned()),
            ..problem
        })?;
        if endpoint.scheme != Scheme::Http {
            return Err(unusable("it is spoken to without TLS")
                .hint("Begin its URL with http://. Requests to https targets stay encrypted through it."));
        }
        if endpoint.path_and_query != "/" {
            return Err(unusable("its URL has a path").hint("Remove what follows the port."));
        }
        Ok(Proxy {
            host: endpoint.host,
            port: endpoint.port,
            authorization: credentials.map(basic).transpose()?,
            exempt: NoProxy::parse(&spec.no_proxy)?,
        })
    }

    /// Whether requests to `host` go through it.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        !self.exempt.covers(host)
    }

    /// For requests that the proxy itself reads.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Asks for a tunnel to `authority`. After it, every byte is the target's.
    pub(crate) async fn tunnel(&self, stream: &mut TcpStream, authority: &str) -> Result<(), Failure> {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"proxy-authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let lost = |error| Failure::Connect(format!("proxy: {}", words(&error)));
        stream.write_all(&request).await.map_err(lost)?;
        let mut answer = Vec::with_capacity(512);
        while !answer.ends_with(b"\r\n\r\n") {
            // A target that speaks TLS waits for us: bytes behind the head are not its.
            let beyond = answer.windows(4).any(|part| part == b"\r\n\r\n");
            if beyond || answer.len() >= HEAD_LIMIT {
                return Err(not_http());
            }
            if stream.read_buf(&mut answer).await.map_err(lost)? == 0 {
                return Err(Failure::Connect("the proxy closed the connection".into()));
            }
        }
        match status(&answer) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(refused_credentials()),
            Some(status) => Err(Failure::Connect(format!("the proxy answered {status}"))),
            None => Err(not_http()),
        }
    }
}

/// What status 407 means: the operator has to act, and no event is to blame.
pub(crate) fn refused_credentials() -> Failure {
    Failure::Connect("the proxy wants other credentials (407)".into())
}

fn not_http() -> Failure {
    Failure::Connect("the answer of the proxy was not valid HTTP".into())
}

fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let [_, b' ', digits @ ..] = rest else { return None };
    let (digits, after) = digits.split_at_checked(3)?;
    if !matches!(after.first(), Some(b' ' | b'\r')) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The credentials, and the URL without them: no message about the URL can repeat them then.
fn without_credentials(url: &str) -> (Option<&str>, String) {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = url.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => (Some(&rest[..at]), format!("{scheme}{}", &rest[at + 1..])),
        None => (None, url.to_owned()),
    }
}

fn basic(credentials: &str) -> Result<HeaderValue, Problem> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let decoded = |part| percent_decode_str(part).collect::<Vec<u8>>();
    let user = decoded(user);
    if user.contains(&b':') {
        return Err(unusable("the user name in its URL holds a colon")
            .hint("HTTP cannot carry it (RFC 7617): use another user name."));
    }
    let pair = [user, decoded(password)].join(&b':');
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(text).map_err(|_| unusable("its credentials are not valid"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unusable(why: &str) -> Problem {
    Problem::new(format!("the proxy cannot be used: {why}")).detail(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::{Proxy, status};
    use crate::config::ProxySpec;

    fn proxy(url: &str) -> Result<Proxy, tms_domain::problem::Problem> {
        Proxy::new(&ProxySpec {
            url: url.into(),
            no_proxy: vec!["internal".into()],
        })
    }

    #[test]
    fn a_url_is_taken_apart() {
        for (url, host, port, authorization) in [
            ("http://proxy:3128", "proxy", 3128, None),
            ("http://Proxy.Example/", "proxy.example", 80, None),
            ("http://[::1]:8080", "::1", 8080, None),
            ("http://user:pass@proxy:1", "proxy", 1, Some("Basic dXNlcjpwYXNz")),
            ("http://user@proxy:1", "proxy", 1, Some("Basic dXNlcjo=")),
            (
                "http://u:p%40s%3As@proxy:1",
                "proxy",
                1,
                Some("Basic dTpwQHM6cw=="),
            ),
            ("http://u:p@s@proxy:1", "proxy", 1, Some("Basic dTpwQHM=")),
        ] {
            let proxy = proxy(url).unwrap();
            assert_eq!((proxy.host.as_str(), proxy.port), (host, port), "{url}");
            let found = proxy.authorization().map(|value| value.to_str().unwrap());
            assert_eq!(found, authorization, "{url}");
            assert!(!format!("{:?}", proxy.authorization()).contains("Basic"));
            assert!(proxy.is_for("a.example") && !proxy.is_for("a.internal"));
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_secret() {
        for url in [
            "",
            "secret",
            "user:secret@proxy:1",
            "socks5://user:secret@proxy:1",
            "https://user:secret@proxy:1",
            "http://user:secret@proxy:1/path",
            "http://user:secret@proxy:99999",
            "http://user:secret@",
            "http://user:secret@pro xy",
            "http://us%3Aer:secret@proxy:1",
            "http://user:secret",
        ] {
            let problem = proxy(url).err().expect(url);
            let shown = format!("{problem:?}");
            assert!(shown.contains("the proxy cannot be used: "), "{url}: {shown}");
            assert!(
                !shown.contains("secret") && problem.detail.is_some(),
                "{url}: {shown}"
            );
        }
        let spec = ProxySpec {
            url: "http://user:secret@proxy:1".into(),
            no_proxy: Vec::new(),
        };
        assert!(!format!("{spec:?}").contains("secret"));
    }

    #[test]
    fn a_status_line_is_read_strictly() {
        for (line, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n\r\n", Some(407)),
            ("HTTP/2 200\r\n\r\n", None),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.1 2000 x\r\n\r\n", None),
            ("HTTP/1.1 +20 x\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line}");
        }
    }
}
