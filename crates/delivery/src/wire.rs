//! The stream under an HTTP connection, with three things hyper does not do.
//!
//! It does not let one receiver keep the thread: after a number of bytes without a pause it says "later", so that
//! other connections get their turn and the deadline is looked at. Without it hyper parses on for as long as the
//! socket has data: an endless row of interim answers held the thread for seconds.
//!
//! It ends when too much has come before an answer has even begun, because hyper bounds the head of each interim
//! answer but not their number.
//!
//! And it remembers whether a byte was written, because that decides whether a request without an answer may have
//! been seen.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

/// Bytes read in one turn.
const TURN: u64 = 4 * 1024;

/// What the connection and its stream tell each other. Relaxed: both live in one task.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Entries>);

#[derive(Default)]
struct Entries {
    written: AtomicBool,
    allowance: AtomicUsize,
}

impl Ledger {
    /// A new exchange: nothing is written so far, and so many bytes may be read.
    pub(crate) fn begin(&self, allowance: usize) {
        self.0.written.store(false, Ordering::Relaxed);
        self.allow(allowance);
    }

    pub(crate) fn allow(&self, bytes: usize) {
        self.0.allowance.store(bytes, Ordering::Relaxed);
    }

    /// Whether a byte was written since [`Ledger::begin`].
    pub(crate) fn has_written(&self) -> bool {
        self.0.written.load(Ordering::Relaxed)
    }

    fn note_written(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(outcome, Poll::Ready(Ok(length)) if length > 0) {
            self.0.written.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn note_read(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.allowance.load(Ordering::Relaxed).checked_sub(bytes);
        self.allow(left.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, Endless))?);
        Ok(())
    }
}

/// The allowance was used up.
#[derive(Debug)]
pub(crate) struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more was read than allowed")
    }
}

impl std::error::Error for Endless {}

pub(crate) struct Wire<S> {
    /// Its limit is what is left of the turn.
    stream: Take<S>,
    ledger: Ledger,
}

impl<S: AsyncRead> Wire<S> {
    pub(crate) fn new(stream: S, ledger: Ledger) -> Wire<S> {
        Wire {
            stream: stream.take(TURN),
            ledger,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stream.limit() == 0 {
            self.stream.set_limit(TURN);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => Poll::Ready(self.ledger.note_read(buf.filled().len() - before)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.stream.set_limit(TURN);
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(self.stream.get_mut()).poll_write(cx, buf);
        self.ledger.note_written(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(self.stream.get_mut()).poll_write_vectored(cx, bufs);
        self.ledger.note_written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }
}
