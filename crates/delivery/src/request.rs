//! What of a request is the same for every event of a target, computed once, and a request made from it.

use crate::config::{LONGEST, Scheme, TargetSpec};
use crate::job::{HeaderKey, Job};
use crate::proxy::Proxy;
use crate::stamp::STAMPS;
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tms_domain::failure::Failure;
use tms_domain::signature::Key;

/// Headers that decide how the message is framed or the connection is used: the engine's alone.
const OWN: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
];

/// Where a connection leads. Two targets, or two versions of one, that agree in this could share a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) allow_private: bool,
    /// The way there leads through the proxy.
    pub(crate) proxied: bool,
}

impl Origin {
    /// Whether the proxy reads the requests, and so may answer them itself.
    pub(crate) fn is_read_by_proxy(&self) -> bool {
        self.proxied && !self.tls
    }

    /// Host and port as a URL has them.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// One version of a target.
pub(crate) struct Prepared {
    pub(crate) origin: Arc<Origin>,
    pub(crate) timeout: Duration,
    pub(crate) signing_keys: Arc<[Key]>,
    pub(crate) keeps_success: bool,
    gzip_from: Option<usize>,
    parts: Result<Parts, Failure>,
}

struct Parts {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Prepared {
    pub(crate) fn new(spec: &TargetSpec, proxy: Option<&Proxy>) -> Prepared {
        let host = spec.host.trim_start_matches('[').trim_end_matches(']');
        let proxy = proxy.filter(|proxy| proxy.is_for(host));
        let origin = Origin {
            tls: spec.scheme == Scheme::Https,
            host: host.to_owned(),
            port: spec.port,
            allow_private: spec.allow_private_network,
            proxied: proxy.is_some(),
        };
        let parts = prepare(spec, &origin, proxy);
        Prepared {
            origin: Arc::new(origin),
            timeout: spec.timeout.min(LONGEST),
            signing_keys: spec.signing_keys.as_slice().into(),
            keeps_success: spec.keeps_success,
            gzip_from: spec.gzip_from,
            parts,
        }
    }

    /// Whether the body of `job` is to be compressed.
    pub(crate) fn is_large(&self, job: &Job) -> bool {
        let encoded = |key: &HeaderKey| match key {
            HeaderKey::Known(name) => *name == header::CONTENT_ENCODING,
            HeaderKey::Given(text) => text.eq_ignore_ascii_case(header::CONTENT_ENCODING.as_str()),
        };
        let by_target = |parts: &Parts| {
            let mut names = parts.headers.iter().map(|(name, _)| name);
            names.any(|name| name == header::CONTENT_ENCODING)
        };
        self.gzip_from.is_some_and(|from| job.body.len() >= from)
            && self.parts.as_ref().is_ok_and(|parts| !by_target(parts))
            && !job.headers.iter().any(|(key, _)| encoded(key))
    }

    /// A request for `job`, whose headers and body are taken out of it. `headers` is an old map to be used again.
    pub(crate) fn request(&self, job: &mut Job, mut headers: HeaderMap) -> Result<Request<Payload>, Failure> {
        let parts = self.parts.as_ref().map_err(Failure::clone)?;
        headers.clear();
        // With room for what follows: a map that grows is built anew.
        headers.reserve(parts.headers.len() + job.headers.len() + STAMPS);
        for (name, value) in &parts.headers {
            headers.append(name, value.clone());
        }
        for (key, value) in job.headers.drain(..) {
            let name = match key {
                HeaderKey::Known(name) => name,
                HeaderKey::Given(text) => header_name(&text)?,
            };
            headers.insert(allowed(name)?, header_value(value)?);
        }
        let mut request = Request::new(Payload(Bytes::from(std::mem::take(&mut job.body))));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn prepare(spec: &TargetSpec, origin: &Origin, proxy: Option<&Proxy>) -> Result<Parts, Failure> {
    let method = Method::from_bytes(spec.method.as_bytes())
        .map_err(|_| invalid("the method is not an HTTP method"))?;
    if method == Method::CONNECT {
        return Err(invalid("the method CONNECT cannot deliver anything"));
    }
    let host =
        HeaderValue::try_from(spec.authority.as_str()).map_err(|_| invalid("the host is not valid"))?;
    let mut headers = vec![(header::HOST, host)];
    for (name, value) in &spec.headers {
        headers.push((allowed(header_name(name)?)?, header_value(value.clone())?));
    }
    if origin.is_read_by_proxy()
        && let Some(proxy) = proxy
        && let Some(value) = proxy.authorization()
    {
        headers.push((header::PROXY_AUTHORIZATION, value.clone()));
    }
    let uri = uri(spec, origin)?;
    Ok(Parts { method, uri, headers })
}

/// What the request line asks for. A proxy that reads the request is told where it goes, and that is what the
/// guard has looked at rather than the Host header.
fn uri(spec: &TargetSpec, origin: &Origin) -> Result<Uri, Failure> {
    if !spec.path_and_query.starts_with('/') {
        return Err(invalid("the path does not begin with a slash"));
    }
    let mut uri = Uri::builder().path_and_query(spec.path_and_query.as_str());
    if origin.proxied {
        let authority = Authority::try_from(origin.authority());
        let authority = authority.map_err(|_| invalid("the host is not valid"))?;
        if origin.is_read_by_proxy() {
            uri = uri.scheme("http").authority(authority);
        }
    }
    uri.build()
        .map_err(|_| invalid("the path is not valid in a request"))
}

fn header_name(text: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| invalid("a header name is not valid"))
}

fn header_value(text: String) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(text).map_err(|_| invalid("a header value holds control characters"))
}

fn allowed(name: HeaderName) -> Result<HeaderName, Failure> {
    if OWN.contains(&name) {
        return Err(Failure::InvalidRequest(format!(
            "the header {name} is set by the engine"
        )));
    }
    Ok(name)
}

fn invalid(text: &str) -> Failure {
    Failure::InvalidRequest(text.to_owned())
}

/// A body that is there as a whole.
pub(crate) struct Payload(Bytes);

impl Payload {
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
