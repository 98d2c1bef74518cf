//! A receiver that is no HTTP server: what it does with a connection is up to a closure that reads and writes bytes.
//!
//! For what [`crate::receiver`] would never say, and for what must see a connection even if nothing is sent over it. Each
//! connection has a thread of its own, which ends when the sender goes away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::port::free_port;

/// A stream under a connection: TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One connection as the receiver sees it.
pub struct Peer {
    stream: BufReader<Box<dyn Stream>>,
}

impl Peer {
    /// A connection over this stream.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
        }
    }

    /// Reads a request with its body; false when the sender has closed the connection.
    pub fn request(&mut self) -> bool {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(announced) = line.strip_prefix("content-length: ") {
                length = announced.parse().expect("a length");
            }
            if line.is_empty() {
                return self.stream.read_exact(&mut vec![0; length]).is_ok();
            }
        }
    }

    /// False once the sender has closed the connection.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Waits until the sender closes the connection.
    pub fn wait_for_end(&mut self) {
        // Whatever ends the reading has ended the connection.
        let _ = std::io::copy(&mut self.stream, &mut std::io::sink());
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    is_over: AtomicBool,
}

/// A listener and the threads of its connections. It ends with this value; its connections end when their senders do.
#[derive(Debug)]
pub struct RawReceiver {
    address: SocketAddr,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl RawReceiver {
    /// Listens on a free port of 127.0.0.1.
    #[track_caller]
    pub fn start(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = loop {
            // Somebody may have taken the port since it was found free.
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())) {
                break listener;
            }
        };
        Self::serve(listener, handle)
    }

    /// Listens on this address; None where it cannot.
    pub fn on(
        address: IpAddr,
        port: u16,
        handle: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Option<Self> {
        Some(Self::serve(TcpListener::bind((address, port)).ok()?, handle))
    }

    fn serve(listener: TcpListener, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let counts = Arc::new(Counts::default());
        let (known, handle) = (counts.clone(), Arc::new(handle));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if known.is_over.load(Ordering::SeqCst) {
                    return;
                }
                known.accepted.fetch_add(1, Ordering::SeqCst);
                known.open.fetch_add(1, Ordering::SeqCst);
                let (known, handle) = (known.clone(), handle.clone());
                thread::spawn(move || {
                    // Small writes are meant as they are made.
                    let _ = stream.set_nodelay(true);
                    handle(stream);
                    known.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            counts,
            thread: Some(thread),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were made.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are being served.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }
}

impl Drop for RawReceiver {
    fn drop(&mut self) {
        self.counts.is_over.store(true, Ordering::SeqCst);
        // Accepting is what the thread waits in.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_its_connection_counted_until_it_ends() {
        let receiver = RawReceiver::start(|stream| {
            let mut peer = Peer::over(stream);
            while peer.request() && peer.write("seen") {}
        });
        let mut sender = TcpStream::connect(("127.0.0.1", receiver.port())).unwrap();
        for _ in 0..2 {
            sender
                .write_all(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi")
                .unwrap();
            let mut answer = [0; 4];
            sender.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"seen");
        }
        assert_eq!((receiver.accepted(), receiver.open()), (1, 1));
        drop(sender);
        crate::wait::eventually_eq(
            "the end of the connection",
            std::time::Duration::from_secs(10),
            0,
            || receiver.open(),
        );
    }
}
