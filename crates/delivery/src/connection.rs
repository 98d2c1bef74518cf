//! One HTTP/1.1 connection and the exchanges over it, one after the other.
//!
//! Sender and driver of hyper's connection live in the same task: whoever polls the exchange drives the socket, so
//! no task is woken for a step that this one can take itself. The answers of the sender and of the body can only
//! change while the driver is polled here; they are polled with a waker that does nothing.

use crate::deadline::Deadline;
use crate::failures;
use crate::job::Response;
use crate::request::{Origin, Payload};
use crate::wire::{Ledger, Wire};
use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tms_domain::failure::{Failure, Phase};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio_rustls::client::TlsStream;

/// Largest head of an answer, and most that is buffered of anything.
const HEAD_LIMIT: usize = 64 * 1024;
/// Most that is read until an answer begins that is not interim.
const INTERIM_LIMIT: usize = 2 * HEAD_LIMIT;
/// A Retry-After longer than this is no date and no number.
const RETRY_AFTER_LIMIT: usize = 64;

/// How much of a body is read and kept.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Of a body that is not a success.
    pub(crate) excerpt: usize,
    /// Of a success.
    pub(crate) success: usize,
    pub(crate) drain: usize,
}

type Driver<S> = Pin<Box<http1::Connection<TokioIo<Wire<S>>, Payload>>>;

enum Transport {
    Tcp(Driver<TcpStream>),
    Tls(Driver<TlsStream<TcpStream>>),
    Ended,
}

impl Transport {
    /// Moves bytes. Once ended, the answer in progress holds the reason.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let ended = match self {
            Transport::Tcp(driver) => driver.as_mut().poll(cx).is_ready(),
            Transport::Tls(driver) => driver.as_mut().poll(cx).is_ready(),
            Transport::Ended => false,
        };
        if ended {
            *self = Transport::Ended;
        }
    }
}

/// A connection that is open as far as we know.
pub(crate) struct Connection {
    transport: Transport,
    sender: http1::SendRequest<Payload>,
    origin: Arc<Origin>,
    ledger: Ledger,
    /// The map of the last answer, to be used for the next request.
    spare: HeaderMap,
}

/// How an exchange went wrong.
pub(crate) enum Trouble {
    /// Not a byte was written: the request is given back and may be sent elsewhere.
    Unsent(Box<Request<Payload>>),
    /// The receiver may have seen the request.
    Failed(Failure),
}

impl Connection {
    pub(crate) async fn over_tcp(stream: TcpStream, origin: Arc<Origin>) -> Result<Connection, Failure> {
        let ledger = Ledger::default();
        let (sender, driver) = builder()
            .handshake(TokioIo::new(Wire::new(stream, ledger.clone())))
            .await
            .map_err(|e| failures::exchange(&e))?;
        let transport = Transport::Tcp(Box::pin(driver));
        Ok(Connection::new(transport, sender, origin, ledger))
    }

    pub(crate) async fn over_tls(
        stream: TlsStream<TcpStream>,
        origin: Arc<Origin>,
    ) -> Result<Connection, Failure> {
        let ledger = Ledger::default();
        let (sender, driver) = builder()
            .handshake(TokioIo::new(Wire::new(stream, ledger.clone())))
            .await
            .map_err(|e| failures::exchange(&e))?;
        let transport = Transport::Tls(Box::pin(driver));
        Ok(Connection::new(transport, sender, origin, ledger))
    }

    fn new(
        transport: Transport,
        sender: http1::SendRequest<Payload>,
        origin: Arc<Origin>,
        ledger: Ledger,
    ) -> Connection {
        Connection {
            transport,
            sender,
            origin,
            ledger,
            spare: HeaderMap::new(),
        }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn spare_headers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.spare)
    }

    /// Whether any byte of the last exchange's request may have left.
    pub(crate) fn has_written(&self) -> bool {
        self.ledger.has_written()
    }

    /// Drives an idle connection; false once the receiver has closed it.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.transport.drive(cx);
        !matches!(self.transport, Transport::Ended)
    }

    /// Sends the request and reads the answer. With the answer: whether the connection can be used again.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Payload>,
        deadline: &mut Deadline,
        limits: Limits,
    ) -> Result<(Response, bool), Trouble> {
        self.ledger.begin(INTERIM_LIMIT);
        let answer = self.head(request, deadline).await?;
        // From here on the body's own limits hold.
        self.ledger.allow(usize::MAX);
        let (mut head, body) = answer.into_parts();
        let success = head.status.is_success();
        let mut reading = Reading {
            body,
            excerpt: Vec::new(),
            keep: if success { limits.success } else { limits.excerpt },
            left: limits.drain,
        };
        let end = self.drain(&mut reading, deadline).await;
        let response = Response {
            status: head.status.as_u16(),
            retry_after: head.headers.get(header::RETRY_AFTER).and_then(retry_after),
            excerpt: (!reading.excerpt.is_empty()).then_some(reading.excerpt),
        };
        let reuse = match end {
            End::Complete => self.is_ready().await,
            End::GivenUp => false,
            // What a receiver says by its status stands, but a success that it could not finish saying does not.
            End::Failed(failure) if success => return Err(Trouble::Failed(failure)),
            End::Failed(_) => false,
        };
        head.headers.clear();
        self.spare = head.headers;
        Ok((response, reuse && head.status != StatusCode::SWITCHING_PROTOCOLS))
    }

    async fn head(
        &mut self,
        request: Request<Payload>,
        deadline: &mut Deadline,
    ) -> Result<http::Response<Incoming>, Trouble> {
        // Without the runtime's budget: its way of saying "later" is to call the waker, which does nothing here.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let transport = &mut self.transport;
        let outcome = poll_fn(|cx| {
            transport.drive(cx);
            if let Poll::Ready(outcome) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(Some(outcome));
            }
            deadline.poll(cx).map(|()| None)
        });
        match outcome.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(mut error)) => Err(match error.take_message() {
                // hyper gives a request back only if it never began to write it.
                Some(request) => Trouble::Unsent(Box::new(request)),
                None => Trouble::Failed(failures::exchange(&error.into_error())),
            }),
            None => Err(Trouble::Failed(Failure::Timeout(Phase::Response))),
        }
    }

    async fn drain(&mut self, reading: &mut Reading, deadline: &mut Deadline) -> End {
        let transport = &mut self.transport;
        poll_fn(|cx| {
            if let Poll::Ready(end) = reading.advance() {
                return Poll::Ready(end);
            }
            transport.drive(cx);
            // hyper reads one piece of a body per demand, and the demand is made by asking for it.
            while let Poll::Ready(step) = reading.advance_once() {
                match step {
                    Some(end) => return Poll::Ready(end),
                    None => transport.drive(cx),
                }
            }
            deadline
                .poll(cx)
                .map(|()| End::Failed(Failure::Timeout(Phase::Response)))
        })
        .await
    }

    /// Whether the next request could be written now. If not after another look, it is not worth waiting for: the
    /// receiver answered before it had read the request, or closes the connection.
    async fn is_ready(&mut self) -> bool {
        if !self.sender.is_ready() {
            poll_fn(|cx| {
                self.transport.drive(cx);
                Poll::Ready(())
            })
            .await;
        }
        self.sender.is_ready() && !matches!(self.transport, Transport::Ended)
    }
}

enum End {
    /// Read to its end.
    Complete,
    /// More of it than we want to read.
    GivenUp,
    Failed(Failure),
}

/// A body being read, kept up to one limit and given up at another.
struct Reading {
    body: Incoming,
    excerpt: Vec<u8>,
    keep: usize,
    left: usize,
}

impl Reading {
    /// Takes everything that is there.
    fn advance(&mut self) -> Poll<End> {
        if self.body.is_end_stream() {
            return Poll::Ready(End::Complete);
        }
        // Known to be too long: nothing beyond the excerpt needs to be read.
        if self.excerpt.len() >= self.keep && self.body.size_hint().lower() > self.left as u64 {
            return Poll::Ready(End::GivenUp);
        }
        loop {
            match self.advance_once() {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes one piece; `None` if the body goes on.
    fn advance_once(&mut self) -> Poll<Option<End>> {
        let frame = Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| match frame {
            None => Some(End::Complete),
            Some(Err(error)) => Some(End::Failed(failures::exchange(&error))),
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                let room = self.keep - self.excerpt.len();
                self.excerpt.extend_from_slice(&data[..room.min(data.len())]);
                if data.len() > self.left {
                    return Some(End::GivenUp);
                }
                self.left -= data.len();
                None
            }
        })
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_LIMIT);
    builder
}

fn retry_after(value: &http::HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?.trim();
    (!text.is_empty() && text.len() <= RETRY_AFTER_LIMIT).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Connection, Limits, Trouble};
    use crate::config::{Scheme, TargetSpec};
    use crate::deadline::Deadline;
    use crate::job::Job;
    use crate::request::{Payload, Prepared};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    const LIMITS: Limits = Limits {
        success: 0,
        excerpt: 10,
        drain: 100,
    };

    fn request() -> (Arc<crate::request::Origin>, http::Request<Payload>) {
        let spec = TargetSpec {
            scheme: Scheme::Http,
            host: "127.0.0.1".into(),
            port: 1,
            authority: "a".into(),
            path_and_query: "/".into(),
            method: "POST".into(),
            headers: Vec::new(),
            timeout: Duration::from_secs(20),
            max_concurrency: 1,
            allow_private_network: true,
            signing_keys: Vec::new(),
            gzip_from: None,
            keeps_success: false,
        };
        let prepared = Prepared::new(&spec, None);
        let mut job = Job {
            key: 1,
            target: 1,
            lane: 0,
            webhook_id: [0; 16],
            headers: Vec::new(),
            body: b"x".to_vec(),
        };
        (
            Arc::clone(&prepared.origin),
            prepared.request(&mut job, Default::default()).unwrap(),
        )
    }

    /// One exchange over a connection that the receiver closes after it; then, if `noticed`, the runtime gets to
    /// see that, and a second one. Returns how that goes.
    fn second_exchange(noticed: bool) -> Trouble {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closes) = std::sync::mpsc::channel();
        let receiver = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            closes.recv().unwrap();
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (origin, first) = request();
            let stream = TcpStream::connect(address).await.unwrap();
            let mut connection = Connection::over_tcp(stream, origin).await.unwrap();
            let mut deadline = Deadline::new(Instant::now() + Duration::from_secs(20));
            let Ok((response, reuse)) = connection.exchange(first, &mut deadline, LIMITS).await else {
                panic!("the first exchange failed");
            };
            assert!(response.status == 200 && reuse && connection.has_written());
            close.send(()).unwrap();
            receiver.join().unwrap();
            if noticed {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            match connection.exchange(request().1, &mut deadline, LIMITS).await {
                Ok(_) => panic!("the receiver is gone"),
                Err(trouble) => {
                    assert_eq!(connection.has_written(), !noticed);
                    trouble
                }
            }
        })
    }

    #[test]
    fn a_request_that_was_not_begun_is_given_back() {
        let Trouble::Unsent(request) = second_exchange(true) else {
            panic!("not given back");
        };
        assert_eq!(http_body::Body::size_hint(request.body()).exact(), Some(1));
    }

    #[test]
    fn a_request_that_may_have_been_seen_is_not() {
        assert!(matches!(
            second_exchange(false),
            Trouble::Failed(tms_domain::failure::Failure::Closed(_))
        ));
    }
}
