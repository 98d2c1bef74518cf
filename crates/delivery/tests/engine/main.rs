//! The engine against real sockets on loopback. Everything waits for a condition with a generous deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod hostile;
mod lifecycle;
mod limits;
mod pool;
mod proxy;
mod settings;
mod standard;
mod support;
mod tls;
