//! What of a request is the same for every event of a target, computed once, and a request made from it.

use crate::config::{LONGEST, Scheme, TargetSpec};
use crate::job::{HeaderKey, Job};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tms_domain::failure::Failure;

/// Headers that decide how the message is framed or the connection is used: the engine's alone.
const OWN: [HeaderName; 10] = [
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
];

/// Where a connection leads. Two targets, or two versions of one, that agree in this could share a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) allow_private: bool,
}

/// One version of a target.
pub(crate) struct Prepared {
    pub(crate) origin: Arc<Origin>,
    pub(crate) timeout: Duration,
    parts: Result<Parts, Failure>,
}

struct Parts {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Prepared {
    pub(crate) fn new(spec: &TargetSpec) -> Prepared {
        let host = spec.host.trim_start_matches('[').trim_end_matches(']');
        Prepared {
            origin: Arc::new(Origin {
                tls: spec.scheme == Scheme::Https,
                host: host.to_owned(),
                port: spec.port,
                allow_private: spec.allow_private_network,
            }),
            timeout: spec.timeout.min(LONGEST),
            parts: prepare(spec),
        }
    }

    /// A request for `job`, whose headers and body are taken out of it. `headers` is an old map to be used again.
    pub(crate) fn request(&self, job: &mut Job, mut headers: HeaderMap) -> Result<Request<Payload>, Failure> {
        let parts = self.parts.as_ref().map_err(Failure::clone)?;
        headers.clear();
        headers.reserve(parts.headers.len() + job.headers.len());
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

fn prepare(spec: &TargetSpec) -> Result<Parts, Failure> {
    let method = Method::from_bytes(spec.method.as_bytes())
        .map_err(|_| invalid("the method is not an HTTP method"))?;
    if method == Method::CONNECT {
        return Err(invalid("the method CONNECT cannot deliver anything"));
    }
    if !spec.path_and_query.starts_with('/') {
        return Err(invalid("the path does not begin with a slash"));
    }
    let uri = Uri::builder()
        .path_and_query(spec.path_and_query.as_str())
        .build()
        .map_err(|_| invalid("the path is not valid in a request"))?;
    let host =
        HeaderValue::try_from(spec.authority.as_str()).map_err(|_| invalid("the host is not valid"))?;
    let mut headers = vec![(header::HOST, host)];
    for (name, value) in &spec.headers {
        headers.push((allowed(header_name(name)?)?, header_value(value.clone())?));
    }
    Ok(Parts { method, uri, headers })
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
