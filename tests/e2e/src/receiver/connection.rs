//! One connection: requests out of a reused buffer, answers into another, one write for all that were pipelined.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::behaviour::{Behaviour, DRIP_BYTES};
use super::http::{self, MAX_HEADERS, Parsed};
use super::shared::Shared;

const READ_AHEAD: usize = 16 << 10;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub(super) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    input: Vec<u8>,
    /// Where in `input` the next request begins.
    start: usize,
    /// The length of `input` from `start` on at which parsing is worth another try.
    wanted: usize,
    joined: Vec<u8>,
    output: Vec<u8>,
    /// Requests recorded as in flight whose answer has not been written.
    unanswered: usize,
}

/// What the buffer held.
enum Next {
    Request { behaviour: Behaviour, keep_alive: bool },
    Incomplete { expects_continue: bool },
    Bad,
}

/// Why a connection ends; `?` carries it up.
struct Ended;

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            shared,
            input: Vec::with_capacity(READ_AHEAD),
            start: 0,
            wanted: 0,
            joined: Vec::new(),
            output: Vec::new(),
            unanswered: 0,
        }
    }

    /// Serves until either side closes.
    pub(super) async fn serve(mut self) {
        while self.step().await.is_ok() {}
    }

    async fn step(&mut self) -> Result<(), Ended> {
        match self.next() {
            Next::Request {
                behaviour,
                keep_alive,
            } => {
                self.answer(behaviour).await?;
                if !keep_alive {
                    self.flush().await?;
                    return Err(Ended);
                }
                Ok(())
            }
            Next::Incomplete { expects_continue } => {
                if expects_continue {
                    self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                self.flush().await?;
                self.read().await
            }
            Next::Bad => {
                http::render(400, &[], b"not HTTP", &mut self.output);
                self.flush().await?;
                Err(Ended)
            }
        }
    }

    fn next(&mut self) -> Next {
        let bytes = &self.input[self.start..];
        if bytes.is_empty() || bytes.len() < self.wanted {
            return Next::Incomplete {
                expects_continue: false,
            };
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        match http::parse(bytes, &mut headers, &mut self.joined) {
            Parsed::Complete {
                request,
                consumed,
                keep_alive,
            } => {
                let (behaviour, counts) = self.shared.arrived(request);
                self.unanswered += usize::from(counts);
                self.start += consumed;
                self.wanted = 0;
                Next::Request {
                    behaviour,
                    keep_alive,
                }
            }
            Parsed::Partial {
                wanted,
                expects_continue,
            } => {
                self.wanted = wanted;
                Next::Incomplete { expects_continue }
            }
            Parsed::Bad => Next::Bad,
        }
    }

    async fn answer(&mut self, behaviour: Behaviour) -> Result<(), Ended> {
        match behaviour {
            // Only noted: the write happens when no further request is in the buffer.
            Behaviour::Ok => self.output.extend_from_slice(OK),
            Behaviour::Status(status, headers, body) => {
                http::render(status, &headers, &body, &mut self.output);
                if http::announces_close(&headers) {
                    self.flush().await?;
                    return Err(Ended);
                }
            }
            Behaviour::Delay(time) => {
                self.flush_but_last().await?;
                self.pause(time).await?;
                self.output.extend_from_slice(OK);
                self.flush().await?;
            }
            Behaviour::Hang => {
                self.flush_but_last().await?;
                loop {
                    self.read().await?;
                }
            }
            Behaviour::Choose(_) => unreachable!("decided on arrival"),
            Behaviour::Close => {
                self.flush_but_last().await?;
                return Err(Ended);
            }
            Behaviour::CloseMidBody => {
                self.output
                    .extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this");
                self.flush().await?;
                return Err(Ended);
            }
            Behaviour::DripBody(interval) => self.drip(interval).await?,
            Behaviour::Raw(bytes) => {
                self.output.extend_from_slice(&bytes);
                self.flush().await?;
                return Err(Ended);
            }
        }
        Ok(())
    }

    async fn drip(&mut self, interval: Duration) -> Result<(), Ended> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {DRIP_BYTES}\r\n\r\n");
        self.output.extend_from_slice(head.as_bytes());
        self.flush_but_last().await?;
        for _ in 0..DRIP_BYTES {
            self.pause(interval).await?;
            self.stream.write_all(b".").await?;
        }
        self.flush().await
    }

    /// Sleeps, and ends at once when the sender goes away: what nobody waits for is no longer in flight.
    async fn pause(&mut self, time: Duration) -> Result<(), Ended> {
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(()),
                more = self.read() => more?,
            }
        }
    }

    /// Appends what arrives next; bytes that were consumed make room first.
    async fn read(&mut self) -> Result<(), Ended> {
        if self.start > 0 {
            self.input.drain(..self.start);
            self.start = 0;
        }
        let room = self.wanted.saturating_sub(self.input.len()).max(READ_AHEAD);
        if self.input.capacity() - self.input.len() < READ_AHEAD / 2 {
            self.input.reserve(room);
        }
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(Ended),
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        self.write().await?;
        self.settle(0);
        Ok(())
    }

    /// Answers what came before the current request, which stays in flight.
    async fn flush_but_last(&mut self) -> Result<(), Ended> {
        self.write().await?;
        self.settle(1);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Ended> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    fn settle(&mut self, keep: usize) {
        let done = self.unanswered.saturating_sub(keep);
        if done > 0 {
            self.unanswered -= done;
            self.shared.answered(done);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.settle(0);
    }
}
