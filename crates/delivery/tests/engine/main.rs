//! The engine against real sockets on loopback. Everything waits for a condition with a generous deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod lifecycle;
mod limits;
mod pool;
mod support;
mod tls;
